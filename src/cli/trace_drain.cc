#include "cli/trace_drain.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "base/clock.h"

namespace softxe::trace {

namespace {

constexpr long kPauseNs = 3'000'000;    // a ring lasts for 30 times as long in the busiest run known
constexpr unsigned kQuietRounds = 300;  // a second
constexpr std::uint64_t kFlushNs = 200'000'000;
constexpr std::uint64_t kMapsNs = 50'000'000;

/// A line of /proc/PID/maps.
struct MapsLine {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::string name;
};

std::vector<MapsLine> maps_of(std::uint32_t pid) {
  std::vector<MapsLine> lines;
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    MapsLine one;
    char dash = 0;
    std::string permissions, offset, device, inode;
    line >> std::hex >> one.start >> dash >> one.end >> permissions >> offset >> device >> inode >> std::ws;
    std::getline(line, one.name);
    if (one.name.empty()) one.name = "[anon]";
    // Registered parts of a mapping are the client's one mapping.
    const bool joins = !lines.empty() && lines.back().end == one.start && lines.back().name == one.name;
    if (joins) {
      lines.back().end = one.end;
    } else {
      lines.push_back(std::move(one));
    }
  }
  return lines;
}

}  // namespace

RunDrain::RunDrain(const preload::SlotFile& slots, int events_fd, EventSink& sink)
    : slots_(slots), events_fd_(events_fd), sink_(sink) {}

RunDrain::~RunDrain() {
  finish();
  for (const Source& source : sources_) {
    if (source.ring != nullptr) munmap(source.ring, sizeof(EventRing));
  }
}

void RunDrain::start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void RunDrain::run() {
  while (!stop_.load()) {
    round();
    const timespec pause{.tv_sec = 0, .tv_nsec = kPauseNs};
    nanosleep(&pause, nullptr);
  }
}

void RunDrain::finish() {
  if (!thread_.joinable()) return;
  stop_.store(true);
  thread_.join();
  round();
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (!sources_[i].over) say_last(static_cast<std::uint16_t>(i), sources_[i]);
  }
  sink_.flush();
}

void RunDrain::round() {
  meet_newcomers();
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    Source& source = sources_[i];
    const auto process = static_cast<std::uint16_t>(i);
    if (source.over || source.ring == nullptr) continue;
    // Asked before the ring is read: what is published after the question is read by the next round.
    const bool ended = has_ended(process, source);
    read(process, source, ended ? RingWriters::kDead : RingWriters::kAlive);
    // In another namespace of processes the number may be somebody else's, or nobody's: whoever still writes is there.
    source.quiet_rounds = ended && events_.empty() ? source.quiet_rounds + 1 : 0;
    if (source.quiet_rounds == kQuietRounds) say_last(process, source);
  }
  const std::uint64_t now = SteadyClock().now_ns();
  if (now - flushed_ns_ < kFlushNs) return;
  flushed_ns_ = now;
  sink_.flush();
}

void RunDrain::meet_newcomers() {
  const std::size_t used = std::min(slots_.used.load(), preload::kSlotsMax);
  while (sources_.size() < used) {
    const std::size_t index = sources_.size();
    const preload::ProcessSlot& slot = slots_.slots[index];
    if (slot.pid.load() == 0 && !stop_.load()) return;  // it is being filled
    if (slot.pid.load() == 0) {                         // its process died on the spot
      sources_.push_back({.over = true});
      continue;
    }
    Source source{.pid = slot.pid.load()};
    void* at = mmap(nullptr, sizeof(EventRing), PROT_READ | PROT_WRITE, MAP_SHARED, events_fd_,
                    static_cast<off_t>(index * sizeof(EventRing)));
    if (at != MAP_FAILED) source.ring = static_cast<EventRing*>(at);
    sources_.push_back(std::move(source));
    sink_.inform(static_cast<std::uint16_t>(index), {{"pid", slot.pid.load()}, {"exe", slot.exe}});
  }
}

bool RunDrain::has_ended(std::uint16_t process, const Source& source) const {
  if (kill(static_cast<pid_t>(source.pid), 0) != 0 && errno == ESRCH) return true;
  for (std::size_t later = process + 1u; later < sources_.size(); ++later) {
    if (sources_[later].pid == source.pid) return true;  // exec, or the number was used again
  }
  return false;
}

void RunDrain::read(std::uint16_t process, Source& source, RingWriters writers) {
  events_.clear();
  source.torn += read_ring(*source.ring, writers, events_);
  if (events_.empty()) return;
  sink_.take(process, events_);
  const std::uint64_t now = SteadyClock().now_ns();
  if (now - source.maps_read_ns < kMapsNs) return;
  const bool unknown = std::ranges::any_of(events_, [&](const Event& event) {
    if (event.kind != EventKind::kMigrate) return false;
    auto after = source.mappings.upper_bound(event.address);
    return after == source.mappings.begin() || event.address - std::prev(after)->first >= std::prev(after)->second;
  });
  if (!unknown) return;
  source.maps_read_ns = now;
  name_mappings(process, source);
}

/// Those that pages of this round have left for VRAM, as far as the process still has them.
void RunDrain::name_mappings(std::uint16_t process, Source& source) {
  nlohmann::json news = nlohmann::json::array();
  const std::vector<MapsLine> lines = maps_of(source.pid);
  for (const Event& event : events_) {
    if (event.kind != EventKind::kMigrate) continue;
    auto line = std::ranges::upper_bound(lines, event.address, {}, &MapsLine::end);
    if (line == lines.end() || line->start > event.address) continue;
    std::uint64_t& known = source.mappings[line->start];
    if (known == line->end - line->start) continue;
    known = line->end - line->start;
    news.push_back({{"start", line->start}, {"size", known}, {"name", line->name}});
  }
  if (!news.empty()) sink_.inform(process, {{"mappings", std::move(news)}});
}

void RunDrain::say_last(std::uint16_t process, Source& source) {
  if (source.ring == nullptr) return;
  source.over = true;
  const preload::ProcessSlot& slot = slots_.slots[process];
  sink_.inform(process, {{"pid", source.pid},
                         {"exe", slot.exe},
                         {"rung", slot.rung},
                         {"dropped", source.ring->dropped.load()},
                         {"torn", source.torn}});
  fallocate(events_fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(process * sizeof(EventRing)),
            sizeof(EventRing));
}

}  // namespace softxe::trace
