#include "hw/pt_writer.h"

#include "base/step.h"

namespace softxe {

// --- runs -----------------------------------------------------------------------------------------

PtRunCursor::PtRunCursor(const PtUpdate& update)
    : update_(&update),
      page_(update.run_pages_.head),
      run_(&update.inline_runs_[0]),
      run_start_(update.range_.start()) {}

const PteRun& PtRunCursor::seek(GpuVa va) {
  while (va >= run_start_ + run_->bytes) {
    run_start_ += run_->bytes;
    ++index_;
    SX_ASSERT(index_ < update_->run_count_);
    if (index_ < PtUpdate::kInlineRuns) {
      run_ = &update_->inline_runs_[index_];
      continue;
    }
    const std::uint32_t in_page = (index_ - PtUpdate::kInlineRuns) % PtUpdate::kRunsPerPage;
    if (index_ != PtUpdate::kInlineRuns && in_page == 0) {
      page_ = update_->pool_->info(*page_).next;
    }
    run_ = reinterpret_cast<const PteRun*>(page_) + in_page;
  }
  return *run_;
}

std::uint64_t PtRunCursor::address(GpuVa va) const {
  return run_->kind == PteKind::kNull ? 0 : run_->address + (va - run_start_);
}

bool PtRunCursor::fits(GpuVa va, std::uint64_t bytes) {
  seek(va);
  if (va + bytes > run_start_ + run_->bytes) return false;
  return is_aligned(address(va), bytes);
}

// --- entries --------------------------------------------------------------------------------------

PtWriter::PtWriter(PageTable& table, PtTableList* reserve) : table_(table), reserve_(reserve) {
  affected_.pool_ = &table.pool_;
}

PtWriter::Slot PtWriter::slot_at(const PtTable& t, GpuVa va, const GpuRange& range) {
  const PtTableInfo& in = info(t);
  const std::uint64_t span = pt_entry_span(in.level, in.form);
  const GpuVa start = va.aligned_down(span);
  const auto index = static_cast<std::uint32_t>((start.value() / span) % pt_entry_count(in.form));
  return Slot{index, start, span, *GpuRange::of(start, span).intersection(range)};
}

void PtWriter::set(PtTable& t, std::uint32_t index, PteWord word) {
  const PteWord old = get(t, index);
  PtTableInfo& in = info(t);
  if (old == 0 && word != 0) ++in.used_entries;
  if (old != 0 && word == 0) --in.used_entries;
  t.entry[index].store(word, std::memory_order_release);
}

void PtWriter::note_revoked(GpuVa start, std::uint64_t span, std::uint64_t pages) {
  if (pages == 0) return;
  affected_.pages_ += pages;
  const GpuRange r = GpuRange::of(start, span);
  affected_.hull_ = affected_.hull_ ? affected_.hull_->hull(r) : r;
}

void PtWriter::unlink(PtTable& child) {
  info(child).next = affected_.garbage_.head;
  affected_.garbage_.head = &child;
  ++affected_.garbage_.count;
}

/// Null only without a reserve, when the pool is exhausted.
PtTable* PtWriter::new_table(int level, PtForm form, Holes holes) {
  PtTable* t = nullptr;
  if (reserve_ != nullptr) {
    t = reserve_->head;
    SX_ASSERT(t != nullptr);  // prepare counts the worst case
    reserve_->head = info(*t).next;
    --reserve_->count;
  } else {
    if (!SX_STEP("hw.pt.split")) return nullptr;
    auto one = table_.pool_.take(1);
    if (!one) return nullptr;
    t = one->head;
  }
  info(*t) = PtTableInfo{};
  info(*t).level = static_cast<std::uint8_t>(level);
  info(*t).form = form;
  if (holes == Holes::kFaulting) {
    for (std::uint32_t i = 0; i < pt_entry_count(form); ++i) set(*t, i, pte::kSoftFault);
  }
  return t;
}

void PtWriter::link(PtTable& parent, std::uint32_t index, PtTable& child) {
  PteWord w = reinterpret_cast<PteWord>(&child) | pte::kPresent | pte::kWritable;
  if (info(child).form == PtForm::kCompact64K) w |= pte::kCompact64K;
  set(parent, index, w);
}

/// Replaces a large leaf by a table that says the same. Null when there is no table to be had.
PtTable* PtWriter::split_leaf(PtTable& t, std::uint32_t index) {
  const int level = info(t).level;
  const PteWord old = get(t, index);
  PtTable* child = new_table(level - 1, PtForm::kOrdinary, Holes::kPlain);
  if (child == nullptr) return nullptr;
  const PteFlags flags = pte_flags_of(old, level);
  PteWord word = pte_flag_bits(flags, level - 1) | pte_leaf_address(old, level);
  if (level == 1) word |= pte::kHint64K;
  const std::uint64_t step = flags.kind == PteKind::kNull ? 0 : pt_span(level - 1);
  for (std::uint32_t i = 0; i < kPtEntries; ++i, word += step) set(*child, i, word);
  info(*child).present_pages = pt_span(level) >> kPageShift;
  link(t, index, *child);
  return child;
}

/// Replaces a visible compact table by an ordinary one that says the same.
PtTable* PtWriter::to_ordinary(PtTable& t, std::uint32_t index) {
  PtTable& old = *child_of(get(t, index));
  PtTable* child = new_table(0, PtForm::kOrdinary, Holes::kPlain);
  if (child == nullptr) return nullptr;
  for (std::uint32_t i = 0; i < kPtEntries; ++i) {
    const PteWord w = get(old, i / 16);
    const bool null = (w & pte::kNull) != 0;
    if (!pte_present(w))
      set(*child, i, w);
    else
      set(*child, i, (w | pte::kHint64K) + (null ? 0 : (i % 16) * kPageSize));
  }
  info(*child).present_pages = info(old).present_pages;
  link(t, index, *child);
  unlink(old);
  return child;
}

/// Makes the content of a hidden table agree with what its hiding meant: nothing below is present.
void PtWriter::push_down(PtTable& child) {
  const PtTableInfo& in = info(child);
  SX_ASSERT(!scratch());
  for (std::uint32_t i = 0; i < pt_entry_count(in.form); ++i) {
    const PteWord w = get(child, i);
    if (!pte_is_table(w, in.level)) {
      set(child, i, 0);
    } else if (pte_present(w)) {
      info(*child_of(w)).present_pages = 0;
      set(child, i, (w & ~pte::kPresent) | pte::kSoftHidden);
    }
  }
  info(child).present_pages = 0;
}

/// The 64K block around `va` is about to lose its uniformity.
void PtWriter::strip_hint(PtTable& t, GpuVa va) {
  const std::uint32_t first = pt_index(va.aligned_down(k64K), 0);
  for (std::uint32_t i = first; i < first + 16; ++i) {
    const PteWord w = get(t, i);
    if (pte_present(w) && (w & pte::kHint64K)) set(t, i, w & ~pte::kHint64K);
  }
}

// --- mapping --------------------------------------------------------------------------------------

void PtWriter::map(PtUpdate& update) {
  PtRunCursor runs(update);
  map_into(*table_.root_, update.range_, update, runs);
}

std::int64_t PtWriter::map_into(PtTable& t, const GpuRange& range, PtUpdate& update, PtRunCursor& runs) {
  std::int64_t delta = 0;
  if (info(t).level == 0) {
    delta = map_pages(t, range, update.max_entry_, runs);
  } else {
    for (GpuVa va = range.start(); va < range.end();) {
      const Slot s = slot_at(t, va, range);
      delta += map_slot(t, s, update, runs);
      va = s.piece.end();
    }
  }
  info(t).present_pages += static_cast<std::uint64_t>(delta);
  return delta;
}

std::int64_t PtWriter::map_slot(PtTable& t, const Slot& s, PtUpdate& update, PtRunCursor& runs) {
  const int level = info(t).level;
  const std::uint64_t max = max_entry_bytes(update.max_entry_);
  if (level <= 2 && s.full() && s.span <= max && runs.fits(s.start, s.span)) {
    const PteFlags flags = runs.seek(s.start).flags();
    return map_leaf(t, s, pte_flag_bits(flags, level) | runs.address(s.start));
  }
  if (level == 1 && s.full() && max >= k64K && compact_fits(s.piece, runs) &&
      table_.config_.compact_64k == PageTableConfig::Compact64K::kYes) {
    return map_compact(t, s, runs);
  }
  return map_into(child_for_map(t, s, runs, update.max_entry_), s.piece, update, runs);
}

std::int64_t PtWriter::map_leaf(PtTable& t, const Slot& s, PteWord word) {
  const PtTableInfo& in = info(t);
  const PteWord old = get(t, s.index);
  const auto pages = static_cast<std::int64_t>(s.span >> kPageShift);
  if (old == word) return 0;
  std::uint64_t lost = 0;
  if (pte_is_leaf(old, in.level)) lost = s.span >> kPageShift;
  if (pte_is_table(old, in.level)) {
    lost = info(*child_of(old)).present_pages;
    unlink(*child_of(old));
  }
  set(t, s.index, word);
  note_revoked(s.start, s.span, lost);
  return pages - static_cast<std::int64_t>(lost);
}

bool PtWriter::compact_fits(const GpuRange& piece, PtRunCursor runs) {
  for (GpuVa va = piece.start(); va < piece.end(); va += k64K) {
    if (!runs.fits(va, k64K)) return false;
  }
  return true;
}

std::int64_t PtWriter::map_compact(PtTable& t, const Slot& s, PtRunCursor& runs) {
  const PteWord old = get(t, s.index);
  PtTable* child = pte_is_table(old, 1) ? child_of(old) : nullptr;
  if (child != nullptr && info(*child).form == PtForm::kCompact64K) {
    if (pte_is_hidden(old)) push_down(*child);
    const std::int64_t delta = map_pages(*child, s.piece, MaxEntry::k64KiB, runs);
    info(*child).present_pages += static_cast<std::uint64_t>(delta);
    link(t, s.index, *child);
    return delta;
  }
  PtTable& fresh = *new_table(0, PtForm::kCompact64K, Holes::kPlain);
  info(fresh).present_pages = static_cast<std::uint64_t>(map_pages(fresh, s.piece, MaxEntry::k64KiB, runs));
  std::uint64_t lost = pte_is_leaf(old, 1) ? s.span >> kPageShift : 0;
  if (child != nullptr) {
    lost = info(*child).present_pages;
    unlink(*child);
  }
  link(t, s.index, fresh);
  note_revoked(s.start, s.span, lost);
  return static_cast<std::int64_t>(info(fresh).present_pages) - static_cast<std::int64_t>(lost);
}

PtTable& PtWriter::child_for_map(PtTable& t, const Slot& s, PtRunCursor& runs, MaxEntry max) {
  const int level = info(t).level;
  const PteWord old = get(t, s.index);
  if (pte_is_leaf(old, level)) return *split_leaf(t, s.index);
  if (!pte_is_table(old, level)) {
    const Holes holes = old == pte::kSoftFault ? Holes::kFaulting : Holes::kPlain;
    PtTable* child = new_table(level - 1, PtForm::kOrdinary, holes);
    link(t, s.index, *child);
    return *child;
  }
  PtTable* child = child_of(old);
  if (pte_is_hidden(old)) {
    push_down(*child);
    link(t, s.index, *child);
  }
  if (info(*child).form == PtForm::kCompact64K) {
    const bool in_place = max_entry_bytes(max) >= k64K && s.piece.start().is_aligned(k64K) &&
                          s.piece.end().is_aligned(k64K) && compact_fits(s.piece, runs);
    if (!in_place) child = to_ordinary(t, s.index);
  }
  return *child;
}

/// Level 0 of either form. Returns the change of present pages.
std::int64_t PtWriter::map_pages(PtTable& t, const GpuRange& range, MaxEntry max, PtRunCursor& runs) {
  const bool compact = info(t).form == PtForm::kCompact64K;
  std::int64_t delta = 0;
  for (GpuVa va = range.start(); va < range.end();) {
    const bool block = compact || (max_entry_bytes(max) >= k64K && va.is_aligned(k64K) && va + k64K <= range.end() &&
                                   runs.fits(va, k64K));
    const PteFlags flags = runs.seek(va).flags();
    PteWord word = pte_flag_bits(flags, 0) | runs.address(va);
    if (block && !compact) word |= pte::kHint64K;
    const std::uint64_t step = flags.kind == PteKind::kNull ? 0 : kPageSize;
    const std::uint64_t entry_bytes = compact ? k64K : kPageSize;
    const auto entry_pages = static_cast<std::int64_t>(entry_bytes >> kPageShift);
    const std::uint32_t entries = block && !compact ? 16 : 1;
    for (std::uint32_t k = 0; k < entries; ++k, va += entry_bytes, word += step) {
      const std::uint32_t i = slot_at(t, va, range).index;
      const PteWord old = get(t, i);
      if (old == word) continue;
      if (!block && pte_present(old) && (old & pte::kHint64K)) strip_hint(t, va);
      if (pte_present(old))
        note_revoked(va, entry_bytes, static_cast<std::uint64_t>(entry_pages));
      else
        delta += entry_pages;
      set(t, i, word);
    }
  }
  return delta;
}

// --- revoking -------------------------------------------------------------------------------------

PteWord PtWriter::empty_word(Revoke how) const { return scratch() && how != Revoke::kUnbind ? pte::kSoftFault : 0; }

void PtWriter::revoke(GpuRange range, Revoke how) { revoke_into(*table_.root_, range, how); }

std::int64_t PtWriter::revoke_into(PtTable& t, const GpuRange& range, Revoke how) {
  const PtTableInfo& in = info(t);
  if (in.level == 0 && in.form == PtForm::kOrdinary) {
    if (!range.start().is_aligned(k64K)) strip_hint(t, range.start());
    if (!range.end().is_aligned(k64K)) strip_hint(t, range.end());
  }
  std::int64_t delta = 0;
  for (GpuVa va = range.start(); va < range.end();) {
    const Slot s = slot_at(t, va, range);
    delta += revoke_slot(t, s, how);
    va = s.piece.end();
  }
  info(t).present_pages += static_cast<std::uint64_t>(delta);
  return delta;
}

std::int64_t PtWriter::revoke_slot(PtTable& t, const Slot& s, Revoke how) {
  const PteWord old = get(t, s.index);
  const int level = info(t).level;
  if (pte_is_leaf(old, level)) return revoke_leaf(t, s, how);
  if (pte_is_table(old, level)) return revoke_table(t, s, how);
  return revoke_hole(t, s, how);
}

/// Holes matter only in scratch tables, and only to unbind (back to scratch) and kNonPresent.
std::int64_t PtWriter::revoke_hole(PtTable& t, const Slot& s, Revoke how) {
  if (!scratch() || how == Revoke::kZap) return 0;
  const PteWord wanted = empty_word(how);
  const PteWord old = get(t, s.index);
  if (old == wanted) return 0;
  if (!s.full()) {
    const Holes holes = old == pte::kSoftFault ? Holes::kFaulting : Holes::kPlain;
    PtTable* child = new_table(info(t).level - 1, PtForm::kOrdinary, holes);
    if (child == nullptr) return 0;  // only unbind() without reserve: the hole goes on faulting
    link(t, s.index, *child);
    return revoke_part(t, s, how, child);
  }
  set(t, s.index, wanted);
  affected_.holes_changed_ = true;
  return 0;
}

std::int64_t PtWriter::revoke_leaf(PtTable& t, const Slot& s, Revoke how) {
  if (!s.full() && info(t).level > 0) {
    if (PtTable* child = split_leaf(t, s.index)) return revoke_part(t, s, how, child);
  }
  // A leaf that sticks out and cannot be split goes as a whole: too much is safe, too little is not.
  set(t, s.index, empty_word(how));
  note_revoked(s.start, s.span, s.span >> kPageShift);
  return -static_cast<std::int64_t>(s.span >> kPageShift);
}

std::int64_t PtWriter::revoke_table(PtTable& t, const Slot& s, Revoke how) {
  const PteWord old = get(t, s.index);
  PtTable* child = child_of(old);
  const std::uint64_t pages = info(*child).present_pages;
  if (how == Revoke::kZap && (pte_is_hidden(old) || pages == 0)) return 0;
  // Hiding a table would turn its scratch holes into faulting ones: scratch tables are zapped by leaf.
  if (s.full() && !(how == Revoke::kZap && scratch())) {
    note_revoked(s.start, s.span, pages);
    if (how == Revoke::kZap) {
      info(*child).present_pages = 0;
      set(t, s.index, (old & ~pte::kPresent) | pte::kSoftHidden);
    } else {
      set(t, s.index, empty_word(how));
      unlink(*child);
      if (scratch()) affected_.holes_changed_ = true;
    }
    return -static_cast<std::int64_t>(pages);
  }
  if (pte_is_hidden(old)) {
    push_down(*child);
    link(t, s.index, *child);
  }
  if (info(*child).form == PtForm::kCompact64K &&
      !(s.piece.start().is_aligned(k64K) && s.piece.end().is_aligned(k64K))) {
    if (PtTable* ordinary = to_ordinary(t, s.index)) child = ordinary;
  }
  return revoke_part(t, s, how, child);
}

/// Goes down into a visible child; unlinks it when nothing is left in it.
std::int64_t PtWriter::revoke_part(PtTable& t, const Slot& s, Revoke how, PtTable* child) {
  const std::int64_t delta = revoke_into(*child, s.piece, how);
  if (how != Revoke::kZap && info(*child).used_entries == 0) {
    set(t, s.index, 0);
    unlink(*child);
  }
  return delta;
}

}  // namespace softxe
