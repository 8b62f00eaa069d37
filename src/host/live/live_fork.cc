// fork: everything comes home first, so that the child inherits ordinary memory (design decision 18).
#include "base/log.h"
#include "host/live/live_host_mm.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {

void LiveHostMm::fork_before() SX_NO_THREAD_SAFETY_ANALYSIS {
  EngineSection::enter(*this);
  mm_lock_.lock();
  drain_events();
  if (disabled()) return;
  // What cannot come home the child gets when EVENT_FORK is dealt with (on_missed_fork).
  if (!evict_everything(MoveCause::kFork)) log(LogLevel::kError, "a fork while pages cannot leave VRAM");
  notify(HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits), HostEvent::kProtect);
}

void LiveHostMm::fork_after_parent() SX_NO_THREAD_SAFETY_ANALYSIS {
  unlock();
  EngineSection::leave();
}

void LiveHostMm::come_home_for_good() SX_NO_THREAD_SAFETY_ANALYSIS {
  constexpr std::uint64_t kTimeoutNs = 10'000'000'000;
  if (disabled() || rung_ == Rung::kNone) return;
  ending_.store(true);
  const std::uint64_t give_up_ns = clock_.now_ns() + kTimeoutNs;
  const EngineSection section(*this);
  while (!mm_lock_.try_lock()) {
    if (clock_.now_ns() > give_up_ns) return;
    raw_syscall(SYS_sched_yield);
  }
  drain_events();
  while (const auto piece = residency_.first()) {
    if (bring_allocation_home(*piece->allocation, MoveCause::kTeardown)) continue;
    if (clock_.now_ns() > give_up_ns) break;
    std::uint32_t turns = 0;
    wait_turn(turns);
    drain_events();
  }
  unlock();
}

void LiveHostMm::fork_after_child() SX_NO_THREAD_SAFETY_ANALYSIS {
  disabled_.store(true);
  pump_.reset();
  // The descriptors concern the parent's memory; the reader thread was not inherited.
  client_.close();
  windows_.forget();
  maps_.close();
  pagemap_.close();
  if (kick_fd_ >= 0) raw_syscall(SYS_close, kick_fd_);
  kick_fd_ = -1;
  reader_waits_for_lock_.store(false);
  reader_runs_ = false;
  mm_lock_.unlock();
  EngineSection::leave();
}

}  // namespace softxe::live
