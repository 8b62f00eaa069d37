// Everything of a range comes home, or everything there is: for fork, so that the child inherits ordinary memory
// (decision 0013), for calls that need it, and at the end.
#include <sys/mman.h>

#include "base/event_ring.h"
#include "base/log.h"
#include "base/raw_syscall.h"
#include "host/live/live_host_mm.h"

namespace softxe::live {

// No analysis: the lock is taken before the fork and let go behind it, in both processes, by fork_after_*().
void LiveHostMm::fork_before() SX_NO_THREAD_SAFETY_ANALYSIS {
  EngineSection::enter(*this);
  mm_lock_.lock();
  memory_.missed.drain();
  if (disabled()) return;
  const EventScope calls(emit({.word = SYS_fork, .kind = EventKind::kCall}));
  // What cannot come home the child gets when EVENT_FORK is dealt with (on_missed_fork).
  if (!evict_everything(MoveCause::kFork)) log(LogLevel::kError, "a fork while pages cannot leave VRAM");
  memory_.notifiers.tell(HostRange::of(HostVa(0), 1ull << GranuleMap::kAddressBits), HostEvent::kProtect);
}

void LiveHostMm::fork_after_parent() {
  mm_lock_.assert_held();  // since fork_before()
  unlock();
  EngineSection::leave();
}

void LiveHostMm::come_home(Afterwards afterwards) {
  constexpr std::uint64_t kTimeoutNs = 10'000'000'000;
  if (disabled() || res_.rung == Rung::kNone) return;
  if (afterwards == Afterwards::kStays) res_.ending.store(true);
  const std::uint64_t give_up_ns = res_.clock.now_ns() + kTimeoutNs;
  const EngineSection section(*this);
  const EventScope ends(emit({.kind = EventKind::kTask, .cause = EventCause::kExit}));
  while (!mm_lock_.try_lock()) {
    if (res_.clock.now_ns() > give_up_ns) return;
    raw_syscall(SYS_sched_yield);
  }
  memory_.missed.drain();
  while (const auto piece = memory_.residents.first()) {
    if (memory_.residents.bring_allocation_home(*piece->allocation, MoveCause::kTeardown)) continue;
    if (res_.clock.now_ns() > give_up_ns) break;
    std::uint32_t turns = 0;
    memory_.mover.wait_turn(turns);
    memory_.missed.drain();
  }
  unlock();
}

void LiveHostMm::fork_after_child() {
  mm_lock_.assert_held();  // since fork_before(), whose thread is the one that is here
  res_.disabled.store(true);
  res_.pump.reset();
  // The descriptors concern the parent's memory; the reader thread was not inherited.
  res_.client.close();
  res_.windows.forget();
  res_.maps.close();
  res_.pagemap.close();
  reader_.forget();
  mm_lock_.unlock();
  EngineSection::leave();
}

/// False: this thread is in a sandbox now that forbids it.
bool LiveHostMm::may_move_pages() const {
  if (!res_.unreadable) return true;  // rung none: there is nothing to move
  const HostVa ours = res_.unreadable.range().start();
  const int err = res_.client.ask(ours, ours);
  return err == ENOENT || err == EAGAIN;
}

/// Calls that no hook saw may be in the way for a moment; their events are dealt with in between. A thread that may
/// not move pages touches them, and the reader brings them. ENOMEM: some stay in VRAM, with their data.
Status LiveHostMm::insist_home(HostRange range) {
  constexpr int kTriesMax = 100;
  const bool by_touch = !may_move_pages();
  std::uint32_t turns = 0;
  for (int i = 0; i < kTriesMax; ++i) {
    if (memory_.residents.bring_range_home(range, MoveCause::kMapping)) return {};
    const auto piece = memory_.residents.first_in(range);
    if (piece && by_touch) fetch_by_touch(piece->range);
    memory_.mover.wait_turn(turns);
    memory_.missed.drain();
  }
  return fail(ENOMEM, "no memory for the pages that are in VRAM");
}

void LiveHostMm::fetch_by_touch(HostRange range) {
  unlock();
  raw_syscall(SYS_madvise, range.start().value(), range.size(), MADV_POPULATE_READ);
  mm_lock_.lock();
  memory_.missed.drain();
}

/// Whole allocations that reach into `range`. Events that have been read come first, as often as there are some.
Status LiveHostMm::bring_allocations_home(HostRange range, MoveCause cause) {
  constexpr int kTriesMax = 100;
  for (int tries = 0; tries < kTriesMax;) {
    const auto piece = memory_.residents.first_in(range);
    if (!piece) return {};
    if (memory_.residents.bring_allocation_home(*piece->allocation, cause)) continue;
    ++tries;
    memory_.missed.drain();
  }
  return fail(EBUSY, "some pages could not leave VRAM");
}

/// ENOMEM: some pages stay in VRAM, with their data, and everything stays registered.
Status LiveHostMm::evict_everything(MoveCause cause) {
  constexpr int kTriesMax = 1000;
  int tries = 0;
  const bool by_touch = !may_move_pages();
  std::uint32_t turns = 0;
  while (const auto piece = memory_.residents.first()) {
    if (memory_.residents.bring_allocation_home(*piece->allocation, cause)) continue;
    // Raced with a call that no hook saw, out of memory, or in a sandbox.
    if (++tries == kTriesMax) return fail(ENOMEM, "no memory for the pages that are in VRAM");
    if (by_touch) fetch_by_touch(piece->range);
    memory_.mover.wait_turn(turns);
    memory_.missed.drain();
  }
  while (const auto part = memory_.registration.first()) {
    if (!memory_.registration.unregister_range(*part)) break;
  }
  return {};
}

}  // namespace softxe::live
