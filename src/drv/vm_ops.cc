#include "drv/vm_ops.h"

#include "base/step.h"
#include "drv/exec/fence.h"
#include "svm/prefetch.h"
#include "svm/self_check.h"
#include "vm/page_reclaim.h"
#include "vm/vm_transaction.h"

namespace softxe {

namespace {

/// Keeps the process from taking a userptr's pages away under a running job (spec/vm.md 8.3). The GPU
/// reaches them by their real address, so nothing has to be zapped: waiting is all there is to do.
class UserptrNotifier final : public IntervalNotifier {
 public:
  static Result<std::shared_ptr<void>> watch(HostMm& host, VmContext& context, HostRange range) {
    auto notifier = std::make_unique<UserptrNotifier>(host, context, range);
    SX_TRY_VOID(host.watch(*notifier));
    return std::shared_ptr<void>(notifier.release(), [](void* made) {
      auto* watched = static_cast<UserptrNotifier*>(made);
      watched->host_.unwatch(*watched);
      delete watched;
    });
  }
  UserptrNotifier(HostMm& host, VmContext& context, HostRange range)
      : IntervalNotifier(range), host_(host), context_(context) {}

  void invalidate(HostRange, HostEvent kind) override {
    if (kind != HostEvent::kMigrate) context_.drain_jobs([this] { host_.serve_touches(); });
  }

 private:
  HostMm& host_;
  VmContext& context_;  ///< owns the VMA that owns this
};

}  // namespace

Result<std::shared_ptr<void>> watch_userptr(Device& device, VmContext& context, HostVa start, std::uint64_t bytes) {
  const HostVa end(align_up((start + bytes).value(), kPageSize));
  return UserptrNotifier::watch(device.host(), context, HostRange::between(start.aligned_down(kPageSize), end));
}

namespace {

/// The word of a mapping: PAT index, then auto-reset and read-only; of a prefetch: its region plus 1.
struct BindOpWords {
  Event& event;
  const BindOp& op;

  void set(EventCause cause, std::uint64_t word) const {
    event.cause = cause;
    event.word = word;
  }
  void operator()(const BindMap& map) const { std::visit(*this, map.backing); }
  void operator()(const BindMirror& mirror) const {
    set(EventCause::kMirror, flags() | (mirror.autoreset == AutoReset::kOn ? 1u << 16 : 0u));
  }
  void operator()(const BindBo&) const { set(EventCause::kObject, flags()); }
  void operator()(const BindUserptr&) const { set(EventCause::kUserptr, flags()); }
  void operator()(const BindNull&) const { set(EventCause::kNullPages, flags()); }
  void operator()(const BindUnmap&) const { set(EventCause::kUnbind, 0); }
  void operator()(const BindUnmapAll&) const { set(EventCause::kUnbind, 0); }
  void operator()(const BindPrefetch& prefetch) const {
    set(EventCause::kPrefetch, prefetch.region ? std::uint64_t{*prefetch.region} + 1 : 0);
  }
  std::uint64_t flags() const { return op.pat_index | (op.read_only ? 1u << 17 : 0u); }
};

Event event_of_op(const BindOp& op) {
  Event event{.address = op.range.start.value(), .size = op.range.size_bytes, .kind = EventKind::kBindOp};
  std::visit(BindOpWords{event, op}, op.what);
  return event;
}

/// The operations of one VM_BIND, applied to one transaction. Vm lock (w) held throughout.
class BindRunner {
 public:
  BindRunner(Device& device, VmContext& context, BindRun run, std::shared_ptr<UserFence> user_fence)
      : device_(device), context_(context), vm_(context.vm), change_(context.vm), run_(run) {
    change_.set_user_fence(std::move(user_fence));
  }

  Status run(std::span<const ResolvedBind> ops) {
    assert_locked();
    std::optional<unsigned> injected;
    for (const ResolvedBind& op : ops) {
      if (run_ == BindRun::kExecute) context_.counters.count(event_of_op(op.op));
      if (op.op.inject_error && run_ == BindRun::kExecute) injected = device_.next_injection();
      SX_TRY_VOID(std::visit([&](const auto& what) { return apply(op, what); }, op.op.what));
    }
    SX_TRY_VOID(SX_STEP("drv.bind.execute"));
    if (injected == 0u) return fail(ENOSPC, "injected after locking");
    const VmLocalEviction eviction = local_eviction(ops.size());
    if (run_ == BindRun::kExecute) {
      if (Status moved = prefetch(ops.size(), eviction); !moved) return put_back(moved);
    }
    if (Status ready = change_.prepare_ptes(eviction); !ready) return put_back(ready);
    if (injected) return put_back(fail(ENOSPC, "injected before the commit"));
    if (Status may = SX_STEP("drv.bind.run"); !may) return put_back(may);
    if (run_ == BindRun::kDryRun) return {};
    const std::vector<GpuRange> stale = stale_mirrors();
    if (device_.profile().has(DeviceFact::kPageReclaim)) reclaim_pages();
    change_.commit();
    for (const GpuRange& range : stale) {
      context_.svm->assert_vm_locked();
      context_.svm->zap(range);
    }
    for (auto& mirror : mirrors_) SX_TRY_VOID(mirror->run());
    return {};
  }

 private:
  // vm_bind() holds it; the analysis cannot follow a lock through a reference member.
  void assert_locked() const SX_ASSERT_CAPABILITY(vm_.lock) { vm_.lock.assert_held(); }

  // A mirror over a mirror keeps its SVM ranges; where the new VMA says something else about their entries
  // than the old one did, these must be made anew (spec/vm.md 10.1, invariants 22 and 24).
  std::vector<GpuRange> stale_mirrors() const {
    std::vector<GpuRange> stale;
    if (!context_.svm) return stale;
    for (const auto& old : change_.removed()) {
      if (!old->is_mirror()) continue;
      for (const Vma* fresh : change_.inserted()) {
        const auto both = fresh->range().intersection(old->range());
        if (!both || !fresh->is_mirror()) continue;
        const bool same = fresh->flags().read_only == old->flags().read_only && fresh->attr.pat == old->attr.pat &&
                          fresh->attr.atomic == old->attr.atomic;
        if (!same) stale.push_back(*both);
      }
    }
    return stale;
  }

  // Mirrors have no entries of their own; what an eviction has zapped has none left.
  void reclaim_pages() const {
    std::vector<ReclaimedPart> parts;
    for (const auto& [vma, range] : change_.gone()) {
      if (vma->is_mirror() || (vma->tile_present & ~vma->tile_invalidated) == 0) continue;
      const PatEntry& pat = device_.profile().pat[static_cast<unsigned>(vma->attr.pat)];
      auto kind = vma->kind() == VmaKind::kUserptr ? ReclaimedPart::Kind::kUserptr : ReclaimedPart::Kind::kObject;
      if (vma->kind() == VmaKind::kNull || pat.l3_policy == kL3TransientDisplay) kind = ReclaimedPart::Kind::kNothing;
      parts.push_back({range, vma->offset_bytes() + (range.start() - vma->start()), kind});
    }
    const PageReclaim list = count_reclaim(parts);
    CounterSet& counters = device_.counters();
    counters.add(Counter::prl_4k_entry_count, list.leaves_4k);
    counters.add(Counter::prl_64k_entry_count, list.leaves_64k);
    counters.add(Counter::prl_2m_entry_count, list.leaves_2m);
    if (list.end == PageReclaim::End::kIssued) counters.add(Counter::prl_issued_count);
    if (list.end == PageReclaim::End::kAborted) counters.add(Counter::prl_aborted_count);
  }

  // May validation evict BOs of this very VM (spec/vm.md 2.1)?
  VmLocalEviction local_eviction(std::size_t num_binds) const {
    const VmModes& modes = vm_.config().modes;
    const bool allowed = num_binds == 1 && (!modes.lr || (modes.fault && !modes.no_overcommit));
    return allowed ? VmLocalEviction::kAllowed : VmLocalEviction::kForbidden;
  }

  Status apply(const ResolvedBind& op, const BindMap& map) {
    assert_locked();
    VmaTemplate what{.flags = {.read_only = op.op.read_only, .dumpable = op.op.dumpable},
                     .attr = MemAttr::defaults(PatIndex{op.op.pat_index})};
    what.timing = op.op.immediate || !vm_.config().modes.fault ? BindTiming::kNow : BindTiming::kDeferred;
    GpuRange range = *op.range;
    SvmRanges ranges = SvmRanges::kMustBeAbsent;
    if (auto* bo = std::get_if<BindBo>(&map.backing)) {
      if (op.bo->purgeable() == PurgeableState::kPurged) return fail(EINVAL, "object is purged");
      if (op.bo->purgeable() == PurgeableState::kDontNeed) return fail(EBUSY, "object is not needed");
      what.kind = VmaKind::kBo;
      what.bo = op.bo;
      what.offset_bytes = bo->offset;
    } else if (auto* userptr = std::get_if<BindUserptr>(&map.backing)) {
      what.kind = VmaKind::kUserptr;
      what.offset_bytes = userptr->address.value();
      Status pinned = pin_userptr(userptr->address, range.size(), what.flags);
      // EBUSY of a MAP means a user fence (spec/vm.md 3.12).
      if (!pinned && pinned.error().err == EBUSY) return fail(ENOMEM, "userptr pages are busy");
      SX_TRY_VOID(pinned);
      if (!vm_.config().modes.fault && run_ == BindRun::kExecute) {
        SX_TRY(what.backing_guard, watch_userptr(device_, context_, HostVa(userptr->address.value()), range.size()));
      }
    } else if (std::holds_alternative<BindNull>(map.backing)) {
      what.kind = VmaKind::kNull;
    } else {
      what.kind = VmaKind::kMirror;
      what.flags.autoreset = std::get<BindMirror>(map.backing).autoreset == AutoReset::kOn;
      range = vm_.extended_mirror_range(range, what.flags, what.attr.default_pat);
      ranges = SvmRanges::kMayStay;
    }
    return change_.map(range, what, ranges);
  }

  Status apply(const ResolvedBind& op, const BindUnmap&) { return change_.unmap(*op.range, SvmRanges::kMustBeAbsent); }
  Status apply(const ResolvedBind& op, const BindUnmapAll&) { return change_.unmap_bo(*op.bo); }

  // Every VMA of the interval is served, whatever stands before it (quirk Q7 is fixed).
  Status apply(const ResolvedBind& op, const BindPrefetch& prefetch) {
    assert_locked();
    for (Vma* vma : vm_.vmas_in(*op.range)) {
      if (vma->kind() != VmaKind::kBo) continue;
      if (vma->bo()->purgeable() == PurgeableState::kPurged) return fail(EINVAL, "object is purged");
      if (vma->bo()->purgeable() == PurgeableState::kDontNeed) {
        return fail(EBUSY, "object is not needed");
      }
    }
    if (run_ == BindRun::kExecute) prefetches_.push_back({*op.range, prefetch});
    return {};
  }

  static PrefetchTarget target_of(const BindPrefetch& what) {
    if (!what.region) return {.kind = PrefetchTarget::Kind::kConsultAdvice};
    if (*what.region == 0) return {};
    return {.kind = PrefetchTarget::Kind::kTileVram, .tile = *what.region - 1};
  }

  // Everything of the PREFETCH operations that may refuse the call, while the tree can still be put back
  // (case B33). Data may have moved by then; that is no harm.
  Status prefetch(std::size_t num_binds, VmLocalEviction eviction) {
    assert_locked();
    for (const auto& [range, what] : prefetches_) {
      SX_TRY_VOID(SX_STEP("drv.bind.prefetch"));
      for (Vma* vma : vm_.vmas_in(range)) SX_TRY_VOID(prefetch_owned(*vma, what, eviction));
      if (!context_.svm) continue;
      mirrors_.push_back(std::make_unique<SvmPrefetch>(*context_.svm, vm_));
      SX_TRY_VOID(mirrors_.back()->enumerate(range, target_of(what)));
      // Alone in its call it has nothing to take back: it moves and binds in one pass, after the commit.
      if (num_binds > 1) SX_TRY_VOID(mirrors_.back()->move());
    }
    return {};
  }

  // The transaction is undone by its destructor. Ranges enumerated under a mirror VMA that it takes back
  // must go with it.
  Status put_back(Status why) {
    for (auto& mirror : mirrors_) mirror->forget();
    return why;
  }

  Status prefetch_owned(Vma& vma, const BindPrefetch& what, VmLocalEviction eviction) {
    if (vma.is_mirror() || vma.kind() == VmaKind::kNull) return {};
    if (vma.kind() == VmaKind::kUserptr) {
      return pin_userptr(vma.userptr_start(), vma.range().size(), vma.flags());
    }
    BoUse use{.vm = &vm_, .eviction = eviction};
    if (what.region) use.place = *what.region == 0 ? BoPlace::kSystem : BoPlace::kTileVram;
    if (use.place == BoPlace::kTileVram) use.tile = *what.region - 1;
    return change_.prefetch(vma, use);
  }

  // The GPU reaches a userptr by its real address; pinning is a proof that every page can be had now. EBUSY, EFAULT,
  // EPERM, ENOMEM.
  Status pin_userptr(HostVa at, std::uint64_t bytes, VmaFlags flags) {
    SX_TRY_VOID(SX_STEP("drv.bind.pin_userptr"));
    const auto homes = std::make_unique<PageHomes>();
    const CollectRequest request{.intent =
                                     flags.read_only ? CollectRequest::Intent::kRead : CollectRequest::Intent::kWrite};
    for (std::uint64_t done = 0; done < bytes;) {
      const std::uint64_t part = std::min<std::uint64_t>(bytes - done, k2M);
      SX_TRY_VOID(device_.host().collect(HostRange::of(at + done, part), request, *homes));
      done += part;
    }
    return {};
  }

  Device& device_;
  VmContext& context_;
  Vm& vm_;
  VmTransaction change_;
  BindRun run_;
  std::vector<std::pair<GpuRange, BindPrefetch>> prefetches_;
  std::vector<std::unique_ptr<SvmPrefetch>> mirrors_;
};

}  // namespace

Status vm_bind(Device& device, VmContext& context, std::span<const ResolvedBind> ops, BindRun run,
               std::shared_ptr<UserFence> user_fence) {
  Guard hold(context.vm.lock);
  SX_TRY_VOID(context.vm.check_usable());
  Event event{.word = ops.size(), .kind = EventKind::kBind};
  if (run == BindRun::kDryRun) event.kind = EventKind::kBindCheck;
  const EventScope binds(context.counters.count(event));
  Status done = BindRunner(device, context, run, std::move(user_fence)).run(ops);
  self_check(context, "VM_BIND");
  return done;
}

std::vector<MemRangeAttr> query_mem_range_attrs(Device& device, VmContext& context, const UncheckedRange& range) {
  device.flush_collector(context);
  std::vector<MemRangeAttr> result;
  ReadGuard hold(context.vm.lock);
  // An empty interval is looked up like the closed one that ends at start - 1 (spec/vm.md 1.1, 6.1).
  const std::uint64_t start = range.start.value();
  auto interval = GpuRange::make(range.start, range.size_bytes);
  if (range.size_bytes == 0) {
    if (start == 0 || start >= context.vm.size_bytes()) return result;
    Vma* below = context.vm.find(range.start - 1);
    if (below == nullptr || !below->range().contains(range.start)) return result;
    interval = GpuRange::of(range.start, 1);
  }
  if (!interval) return result;
  for (const Vma* vma : context.vm.vmas_in(*interval)) {
    result.push_back({.start = vma->start().value(),
                      .end = vma->end().value(),
                      .devmem_fd = vma->attr.preferred.devmem_fd,
                      .policy = vma->attr.preferred.policy,
                      .atomic = vma->attr.atomic,
                      .pat_index = static_cast<std::uint32_t>(vma->attr.pat)});
  }
  return result;
}

namespace {

Status rebind(Vm& vm, Vma& vma) SX_REQUIRES(vm.lock) {
  if (vma.kind() != VmaKind::kBo) return vm.bind_ptes(vma, vma.tile_invalidated);
  SX_TRY_VOID(vma.bo()->make_resident({.vm = &vm, .eviction = VmLocalEviction::kForbidden, .accept_purgeable = true}));
  Status bound = vm.bind_ptes(vma, vma.tile_invalidated);
  vma.bo()->unpin();
  return bound;
}

}  // namespace

Status revalidate(VmContext& context) {
  Vm& vm = context.vm;
  if (!vm.has_stale_ptes()) return {};
  // An EXEC beside this one waits here until the PTEs are back: it finds them stale until then.
  Guard hold(vm.lock);
  SX_TRY_VOID(vm.check_usable());
  const std::uint64_t zaps = vm.stale_zaps();
  if (!vm.has_stale_ptes()) return {};
  for (Vma* vma : vm.vmas_in(vm.space().managed())) {
    if (vma->tile_invalidated == 0) continue;
    SX_TRY_VOID(rebind(vm, *vma));
  }
  vm.ptes_restored(zaps);
  return {};
}

Status revalidate_with_patience(VmContext& context, WaitContext wait) {
  constexpr unsigned kRoomTriesMax = 100;
  for (unsigned tries = 1;; ++tries) {
    Status done = revalidate(context);
    if (done || done.error().err != ENOSPC || tries == kRoomTriesMax) return done;
    if (wait.step) continue;  // no threads: nothing to wait for
    static_cast<void>(Fence::pending()->wait(wait, Deadline::after(wait.clock, 1'000'000)));
  }
}

Result<PreferredLocation> resolve_preferred_location(const VmContext& context, Device* file_device,
                                                     const AdvisePreferredLocation& advice) {
  PreferredLocation location{.devmem_fd = advice.devmem_fd, .policy = advice.policy, .pagemap = {}};
  if (advice.devmem_fd <= 0) return location;
  if (file_device == nullptr) return fail(ENOENT, "descriptor is not an Xe device file");
  if (advice.region_instance == 0 || advice.region_instance > file_device->vram_tiles()) {
    return fail(ENOENT, "no such VRAM region");
  }
  location.pagemap = file_device->pagemap(advice.region_instance - 1u);
  if (!context.svm || location.pagemap->owner() != context.svm->owner()) {
    return fail(ENOLINK, "the VM has no fast interconnect to that device");
  }
  return location;
}

}  // namespace softxe
