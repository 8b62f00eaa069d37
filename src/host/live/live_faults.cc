// The reader thread: CPU touches of absent pages, and events of calls that no hook saw.
//
// Rules (spec/live-memory.md 4): everything it touches is in the arena; no malloc, no stdio, no libc
// wrapper; it never waits for a lock (whoever unlocks wakes it) and never sleeps but in ppoll.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <ctime>

#include "base/log.h"
#include "host/live/futex.h"
#include "host/live/live_host_mm.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {

namespace {
constexpr std::uint64_t kRetryNs = 1'000'000;
}  // namespace

void LiveHostMm::kick_reader() {
  const std::uint64_t one = 1;
  if (kick_fd_ >= 0) raw_syscall(SYS_write, kick_fd_, &one, sizeof one);
}

void* LiveHostMm::reader_main(void* self) {
  EngineSection::adopt_engine_thread();
  raw_syscall(SYS_prctl, PR_SET_NAME, kReaderName);
  auto& mm = *static_cast<LiveHostMm*>(self);
  mm.reader_at_work_.store(1);
  wake_all(mm.reader_at_work_);
  mm.reader_loop();
  return nullptr;
}

void LiveHostMm::reader_loop() {
  while (!stop_.load(std::memory_order_relaxed)) {
    pump_.pump(client_);
    reader_work();
    pollfd fds[2] = {{client_.fd(), POLLIN, 0}, {kick_fd_, POLLIN, 0}};
    timespec timeout{};
    timespec* until = nullptr;
    const std::uint64_t due = next_parked_ns_.load();
    if (due != ~0ull) {
      const std::uint64_t now = clock_.now_ns();
      const std::uint64_t left = due > now ? due - now : 0;
      timeout.tv_sec = static_cast<time_t>(left / 1'000'000'000);
      timeout.tv_nsec = static_cast<long>(left % 1'000'000'000);
      until = &timeout;
    }
    raw_syscall(SYS_ppoll, fds, 2, until, nullptr, 8);
    if ((fds[1].revents & POLLIN) != 0) {
      std::uint64_t kicks;
      raw_syscall(SYS_read, kick_fd_, &kicks, sizeof kicks);
    }
  }
}

void LiveHostMm::reader_work() SX_NO_THREAD_SAFETY_ANALYSIS {
  const bool due = next_parked_ns_.load() <= clock_.now_ns();
  if (!pump_.has_work() && !due) return;
  // Dekker with unlock(): say that we wait, then try.
  reader_waits_for_lock_.store(true);
  if (!mm_lock_.try_lock()) {
    counters_.deferred.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  do {
    // Before the look at what there is: what somebody reads after it is told of anew.
    reader_waits_for_lock_.store(false);
    drain_events();
    serve_faults();
    serve_parked();
  } while (pump_.has_work());  // serving may read more
  mm_lock_.unlock();
}

/// The reader sleeps until its descriptor has something to read, and here that is taken away from it: the next
/// unlock() wakes it. Hold the lock, or take it soon.
bool LiveHostMm::pump_for_reader() {
  const bool any = pump_.pump(client_);
  if (any) reader_waits_for_lock_.store(true);
  return any;
}

// --- faults -------------------------------------------------------------------------------------

void LiveHostMm::serve_faults() {
  if (pump_.take_overflow()) wake_everybody();
  std::uint64_t page;
  while (pump_.pop_fault(page)) {
    std::uint32_t turns = 0;
    while (serve_fault(page) == Served::kAgain) {
      // An event is in flight: its meaning comes before any fill of the pages it may concern.
      if (!wait_turn(turns)) {
        park(page, clock_.now_ns() + kRetryNs);
        break;
      }
      drain_events();
    }
    counters_.cpu_faults.fetch_add(1, std::memory_order_relaxed);
  }
}

LiveHostMm::Served LiveHostMm::serve_fault(std::uint64_t page) {
  const auto range = HostRange::of(HostVa(page), kPageSize);
  if (const auto piece = residency_.first_in(range)) {
    DevmemAllocation& allocation = *piece->allocation;
    if (allocation.residency_deadline_ns != 0) {
      if (allocation.residency_deadline_ns > clock_.now_ns()) {
        counters_.parked.fetch_add(1, std::memory_order_relaxed);
        park(page, allocation.residency_deadline_ns);
        return Served::kDone;
      }
      allocation.residency_deadline_ns = 0;
    }
    // MOVE and COPY wake who waits in the range they fill. The whole allocation moves (svm.md 5.7).
    bring_allocation_home(allocation, MoveCause::kCpuFault);
    if (residency_.first_in(range)) {
      if (client_.event_in_flight() || pump_.has_events_in(piece->range)) return Served::kAgain;
      park(page, clock_.now_ns() + kRetryNs);  // no memory for page tables
    }
    return Served::kDone;
  }
  // Home already (another thread touched it too), or never touched before: demand zero.
  const UffdOutcome out = pump_.undisturbed(range, [&] { return client_.zero(range); });
  if (out.err == EAGAIN || out.err == EINTR) return Served::kAgain;
  if (out.err != 0) {
    client_.wake(range);
  } else {
    unregister_idle(range);
  }
  return Served::kDone;
}

void LiveHostMm::park(std::uint64_t page, std::uint64_t until_ns) {
  if (parked_count_ == kParkedMax) {
    // Let it ask again at once: it will be parked when there is room.
    client_.wake(HostRange::of(HostVa(page), kPageSize));
    return;
  }
  parked_[parked_count_++] = Parked{page, until_ns};
  if (until_ns < next_parked_ns_.load()) next_parked_ns_.store(until_ns);
}

void LiveHostMm::serve_parked() {
  const std::uint64_t now = clock_.now_ns();
  if (next_parked_ns_.load() > now) return;
  std::uint64_t next = ~0ull;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < parked_count_; ++i) {
    if (parked_[i].until_ns > now) {
      next = std::min(next, parked_[i].until_ns);
      parked_[kept++] = parked_[i];
    } else {
      // Waking makes the thread look again: it finds its page, or faults and is served or parked.
      client_.wake(HostRange::of(HostVa(parked_[i].page), kPageSize));
    }
  }
  parked_count_ = kept;
  next_parked_ns_.store(next);
}

void LiveHostMm::wake_everybody() {
  HostVa at(0);
  const HostVa end(1ull << GranuleMap::kAddressBits);
  while (const auto part = chunks_.first_in(HostRange::between(at, end))) {
    client_.wake(*part);
    at = part->end();
  }
}

// --- events of calls that no hook saw -----------------------------------------------------------

void LiveHostMm::drain_events(const CallPlan* own) {
  UffdMessage message;
  while (pump_.pop_event(message)) on_event(message, own);
}

/// In the place of the reader, which waits for the lock. The lock is that of the caller's caller.
void LiveHostMm::serve_touches() SX_NO_THREAD_SAFETY_ANALYSIS {
  if (disabled() || rung_ == Rung::kNone || dealing_with_event_) return;
  pump_for_reader();
  serve_faults();
  serve_parked();
}

void LiveHostMm::on_event(const UffdMessage& message, const CallPlan* own) {
  dealing_with_event_ = true;
  const auto gone = message.range_gone();
  const auto kind = message.event == UffdMessage::kUnmap ? HostEvent::kUnmap : HostEvent::kClear;
  const bool known = gone && own != nullptr && own->tells(*gone, kind);
  if (!known) counters_.events.fetch_add(1, std::memory_order_relaxed);
  if (gone && !known) notify(*gone, kind);
  switch (message.event) {
    case UffdMessage::kUnmap:
      // A call that fails may have raised it all the same: mmap() for lack of memory, after it had looked.
      if (!known) forget_unmapped(*gone);
      break;
    case UffdMessage::kRemove: drop_pages(*gone); break;
    case UffdMessage::kRemap:
      on_remap(HostRange::of(HostVa(message.arg[0]), message.arg[2]), HostVa(message.arg[1]));
      break;
    case UffdMessage::kFork: on_missed_fork(static_cast<int>(message.arg[0] & 0xffffffff)); break;
    default: break;
  }
  dealing_with_event_ = false;
}

/// The mapping of `range` is gone, and with it what stood there.
void LiveHostMm::forget(HostRange range) {
  drop_pages(range);
  chunks_.reserve(range);
  chunks_.erase(range);
  pins_.remove(granules_, range);
}

/// The same for the parts of `range` that are gone or have been replaced, by what the kernel says.
void LiveHostMm::forget_unmapped(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    const auto rest = HostRange::between(at, range.end());
    const auto vma = maps_.at_or_above(at);
    const auto part = vma ? vma->range.intersection(rest) : std::nullopt;
    const HostVa gap_end = part ? part->start() : rest.end();
    if (at < gap_end) forget(HostRange::between(at, gap_end));
    if (!part) return;
    const auto chunk = chunks_.first_in(*part);
    if (!chunk || !is_registered(chunk->start())) forget(*part);
    at = part->end();
  }
}

/// The mapping has gone to another place and took its registration along.
void LiveHostMm::on_remap(HostRange from, HostVa to) {
  notify(from, HostEvent::kUnmap);
  const auto new_range = HostRange::of(to, from.size());
  for (HostVa at = from.start(); at < from.end();) {
    const auto part = chunks_.first_in(HostRange::between(at, from.end()));
    if (!part) break;
    at = part->end();
    const auto moved = HostRange::of(to + (part->start() - from.start()), part->size());
    for (HostVa a = moved.start(); a < moved.end(); a = a.aligned_down(k2M) + k2M) {
      const auto piece = *HostRange::block_around(a, k2M).intersection(moved);
      const bool reserved = chunks_.reserve(piece);
      SX_ASSERT(reserved);
      chunks_.insert(piece);
    }
    chunks_.erase(*part);
  }
  while (const auto piece = residency_.first_in(from)) {
    const bool reserved = residency_.reserve();
    SX_ASSERT(reserved);
    residency_.rename(*piece, to + (piece->range.start() - from.start()));
  }
  bring_range_home(new_range, MoveCause::kMapping);
}

/// A raw fork: the child's copies of pages in VRAM are holes behind a descriptor of its own.
void LiveHostMm::on_missed_fork(int fd) {
  Uffd child = Uffd::adopt(fd);
  const auto everything = HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits);
  for (HostVa at(0); at < everything.end();) {
    const auto piece = residency_.first_in(HostRange::between(at, everything.end()));
    if (!piece) break;
    copy_run(child, {piece->range.start().value(), number_of(piece->frame()), piece->range.size()});
    at = piece->range.end();
  }
  notify(everything, HostEvent::kProtect);
}  // closing the descriptor releases the child's faults

/// ENOMEM: some pages stay in VRAM, with their data, and everything stays registered.
Status LiveHostMm::evict_everything(MoveCause cause) {
  constexpr int kTriesMax = 1000;
  int tries = 0;
  const bool by_touch = !may_move_pages();
  std::uint32_t turns = 0;
  while (const auto piece = residency_.first()) {
    if (bring_allocation_home(*piece->allocation, cause)) continue;
    // Raced with a call that no hook saw, out of memory, or in a sandbox.
    if (++tries == kTriesMax) return fail(ENOMEM, "no memory for the pages that are in VRAM");
    if (by_touch) fetch_by_touch(piece->range);
    wait_turn(turns);
    drain_events();
  }
  while (const auto part = chunks_.first()) {
    if (!unregister_range(*part)) break;
  }
  return {};
}

}  // namespace softxe::live
