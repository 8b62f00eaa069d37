#include "svm/prefetch.h"

#include "base/log.h"
#include "base/step.h"
#include "svm/fault_service.h"

namespace softxe {

Status SvmPrefetch::enumerate(GpuRange range, PrefetchTarget target) {
  assert_locked();
  for (Vma* vma : vm_.vmas_in(range)) {
    if (!vma->is_mirror()) continue;
    auto part = vma->range().intersection(range);
    SX_ASSERT(part.has_value());
    SX_TRY_VOID(enumerate_vma(*vma, *part, target));
  }
  return {};
}

Status SvmPrefetch::enumerate_vma(Vma& vma, GpuRange part, PrefetchTarget wanted) {
  svm_.assert_vm_locked();
  Pagemap* target = nullptr;
  if (wanted.kind == PrefetchTarget::Kind::kTileVram) {
    const auto& local = svm_.config().tile_vram;
    target = wanted.tile < local.size() ? local[wanted.tile] : nullptr;
  } else if (wanted.kind == PrefetchTarget::Kind::kConsultAdvice) {
    target = resolve_preferred(vma, svm_, 0);
  }
  GpuVa at = part.start();
  while (at < part.end()) {
    // No populated check: a chunk may cover memory that was never touched (7.2).
    auto found = svm_.find_or_create(mirror_of(at), vma, {});
    if (!found) {
      if (found.error().err != ENOENT) return fail(found.error());
      auto next = svm_.host().next_mapped(mirror_of(GpuRange::between(at, part.end())));
      if (!next) return {};
      at = mirror_of(*next);  // the same once more when it was mapped between the two looks
      continue;
    }
    SvmRange& range = **found;
    const SvmRangeState state = svm_.state_of(range);
    const bool in_place = state.valid() == vm_.all_tiles() && state.heap() == target;
    if (!in_place) work_.push_back({&range, range.extent(), &vma, target});
    at = range.gpu_extent().end();
  }
  return {};
}

namespace {
// Raced, mixed or unmapped since: best effort (7.4).
bool is_soft(const Status& status) {
  const int err = status.error().err;
  return err == EOPNOTSUPP || err == EFAULT || err == EPERM;
}
}  // namespace

Result<SvmPrefetch::Outcome> SvmPrefetch::move_one(const Item& item) {
  svm_.assert_vm_locked();
  SX_TRY_VOID(SX_STEP("svm.prefetch.item"));
  if (item.target == nullptr) {
    static_cast<void>(svm_.evict(*item.range));
  } else if (svm_.should_migrate(*item.range, *item.target)) {
    Status moved = svm_.migrate(*item.range, *item.target, 0, MoveCause::kPrefetch);
    if (!moved) {
      SX_DEBUG("prefetch stopped: {}", moved.error().why);
      return Outcome::kEnd;
    }
  }
  return Outcome::kGoOn;
}

Status SvmPrefetch::collect(const Item& item) {
  svm_.assert_vm_locked();
  const OwnerGroup owner = item.target != nullptr ? svm_.owner() : OwnerGroup::kNobody;
  return svm_.get_pages(*item.range, *item.vma, owner, nullptr);
}

Status SvmPrefetch::move() {
  moved_ = true;
  for (bind_end_ = 0; bind_end_ < work_.size(); ++bind_end_) {
    SX_TRY(Outcome outcome, move_one(work_[bind_end_]));
    if (outcome == Outcome::kEnd) return {};
    if (Status pages = collect(work_[bind_end_]); !pages && !is_soft(pages)) return pages;
  }
  return {};
}

Status SvmPrefetch::run() {
  svm_.assert_vm_locked();
  if (!moved_) bind_end_ = work_.size();
  for (const Item& item : std::span(work_).first(bind_end_)) {
    if (!moved_) {
      SX_TRY(Outcome outcome, move_one(item));
      if (outcome == Outcome::kEnd) return {};
    }
    if (Status pages = collect(item); !pages) {
      if (moved_ || is_soft(pages)) continue;
      return pages;
    }
    Status bound = svm_.bind(*item.range, *item.vma, vm_.all_tiles());
    // VRAM pages that lost their neighbours fit no entry of a 64K device: home with them (spec/svm.md 10.2, E41).
    // They are bound by a fault, when somebody comes.
    if (!bound && bound.error().err == EINVAL && svm_.state_of(*item.range).heap() != nullptr) {
      static_cast<void>(svm_.evict(*item.range));
      continue;
    }
    if (!bound && !moved_ && bound.error().err != EAGAIN) return bound;
  }
  return {};
}

// Looked up anew: another operation of the call may have remembered, and forgotten, the same range.
void SvmPrefetch::forget() {
  svm_.assert_vm_locked();
  for (const Item& item : work_) {
    SvmRange* range = svm_.find_range(item.extent);
    if (range == nullptr || range->extent() != item.extent) continue;
    const SvmRangeState state = svm_.state_of(*range);
    if (state.present() == 0 && !state.dead()) svm_.discard(*range);
  }
  work_.clear();
}

}  // namespace softxe
