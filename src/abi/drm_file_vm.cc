// VMs: life, VM_BIND, MADVISE, queries (spec/uapi.md 7, 8, 14; spec/vm.md 2-6).
#include <algorithm>

#include "abi/drm_device.h"
#include "svm/madvise.h"

namespace softxe {

namespace {

constexpr std::uint64_t kJobsTimeoutNs = 10'000'000'000;  // twice the job time-out
constexpr std::uint64_t kDrainSliceNs = 1'000'000;

// Restores what an eviction took from a VM with work; a VM without is left to its next EXEC. What cannot be
// restored ends the VM (spec/vm.md 2.7).
bool rebind(DrmDevice& device, ContextVm& vm) {
  DeviceExec& exec = device.exec();
  if (!exec.scheduler().busy(vm)) return false;
  const Status done = revalidate_with_patience(vm.context(), device.wait_context());
  if (done || vm.closed() || vm.banned()) return done.has_value();
  vm.context().vm.kill("an evicted object cannot come back");
  exec.vm_banned(vm);
  return false;
}

// A VM runs this long before the next one's objects may push its own out (kernel: min_run_period).
void let_run(DrmDevice& device) {
  constexpr std::uint64_t kMinRunNs = 5'000'000;
  WaitContext wait = device.wait_context();
  if (wait.step) return;
  static_cast<void>(Fence::pending()->wait(wait, Deadline::after(wait.clock, kMinRunNs)));
}

}  // namespace

DrmVmPtr DrmFile::make_vm(DrmDevice& device, VmMode mode, std::shared_ptr<VmContext> context) {
  auto vm = std::make_shared<DrmVm>();
  vm->mode = mode;
  vm->context = std::move(context);
  vm->exec = std::make_shared<ContextVm>(mode, vm->context);
  vm->default_bind = device.exec().make_bind_queue();
  vm->context->drain_jobs = [weak = std::weak_ptr(vm->exec), &device](const std::function<void()>& meanwhile) {
    auto live = weak.lock();
    if (!live) return;
    WaitContext wait = device.wait_context();
    const FencePtr all = live->jobs.all();
    const Deadline end = Deadline::after(wait.clock, kJobsTimeoutNs);
    if (wait.step) return static_cast<void>(all->wait(wait, end));
    while (!all->wait(wait, Deadline::after(wait.clock, kDrainSliceNs)) && !end.passed(wait.clock)) meanwhile();
  };
  vm->context->stop_jobs = [weak = std::weak_ptr(vm->exec), &device,
                            drain = vm->context->drain_jobs]() -> std::shared_ptr<void> {
    drain([] {});
    auto live = weak.lock();
    if (!live || live->mode() != VmMode::kPreemptFence) return nullptr;
    return std::make_shared<DeviceExec::VmPause>(device.exec(), live);
  };
  // One piece of work for all evictions until it begins; it holds the pause, theirs end with the zap.
  vm->context->rebind_later = [weak = std::weak_ptr(vm->exec), &device,
                               posted = std::make_shared<std::atomic<bool>>(false)](std::shared_ptr<void> stopped) {
    if (!stopped || posted->exchange(true)) return;
    device.exec().work().post([weak, &device, posted, stopped = std::move(stopped)]() mutable {
      posted->store(false);
      auto live = weak.lock();
      const bool runs = live && rebind(device, *live);
      stopped.reset();
      if (runs) let_run(device);
    });
  };
  return vm;
}

Result<int> DrmFile::vm_create(Bytes bytes) {
  SX_TRY(VmCreateRequest request, decode_vm_create(bytes, limits()));
  SX_TRY(auto context, device_.device().create_vm(request));
  DrmVmPtr vm = make_vm(device_, request.mode(), std::move(context));
  auto id = vms_.add(vm);
  if (!id) {
    close_vm(vm);
    return fail(id.error());
  }
  reply_vm_create(bytes, VmId{*id});
  return 0;
}

Result<int> DrmFile::vm_destroy(Bytes bytes) {
  SX_TRY(VmId id, decode_vm_destroy(bytes));
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(id));
  if (!vm) return fail(ENOENT, "no such VM");
  if (vm->mode == VmMode::kPreemptFence && vm->exec->queue_count() != 0) {
    return fail(EBUSY, "long-running queues are attached to the VM");
  }
  if (!vms_.remove(static_cast<std::uint32_t>(id))) return fail(ENOENT, "no such VM");
  close_vm(vm);
  return 0;
}

// Every fence of the VM is waited for, page-table updates of whatever queue among them; fault-mode jobs leave none
// (spec/vm.md 2.5).
void DrmFile::close_vm(const DrmVmPtr& vm) {
  std::vector<FencePtr> updates;
  {
    Guard hold(vm->pending_lock);
    for (const PendingUpdate& update : vm->updates) updates.push_back(update.done);
  }
  WaitContext wait = wait_context();
  for (const FencePtr& done : updates) static_cast<void>(done->wait(wait, Deadline::never()));
  static_cast<void>(vm->exec->jobs.all()->wait(wait, Deadline::never()));
  device_.device().close_vm(vm->context);
}

Result<std::shared_ptr<BindQueue>> DrmFile::bind_queue_of(const VmBindRequest& request, const DrmVmPtr& vm) {
  if (!request.queue) return vm->default_bind;
  ExecQueuePtr queue = queues_.find(static_cast<std::uint32_t>(*request.queue));
  if (!queue) return fail(ENOENT, "no such exec queue");
  if (!queue->is_bind_queue()) return fail(EINVAL, "not a bind queue");
  if (queue->vm() != vm->exec) return fail(EINVAL, "bind queue of another VM");
  return std::shared_ptr<BindQueue>(queue, &queue->bind());
}

Result<std::vector<ResolvedBind>> DrmFile::resolve(const VmBindRequest& request) {
  for (const BindOp& op : request.ops) SX_TRY_VOID(check_bind_bounds(op, limits()));
  std::vector<ResolvedBind> ops;
  for (const BindOp& op : request.ops) {
    ResolvedBind resolved{.op = op, .range = {}, .bo = {}};
    if (op.range.size_bytes != 0) {
      resolved.range = GpuRange::of(op.range.start, op.range.size_bytes);
    }
    if (auto handle = op.object()) {
      resolved.bo = bos_.find(static_cast<std::uint32_t>(*handle));
      if (!resolved.bo) return fail(ENOENT, "no such GEM handle");
      SX_TRY_VOID(check_bind_object(
          op,
          {.size_bytes = resolved.bo->size_bytes(),
           .caching = resolved.bo->caching(),
           .no_compression = resolved.bo->no_compression(),
           .imported = false,
           .internally_64k = limits().profile->has(DeviceFact::kVram64k) && (resolved.bo->placement() & ~1u) != 0},
          limits()));
    }
    ops.push_back(std::move(resolved));
  }
  return ops;
}

namespace {

// More than a page-table job can hold (spec/vm.md 3.2a, the rule that satisfies clients).
constexpr std::size_t kDeferredOpsMax = 512;

}  // namespace

// The value is written when the bind is complete; a failing write is dropped (spec/uapi.md 9).
void DrmFile::finish_user_fence(const SyncUserFence& fence) {
  static_cast<void>(memory_.write_object(HostVa(fence.address), fence.value));
  device_.exec().waiters().notify();
}

namespace {

// What a MAP behind a fence will make, as far as a user fence holds it.
std::optional<GpuRange> mapped_by(const ResolvedBind& op) {
  const auto* map = std::get_if<BindMap>(&op.op.what);
  if (map == nullptr || std::holds_alternative<BindMirror>(map->backing)) return std::nullopt;
  return op.range;
}

bool removes(const ResolvedBind& op, const GpuRange& mapping) {
  if (!op.range || std::holds_alternative<BindPrefetch>(op.op.what)) return false;
  return op.range->intersects(mapping);
}

}  // namespace

// EBUSY as long as the fence that such a bind waits for is pending. Once it has signalled, the bind is on
// its way: waiting for it keeps a caller that repeats on EBUSY from spinning (case B31).
Status DrmFile::check_pending(DrmVm& vm, const std::vector<ResolvedBind>& ops) {
  std::vector<FencePtr> on_their_way;
  {
    Guard hold(vm.pending_lock);
    std::erase_if(vm.pending, [](const PendingBind& bind) { return bind.fence->signalled(); });
    for (const PendingBind& bind : vm.pending) {
      const bool hit = std::any_of(ops.begin(), ops.end(), [&](const ResolvedBind& op) {
        return std::any_of(bind.maps.begin(), bind.maps.end(),
                           [&](const GpuRange& mapping) { return removes(op, mapping); });
      });
      if (!hit) continue;
      if (!all_signalled(bind.waits_for)) return fail(EBUSY, "the user fence of a bind has not signalled");
      on_their_way.push_back(bind.done);
    }
  }
  WaitContext wait = wait_context();
  for (const FencePtr& done : on_their_way) SX_TRY_VOID(done->wait(wait, Deadline::never()));
  return {};
}

void DrmFile::remember_pending(DrmVm& vm, const std::vector<ResolvedBind>& ops, PendingBind pending) {
  for (const ResolvedBind& op : ops) {
    if (auto range = mapped_by(op)) pending.maps.push_back(*range);
  }
  Guard hold(vm.pending_lock);
  vm.pending.push_back(std::move(pending));
}

namespace {

std::uint64_t span_of_entry(unsigned level) { return std::uint64_t{1} << (kPageShift + std::uint64_t{9} * level); }

// The interval whose page-table entries an update of `range` writes: where a table is missing, or an entry
// covers more than a page, that is all the entry of the directory covers. Tables go under the VM's lock only.
GpuRange written_by(Vm& vm, GpuRange range) SX_REQUIRES_SHARED(vm.lock) {
  unsigned level = 0;
  for (GpuVa at : {range.start(), range.end() - 1}) {
    const WalkResult found = vm.table(0).walk(at);
    level = std::max<unsigned>(level, found ? found->level : found.error().level);
  }
  for (unsigned up = level + 1; up <= 2; ++up) {
    const std::uint64_t span = span_of_entry(up);
    if (align_up(range.start().value(), span) + span <= range.end().value()) level = up;
  }
  const std::uint64_t span = span_of_entry(level);
  const std::uint64_t start = align_down(range.start().value(), span);
  const std::uint64_t end = std::min(align_up(range.end().value(), span), vm.size_bytes());
  return GpuRange::between(GpuVa(start), GpuVa(end));
}

std::vector<GpuRange> written_by(Vm& vm, const std::vector<ResolvedBind>& ops) {
  std::vector<GpuRange> intervals;
  ReadGuard hold(vm.lock);
  for (const ResolvedBind& op : ops) {
    const auto* map = std::get_if<BindMap>(&op.op.what);
    if (map != nullptr && std::holds_alternative<BindMirror>(map->backing)) continue;
    // UNMAP_ALL: the object may be anywhere by then.
    intervals.push_back(op.range ? written_by(vm, *op.range) : vm.space().managed());
  }
  return intervals;
}

bool any_intersects(const std::vector<GpuRange>& some, const std::vector<GpuRange>& others) {
  return std::any_of(some.begin(), some.end(), [&](const GpuRange& one) {
    return std::any_of(others.begin(), others.end(), [&](const GpuRange& other) { return one.intersects(other); });
  });
}

bool updates_wait(DrmVm& vm) {
  Guard hold(vm.pending_lock);
  std::erase_if(vm.updates, [](const PendingUpdate& update) { return update.done->signalled(); });
  return !vm.updates.empty();
}

// Bind queues are independent, but updates of overlapping intervals happen in the order they were asked for.
std::vector<FencePtr> earlier_updates(DrmVm& vm, const std::vector<GpuRange>& intervals) {
  std::vector<FencePtr> fences;
  Guard hold(vm.pending_lock);
  for (const PendingUpdate& update : vm.updates) {
    if (any_intersects(update.intervals, intervals)) fences.push_back(update.done);
  }
  return fences;
}

}  // namespace

Result<int> DrmFile::vm_bind(Bytes bytes) {
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(vm_bind_target(bytes)));
  if (!vm) return fail(EINVAL, "no such VM");
  SX_TRY(VmBindRequest request, decode_vm_bind(bytes, limits(), vm->mode, memory_));
  SX_TRY(std::shared_ptr<BindQueue> queue, bind_queue_of(request, vm));
  Device& device = device_.device();
  device.flush_collector(*vm->context);
  SX_TRY_VOID(vm->context->vm.check_usable());
  SX_TRY(std::vector<ResolvedBind> ops, resolve(request));
  JobSyncs syncs(syncobjs_);
  JobSyncSink sink(syncs);
  SX_TRY_VOID(
      decode_syncs(request.syncs, ops.empty() ? SyncUse::kBindWithoutOps : SyncUse::kBind, vm->mode, memory_, sink));
  SX_TRY_VOID(check_pending(*vm, ops));

  // What is written matters only to updates that wait, this one or others. Who was asked for before this one
  // stands in the list since before its ioctl returned; who is asked for at the same time has no order to it.
  std::optional<std::vector<GpuRange>> intervals;
  std::vector<FencePtr> in_fences;
  if (updates_wait(*vm)) {
    intervals = written_by(vm->context->vm, ops);
    in_fences = earlier_updates(*vm, *intervals);
  }
  in_fences.insert(in_fences.end(), syncs.in_fences().begin(), syncs.in_fences().end());

  // A bind that must wait is checked now and done later, as a whole (docs/DEVIATIONS.md).
  if (queue->must_wait(in_fences)) {
    if (ops.size() >= kDeferredOpsMax) return fail(ENOBUFS, "page-table job too large");
    SX_TRY_VOID(softxe::vm_bind(device, *vm->context, ops, BindRun::kDryRun));
  }
  std::shared_ptr<BindUserFence> fence;
  if (syncs.user_fence()) fence = std::make_shared<BindUserFence>();
  for (const ResolvedBind& op : ops) {
    const auto* prefetch = std::get_if<BindPrefetch>(&op.op.what);
    if (prefetch != nullptr && prefetch->region.value_or(1) != 0 && op.range) memory_named(*op.range);
  }
  std::vector<FencePtr> waits_for{queue->last()};
  waits_for.insert(waits_for.end(), in_fences.begin(), in_fences.end());
  auto submitted = queue->submit(in_fences, [&device, context = vm->context, ops, fence]() -> Status {
    if (ops.empty()) return {};
    device.flush_collector(*context);
    return softxe::vm_bind(device, *context, ops, BindRun::kExecute, fence);
  });
  if (submitted.finished_inline) SX_TRY_VOID(submitted.status);
  syncs.install(submitted.done);
  if (!submitted.finished_inline) {
    // Looked up only now, a part of it may be done already. The rest reads as before, and only the rest matters.
    if (!intervals) intervals = written_by(vm->context->vm, ops);
    Guard hold(vm->pending_lock);
    if (!intervals->empty()) vm->updates.push_back({.intervals = std::move(*intervals), .done = submitted.done});
  }
  if (!fence) return 0;
  if (submitted.done->signalled()) {
    fence->signal();
    finish_user_fence(*syncs.user_fence());
    return 0;
  }
  remember_pending(*vm, ops, {.maps = {}, .waits_for = std::move(waits_for), .done = submitted.done, .fence = fence});
  // The write is off the signalling thread: it may wait for a page that comes back from VRAM.
  DeviceExec& exec = device_.exec();
  submitted.done->on_signal([&exec, fence, memory = process_.options().memory, word = *syncs.user_fence()] {
    fence->signal();
    exec.work().post([&exec, memory, word] {
      static_cast<void>(memory->write_object(HostVa(word.address), word.value));
      exec.waiters().notify();
    });
  });
  return 0;
}

namespace {

// An interval without a VMA is answered before any wait (spec/vm.md 5.6).
bool maps_anything(VmContext& context, GpuRange range) {
  ReadGuard hold(context.vm.lock);
  Vma* first = context.vm.find_at_or_above(range.start());
  return first != nullptr && first->start() < range.end();
}

}  // namespace

// GPU and CPU addresses are the same in a mirror; elsewhere the name is of no use and does no harm.
void DrmFile::memory_named(const GpuRange& range) const {
  const auto& named = process_.options().memory_named;
  if (named) named(HostRange::of(HostVa(range.start().value()), range.size()));
}

Result<int> DrmFile::madvise_ioctl(Bytes bytes) {
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(madvise_target(bytes)));
  if (!vm) return fail(EINVAL, "no such VM");
  SX_TRY(MadviseRequest request, decode_madvise(bytes, limits(), memory_));
  device_.device().flush_collector(*vm->context);
  SX_TRY_VOID(vm->context->vm.check_usable());

  Advice advice = SetAtomic{};
  HostVa retained{};
  if (auto* preferred = std::get_if<AdvisePreferredLocation>(&request.advice)) {
    std::shared_ptr<DrmFile> file;
    if (preferred->devmem_fd > 0) file = fds().drm_file(preferred->devmem_fd);
    SX_TRY(PreferredLocation location,
           resolve_preferred_location(*vm->context, file ? &file->device().device() : nullptr, *preferred));
    advice = SetPreferred{std::move(location)};
  } else if (auto* atomic = std::get_if<AdviseAtomic>(&request.advice)) {
    advice = SetAtomic{atomic->access};
  } else if (auto* pat = std::get_if<AdvisePat>(&request.advice)) {
    advice = SetPat{.pat = PatIndex{pat->pat_index},
                    .coherent = limits().profile->pat[pat->pat_index].coherency != PatCoherency::kNone};
  } else {
    const auto& purgeable = std::get<AdvisePurgeable>(request.advice);
    advice =
        SetPurgeable{purgeable.state == PurgeState::kDontNeed ? PurgeableState::kDontNeed : PurgeableState::kWillNeed};
    retained = purgeable.retained;
  }
  SX_TRY(GpuRange range, within_vm(request.range, limits()));
  if (!std::holds_alternative<SetPurgeable>(advice) && maps_anything(*vm->context, range)) {
    WaitContext wait = wait_context();  // every fence of the VM, even if nothing changes (5.6)
    static_cast<void>(vm->exec->jobs.all()->wait(wait, Deadline::never()));
  }
  SX_TRY(AdviseResult result, madvise(*vm->context, range, advice));
  if (const auto* to = std::get_if<AdvisePreferredLocation>(&request.advice); to != nullptr && to->devmem_fd >= 0)
    memory_named(range);
  if (retained.value() != 0) {
    const std::uint32_t answer = result.purged_seen ? 0 : 1;
    SX_TRY_VOID(memory_.write_object(retained, answer));
  }
  return 0;
}

Result<int> DrmFile::query_attrs(Bytes bytes) {
  SX_TRY(MemRangeAttrsRequest request, decode_mem_range_attrs(bytes, limits()));
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(request.vm));
  if (!vm) return fail(EINVAL, "no such VM");
  const std::vector<MemRangeAttr> attrs = query_mem_range_attrs(device_.device(), *vm->context, request.range);
  if (request.capacity != 0) {
    if (attrs.size() > request.capacity) return fail(ENOSPC, "more ranges than asked for");
    SX_TRY_VOID(write_mem_range_attrs(request, attrs, memory_));
  }
  reply_mem_range_attrs(bytes, static_cast<std::uint32_t>(attrs.size()));
  return 0;
}

Result<int> DrmFile::vm_get_property(Bytes bytes) {
  SX_TRY(VmGetPropertyRequest request, decode_vm_get_property(bytes));
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(request.vm));
  if (!vm) return fail(ENOENT, "no such VM");
  std::vector<VmFaultRecord> records;
  for (const FaultRecord& fault : vm->context->vm.fault_records()) {
    records.push_back({.page = strip_canonical(fault.page_address, limits()),
                       .access = static_cast<FaultAccess>(fault.access),
                       .type = static_cast<VmFaultType>(fault.type),
                       .level = fault.level});
  }
  SX_TRY(std::uint32_t size, answer_vm_faults(request, records, limits(), memory_));
  reply_vm_get_property(bytes, size);
  return 0;
}

}  // namespace softxe
