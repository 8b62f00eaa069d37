// VMs: life, VM_BIND, MADVISE, queries (spec/uapi.md 7, 8, 14; spec/vm.md 2-6).
#include <algorithm>

#include "abi/drm_device.h"
#include "svm/madvise.h"

namespace softxe {

DrmVmPtr DrmFile::make_vm(DrmDevice& device, VmMode mode, std::shared_ptr<VmContext> context,
                          std::shared_ptr<BindQueue> bind) {
  auto vm = std::make_shared<DrmVm>();
  vm->mode = mode;
  vm->context = std::move(context);
  vm->exec = std::make_shared<ContextVm>(mode, vm->context);
  vm->default_bind = std::move(bind);
  if (mode != VmMode::kDmaFence) vm->awake.emplace(device.power());
  control_jobs(vm->exec, device.exec());
  return vm;
}

Result<int> DrmFile::vm_create(Bytes bytes) {
  SX_TRY(VmCreateRequest request, decode_vm_create(bytes, limits()));
  SX_TRY(auto context, device_.device().create_vm(request));
  auto bind = device_.exec().create_bind_queue();
  if (!bind) {
    device_.device().close_vm(context);
    return fail(bind.error());
  }
  DrmVmPtr vm = make_vm(device_, request.mode(), std::move(context), std::move(*bind));
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
  WaitContext wait = wait_context();
  for (const FencePtr& done : vm->exec->binds.updates()) static_cast<void>(done->wait(wait, Deadline::never()));
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

// What is late holds the client's memory, not this file.
BindClient DrmFile::bind_client() const {
  return {.write =
              [memory = process_.options().memory](const SyncUserFence& word) {
                static_cast<void>(memory->write_object(HostVa(word.address), word.value));
              },
          .named = [this](const GpuRange& range) { memory_named(range); }};
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
  SX_TRY_VOID(
      decode_syncs(request.syncs, ops.empty() ? SyncUse::kBindWithoutOps : SyncUse::kBind, vm->mode, memory_, sink));
  SX_TRY_VOID(vm->exec->binds.submit({.device = device,
                                      .exec = device_.exec(),
                                      .queue = *queue,
                                      .ops = std::move(ops),
                                      .syncs = syncs,
                                      .client = bind_client()}));
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
