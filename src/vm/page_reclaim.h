// What an unbind puts on the hardware's page reclaim list (spec/multi-queue.md 5): pure accounting.
//
// A device with the assist is handed the pages that leave the page tables, so that it writes back and drops only
// these from its caches. One list for each VM_BIND call, of at most 511 leaves; where it cannot be exact it is given
// up, and the caches are dropped whole. Nothing is cached here: the counters are what a client sees of it.
#pragma once

#include <cstdint>
#include <span>

#include "base/address.h"

namespace softxe {

/// Part of a VMA with page-table entries that an unbind takes away.
struct ReclaimedPart {
  enum class Kind : std::uint8_t {
    kObject,
    kUserptr,  ///< 4 KiB leaves in any case
    kNothing,  ///< null VMAs, and pages that are never in the caches: no leaf is listed
  };
  GpuRange range;
  std::uint64_t offset_bytes = 0;  ///< of its first byte in the object
  Kind kind = Kind::kObject;
};

struct PageReclaim {
  std::uint32_t leaves_4k = 0;
  std::uint32_t leaves_64k = 0;
  std::uint32_t leaves_2m = 0;
  enum class End : std::uint8_t { kNone, kIssued, kAborted } end = End::kNone;
  friend bool operator==(const PageReclaim&, const PageReclaim&) = default;
};

inline constexpr std::uint32_t kReclaimLeavesMax = 511;

/// The list of one call whose unbinds take `parts`, in their order.
PageReclaim count_reclaim(std::span<const ReclaimedPart> parts);

}  // namespace softxe
