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
  std::uint64_t offset = 0;
  bool code = false;
  std::string name;
};

std::vector<MapsLine> maps_of(std::uint32_t pid) {
  std::vector<MapsLine> lines;
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    MapsLine one;
    char dash = 0;
    std::string permissions, device, inode;
    line >> std::hex >> one.start >> dash >> one.end >> permissions >> one.offset >> device >> inode >> std::ws;
    std::getline(line, one.name);
    one.code = permissions.find('x') != std::string::npos;
    if (one.name.empty()) one.name = "[anon]";
    // Registered parts of a mapping are the client's one mapping.
    const bool joins = !lines.empty() && lines.back().end == one.start && lines.back().name == one.name &&
                       lines.back().code == one.code;
    if (joins) {
      lines.back().end = one.end;
    } else {
      lines.push_back(std::move(one));
    }
  }
  return lines;
}

/// Null where it cannot be mapped.
template <typename Ring>
Ring* ring_in(int fd, std::size_t index) {
  void* at =
      mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(index * sizeof(Ring)));
  return at == MAP_FAILED ? nullptr : static_cast<Ring*>(at);
}

template <typename Ring>
void free_ring(int fd, std::size_t index) {
  fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(index * sizeof(Ring)), sizeof(Ring));
}

}  // namespace

RunDrain::RunDrain(const preload::SlotFile& slots, Files files, EventSink& sink)
    : slots_(slots), files_(files), sink_(sink) {}

RunDrain::~RunDrain() {
  finish();
  for (const Source& source : sources_) {
    if (source.ring != nullptr) munmap(source.ring, sizeof(EventRing));
    if (source.stacks != nullptr) munmap(source.stacks, sizeof(StackRing));
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
    source.ring = ring_in<EventRing>(files_.events, index);
    if (files_.stacks >= 0) source.stacks = ring_in<StackRing>(files_.stacks, index);
    sources_.push_back(std::move(source));
    sink_.inform(static_cast<std::uint16_t>(index), {{"pid", slot.pid.load()}, {"exe", slot.exe}});
    if (files_.stacks >= 0) name_files(static_cast<std::uint16_t>(index), sources_.back());
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
  // A stack is in its ring before its event is.
  if (source.stacks != nullptr) read_calls(process, source, writers);
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

void RunDrain::read_calls(std::uint16_t process, Source& source, RingWriters writers) {
  stacks_.clear();
  read_stacks(*source.stacks, writers, stacks_);
  if (stacks_.empty()) return;
  const auto unknown = [&](std::uint64_t address) {
    return std::ranges::none_of(source.files, [&](const LoadedFile& file) { return address - file.start < file.size; });
  };
  const bool news = std::ranges::any_of(stacks_, [&](const StackRecord& stack) {
    return std::any_of(stack.frames.begin(), stack.frames.begin() + stack.depth, unknown);
  });
  if (news) name_files(process, source);
  sink_.take_stacks(process, stacks_);
}

/// Files with code that the process has mapped since it was last asked.
void RunDrain::name_files(std::uint16_t process, Source& source) {
  nlohmann::json news = nlohmann::json::array();
  for (const MapsLine& line : maps_of(source.pid)) {
    const bool known = std::ranges::any_of(source.files, [&](const LoadedFile& file) {
      return file.start == line.start && file.size == line.end - line.start && file.name == line.name;
    });
    if (!line.code || known) continue;
    source.files.push_back({line.start, line.end - line.start, line.offset, line.name});
    news.push_back(
        {{"start", line.start}, {"size", line.end - line.start}, {"offset", line.offset}, {"name", line.name}});
  }
  if (!news.empty()) sink_.inform(process, {{"files", std::move(news)}});
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
  nlohmann::json last{{"pid", source.pid},
                      {"exe", slot.exe},
                      {"rung", slot.rung},
                      {"dropped", source.ring->dropped.load()},
                      {"torn", source.torn}};
  if (source.stacks != nullptr) {
    last["stacks_dropped"] = source.stacks->dropped.load();
    free_ring<StackRing>(files_.stacks, process);
  }
  sink_.inform(process, last);
  free_ring<EventRing>(files_.events, process);
}

}  // namespace softxe::trace
