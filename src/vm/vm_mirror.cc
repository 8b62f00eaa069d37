// Mirror VMAs: extension over default neighbours, carving, and the reset of the collector
// (spec/vm.md section 7; quirks Q11, Q16 and Q17 are fixed as section 11 proposes).
#include "base/log.h"
#include "base/step.h"
#include "vm/vm.h"
#include "vm/vm_transaction.h"

namespace softxe {

// One step on each side is enough: a further neighbour that could merge would have merged before.
GpuRange Vm::extend_mirror(GpuRange range, VmaFlags flags, PatIndex default_pat) {
  auto joins = [&](const Vma* v) {
    return v != nullptr && v->is_mirror() && v->attr.is_default() && v->flags() == flags &&
           v->attr.default_pat == default_pat;
  };
  GpuVa start = range.start();
  GpuVa end = range.end();
  if (start.value() != 0) {
    auto* before = static_cast<Vma*>(space_.find_covering(start - 1));
    if (joins(before)) start = before->start();
  }
  if (end.value() < size_bytes()) {
    auto* after = static_cast<Vma*>(space_.find_covering(end));
    if (joins(after)) end = after->end();
  }
  return GpuRange::between(start, end);
}

// Replaces everything in `range` by one mirror VMA with default attributes. SVM ranges inside stay:
// the same addresses are mirrored before and after, so they remain valid (difference D5).
Status Vm::carve_mirror(GpuRange range, VmaFlags flags, PatIndex default_pat) {
  SX_TRY_VOID(SX_STEP("vm.reset.carve"));
  VmTransaction change(*this);
  VmaTemplate what{.kind = VmaKind::kMirror, .flags = flags, .attr = MemAttr::defaults(default_pat)};
  SX_TRY_VOID(change.map(range, what, SvmRanges::kMayStay));
  SX_TRY_VOID(change.prepare_ptes(VmLocalEviction::kForbidden));
  change.commit();
  return {};
}

Result<ResetOutcome> Vm::reset_attributes(GpuRange collected) {
  auto* vma = static_cast<Vma*>(space_.find_covering(collected.start()));
  if (vma == nullptr) return fail(EINVAL, "no VMA where the collected range was");
  if (!vma->is_mirror()) return ResetOutcome::kUnchanged;
  if (config_.reset != ResetMode::kAlways && !vma->flags().autoreset) {
    return ResetOutcome::kUnchanged;
  }

  const bool was_default = vma->attr.is_default();
  const VmaFlags flags = vma->flags();
  const PatIndex default_pat = vma->attr.default_pat;
  // No SVM range crosses a VMA border (invariant 9); a racing unbind may have cut it all the same.
  auto inside = collected.intersection(vma->range());
  SX_ASSERT(inside.has_value());
  GpuRange target = was_default ? vma->range() : *inside;

  Event resets = event_of(EventKind::kReset, target);
  resets.word = vma->attr.as_word();
  bool reset_in_place = false;
  if (!was_default && vma->range() == target) {
    vma->attr.reset();
    reset_in_place = true;
  }
  const EventScope reset(was_default ? kNoEvent : counters_.count(resets));

  GpuRange extended = extend_mirror(target, flags, default_pat);
  if (extended == vma->range() && (was_default || reset_in_place)) {
    return reset_in_place ? ResetOutcome::kVmasChanged : ResetOutcome::kUnchanged;
  }
  Status carved = carve_mirror(extended, flags, default_pat);
  if (!carved) {
    SX_ERROR("attribute reset of [{:#x}, {:#x}) failed: {}", collected.start().value(), collected.end().value(),
             carved.error().why);
    kill("attribute reset failed");
    return fail(carved.error());
  }
  if (extended != target || was_default) counters_.count(event_of(EventKind::kMerge, extended));
  return ResetOutcome::kVmasChanged;
}

}  // namespace softxe
