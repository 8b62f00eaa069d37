// MemoryItems: many small pieces of memory that one access reads or writes together.
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"

namespace softxe {

/// Up to kItemsMax items of `item_bytes` contiguous bytes each (1..kItemBytesMax), all together at most kBytesMax;
/// effects are in ascending order. An item is whole elements of `element_bytes` (1, 2, 4, 8); those of 4 and 8 are
/// single-copy atomic when naturally aligned; others may cross pages. Addresses have no canonical bits.
struct MemoryItems {
  static constexpr std::uint32_t kItemsMax = 512;
  static constexpr std::uint32_t kItemBytesMax = 512;
  static constexpr std::uint32_t kBytesMax = 2048;

  std::span<const GpuVa> va;
  std::uint32_t item_bytes = 4;
  std::uint32_t element_bytes = 4;

  std::uint64_t bytes() const { return va.size() * std::uint64_t{item_bytes}; }
};

}  // namespace softxe
