// The TLB of one engine: direct mapped, one entry per 4K page, valid for one generation.
//
// A hit costs two compares and one add. Large entries fill it page by page: a walk is five loads that
// the CPU's caches hold, so a second array for large pages would cost a hit more than it saves a miss.
// Bulk copies do not use it; they walk once per 64K. Scratch and null translations are never cached.
// Read next: mmu.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"

namespace softxe {

/// What a cached page allows, as bits.
enum TlbRights : std::uint32_t {
  kTlbRead = 1,
  kTlbWrite = 2,
  kTlbAtomic = 4,
  kTlbPlain = 8,  ///< engine memory: plain access inside the section; clear: guarded, outside
};

/// Names one VM at one moment: entries of any other moment or VM do not match.
class TlbEpoch {
 public:
  TlbEpoch() = default;
  /// 44 bits of generation above 20 bits of ASID: 200 days at a million invalidations a second.
  TlbEpoch(std::uint64_t generation, std::uint32_t asid) : value_(generation << 20 | (asid & 0xfffff)) {}
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0;  // generations start at 1: an empty entry never matches
};

struct TlbEntry {
  std::uint64_t page = 0;  ///< va >> 12
  TlbEpoch epoch;
  std::uint64_t delta = 0;  ///< host address - va, modulo 2^64
  std::uint32_t rights = 0;

  std::byte* host(GpuVa va) const { return reinterpret_cast<std::byte*>(va.value() + delta); }
};

/// Owned by one Mmu; used by its engine's thread only.
class Tlb {
 public:
  /// 8 MiB: what kernels gather from is often a few MiB large.
  static constexpr std::uint32_t kEntries = 2048;

  /// The entry of `va` with at least the rights `need`, or null.
  const TlbEntry* find(GpuVa va, TlbEpoch epoch, std::uint32_t need) const {
    const TlbEntry& e = entries_[slot(va)];
    // One branch for the three conditions.
    const std::uint64_t differs =
        (e.page ^ (va.value() >> kPageShift)) | (e.epoch.value() ^ epoch.value()) | (need & ~e.rights);
    return __builtin_expect(differs == 0, 1) ? &e : nullptr;
  }
  void fill(GpuVa va, TlbEpoch epoch, std::byte* page_host, std::uint32_t rights) {
    const std::uint64_t page_va = align_down(va.value(), kPageSize);
    entries_[slot(va)] =
        TlbEntry{page_va >> kPageShift, epoch, reinterpret_cast<std::uint64_t>(page_host) - page_va, rights};
  }

 private:
  static std::size_t slot(GpuVa va) { return (va.value() >> kPageShift) % kEntries; }
  std::array<TlbEntry, kEntries> entries_{};
};

}  // namespace softxe
