// Sleeping on a word of this process without libc.
#pragma once

#include <linux/futex.h>

#include <atomic>
#include <climits>
#include <cstdint>

#include "base/raw_syscall.h"

namespace softxe::live {

/// Returns once `word` holds something else than `value`.
inline void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
  while (word.load(std::memory_order_acquire) == value)
    raw_syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr);
}

/// After `word` was changed.
inline void wake_all(const std::atomic<std::uint32_t>& word) {
  raw_syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

}  // namespace softxe::live
