// The part of PageTable that changes entries. Private to page_table.cc and its tests of internals.
//
// One PtWriter lives for one operation under the PageTable's lock and yields the receipt. Everything is a
// recursion over the five levels that returns the change of present 4K pages, so that the side records
// (pt_pool.h) stay exact. An entry is always changed by one release store: a walker sees the old or the
// new subtree, never half of one.
#pragma once

#include "hw/page_table.h"

namespace softxe {

/// Reads the runs of an update in address order. A copy is a look-ahead.
class PtRunCursor {
 public:
  explicit PtRunCursor(const PtUpdate& update);
  /// The run that covers `va`; addresses must not go back.
  const PteRun& seek(GpuVa va);
  /// Address bits for `va` after seek(va).
  std::uint64_t address(GpuVa va) const;
  /// Does one run cover [va, va + bytes), aligned on the far side for an entry of that size?
  bool fits(GpuVa va, std::uint64_t bytes);

 private:
  const PtUpdate* update_;
  std::uint32_t index_ = 0;
  const PtTable* page_;
  const PteRun* run_;
  GpuVa run_start_;
};

class PtWriter {
 public:
  enum class Revoke : std::uint8_t { kZap, kUnbind, kNonPresent };

  /// `reserve`: tables prepared by the caller; null: take from the pool when one is needed.
  PtWriter(PageTable& table, PtTableList* reserve);

  void map(PtUpdate& update);
  void revoke(GpuRange range, Revoke how);
  PagesAffected finish() { return std::move(affected_); }

 private:
  enum class Holes : std::uint8_t { kPlain, kFaulting };
  struct Slot {  ///< one entry and the part of the operation's range inside it
    std::uint32_t index;
    GpuVa start;
    std::uint64_t span;
    GpuRange piece;
    bool full() const { return piece.size() == span; }
  };

  bool scratch() const { return table_.config_.scratch == PageTableConfig::Scratch::kYes; }
  PtTableInfo& info(const PtTable& t) { return table_.pool_.info(t); }
  Slot slot_at(const PtTable& t, GpuVa va, const GpuRange& range);
  void set(PtTable& t, std::uint32_t index, PteWord word);
  static PteWord get(const PtTable& t, std::uint32_t i) { return t.entry[i].load(std::memory_order_relaxed); }
  static PtTable* child_of(PteWord w) { return reinterpret_cast<PtTable*>(w & pte::kAddressMask); }
  void note_revoked(GpuVa start, std::uint64_t span, std::uint64_t pages);
  void unlink(PtTable& child);

  PtTable* new_table(int level, PtForm form, Holes holes);
  void link(PtTable& parent, std::uint32_t index, PtTable& child);
  PtTable* split_leaf(PtTable& t, std::uint32_t index);
  PtTable* to_ordinary(PtTable& t, std::uint32_t index);
  void push_down(PtTable& child);
  void strip_hint(PtTable& t, GpuVa va);

  std::int64_t map_into(PtTable& t, const GpuRange& range, PtUpdate& update, PtRunCursor& runs);
  std::int64_t map_slot(PtTable& t, const Slot& s, PtUpdate& update, PtRunCursor& runs);
  std::int64_t map_leaf(PtTable& t, const Slot& s, PteWord word);
  std::int64_t map_compact(PtTable& t, const Slot& s, PtRunCursor& runs);
  std::int64_t map_pages(PtTable& t, const GpuRange& range, MaxEntry max, PtRunCursor& runs);
  PtTable& child_for_map(PtTable& t, const Slot& s, PtRunCursor& runs, MaxEntry max);
  static bool compact_fits(const GpuRange& piece, PtRunCursor runs);

  std::int64_t revoke_into(PtTable& t, const GpuRange& range, Revoke how);
  std::int64_t revoke_slot(PtTable& t, const Slot& s, Revoke how);
  std::int64_t revoke_hole(PtTable& t, const Slot& s, Revoke how);
  std::int64_t revoke_leaf(PtTable& t, const Slot& s, Revoke how);
  std::int64_t revoke_table(PtTable& t, const Slot& s, Revoke how);
  std::int64_t revoke_part(PtTable& t, const Slot& s, Revoke how, PtTable* child);
  PteWord empty_word(Revoke how) const;

  PageTable& table_;
  PtTableList* reserve_;
  PagesAffected affected_;
};

/// 4K pages of one entry: a compact table's entries are 64K.
constexpr std::uint64_t pt_entry_span(int level, PtForm form) {
  return form == PtForm::kCompact64K ? k64K : pt_span(level);
}
constexpr std::uint32_t pt_entry_count(PtForm form) {
  return form == PtForm::kCompact64K ? kPtCompactEntries : kPtEntries;
}
constexpr std::uint64_t max_entry_bytes(MaxEntry max) {
  switch (max) {
    case MaxEntry::k4KiB: return kPageSize;
    case MaxEntry::k64KiB: return k64K;
    case MaxEntry::k2MiB: return k2M;
    case MaxEntry::k1GiB: return k1G;
  }
  return kPageSize;
}

}  // namespace softxe
