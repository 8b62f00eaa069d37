// EuThreadIds: hardware thread ids of one device, and EuIdLease: those of one group.
//
// Kernels index private memory and scratch with the id, in buffers made for 512 threads: two live threads with one id
// would overwrite each other. Ids are handed out over all engines and contexts, preempted ones included. When every id
// is taken, a group gets ids that only other contexts use: what hardware does when it preempts one context for
// another, and better than a context that waits for ever for ids of an endless kernel.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace softxe {

inline constexpr std::uint32_t kEuThreadIds = 512;

/// Thread-safe, without locks.
class EuThreadIds {
 public:
  /// The users of ids; a context has at most 512 threads, so one of its own is always free.
  using Own = std::bitset<kEuThreadIds>;

  /// An id that is not in `own`, if possible one that nobody has. There must be one not in `own`.
  std::uint16_t take(const Own& own) {
    for (std::uint32_t id = 0; id < kEuThreadIds; ++id) {
      std::uint32_t nobody = 0;
      if (!own[id] && users_[id].compare_exchange_strong(nobody, 1, std::memory_order_relaxed)) {
        return static_cast<std::uint16_t>(id);
      }
    }
    for (std::uint32_t id = 0; id < kEuThreadIds; ++id) {
      if (own[id]) continue;
      users_[id].fetch_add(1, std::memory_order_relaxed);
      return static_cast<std::uint16_t>(id);
    }
    SX_UNREACHABLE("a context never has more threads than there are ids");
  }
  void give(std::uint16_t id) { users_[id].fetch_sub(1, std::memory_order_relaxed); }

 private:
  std::array<std::atomic<std::uint32_t>, kEuThreadIds> users_{};
};

}  // namespace softxe
