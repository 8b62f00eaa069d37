// How an ioctl thread waits: by sleeping (live) or by letting others run (simulator).
//
// Every wait of exec/ goes through a Monitor, so that no other place knows about threads. In the simulator
// nothing sleeps: the waiter calls `step` until its condition holds; `step` runs one other actor or
// moves the simulated time, and says whether anything is left to do.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>

#include "base/clock.h"
#include "base/lock.h"
#include "base/result.h"

namespace softxe {

/// An absolute time of the device's clock (CLOCK_MONOTONIC when live).
struct Deadline {
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t at_ns = kNever;

  static constexpr Deadline never() { return {}; }
  /// In the past: test once.
  static constexpr Deadline poll() { return {0}; }
  static Deadline after(const Clock& clock, std::uint64_t ns) {
    const std::uint64_t now = clock.now_ns();
    return {ns > kNever - now ? kNever : now + ns};
  }
  bool passed(const Clock& clock) const { return at_ns != kNever && clock.now_ns() >= at_ns; }
};

/// What one waiting thread brings along. Lives on its stack; not shared.
struct WaitContext {
  const Clock& clock;
  /// Simulator only: runs one other actor or moves the clock; false when nothing can ever happen.
  std::function<bool()> step;
  /// Set by anybody who wants the wait to end with EINTR (process exit, device teardown). May be null.
  const std::atomic<bool>* interrupt = nullptr;
  /// True when a signal wants the waiting thread. May be null.
  bool (*signalled)() = nullptr;

  bool interrupted() const {
    return (interrupt != nullptr && interrupt->load(std::memory_order_acquire)) ||
           (signalled != nullptr && signalled());
  }
};

/// A condition variable with its lock. Shared by waiter and wakers (through a shared_ptr, so that a wait
/// that is left by other means than returning leaves nothing dangling). Leaf.
class Monitor {
 public:
  /// Longest sleep before the interrupt flag is looked at again.
  static constexpr std::uint64_t kInterruptPollNs = 50'000'000;

  /// Runs `change` under the lock and wakes every waiter.
  template <typename Change>
  void update(Change change) SX_EXCLUDES(lock_) {
    {
      Guard hold(lock_);
      change();
    }
    wake_.notify_all();
  }

  /// Waits until `ready()` (called under the lock). ETIME, EINTR, EDEADLK (simulator: nothing runs).
  template <typename Ready>
  Status wait(WaitContext& context, Deadline deadline, Ready ready) SX_EXCLUDES(lock_) {
    if (context.step) return wait_stepping(context, deadline, ready);
    Guard hold(lock_);
    while (!ready()) {
      if (context.interrupted()) return fail(EINTR, "wait interrupted");
      if (deadline.passed(context.clock)) return fail(ETIME, "wait timed out");
      std::uint64_t sleep_ns = kInterruptPollNs;
      if (deadline.at_ns != Deadline::kNever) {
        const std::uint64_t now = context.clock.now_ns();
        if (deadline.at_ns > now) sleep_ns = std::min(sleep_ns, deadline.at_ns - now);
      }
      wake_.wait_for(lock_, sleep_ns, ready);
    }
    return {};
  }

 private:
  template <typename Ready>
  Status wait_stepping(WaitContext& context, Deadline deadline, Ready ready) SX_EXCLUDES(lock_) {
    for (;;) {
      {
        Guard hold(lock_);
        if (ready()) return {};
      }
      if (context.interrupted()) return fail(EINTR, "wait interrupted");
      if (deadline.passed(context.clock)) return fail(ETIME, "wait timed out");
      if (!context.step()) {
        if (deadline.at_ns != Deadline::kNever) return fail(ETIME, "wait timed out, all idle");
        return fail(EDEADLK, "waiting for ever for something nobody will do");
      }
    }
  }

  LeafMutex lock_{"Monitor"};
  CondVar wake_;
};

}  // namespace softxe
