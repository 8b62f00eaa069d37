// VMs: life, VM_BIND, MADVISE, queries (spec/uapi.md 7, 8, 14; spec/vm.md 2-6).
#include "abi/drm_device.h"
#include "svm/madvise.h"

namespace softxe {

Result<int> DrmFile::vm_create(Bytes bytes) {
  SX_TRY(VmCreateRequest request, decode_vm_create(bytes, limits()));
  auto vm = std::make_shared<DrmVm>();
  vm->mode = request.mode();
  SX_TRY(vm->context, device_.device().create_vm(request));
  vm->exec = std::make_shared<ContextVm>(vm->mode, vm->context);
  vm->default_bind = device_.exec().make_bind_queue();
  vm->context->drain_jobs = [weak = std::weak_ptr(vm->exec), &exec = device_.exec()] {
    constexpr std::uint64_t kJobsTimeoutNs = 10'000'000'000;  // twice the job time-out
    auto live = weak.lock();
    if (!live) return;
    WaitContext wait{.clock = exec.clock(), .step = {}, .interrupt = nullptr};
    static_cast<void>(live->jobs.all()->wait(wait, Deadline::after(exec.clock(), kJobsTimeoutNs)));
  };
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

// Every fence of the VM is waited for; fault-mode jobs leave none (spec/vm.md 2.5).
void DrmFile::close_vm(const DrmVmPtr& vm) {
  WaitContext wait = wait_context();
  static_cast<void>(vm->default_bind->last()->wait(wait, Deadline::never()));
  static_cast<void>(vm->exec->jobs.all()->wait(wait, Deadline::never()));
  device_.device().close_vm(vm->context);
}

Result<std::shared_ptr<BindQueue>> DrmFile::bind_queue_of(const VmBindRequest& request,
                                                          const DrmVmPtr& vm) {
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
      SX_TRY_VOID(check_bind_object(op,
                                    {.size_bytes = resolved.bo->size_bytes(),
                                     .caching = resolved.bo->caching(),
                                     .no_compression = resolved.bo->no_compression(),
                                     .imported = false,
                                     .internally_64k = limits().profile->has(DeviceFact::kVram64k) &&
                                                       (resolved.bo->placement() & ~1u) != 0},
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
  SX_TRY_VOID(decode_syncs(request.syncs, ops.empty() ? SyncUse::kBindWithoutOps : SyncUse::kBind,
                           vm->mode, memory_, sink));

  // A bind that must wait is checked now and done later, as a whole (docs/DEVIATIONS.md).
  if (queue->must_wait(syncs.in_fences())) {
    if (ops.size() >= kDeferredOpsMax) return fail(ENOBUFS, "page-table job too large");
    SX_TRY_VOID(softxe::vm_bind(device, *vm->context, ops, BindRun::kDryRun));
  }
  auto submitted = queue->submit(
      syncs.in_fences(), [&device, context = vm->context, ops = std::move(ops)]() -> Status {
        if (ops.empty()) return {};
        device.flush_collector(*context);
        return softxe::vm_bind(device, *context, ops, BindRun::kExecute);
      });
  if (submitted.finished_inline) SX_TRY_VOID(submitted.status);
  syncs.install(submitted.done);
  if (!syncs.user_fence()) return 0;
  if (submitted.done->signalled()) {
    finish_user_fence(*syncs.user_fence());
    return 0;
  }
  // Off the signalling thread: the write may wait for a page that comes back from VRAM.
  DeviceExec& exec = device_.exec();
  submitted.done->on_signal([&exec, fence = *syncs.user_fence()] {
    exec.work().post([&exec, fence] {
      ProcessUserMemory memory;
      static_cast<void>(memory.write_object(HostVa(fence.address), fence.value));
      exec.waiters().notify();
    });
  });
  return 0;
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
           resolve_preferred_location(device_.device(), file ? &file->device().device() : nullptr,
                                      *preferred));
    if (location.pagemap && vm->mode != VmMode::kFault) {
      return fail(ENOLINK, "VM has no VRAM owner: not in fault mode");
    }
    advice = SetPreferred{std::move(location)};
  } else if (auto* atomic = std::get_if<AdviseAtomic>(&request.advice)) {
    advice = SetAtomic{atomic->access};
  } else if (auto* pat = std::get_if<AdvisePat>(&request.advice)) {
    advice = SetPat{.pat = PatIndex{pat->pat_index},
                    .coherent = limits().profile->pat[pat->pat_index].coherency != PatCoherency::kNone};
  } else {
    const auto& purgeable = std::get<AdvisePurgeable>(request.advice);
    advice = SetPurgeable{purgeable.state == PurgeState::kDontNeed ? PurgeableState::kDontNeed
                                                                   : PurgeableState::kWillNeed};
    retained = purgeable.retained;
  }
  SX_TRY(GpuRange range, within_vm(request.range, limits()));
  if (!std::holds_alternative<SetPurgeable>(advice)) {
    WaitContext wait = wait_context();  // every fence of the VM, even if nothing changes (5.6)
    static_cast<void>(vm->exec->jobs.all()->wait(wait, Deadline::never()));
  }
  SX_TRY(AdviseResult result, madvise(*vm->context, range, advice));
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
  const std::vector<MemRangeAttr> attrs =
      query_mem_range_attrs(device_.device(), *vm->context, request.range);
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
