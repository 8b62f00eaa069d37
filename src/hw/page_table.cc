#include "hw/page_table.h"

#include <new>

#include "base/step.h"
#include "hw/pt_writer.h"

namespace softxe {

static_assert(std::is_trivially_destructible_v<PteRun>);
static_assert(std::is_trivially_copyable_v<PteRun>);

// --- PtUpdate -------------------------------------------------------------------------------------

PtUpdate::PtUpdate(PtUpdate&& o) noexcept
    : pool_(o.pool_),
      op_(o.op_),
      range_(o.range_),
      max_entry_(o.max_entry_),
      reserve_(std::exchange(o.reserve_, PtTableList{})),
      run_count_(o.run_count_),
      run_pages_(std::exchange(o.run_pages_, PtTableList{})),
      last_run_page_(o.last_run_page_) {
  std::copy(std::begin(o.inline_runs_), std::end(o.inline_runs_), inline_runs_);
}

PtUpdate::~PtUpdate() {
  pool_->give_back(reserve_, TablePool::Content::kStillZero);
  pool_->give_back(run_pages_, TablePool::Content::kWritten);
}

PteRun& PtUpdate::run_at(std::uint32_t i) {
  if (i < kInlineRuns) return inline_runs_[i];
  SX_ASSERT(last_run_page_ != nullptr);
  return reinterpret_cast<PteRun*>(last_run_page_)[(i - kInlineRuns) % kRunsPerPage];
}

/// Adds a run, or lengthens the last one when the far side goes on contiguously.
Status PtUpdate::append(const PteRun& run) {
  if (run_count_ > 0) {
    PteRun& last = run_at(run_count_ - 1);
    const bool contiguous = run.kind == PteKind::kNull || last.address + last.bytes == run.address;
    if (last.flags() == run.flags() && contiguous) {
      last.bytes += run.bytes;
      return {};
    }
  }
  const std::uint32_t i = run_count_;
  if (i >= kInlineRuns && (i - kInlineRuns) % kRunsPerPage == 0) {
    SX_TRY_VOID(SX_STEP("hw.pt.alloc"));
    SX_TRY(const PtTableList page, pool_->take(1));
    if (last_run_page_ == nullptr)
      run_pages_.head = page.head;
    else
      pool_->info(*last_run_page_).next = page.head;
    last_run_page_ = page.head;
    ++run_pages_.count;
  }
  ++run_count_;
  new (&run_at(i)) PteRun(run);
  return {};
}

// --- prepare --------------------------------------------------------------------------------------

namespace {

PtTable* take_root(TablePool& pool) {
  auto one = pool.take(1);
  SX_ASSERT(one.has_value());
  pool.info(*one->head).next = nullptr;
  pool.info(*one->head).level = kPtRootLevel;
  return one->head;
}

Status check_run(const PteRun& run, const PageTableConfig& config, GpuVa va, MaxEntry max) {
  if (run.kind == PteKind::kScratch) return fail(EINVAL, "scratch is a hole, not a run");
  if (run.bytes == 0 || !is_aligned(run.bytes, kPageSize)) {
    return fail(EINVAL, "run is not a multiple of 4 KiB");
  }
  if (run.pat_index > 31) return fail(EINVAL, "PAT index does not fit an entry");
  if (run.kind == PteKind::kNull) return {};
  if ((run.address & ~pte::kAddressMask) != 0) {
    return fail(EINVAL, "run address is unaligned or too large for an entry");
  }
  if (run.kind == PteKind::kVram && config.need_64k == PageTableConfig::Need64K::kYes) {
    const bool whole = va.is_aligned(k64K) && is_aligned(run.address | run.bytes, k64K);
    if (!whole || max == MaxEntry::k4KiB) return fail(EINVAL, "VRAM page smaller than 64 KiB");
  }
  return {};
}

}  // namespace

PageTable::PageTable(TablePool& pool, const PageTableConfig& config)
    : pool_(pool), config_(config), root_(take_root(pool)) {
  SX_ASSERT(config.va_bits > kPtShift[kPtRootLevel - 1] && config.va_bits <= 57);
}

PageTable::~PageTable() { pool_.free_subtrees(PtTableList{root_, 1}); }

Status PageTable::check_range(GpuRange range) const {
  if (!range.start().is_aligned(kPageSize) || !range.end().is_aligned(kPageSize)) {
    return fail(EINVAL, "range is not 4 KiB aligned");
  }
  if (range.end().value() > 1ull << config_.va_bits) return fail(EINVAL, "range outside the VM");
  return {};
}

Status PageTable::reserve(PtUpdate& update, std::uint64_t tables) {
  SX_TRY_VOID(SX_STEP("hw.pt.alloc"));
  SX_TRY(update.reserve_, pool_.take(tables));
  return {};
}

/// Tables the update needs if nothing were there: at most one per level and span, also when a leaf is
/// split or a compact table converted. What exists by then goes back unused.
std::uint64_t PageTable::tables_for_map(PtUpdate& update) const {
  const GpuRange r = update.range_;
  const auto spans = [&](std::uint64_t span) {
    return (align_up(r.end().value(), span) - r.start().aligned_down(span).value()) / span;
  };
  std::uint64_t tables = spans(pt_span(4)) + spans(pt_span(3));
  const std::uint64_t max = max_entry_bytes(update.max_entry_);
  PtRunCursor runs(update);
  const auto leaf = [&](GpuVa va, std::uint64_t span) {
    return span <= max && va.is_aligned(span) && va + span <= r.end() && runs.fits(va, span);
  };
  for (GpuVa va = r.start(); va < r.end();) {
    const GpuVa gib_end = std::min(r.end(), va.aligned_down(k1G) + k1G);
    if (leaf(va, k1G)) {
      va = gib_end;
      continue;
    }
    ++tables;
    for (; va < gib_end; va = std::min(gib_end, va.aligned_down(k2M) + k2M)) {
      if (!leaf(va, k2M)) ++tables;
    }
  }
  return tables;
}

Result<PtUpdate> PageTable::prepare_map(GpuRange range, std::span<const PteRun> runs, MaxEntry max_entry) {
  SX_TRY_VOID(check_range(range));
  PtUpdate update(pool_, PtUpdate::Op::kMap, range, max_entry);
  GpuVa va = range.start();
  for (PteRun run : runs) {
    SX_TRY_VOID(check_run(run, config_, va, max_entry));
    if (run.bytes > range.end() - va) return fail(EINVAL, "runs are longer than the range");
    if (config_.atomic_bit == PageTableConfig::AtomicBit::kNo) run.atomic_enable = false;
    SX_TRY_VOID(update.append(run));
    va += run.bytes;
  }
  if (va != range.end()) return fail(EINVAL, "runs are shorter than the range");
  SX_TRY_VOID(reserve(update, tables_for_map(update)));
  return update;
}

// Only the two edges can fall inside an entry: per edge at most one new table at each level below the
// root (a hole made partly faulting), or two (a 1G leaf split down to 4K).
inline constexpr std::uint64_t kEdgeTables = 2ULL * kPtRootLevel;

Result<PtUpdate> PageTable::prepare_unbind(GpuRange range) {
  SX_TRY_VOID(check_range(range));
  PtUpdate update(pool_, PtUpdate::Op::kUnbind, range, MaxEntry::k1GiB);
  SX_TRY_VOID(reserve(update, kEdgeTables));
  return update;
}

Result<PtUpdate> PageTable::prepare_non_present(GpuRange range) {
  SX_TRY_VOID(check_range(range));
  PtUpdate update(pool_, PtUpdate::Op::kMakeNonPresent, range, MaxEntry::k1GiB);
  SX_TRY_VOID(reserve(update, kEdgeTables));
  return update;
}

// --- change ---------------------------------------------------------------------------------------

PagesAffected PageTable::commit(PtUpdate&& update) {
  SX_ASSERT(update.pool_ == &pool_);
  SX_MARK("hw.pt.commit");
  Guard guard(lock_);
  PtWriter writer(*this, &update.reserve_);
  switch (update.op_) {
    case PtUpdate::Op::kMap: writer.map(update); break;
    case PtUpdate::Op::kUnbind: writer.revoke(update.range_, PtWriter::Revoke::kUnbind); break;
    case PtUpdate::Op::kMakeNonPresent: writer.revoke(update.range_, PtWriter::Revoke::kNonPresent); break;
  }
  return writer.finish();
}

PagesAffected PageTable::zap(GpuRange range) {
  SX_ASSERT(check_range(range).has_value());
  SX_MARK("hw.pt.zap");
  Guard guard(lock_);
  PtWriter writer(*this, nullptr);
  writer.revoke(range, PtWriter::Revoke::kZap);
  return writer.finish();
}

PagesAffected PageTable::unbind(GpuRange range) {
  SX_ASSERT(check_range(range).has_value());
  SX_MARK("hw.pt.unbind");
  Guard guard(lock_);
  PtWriter writer(*this, nullptr);
  writer.revoke(range, PtWriter::Revoke::kUnbind);
  return writer.finish();
}

}  // namespace softxe
