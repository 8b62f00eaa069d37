// PTEs of VMAs that own them: BO, null and userptr (spec/vm.md 3.7, spec/svm.md 6).
#include "base/step.h"
#include "vm/vm.h"

namespace softxe {

namespace {

// What the VMA maps, as seen from `tile`, with its current attributes.
std::vector<PteRun> runs_of(const Vm& vm, const Vma& vma, unsigned tile) {
  std::vector<PteRun> runs;
  switch (vma.kind()) {
    case VmaKind::kBo:
      if (vma.bo()->purgeable() == PurgeableState::kPurged) {
        runs.push_back({.kind = PteKind::kNull, .bytes = vma.range().size()});
        break;
      }
      vma.bo()->append_runs(vma.offset_bytes(), vma.range().size(), {.device = vm.config().device, .tile = tile}, runs);
      break;
    case VmaKind::kNull: runs.push_back({.kind = PteKind::kNull, .bytes = vma.range().size()}); break;
    case VmaKind::kUserptr:
      runs.push_back({.kind = PteKind::kSystem, .address = vma.userptr_start().value(), .bytes = vma.range().size()});
      break;
    case VmaKind::kMirror: SX_UNREACHABLE("a mirror VMA owns no PTEs");
  }
  for (PteRun& run : runs) {
    run.writable = !vma.flags().read_only;
    run.atomic_enable = vm.atomic_enable(vma, run.kind == PteKind::kVram);
    run.pat_index = static_cast<std::uint8_t>(vma.attr.pat);
  }
  return runs;
}

}  // namespace

Result<PtUpdate> Vm::prepare_vma_ptes(const Vma& vma, unsigned tile) {
  // Without scratch an access to a purged object faults; with it, reads zero (spec/vm.md 5.7, case B24).
  const bool purged = vma.bo() && vma.bo()->purgeable() == PurgeableState::kPurged;
  if (purged && !config_.modes.scratch) return tables_[tile]->prepare_non_present(vma.range());
  return tables_[tile]->prepare_map(vma.range(), runs_of(*this, vma, tile));
}

void Vm::publish(Vma& vma, unsigned tile, PtUpdate&& update, InvalidationBatch& batch) {
  Guard hold(bo_lock_);
  batch.add(tables_[tile]->commit(std::move(update)));
  const auto bit = static_cast<TileMask>(1u << tile);
  vma.tile_present |= bit;
  vma.tile_invalidated = static_cast<TileMask>(vma.tile_invalidated & ~bit);
}

Status Vm::bind_ptes(Vma& vma, TileMask tiles) {
  InvalidationBatch batch(invalidations_);
  for (unsigned tile = 0; tile < config_.tile_count; ++tile) {
    if ((tiles & (1u << tile)) == 0) continue;
    SX_TRY_VOID(SX_STEP("vm.fault.prepare_ptes"));
    SX_TRY(PtUpdate update, prepare_vma_ptes(vma, tile));
    publish(vma, tile, std::move(update), batch);
  }
  finish(batch);
  return {};
}

// Flushed under the lock, here and below: a zap that finds no entry assumes that no engine can reach the object.
void Vm::clear_ptes(GpuRange range) {
  Guard hold(bo_lock_);
  InvalidationBatch batch(invalidations_);
  for (auto& table : tables_) batch.add(table->unbind(range));
  finish(batch);
}

std::size_t Vm::zap_vmas(std::span<Vma* const> vmas) {
  std::size_t zapped = 0;
  Guard hold(bo_lock_);
  InvalidationBatch batch(invalidations_);
  for (Vma* vma : vmas) zapped += zap_locked(*vma, batch) != 0 ? 1 : 0;
  finish(batch);
  return zapped;
}

std::uint64_t Vm::zap_locked(Vma& vma, InvalidationBatch& batch) {
  std::uint64_t pages = 0;
  if (vma.kind() == VmaKind::kNull || vma.is_mirror()) return 0;
  for (unsigned tile = 0; tile < config_.tile_count; ++tile) {
    const auto bit = static_cast<TileMask>(1u << tile);
    if ((vma.tile_present & ~vma.tile_invalidated & bit) == 0) continue;
    PagesAffected affected = tables_[tile]->zap(vma.range());
    pages += affected.pages();
    batch.add(std::move(affected));
    vma.tile_invalidated |= bit;
    if (!config_.modes.fault) stale_zaps_.fetch_add(1);  // after the mask: who sees the count sees it
  }
  return pages;
}

bool Vm::maps(const Bo& bo) {
  Guard hold(bo_lock_);
  auto pair = vm_bos_.find(&bo);
  return pair != vm_bos_.end() && pair->second->oldest() != nullptr;
}

std::vector<const Bo*> Vm::mapped_objects() const {
  std::vector<const Bo*> result;
  Guard hold(bo_lock_);
  for (const auto& [bo, pair] : vm_bos_) {
    if (pair->oldest() != nullptr) result.push_back(bo);
  }
  return result;
}

void Vm::zap_bo(const Bo& bo) {
  Guard hold(bo_lock_);
  auto pair = vm_bos_.find(&bo);
  if (pair == vm_bos_.end()) return;
  InvalidationBatch batch(invalidations_);
  for (VaNode* node = pair->second->oldest(); node != nullptr; node = node->next_of_backing()) {
    zap_locked(static_cast<Vma&>(*node), batch);
  }
  finish(batch);
}

void Vm::finish(InvalidationBatch& batch) {
  InvalidationCount done = batch.wait();
  if (done.invalidations == 0 && done.pages == 0) return;
  counters_.count({.word = event_word(done.invalidations, done.pages), .kind = EventKind::kTlb});
}

}  // namespace softxe
