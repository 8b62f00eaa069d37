#include "vm/vm_transaction.h"

#include <algorithm>

#include "base/step.h"

namespace softxe {

VmTransaction::~VmTransaction() {
  if (!committed_) unwind();
  for (auto& bo : pinned_) bo->unpin();
}

// Reverse order, and only tree operations that were paid for when the change was made.
void VmTransaction::unwind() {
  prepared_.clear();
  std::size_t paid = for_unwind_.size();
  for (auto entry = journal_.rbegin(); entry != journal_.rend(); ++entry) {
    if (entry->kind == Entry::Kind::kInserted) {
      vm_.space_.remove(*entry->vma);
      vm_.unlink_backing(*entry->vma);
      delete entry->vma;
      continue;
    }
    SX_ASSERT(paid > 0);
    vm_.space_.insert(*entry->vma, for_unwind_[--paid]);
    vm_.link_backing(*entry->vma);
    auto owner = std::find_if(removed_.begin(), removed_.end(), [&](const auto& p) { return p.get() == entry->vma; });
    SX_ASSERT(owner != removed_.end());
    static_cast<void>(owner->release());
    removed_.erase(owner);
  }
  journal_.clear();
  gone_.clear();
  inserted_.clear();
  bind_now_.clear();
  bind_at_exec_.clear();
  prefetched_.clear();
  for_unwind_.clear();
}

Status VmTransaction::map(GpuRange range, const VmaTemplate& what, SvmRanges ranges) {
  SX_TRY_VOID(SX_STEP("vm.bind.plan"));
  VaBacking* backing = what.bo ? vm_.vm_bo(what.bo) : nullptr;
  SX_TRY(VaOps ops, plan_map(vm_.space_, {.range = range, .backing = backing, .offset_bytes = what.offset_bytes}));
  return apply(ops, &what, ranges);
}

Status VmTransaction::unmap(GpuRange range, SvmRanges ranges) {
  SX_TRY_VOID(SX_STEP("vm.bind.plan"));
  SX_TRY(VaOps ops, plan_unmap(vm_.space_, range));
  return apply(ops, nullptr, ranges);
}

Status VmTransaction::unmap_bo(const Bo& bo) {
  SX_TRY_VOID(SX_STEP("vm.bind.plan"));
  VaBacking* backing = vm_.find_vm_bo(bo);
  if (backing == nullptr) return {};
  SX_TRY(VaOps ops, plan_unmap_backing(*backing));
  return apply(ops, nullptr, SvmRanges::kMustBeAbsent);
}

Status VmTransaction::split(GpuRange range) {
  SX_TRY_VOID(SX_STEP("vm.madvise.plan"));
  SX_TRY(VaOps ops, plan_madvise_split(vm_.space_, range, SplitOffset::kCarried));
  return apply(ops, nullptr, SvmRanges::kDropStraddling);
}

// May this VMA leave the tree, or lose `hole`?
Status VmTransaction::check_removal(const Vma& old, GpuRange hole, SvmRanges ranges, bool whole) {
  if (old.user_fence && !old.user_fence->signalled()) {
    return fail(EBUSY, "the user fence of this VMA's bind has not signalled");
  }
  if (!old.is_mirror() || vm_.ranges_ == nullptr) return {};
  if (ranges == SvmRanges::kDropStraddling) {
    vm_.ranges_->drop_straddling(hole);
    return {};
  }
  // Merging swallows whole VMAs; a piece that is cut off must be free of ranges in any case (3.4).
  if (ranges == SvmRanges::kMayStay && whole) return {};
  if (vm_.ranges_->any_in(hole)) return fail(EBUSY, "SVM ranges stand in the mirror VMA");
  return {};
}

Status VmTransaction::apply(const VaOps& ops, const VmaTemplate* what, SvmRanges ranges) {
  if (ops.empty()) return {};
  SX_TRY(VaReservation inserts, reserve(ops, ranges));
  for (const VaOp& op : ops) {
    if (auto* unmap = std::get_if<UnmapOp>(&op)) {
      gone_.push_back({static_cast<const Vma*>(unmap->node), unmap->node->range()});
      take_out(static_cast<Vma&>(*unmap->node));
    } else if (auto* remap = std::get_if<RemapOp>(&op)) {
      cut(*remap, inserts);
    } else if (auto* map = std::get_if<MapOp>(&op)) {
      put_in(map->split_of != nullptr ? moved_piece(*map) : mapped(*map, what), inserts);
    }
  }
  return {};
}

/// Checks what goes and pays for everything: the insertions, which are returned, and the re-insertions of an unwind.
Result<VaReservation> VmTransaction::reserve(const VaOps& ops, SvmRanges ranges) {
  std::size_t removals = 0;
  for (const VaOp& op : ops) {
    if (auto* unmap = std::get_if<UnmapOp>(&op)) {
      auto& old = static_cast<Vma&>(*unmap->node);
      SX_TRY_VOID(check_removal(old, old.range(), ranges, true));
      ++removals;
    } else if (auto* remap = std::get_if<RemapOp>(&op)) {
      SX_TRY_VOID(check_removal(static_cast<Vma&>(*remap->node), remap->hole, ranges, false));
      ++removals;
    }
  }
  SX_TRY_VOID(SX_STEP("vm.bind.reserve"));
  SX_TRY(VaReservation inserts, vm_.space_.reserve(ops.inserts() + removals));
  std::vector<VaReservation> for_unwind;
  for (std::size_t i = 0; i < removals; ++i) {
    SX_TRY(VaReservation one, vm_.space_.reserve(1));
    for_unwind.push_back(std::move(one));
  }
  for (auto& one : for_unwind) for_unwind_.push_back(std::move(one));
  return inserts;
}

void VmTransaction::cut(const RemapOp& remap, VaReservation& inserts) {
  auto& old = static_cast<Vma&>(*remap.node);
  // Pieces of what has PTEs get them, and so do those of what an operation before made in this array.
  const bool bound = old.tile_present != 0 || std::find(bind_now_.begin(), bind_now_.end(), &old) != bind_now_.end();
  gone_.push_back({&old, remap.hole});
  take_out(old);
  Event splits = event_of(EventKind::kSplit, old.range());
  splits.word = remap.hole.start().value();
  vm_.counters_.count(splits);
  for (const auto& side : {remap.prev(), remap.next()}) {
    if (!side) continue;
    auto piece = old.piece(side->range, side->offset_bytes);
    piece->user_fence = old.user_fence;
    piece->tile_present = old.tile_present;
    piece->tile_invalidated = old.tile_invalidated;
    if (bound) bind_now_.push_back(piece.get());
    put_in(std::move(piece), inserts);
  }
}

std::unique_ptr<Vma> VmTransaction::moved_piece(const MapOp& map) {
  auto& old = static_cast<Vma&>(*map.split_of);
  std::unique_ptr<Vma> vma = old.piece(map.range, map.offset_bytes);
  vma->tile_present = old.tile_present;
  vma->tile_invalidated = old.tile_invalidated;
  if (old.tile_present != 0) bind_now_.push_back(vma.get());
  return vma;
}

std::unique_ptr<Vma> VmTransaction::mapped(const MapOp& map, const VmaTemplate* what) {
  SX_ASSERT(what != nullptr);
  auto vma = std::make_unique<Vma>(map.range, map.backing, map.offset_bytes, what->kind, what->flags, what->attr);
  if (what->bo) vma->set_bo(what->bo);
  vma->backing_guard = what->backing_guard;
  if (what->timing == BindTiming::kNow && !vma->is_mirror()) {
    bind_now_.push_back(vma.get());
  } else if (what->timing == BindTiming::kAtExec && !vma->is_mirror()) {
    bind_at_exec_.push_back(vma.get());
  } else if (vm_.config_.modes.scratch) {
    deferred_maps_.push_back(map.range);
  }
  return vma;
}

void VmTransaction::take_out(Vma& old) {
  vm_.space_.remove(old);
  vm_.unlink_backing(old);
  journal_.push_back({Entry::Kind::kRemoved, &old});
  removed_.emplace_back(&old);
  std::erase(inserted_, &old);
  std::erase(bind_now_, &old);
  std::erase(bind_at_exec_, &old);
  std::erase(prefetched_, &old);
}

void VmTransaction::put_in(std::unique_ptr<Vma> vma, VaReservation& reservation) {
  Vma* raw = vma.release();
  vm_.space_.insert(*raw, reservation);
  vm_.link_backing(*raw);
  journal_.push_back({Entry::Kind::kInserted, raw});
  inserted_.push_back(raw);
}

TileMask VmTransaction::tiles_to_bind(const Vma& vma) const {
  return vma.tile_present != 0 ? vma.tile_present : vm_.all_tiles();
}

Status VmTransaction::prefetch(Vma& vma, const BoUse& use) {
  SX_ASSERT(vma.kind() == VmaKind::kBo);
  // No entry has been prepared yet: what an operation before in this array has placed may go elsewhere.
  if (auto mine = std::find(pinned_.begin(), pinned_.end(), vma.bo()); mine != pinned_.end()) {
    (*mine)->unpin();
    pinned_.erase(mine);
  }
  SX_TRY_VOID(vma.bo()->make_resident(use));
  pinned_.push_back(vma.bo());
  std::erase(bind_now_, &vma);
  std::erase(prefetched_, &vma);
  prefetched_.push_back(&vma);
  return {};
}

Status VmTransaction::prepare_vma(Vma& vma, TileMask tiles) {
  vm_.lock.assert_held();
  for (unsigned tile = 0; tile < vm_.config_.tile_count; ++tile) {
    if ((tiles & (1u << tile)) == 0) continue;
    SX_TRY_VOID(SX_STEP("vm.bind.prepare_ptes"));
    SX_TRY(PtUpdate update, vm_.prepare_vma_ptes(vma, tile));
    prepared_.push_back({&vma, tile, std::move(update)});
  }
  return {};
}

Status VmTransaction::prepare_ptes(VmLocalEviction eviction) {
  for (Vma* vma : bind_now_) {
    if (vma->kind() == VmaKind::kBo) {
      SX_TRY_VOID(vma->bo()->make_resident({.vm = &vm_, .eviction = eviction, .accept_purgeable = true}));
      pinned_.push_back(vma->bo());
    }
    SX_TRY_VOID(prepare_vma(*vma, tiles_to_bind(*vma)));
  }
  for (Vma* vma : prefetched_) SX_TRY_VOID(prepare_vma(*vma, vm_.all_tiles()));
  for (const GpuRange& range : newly_faulting()) {
    for (unsigned tile = 0; tile < vm_.config_.tile_count; ++tile) {
      SX_TRY_VOID(SX_STEP("vm.bind.prepare_ptes"));
      SX_TRY(PtUpdate update, vm_.table(tile).prepare_non_present(range));
      prepared_.push_back({nullptr, tile, std::move(update)});
    }
  }
  return {};
}

namespace {

// `pieces` without `cut`.
std::vector<GpuRange> subtract(const std::vector<GpuRange>& pieces, const GpuRange& cut) {
  std::vector<GpuRange> left;
  for (const GpuRange& piece : pieces) {
    if (!piece.intersects(cut)) {
      left.push_back(piece);
      continue;
    }
    if (piece.start() < cut.start()) left.push_back(GpuRange::between(piece.start(), cut.start()));
    if (cut.end() < piece.end()) left.push_back(GpuRange::between(cut.end(), piece.end()));
  }
  return left;
}

}  // namespace

// Invalidate-on-bind of a scratch VM, mirror maps included (quirk Q10 is fixed). Where a mirror stood
// before, holes already fault and SVM ranges may be mapped: left alone.
std::vector<GpuRange> VmTransaction::newly_faulting() const {
  std::vector<GpuRange> result;
  for (const GpuRange& request : deferred_maps_) {
    std::vector<GpuRange> left{request};
    for (const auto& old : removed_) {
      if (old->is_mirror()) left = subtract(left, old->range());
    }
    result.insert(result.end(), left.begin(), left.end());
  }
  return result;
}

// Intervals whose old PTEs are not overwritten by the binds of this transaction.
std::vector<GpuRange> VmTransaction::stale_intervals() const {
  std::vector<GpuRange> stale;
  for (const auto& old : removed_) {
    // Of a scratch VM also what only had faulting holes: scratch comes back there.
    if (old->tile_present == 0 && !vm_.config_.modes.scratch) continue;
    std::vector<GpuRange> left{old->range()};
    for (const Vma* fresh : bind_now_) left = subtract(left, fresh->range());
    for (const Vma* fresh : prefetched_) left = subtract(left, fresh->range());
    for (const GpuRange& request : deferred_maps_) left = subtract(left, request);
    for (const Vma* fresh : inserted_) {
      if (old->is_mirror() && fresh->is_mirror()) left = subtract(left, fresh->range());
    }
    stale.insert(stale.end(), left.begin(), left.end());
  }
  return stale;
}

// As a VMA whose entries were zapped: revalidation makes them.
void VmTransaction::leave_to_exec(Vma& vma) {
  SX_ASSERT(!vm_.config_.modes.fault);
  Guard hold(vm_.bo_lock_);
  vma.tile_present = vm_.all_tiles();
  vma.tile_invalidated = vm_.all_tiles();
  vm_.stale_zaps_.fetch_add(1);
}

void VmTransaction::commit() {
  SX_ASSERT(!committed_);
  SX_MARK("vm.bind.commit");
  InvalidationBatch batch(vm_.invalidations_);
  for (PreparedPtes& ready : prepared_) {
    if (ready.vma != nullptr) {
      vm_.publish(*ready.vma, ready.tile, std::move(ready.update), batch);
    } else {
      batch.add(vm_.table(ready.tile).commit(std::move(ready.update)));
    }
  }
  for (const GpuRange& range : stale_intervals()) {
    for (unsigned tile = 0; tile < vm_.config_.tile_count; ++tile) {
      batch.add(vm_.table(tile).unbind(range));
    }
  }
  vm_.finish(batch);
  for (Vma* vma : bind_at_exec_) leave_to_exec(*vma);
  if (user_fence_) {
    for (Vma* vma : inserted_) {
      if (!vma->is_mirror()) vma->user_fence = user_fence_;
    }
    for (Vma* vma : prefetched_) vma->user_fence = user_fence_;
  }
  committed_ = true;
  prepared_.clear();
  removed_.clear();
}

}  // namespace softxe
