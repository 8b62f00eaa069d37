// SpinFutex: a lock without libc, for the few places that work before constructors and across fork.
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <cstdint>

#include "base/raw_syscall.h"
#include "base/thread_annotations.h"

namespace softxe::preload {

/// Three states: free, held, held with waiters. Not ranked: held for a few instructions, and nothing is
/// locked inside. Take it with signals blocked, or where a handler cannot want it.
class SX_CAPABILITY("mutex") SpinFutex {
 public:
  void lock() SX_ACQUIRE() {
    for (int spin = 0; spin < 64; ++spin) {
      std::uint32_t free = 0;
      if (word_.compare_exchange_weak(free, 1, std::memory_order_acquire)) return;
    }
    while (word_.exchange(2, std::memory_order_acquire) != 0)
      raw_syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 2, nullptr);
  }
  void unlock() SX_RELEASE() {
    if (word_.exchange(0, std::memory_order_release) == 2) raw_syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1);
  }
  /// Taken before a fork in one function and let go behind it in another, in both processes: no scope that the analysis
  /// can see, so it does not look at these two.
  void hold_over_fork() SX_NO_THREAD_SAFETY_ANALYSIS { lock(); }
  void release_after_fork() SX_NO_THREAD_SAFETY_ANALYSIS { unlock(); }
  /// Between the two, for the analysis; not checked.
  void assert_held() const SX_ASSERT_CAPABILITY(this) {}

 private:
  std::atomic<std::uint32_t> word_{0};
};

}  // namespace softxe::preload
