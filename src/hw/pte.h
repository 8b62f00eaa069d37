// The 64-bit page-table entry: bit layout, geometry and the two encoders everything else uses.
//
// Bits are those of Xe2 (spec/svm.md 6.1, 6.2). Two things are particular to the model:
//   * a present system entry holds the host pointer of the page, not a bus address: the process's own
//     address of the page, or the engine's mapping of a BO (the CPU's MMU is the second TLB);
//   * entries that are not present use ignored bits for bookkeeping (kSoftHidden, kSoftFault).
// Read next: page_table.h.
#pragma once

#include <array>
#include <cstdint>

#include "base/address.h"

namespace softxe {

using PteWord = std::uint64_t;

namespace pte {

inline constexpr PteWord kPresent = 1ull << 0;
inline constexpr PteWord kWritable = 1ull << 1;
inline constexpr PteWord kPat0 = 1ull << 3;
inline constexpr PteWord kPat1 = 1ull << 4;
inline constexpr PteWord kCompact64K = 1ull << 6;  ///< level 1, not a leaf: 32-entry table of 64K pages
inline constexpr PteWord kHuge = 1ull << 7;        ///< levels 1 and 2: this entry is a leaf (2M, 1G)
inline constexpr PteWord kPat2Level0 = 1ull << 7;  ///< PAT index bit 2 in a level-0 entry
inline constexpr PteWord kHint64K = 1ull << 8;     ///< level 0: one of 16 entries of a 64K block
inline constexpr PteWord kNull = 1ull << 9;        ///< reads zero, drops writes
inline constexpr PteWord kAtomicEnable = 1ull << 10;
inline constexpr PteWord kDeviceMemory = 1ull << 11;  ///< VRAM of the tile that owns the table
inline constexpr PteWord kPat2Huge = 1ull << 12;      ///< PAT index bit 2 in a 2M or 1G leaf
inline constexpr PteWord kPat4 = 1ull << 61;
inline constexpr PteWord kPat3 = 1ull << 62;

/// Ignored by hardware. On a system leaf: the host pointer is memory the engine owns (a BO, a peer's
/// VRAM window); it never blocks and is revoked only through an invalidation, so it is accessed inside
/// an engine section like VRAM. Clear: a page of the process, accessed outside, guarded.
inline constexpr PteWord kSoftEngine = 1ull << 52;

/// Only in entries with kPresent clear.
inline constexpr PteWord kSoftHidden = 1ull << 53;  ///< zapped: address bits still name the kept table
inline constexpr PteWord kSoftFault = 1ull << 54;   ///< scratch tables: this hole faults

inline constexpr PteWord kAddressMask = ((1ull << 52) - 1) & ~(kPageSize - 1);

}  // namespace pte

inline constexpr int kPtLevels = 5;  // bmg, lnl and pvc alike
inline constexpr int kPtRootLevel = kPtLevels - 1;
inline constexpr std::uint32_t kPtEntries = 512;
inline constexpr std::uint32_t kPtCompactEntries = 32;
inline constexpr std::array<unsigned, kPtLevels> kPtShift = {12, 21, 30, 39, 48};

/// Bytes one entry of a table of this level covers.
constexpr std::uint64_t pt_span(int level) { return 1ull << kPtShift[static_cast<unsigned>(level)]; }
constexpr std::uint32_t pt_index(GpuVa va, int level) {
  return static_cast<std::uint32_t>(va.value() >> kPtShift[static_cast<unsigned>(level)]) & (kPtEntries - 1);
}

static_assert(sizeof(PteWord) * kPtEntries == kPageSize);
static_assert(kPtShift[0] == kPageShift);
static_assert(pt_span(1) == k2M && pt_span(2) == k1G);
static_assert(kPtShift[kPtRootLevel] + 9 == 57, "a 57-bit space fills the root exactly");
static_assert(k2M / k64K == kPtCompactEntries);
static_assert((pte::kAddressMask >> 12) == (1ull << 40) - 1, "address is bits 51:12");
static_assert(((pte::kSoftEngine | pte::kSoftHidden | pte::kSoftFault) & pte::kAddressMask) == 0);

/// Which memory an address in an entry names.
enum class PteKind : std::uint8_t {
  kSystem,   ///< host pointer into the process: may fault or block on the CPU side
  kEngine,   ///< host pointer into engine-owned memory: BO in system memory, peer VRAM
  kVram,     ///< DevPa of the tile that owns the table
  kNull,     ///< no memory: reads zero, drops writes
  kScratch,  ///< as kNull, from a hole of a scratch table; never in an entry
};

/// What an entry says besides its address and size.
struct PteFlags {
  PteKind kind = PteKind::kSystem;
  bool writable = false;
  bool atomic_enable = false;
  std::uint8_t pat_index = 0;  ///< 0..31
  friend bool operator==(const PteFlags&, const PteFlags&) = default;
};

/// The bits of a leaf of `level` without address, size and hint bits.
constexpr PteWord pte_flag_bits(const PteFlags& f, int level) {
  PteWord w = pte::kPresent;
  if (f.writable) w |= pte::kWritable;
  if (f.atomic_enable) w |= pte::kAtomicEnable;
  if (f.kind == PteKind::kVram) w |= pte::kDeviceMemory;
  if (f.kind == PteKind::kNull) w |= pte::kNull;
  if (f.kind == PteKind::kEngine) w |= pte::kSoftEngine;
  if (f.pat_index & 1) w |= pte::kPat0;
  if (f.pat_index & 2) w |= pte::kPat1;
  if (f.pat_index & 4) w |= level == 0 ? pte::kPat2Level0 : pte::kPat2Huge;
  if (f.pat_index & 8) w |= pte::kPat3;
  if (f.pat_index & 16) w |= pte::kPat4;
  if (level > 0) w |= pte::kHuge;
  return w;
}

constexpr PteFlags pte_flags_of(PteWord w, int level) {
  PteFlags f;
  f.writable = (w & pte::kWritable) != 0;
  f.atomic_enable = (w & pte::kAtomicEnable) != 0;
  f.kind = (w & pte::kNull)           ? PteKind::kNull
           : (w & pte::kDeviceMemory) ? PteKind::kVram
           : (w & pte::kSoftEngine)   ? PteKind::kEngine
                                      : PteKind::kSystem;
  const PteWord pat2 = level == 0 ? pte::kPat2Level0 : pte::kPat2Huge;
  f.pat_index =
      static_cast<std::uint8_t>(((w & pte::kPat0) ? 1 : 0) | ((w & pte::kPat1) ? 2 : 0) | ((w & pat2) ? 4 : 0) |
                                ((w & pte::kPat3) ? 8 : 0) | ((w & pte::kPat4) ? 16 : 0));
  return f;
}

/// Address bits of a leaf of `level` (a leaf of 2M or 1G has other meanings below its size).
constexpr std::uint64_t pte_leaf_address(PteWord w, int level) { return w & pte::kAddressMask & ~(pt_span(level) - 1); }
constexpr bool pte_present(PteWord w) { return (w & pte::kPresent) != 0; }
/// Is this entry of `level` a leaf (present, and no table below)?
constexpr bool pte_is_leaf(PteWord w, int level) { return pte_present(w) && (level == 0 || (w & pte::kHuge) != 0); }
/// Does this entry name a table, visible or hidden by a zap?
constexpr bool pte_is_table(PteWord w, int level) {
  return level > 0 && ((pte_present(w) && (w & pte::kHuge) == 0) || (w & pte::kSoftHidden) != 0);
}
constexpr bool pte_is_hidden(PteWord w) { return !pte_present(w) && (w & pte::kSoftHidden) != 0; }

}  // namespace softxe
