// Collecting a range's pages and committing its PTEs (spec/svm.md 1.5, 1.6, 6.3).
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

namespace {
constexpr std::uint64_t kCollectTimeoutNs = 1'000'000'000;  // HMM's retry time-out, spec/svm.md 0.3
}  // namespace

// One range is in system memory or in one allocation's VRAM, never mixed (1.6, allow_mixed = 0).
Status Svm::classify(const Pagemap* vram_only, DevmemHeap*& heap) const {
  const DevmemAllocation* first = homes_.runs().front().allocation;
  for (const PageHome& home : homes_.runs()) {
    if (home.allocation != first) return fail(EOPNOTSUPP, "pages of a range in different homes");
  }
  heap = first != nullptr ? first->heap : nullptr;
  // VRAM of another tile or device is no place for an atomic either: its PTE would have no AE bit (4.9).
  if (vram_only != nullptr && heap != vram_only) return fail(EFAULT, "page is not in VRAM");
  return {};
}

Status Svm::get_pages(SvmRange& range, const Vma& vma, OwnerGroup owner, Pagemap* vram_only) {
  const std::uint64_t deadline_ns = config_.host.clock().now_ns() + kCollectTimeoutNs;
  const CollectRequest request{
      .intent = vma.flags().read_only ? CollectRequest::Intent::kRead : CollectRequest::Intent::kWrite,
      // Pages still valid are looked up where they are: a zap by madvise moves nothing (5.2, E11).
      .owner = state_of(range).collected() ? config_.owner : owner};
  for (;;) {
    if (config_.host.clock().now_ns() > deadline_ns) return fail(EBUSY, "collection raced for 1 s");
    const std::uint64_t sequence = config_.host.read_begin(*range.notifier);
    if (state_of(range).dead()) return fail(EFAULT, "range was unmapped");
    SX_TRY_VOID(SX_STEP("svm.pages.collect"));
    SX_TRY_VOID(config_.host.collect(range.extent(), request, homes_));
    SX_MARK("svm.pages.collected");
    DevmemHeap* heap = nullptr;
    if (Status kind = classify(vram_only, heap); !kind) {
      // In one place first. What cannot leave VRAM is the answer: collected again, it would be mixed again.
      if (kind.error().err == EOPNOTSUPP) SX_TRY_VOID(evict(range));
      return kind;
    }
    Guard hold(notifier_lock_);
    SvmRangeState& state = range.state(key());
    if (state.dead()) return fail(EFAULT, "range was unmapped");
    if (range.notifier->sequence() != sequence) continue;
    state.set_collected(heap);
    return {};
  }
}

// One run for each home, so that the encoder can use 64K and 2M entries. VRAM of another tile or device is a
// peer: reached by pointer, without the DM bit (8.3).
std::vector<PteRun> Svm::make_runs(const SvmRange& range, const Vma& vma, unsigned tile) const {
  std::vector<PteRun> runs;
  runs.reserve(homes_.runs().size());
  const DevmemHeap* local = tile < config_.tile_vram.size() ? config_.tile_vram[tile] : nullptr;
  const bool atomics_in_place = immovable(range);
  for (const PageHome& home : homes_.runs()) {
    PteRun run{.kind = PteKind::kSystem,
               .address = reinterpret_cast<std::uint64_t>(home.system),
               .bytes = home.bytes,
               .writable = !vma.flags().read_only && home.writable};
    if (home.where == PageHome::Where::kDevice) {
      const DevmemAllocation& allocation = *home.allocation;
      if (allocation.heap == local) {
        run.kind = PteKind::kVram;
        run.address = home.device.value();
      } else {
        run.kind = PteKind::kEngine;
        run.address = reinterpret_cast<std::uint64_t>(allocation.frame + (home.device - allocation.block.start()));
      }
    }
    run.atomic_enable = vm_.atomic_enable(vma, run.kind == PteKind::kVram || atomics_in_place);
    run.pat_index = static_cast<std::uint8_t>(vma.attr.pat);
    runs.push_back(run);
  }
  return runs;
}

Status Svm::bind(SvmRange& range, const Vma& vma, TileMask tiles) {
  InvalidationBatch batch(config_.invalidations);
  for (unsigned tile = 0; tile < vm_.config().tile_count; ++tile) {
    const auto bit = static_cast<TileMask>(1u << tile);
    if ((tiles & bit) == 0) continue;
    SX_TRY_VOID(SX_STEP("svm.bind.prepare"));
    SX_TRY(PtUpdate update,
           vm_.table(tile).prepare_map(range.gpu_extent(), make_runs(range, vma, tile), MaxEntry::k2MiB));
    SX_MARK("svm.bind.before_commit");
    ReadGuard hold(notifier_lock_);
    // Events elsewhere in the window moved the sequence but not this range: only its pages count (1.5).
    SvmRangeState& state = range.state(key());
    if (!state.collected()) return fail(EAGAIN, "pages were invalidated before the PTE commit");
    batch.add(vm_.table(tile).commit(std::move(update)));
    state.set_bound(bit);
  }
  finish(batch);
  return {};
}

}  // namespace softxe
