#include "host/live/fault_reader.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <ctime>

#include "base/event_ring.h"
#include "base/log.h"
#include "base/raw_syscall.h"
#include "host/live/engine_section.h"
#include "host/live/engine_stack.h"
#include "host/live/futex.h"
#include "host/live/live_host_mm.h"
#include "host/live/own_descriptors.h"

namespace softxe::live {
namespace {
constexpr std::uint64_t kRetryNs = 1'000'000;
constexpr std::uint64_t kReaderStackBytes = 256ULL * 1024;
}  // namespace

Status FaultReader::start(Arena& arena) {
  if (res_.rung == Rung::kNone) return {};
  const long fd = raw_syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (int err = errno_of(fd)) return fail(err, "eventfd refused");
  kick_fd_ = static_cast<int>(fd);
  // It has to have its descriptors before the client has its device.
  if (const auto standby = start_thread(arena, stand_by)) {
    standby_ = *standby;
    wait_while(standby_ready_, 0);
  }
  SX_TRY(thread_, start_thread(arena, main));
  runs_ = true;
  // A new thread reads the locale's data, which are on the client's heap once it has called setlocale():
  // nothing may move before the reader is past that, for only the reader brings pages home.
  wait_while(at_work_, 0);
  return {};
}

Result<pthread_t> FaultReader::start_thread(Arena& arena, Main body) {
  // A page of slack so that the stack can be aligned; its thread-local storage lies at its top.
  const std::uint64_t stack_bytes = thread_stack_bytes(kReaderStackBytes);
  auto stack = static_cast<std::byte*>(arena.take(stack_bytes + kPageSize));
  if (stack == nullptr) return fail(ENOMEM, "the arena is too small");
  stack = reinterpret_cast<std::byte*>(align_up(number_of(stack), kPageSize));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, stack_bytes);
  const std::uint64_t mask = block_signals();
  pthread_t thread{};
  const int err = pthread_create(&thread, &attributes, body, this);
  restore_signals(mask);
  pthread_attr_destroy(&attributes);
  if (err != 0) return fail(err, "the fault thread cannot be started");
  return thread;
}

void FaultReader::stop() {
  if (!runs_ || res_.is_disabled()) return;
  stop_.store(true);
  kick();
  pthread_join(thread_, nullptr);
  if (standby_) {
    handed_over_.store(1);
    wake_all(handed_over_);
    pthread_join(*standby_, nullptr);
    standby_.reset();
  }
  runs_ = false;
}

void FaultReader::forget() {
  close();
  runs_ = false;
  standby_.reset();
  res_.pump.set_reader_waits(false);
}

void FaultReader::close() {
  if (kick_fd_ >= 0) raw_syscall(SYS_close, kick_fd_);
  kick_fd_ = -1;
}

void FaultReader::lock_is_free() {
  // Dekker with work(): either it sees the lock free or this sees that it waits.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (res_.pump.reader_waits()) kick();
}

void FaultReader::kick() {
  const std::uint64_t one = 1;
  if (kick_fd_ >= 0) raw_syscall(SYS_write, kick_fd_, &one, sizeof one);
}

void* FaultReader::main(void* self) {
  const AdoptedThread adopted;
  raw_syscall(SYS_prctl, PR_SET_NAME, kReaderName);
  auto& reader = *static_cast<FaultReader*>(self);
  reader.at_work_.store(1);
  wake_all(reader.at_work_);
  reader.loop();
  return nullptr;
}

void* FaultReader::stand_by(void* self) {
  const AdoptedThread adopted;
  auto& reader = *static_cast<FaultReader*>(self);
  LiveResources& res = reader.res_;
  std::array kept{res.client.fd(), res.windows.uffd().fd(), res.maps.fd(), res.pagemap.fd(), reader.kick_fd_};
  std::sort(kept.begin(), kept.end());
  const auto first = std::upper_bound(kept.begin(), kept.end(), -1);
  const bool ready = keep_own_descriptors({first, kept.end()});
  raw_syscall(SYS_prctl, PR_SET_NAME, "softxe-standby");
  reader.standby_ready_.store(1);
  wake_all(reader.standby_ready_);
  if (!ready) return nullptr;
  wait_while(reader.handed_over_, 0);
  raw_syscall(SYS_prctl, PR_SET_NAME, kReaderName);
  reader.loop();
  return nullptr;
}

void FaultReader::loop() {
  const bool is_reader = handed_over_.load() == 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    res_.pump.pump_as_reader(res_.client);
    work();
    wait();
    if (is_reader && handed_over_.load() != 0) return;
  }
}

void FaultReader::wait() {
  pollfd fds[2] = {{res_.client.fd(), POLLIN, 0}, {kick_fd_, POLLIN, 0}};
  timespec timeout{};
  timespec* until = nullptr;
  std::uint64_t due = next_parked_ns_.load();
  const std::uint64_t now = res_.clock.now_ns();
  if (handed_over_.load() != 0 && res_.pump.reader_waits()) due = std::min(due, now + kRetryNs);
  if (due != ~0ull) {
    const std::uint64_t left = due > now ? due - now : 0;
    timeout.tv_sec = static_cast<time_t>(left / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(left % 1'000'000'000);
    until = &timeout;
  }
  raw_syscall(SYS_ppoll, fds, 2, until, nullptr, 8);
  if ((fds[0].revents & POLLNVAL) != 0) hand_over();
  if ((fds[1].revents & POLLIN) != 0) {
    std::uint64_t kicks;
    raw_syscall(SYS_read, kick_fd_, &kicks, sizeof kicks);
  }
}

void FaultReader::hand_over() {
  SX_INFO("the program has closed the descriptors of the runtime: nothing migrates any more");
  res_.ending.store(true);
  handed_over_.store(1);
  wake_all(handed_over_);
}

void FaultReader::work() {
  const bool due = next_parked_ns_.load() <= res_.clock.now_ns();
  if (!res_.pump.has_work() && !due) return;
  // Dekker with unlock(): say that we wait, then try.
  res_.pump.set_reader_waits(true);
  if (!lock_.try_lock()) {
    res_.counters.deferred.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  do {
    // Before the look at what there is: what somebody reads after it is told of anew.
    res_.pump.set_reader_waits(false);
    memory_.missed.drain();
    serve_faults();
    serve_parked();
  } while (res_.pump.has_work());  // serving may read more
  lock_.unlock();
}

void FaultReader::serve_faults() {
  if (res_.pump.take_overflow()) wake_everybody();
  std::uint64_t page;
  while (res_.pump.pop_fault(page)) {
    std::uint32_t turns = 0;
    while (serve_fault(page) == Served::kAgain) {
      // An event is in flight: its meaning comes before any fill of the pages it may concern.
      if (!memory_.mover.wait_turn(turns)) {
        park(page, res_.clock.now_ns() + kRetryNs);
        break;
      }
      memory_.missed.drain();
    }
    res_.counters.cpu_faults.fetch_add(1, std::memory_order_relaxed);
  }
}

void FaultReader::park(std::uint64_t page, std::uint64_t until_ns) {
  if (parked_count_ == kParkedMax) {
    // Let it ask again at once: it will be parked when there is room.
    res_.client.wake(HostRange::of(HostVa(page), kPageSize));
    return;
  }
  parked_[parked_count_++] = Parked{page, until_ns};
  if (until_ns < next_parked_ns_.load()) next_parked_ns_.store(until_ns);
}

void FaultReader::serve_parked() {
  const std::uint64_t now = res_.clock.now_ns();
  if (next_parked_ns_.load() > now) return;
  std::uint64_t next = ~0ull;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < parked_count_; ++i) {
    if (parked_[i].until_ns > now) {
      next = std::min(next, parked_[i].until_ns);
      parked_[kept++] = parked_[i];
    } else {
      // Waking makes the thread look again: it finds its page, or faults and is served or parked.
      res_.client.wake(HostRange::of(HostVa(parked_[i].page), kPageSize));
    }
  }
  parked_count_ = kept;
  next_parked_ns_.store(next);
}

void FaultReader::wake_everybody() {
  HostVa at(0);
  const HostVa end(1ull << GranuleMap::kAddressBits);
  while (const auto part = memory_.registration.first_in(HostRange::between(at, end))) {
    res_.client.wake(*part);
    at = part->end();
  }
}

/// In the place of the reader, which waits for the lock. The lock is that of the caller's caller.
void FaultReader::serve_touches() {
  lock_.assert_held();
  if (res_.is_disabled() || res_.rung == Rung::kNone || memory_.missed.is_dealing()) return;
  res_.pump.pump_for_reader(res_.client);
  serve_faults();
  serve_parked();
}

FaultReader::Served FaultReader::serve_fault(std::uint64_t page) {
  const auto range = HostRange::of(HostVa(page), kPageSize);
  if (const auto piece = memory_.residents.first_in(range)) return serve_resident(*piece, page);
  // Home already (another thread touched it too), or never touched before: demand zero.
  const UffdOutcome out = res_.pump.undisturbed(range, [&] { return res_.client.zero(range); });
  if (out.err == EAGAIN || out.err == EINTR) return Served::kAgain;
  if (out.err != 0) {
    res_.client.wake(range);
  } else {
    memory_.registration.unregister_idle(range);
  }
  return Served::kDone;
}

FaultReader::Served FaultReader::serve_resident(const Piece& piece, std::uint64_t page) {
  DevmemAllocation& allocation = *piece.allocation;
  if (allocation.residency_deadline_ns != 0) {
    if (allocation.residency_deadline_ns > res_.clock.now_ns()) {
      res_.counters.parked.fetch_add(1, std::memory_order_relaxed);
      park(page, allocation.residency_deadline_ns);
      return Served::kDone;
    }
    allocation.residency_deadline_ns = 0;
  }
  const EventScope touch(emit(event_of(EventKind::kCpuFault, HostRange::of(HostVa(page), kPageSize))));
  // MOVE and COPY wake who waits in the range they fill. The whole allocation moves (svm.md 5.7).
  memory_.residents.bring_allocation_home(allocation, MoveCause::kCpuFault);
  if (memory_.residents.first_in(piece.range)) {
    if (res_.client.event_in_flight() || res_.pump.has_events_in(piece.range)) return Served::kAgain;
    park(page, res_.clock.now_ns() + kRetryNs);  // no memory for page tables
  }
  return Served::kDone;
}

}  // namespace softxe::live
