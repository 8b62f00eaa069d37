// Staging: landing places of the `copy` DMA mode, and the physical pages it recycles.
//
// In copy mode pages of the client are moved (atomically) into a staging slot, and their bytes are then
// copied into the VRAM frame by real memcpy: a device behind a bus. The client's pages are then given up, for the
// kernel may refer to them. The pages of a frame are kept when their bytes have gone home, and become the frame's
// pages, or the client's, of a later transfer of the same size; freeing and allocating pages costs more than the
// copy (spec/live-memory.md 2.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/result.h"

namespace softxe::live {

/// How bytes get to VRAM: the page itself goes there, or its contents do.
enum class DmaMode : std::uint8_t { kMove, kCopy };

/// Hands out 2 MiB slots of one window. A slot is empty, or full with the pages of one transfer size.
/// Guarded by the mm lock of LiveHostMm, which also does every system call on slots.
class Staging {
 public:
  static constexpr std::uint32_t kSlots = 64;
  static constexpr std::uint64_t kSlotBytes = k2M;
  static constexpr std::uint32_t kFullPerSize = 16;

  void init(std::byte* window) {
    window_ = window;
    for (std::uint32_t i = 0; i < kSlots; ++i) empty_[empty_count_++] = slot(i);
  }
  /// Never fails: fewer than kSlots slots can be full, and one is taken at a time.
  std::byte* take_empty() {
    SX_ASSERT(empty_count_ != 0);
    return empty_[--empty_count_];
  }
  void give_empty(std::byte* slot) { empty_[empty_count_++] = slot; }
  /// A slot full with `bytes` of pages, or null.
  std::byte* take_full(std::uint64_t bytes) {
    Stack* stack = stack_of(bytes);
    return stack == nullptr || stack->count == 0 ? nullptr : stack->slots[--stack->count];
  }
  /// False: not kept (odd size or enough kept); the caller empties the slot and gives it back.
  bool give_full(std::byte* slot, std::uint64_t bytes) {
    Stack* stack = stack_of(bytes);
    if (stack == nullptr || stack->count == kFullPerSize) return false;
    stack->slots[stack->count++] = slot;
    return true;
  }

 private:
  struct Stack {
    std::array<std::byte*, kFullPerSize> slots{};
    std::uint32_t count = 0;
  };
  std::byte* slot(std::uint32_t index) { return window_ + index * kSlotBytes; }
  Stack* stack_of(std::uint64_t bytes) {
    if (bytes == kPageSize) return &full_[0];
    if (bytes == k64K) return &full_[1];
    if (bytes == kSlotBytes) return &full_[2];
    return nullptr;
  }

  std::byte* window_ = nullptr;
  std::array<std::byte*, kSlots> empty_{};
  std::uint32_t empty_count_ = 0;
  std::array<Stack, 3> full_{};
};

}  // namespace softxe::live
