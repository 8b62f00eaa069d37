// Reading page tables: the engine's lock-free walk, and the iteration and checks of debug code.
#include <algorithm>

#include "hw/page_table.h"
#include "hw/pt_writer.h"

namespace softxe {

namespace {

/// Decodes a present leaf that was found for `va`.
Translation leaf_translation(PteWord w, GpuVa va, int level, PtForm form) {
  Translation t;
  t.level = static_cast<std::uint8_t>(level);
  t.flags = pte_flags_of(w, level);
  const bool hinted = level == 0 && (w & pte::kHint64K) != 0;
  t.entry_bytes = hinted ? k64K : pt_entry_span(level, form);
  t.entry_va = va.aligned_down(t.entry_bytes);
  // Every entry of a hinted block holds its own page's address; the block's is the aligned one.
  if (t.flags.kind != PteKind::kNull) {
    t.address = align_down(pte_leaf_address(w, level), t.entry_bytes);
  }
  return t;
}

Translation scratch_hole(GpuVa va, int level, std::uint64_t span) {
  Translation t;
  t.flags = PteFlags{PteKind::kScratch, true, true, 0};
  t.entry_va = va.aligned_down(span);
  t.entry_bytes = span;
  t.level = static_cast<std::uint8_t>(level);
  return t;
}

}  // namespace

WalkResult PageTable::walk(GpuVa va) const {
  if (config_.va_bits < 64 && (va.value() >> config_.va_bits) != 0) {
    return tl::make_unexpected(NotPresent{kPtRootLevel});
  }
  const PtTable* table = root_;
  PtForm form = PtForm::kOrdinary;
  for (int level = kPtRootLevel;; --level) {
    const std::uint32_t index = form == PtForm::kCompact64K
                                    ? static_cast<std::uint32_t>(va.value() / k64K) % kPtCompactEntries
                                    : pt_index(va, level);
    const PteWord w = table->entry[index].load(std::memory_order_acquire);
    if (!pte_present(w)) {
      if (w == 0 && config_.scratch == PageTableConfig::Scratch::kYes) {
        return scratch_hole(va, level, pt_entry_span(level, form));
      }
      return tl::make_unexpected(NotPresent{static_cast<std::uint8_t>(level)});
    }
    if (pte_is_leaf(w, level)) return leaf_translation(w, va, level, form);
    form = (w & pte::kCompact64K) ? PtForm::kCompact64K : PtForm::kOrdinary;
    table = reinterpret_cast<const PtTable*>(w & pte::kAddressMask);
  }
}

void PageTable::for_each_leaf(GpuRange range, const std::function<void(const Translation&)>& visit) const {
  Guard guard(lock_);
  for (GpuVa va = range.start(); va < range.end();) {
    const WalkResult r = walk(va);
    if (!r) {
      // A missing entry of a compact table covers 64K, which its level does not tell: 4K steps suit both.
      va = va.aligned_down(pt_span(r.error().level)) + pt_span(r.error().level);
    } else {
      if (r->flags.kind != PteKind::kScratch) visit(*r);
      va = r->entry_va + r->entry_bytes;
    }
  }
}

std::uint64_t PageTable::present_pages() const {
  Guard guard(lock_);
  return pool_.info(*root_).present_pages;
}

namespace {

struct Counted {
  std::uint64_t pages = 0;
  std::uint16_t used = 0;
};

enum class Visible : std::uint8_t { kNo, kYes };

Counted check_table(const TablePool& pool, const PtTable& t, Visible visible) {
  const PtTableInfo& in = pool.info(t);
  Counted c;
  for (std::uint32_t i = 0; i < kPtEntries; ++i) {
    const PteWord w = t.entry[i].load(std::memory_order_relaxed);
    if (w == 0) continue;
    SX_ASSERT(i < pt_entry_count(in.form));
    ++c.used;
    if (pte_is_leaf(w, in.level)) {
      c.pages += pt_entry_span(in.level, in.form) >> kPageShift;
      // A hinted entry is one of 16 equal, contiguous ones.
      if (in.level == 0 && (w & pte::kHint64K) != 0) {
        const PteWord step = (w & pte::kNull) ? 0 : kPageSize;
        for (std::uint32_t k = i & ~15u; k <= (i | 15u); ++k) {
          SX_ASSERT(t.entry[k].load(std::memory_order_relaxed) == w + (PteWord{k} - i) * step);
        }
      }
    } else if (pte_is_table(w, in.level)) {
      const auto& child = *reinterpret_cast<const PtTable*>(w & pte::kAddressMask);
      SX_ASSERT(pool.info(child).level == in.level - 1);
      const Visible below = visible == Visible::kYes && pte_present(w) ? Visible::kYes : Visible::kNo;
      SX_ASSERT(((w & pte::kCompact64K) != 0) == (pool.info(child).form == PtForm::kCompact64K));
      c.pages += check_table(pool, child, below).pages;
    } else {
      SX_ASSERT(w == pte::kSoftFault);
    }
  }
  SX_ASSERT(c.used == in.used_entries);
  if (visible == Visible::kNo)
    c.pages = 0;
  else
    SX_ASSERT(c.pages == in.present_pages);
  return c;
}

}  // namespace

void PageTable::check_invariants() const {
  Guard guard(lock_);
  check_table(pool_, *root_, Visible::kYes);
}

}  // namespace softxe
