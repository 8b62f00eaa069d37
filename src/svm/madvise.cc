#include "svm/madvise.h"

#include "base/step.h"
#include "svm/self_check.h"
#include "vm/vm_transaction.h"

namespace softxe {

namespace {

class Madvise {
 public:
  Madvise(VmContext& context, GpuRange range) : context_(context), vm_(context.vm), range_(range) {}

  Result<AdviseResult> run(const Advice& advice) {
    vm_.lock.assert_held();
    SX_TRY_VOID(split());
    const std::vector<Vma*> vmas = vm_.vmas_in(range_);
    SX_TRY_VOID(std::visit([&](const auto& a) { return check(vmas, a); }, advice));
    SX_TRY_VOID(watch_exact(vmas, advice));
    std::vector<Vma*> stale;
    for (Vma* vma : vmas) {
      const bool changed = std::visit([&](const auto& a) { return apply(*vma, a); }, advice);
      if (!changed) continue;
      if (vma->is_mirror()) {
        context_.svm->assert_vm_locked();
        context_.svm->zap(vma->range());
      } else {
        stale.push_back(vma);
      }
    }
    if (const std::size_t zapped = vm_.zap_vmas(stale); zapped != 0) {
      Event zap = event_of(EventKind::kAdviceZap, range_);
      zap.word = zapped;
      vm_.counters().count(zap);
    }
    return result_;
  }

 private:
  Status split() {
    VmTransaction change(vm_);
    SX_TRY_VOID(change.split(range_));
    SX_TRY_VOID(change.prepare_ptes(VmLocalEviction::kForbidden));
    change.commit();
    return {};
  }

  // Memory the GPU never touches has no SVM range: in this mode its unmap matters all the same. What the
  // advice will leave with something to reset is watched before anything is applied: watching may fail.
  Status watch_exact(const std::vector<Vma*>& vmas, const Advice& advice) {
    if (vm_.config().reset != ResetMode::kExact || !context_.svm) return {};
    context_.svm->assert_vm_locked();
    std::optional<GpuRange> hull;
    for (const Vma* vma : vmas) {
      if (!vma->is_mirror() || !vma->flags().autoreset) continue;
      MemAttr after = vma->attr;
      const bool changed = std::visit([&](const auto& a) { return set(after, a); }, advice);
      if (!changed || after.is_default()) continue;
      hull = hull ? hull->hull(vma->range()) : vma->range();
    }
    return hull ? context_.svm->watch_unmaps(*hull) : Status{};
  }

  // --- what rejects the whole call; nothing is applied ------------------------------------------

  Status check(const std::vector<Vma*>&, const SetPreferred&) { return {}; }
  Status check(const std::vector<Vma*>&, const SetPurgeable&) { return {}; }
  Status check(const std::vector<Vma*>& vmas, const SetAtomic& a) {
    for (const Vma* vma : vmas) {
      if (vma->kind() == VmaKind::kBo) SX_TRY_VOID(vma->bo()->check_atomic(a.access));
    }
    return {};
  }
  Status check(const std::vector<Vma*>& vmas, const SetPat& a) {
    if (a.coherent || vm_.config().discrete) return {};
    for (const Vma* vma : vmas) {
      const bool cpu_cached =
          vma->kind() == VmaKind::kBo ? vma->bo()->needs_coherent_pat() : vma->kind() != VmaKind::kNull;
      if (cpu_cached) return fail(EINVAL, "incoherent PAT over CPU-cached memory");
    }
    return {};
  }

  // --- which attribute an advice is about; true when that was something else -----------------------

  // Quirk Q13 is fixed: the resolved pagemap is compared too, not only the number of the descriptor.
  static bool set(MemAttr& attr, const SetPreferred& a) { return put(attr.preferred, a.location); }
  static bool set(MemAttr& attr, const SetAtomic& a) { return put(attr.atomic, a.access); }
  static bool set(MemAttr& attr, const SetPat& a) { return put(attr.pat, a.pat); }
  static bool set(MemAttr&, const SetPurgeable&) { return false; }  // of objects: apply()
  template <typename T>
  static bool put(T& attribute, const T& value) {
    if (attribute == value) return false;
    attribute = value;
    return true;
  }

  // --- per VMA; true when its PTEs must go --------------------------------------------------------

  bool apply(Vma& vma, const SetPreferred& a) { return vma.is_mirror() && set(vma.attr, a); }
  bool apply(Vma& vma, const SetAtomic& a) {
    if (vma.kind() == VmaKind::kUserptr && (a.access != AtomicAccess::kDevice || !vm_.config().smem_atomics)) {
      return false;
    }
    bool changed = set(vma.attr, a);
    if (vma.kind() == VmaKind::kBo && vma.bo()->atomic_access() != a.access) {
      vma.bo()->set_atomic_access(a.access);
      changed = true;
    }
    return changed;
  }
  bool apply(Vma& vma, const SetPat& a) { return set(vma.attr, a); }
  bool apply(Vma& vma, const SetPurgeable& a) {
    if (vma.kind() != VmaKind::kBo) return false;
    if (vma.bo()->purgeable() == PurgeableState::kPurged) {
      result_.purged_seen = true;
      return false;
    }
    if (vma.attr.purgeable == a.state) return false;
    vma.bo()->vma_advised(vma.attr.purgeable, a.state);
    vma.attr.purgeable = a.state;
    return false;  // PTEs stay (5.6)
  }

  VmContext& context_;
  Vm& vm_;
  GpuRange range_;
  AdviseResult result_;
};

Event event_of_advice(GpuRange range, const Advice& advice) {
  Event event = event_of(EventKind::kAdvice, range);
  if (const auto* preferred = std::get_if<SetPreferred>(&advice)) {
    event.cause = EventCause::kPreferred;
    event.word = event_word(static_cast<std::uint32_t>(preferred->location.devmem_fd),
                            static_cast<std::uint64_t>(preferred->location.policy));
  } else if (const auto* atomic = std::get_if<SetAtomic>(&advice)) {
    event.cause = EventCause::kAtomicAccess;
    event.word = static_cast<std::uint64_t>(atomic->access);
  } else if (const auto* pat = std::get_if<SetPat>(&advice)) {
    event.cause = EventCause::kPat;
    event.word = static_cast<std::uint64_t>(pat->pat);
  } else if (const auto* purgeable = std::get_if<SetPurgeable>(&advice)) {
    event.cause = EventCause::kPurgeable;
    event.word = static_cast<std::uint64_t>(purgeable->state);
  }
  return event;
}

}  // namespace

Result<AdviseResult> madvise(VmContext& context, GpuRange range, const Advice& advice) {
  Guard hold(context.vm.lock);
  SX_TRY_VOID(context.vm.check_usable());
  if (range.end().value() > context.vm.size_bytes()) return fail(EINVAL, "range outside the VM");
  SX_TRY_VOID(SX_STEP("svm.madvise.enter"));
  const EventScope advised(context.vm.counters().count(event_of_advice(range, advice)));
  Result<AdviseResult> done = Madvise(context, range).run(advice);
  self_check(context, "MADVISE");
  return done;
}

}  // namespace softxe
