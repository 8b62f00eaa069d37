// PassingCalls: system calls on memory in which the hooks' filter found nothing of softxe.
//
// Such a call runs without the mm lock, and the memory may begin to be mirrored, registered and migrated
// while it is under way: pages would go to VRAM under a mapping that is going away, or survive a discard.
// So the hook announces its blocks first and looks whether they are tracked afterwards; a migration, whose
// blocks are tracked by then, looks at the announcements (both sequentially consistent: one sees the other).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/live/granules.h"

namespace softxe::live {

/// Lock-free; any thread.
class PassingCalls {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNone = ~0u;

  /// kNone when all slots are taken: the call must take the lock then. `range` is addressable.
  Slot announce(HostRange range) {
    const std::uint64_t word = word_of(range);
    const auto self = static_cast<Slot>(reinterpret_cast<std::uint64_t>(__builtin_thread_pointer()) >> kPageShift);
    for (Slot i = 0; i < kSlots; ++i) {
      const Slot slot = (self + i) % kSlots;
      std::uint64_t free = 0;
      if (slots_[slot].word.compare_exchange_strong(free, word)) return slot;
    }
    return kNone;
  }
  void retract(Slot slot) { slots_[slot].word.store(0, std::memory_order_release); }

  /// Is a call on a 2 MiB block of `range` under way?
  bool any_in(HostRange range) const {
    const std::uint64_t asked = word_of(range);
    for (const Padded& slot : slots_) {
      const std::uint64_t word = slot.word.load();
      if (word != 0 && start_of(word) < end_of(asked) && start_of(asked) < end_of(word)) return true;
    }
    return false;
  }

 private:
  static constexpr std::uint32_t kSlots = 32;
  static constexpr unsigned kBlockShift = 21;
  static constexpr unsigned kHalf = 32;
  static_assert(GranuleMap::kAddressBits - kBlockShift < kHalf);
  struct alignas(64) Padded {
    std::atomic<std::uint64_t> word{0};  ///< 0: free
  };

  /// Blocks [start, end) in one word; never 0, for the end is above the start.
  static std::uint64_t word_of(HostRange range) {
    const std::uint64_t end = ((range.end().value() - 1) >> kBlockShift) + 1;
    return range.start().value() >> kBlockShift << kHalf | end;
  }
  static std::uint64_t start_of(std::uint64_t word) { return word >> kHalf; }
  static std::uint64_t end_of(std::uint64_t word) { return word & ((1ull << kHalf) - 1); }

  std::array<Padded, kSlots> slots_;
};

}  // namespace softxe::live
