// Exec queues, EXEC, WAIT_USER_FENCE (spec/uapi.md 10-12, 15).
#include <unistd.h>

#include "abi/drm_device.h"
#include "base/step.h"
#include "drv/exec/submit.h"

namespace softxe {

namespace {

class ExtensionContext final : public QueueExtensionContext {
 public:
  ExtensionContext(const IdTable<ExecQueuePtr>& queues, const ExecQueueCreateRequest& request, const ExecVm& vm)
      : queues_(queues), request_(request), vm_(vm) {}
  Privilege privilege() const override { return geteuid() == 0 ? Privilege::kSysNice : Privilege::kNone; }
  TimesliceLimits timeslice_limits() const override { return {}; }
  Status join_group(QueueId id) override {
    ExecQueuePtr found = queues_.find(static_cast<std::uint32_t>(id));
    if (!found) return fail(ENOENT, "no such primary queue");
    SX_TRY_VOID(check_join(*found, request_, vm_));
    primary = std::move(found);
    return {};
  }
  ExecQueuePtr primary;  ///< of the group to join; null: none

 private:
  const IdTable<ExecQueuePtr>& queues_;
  const ExecQueueCreateRequest& request_;
  const ExecVm& vm_;
};

}  // namespace

Result<int> DrmFile::exec_queue_create(Bytes bytes) {
  SX_TRY(ExecQueueCreateRequest request, decode_exec_queue_create(bytes, limits(), memory_));
  DrmVmPtr vm = vms_.find(static_cast<std::uint32_t>(request.vm));
  if (!vm) return fail(ENOENT, "no such VM");
  SX_TRY_VOID(vm->context->vm.check_usable());
  ExtensionContext context(queues_, request, *vm->exec);
  SX_TRY(ExecQueueProperties properties, decode_queue_extensions(request, limits(), memory_, context));
  SX_TRY(ExecQueuePtr queue, device_.exec().create_queue(request, properties, vm->exec, context.primary));
  const Status named = SX_STEP("abi.exec_queue.id");
  const auto id = named ? queues_.add(queue) : Result<std::uint32_t>(fail(named.error()));
  if (!id) {
    device_.exec().discard_queue(queue);
    return fail(id.error());
  }
  reply_exec_queue_create(bytes, QueueId{*id});
  return 0;
}

Result<int> DrmFile::exec_queue_destroy(Bytes bytes) {
  SX_TRY(QueueId id, decode_exec_queue_destroy(bytes));
  ExecQueuePtr queue = queues_.remove(static_cast<std::uint32_t>(id));
  if (!queue) return fail(ENOENT, "no such exec queue");
  device_.exec().destroy_queue(queue);
  retire(*queue);
  return 0;
}

Result<int> DrmFile::exec_queue_get_property(Bytes bytes) {
  SX_TRY(QueuePropertyRequest request, decode_exec_queue_get_property(bytes));
  ExecQueuePtr queue = queues_.find(static_cast<std::uint32_t>(request.queue));
  if (!queue) return fail(ENOENT, "no such exec queue");
  SX_TRY_VOID(check_queue_get_property(request));
  reply_exec_queue_get_property(bytes, queue->reset() ? 1 : 0);
  return 0;
}

Result<int> DrmFile::exec_queue_set_property(Bytes bytes) {
  SX_TRY(QueuePropertyRequest request, decode_exec_queue_set_property(bytes));
  ExecQueuePtr queue = queues_.find(static_cast<std::uint32_t>(request.queue));
  if (!queue) return fail(ENOENT, "no such exec queue");
  SX_TRY(QueuePriority priority, check_queue_set_property(request));
  SX_TRY_VOID(device_.exec().scheduler().set_group_priority(*queue, priority));
  return 0;
}

Status DrmFile::submit_checked(const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs) {
  Status done = submit_in_place(device_.exec(), queue, std::move(batches), syncs, wait_context());
  if (done && queue->vm()->mode() == VmMode::kDmaFence) {  // such a job keeps the card awake
    RuntimePm& power = device_.power();
    power.get();
    device_.exec().scheduler().last_fence(*queue)->on_signal([&power] { power.put(); });
  }
  return done;
}

Result<int> DrmFile::exec(Bytes bytes) {
  SX_TRY(ExecRequest request, decode_exec(bytes));
  ExecQueuePtr queue = queues_.find(static_cast<std::uint32_t>(request.queue));
  if (!queue) return fail(ENOENT, "no such exec queue");
  if (queue->is_bind_queue()) return fail(EINVAL, "EXEC on a bind queue");
  SX_TRY_VOID(check_exec_width(request, queue->width()));
  SX_TRY_VOID(device_.exec().check_submit(*queue));
  JobSyncs syncs(syncobjs_);
  JobSyncSink sink(syncs);
  SX_TRY_VOID(decode_syncs(request.syncs, SyncUse::kExec, queue->vm()->mode(), memory_, sink));
  SX_TRY(std::vector<GpuVa> batches, read_batch_addresses(request, limits(), memory_));
  process_.options().before_submit();
  const auto& vm = static_cast<ContextVm&>(*queue->vm()).context().vm;
  const EventScope executes(device_.device().counters().count({.address = batches.empty() ? 0 : batches.front().value(),
                                                               .word = batches.size(),
                                                               .asid = vm.config().asid,
                                                               .kind = EventKind::kExec}));
  if (batches.empty()) {
    SX_TRY_VOID(device_.exec().submit(queue, std::move(batches), syncs));
  } else {
    SX_TRY_VOID(submit_checked(queue, std::move(batches), syncs));
  }
  return 0;
}

Result<int> DrmFile::wait_fence(Bytes bytes) {
  SX_TRY(WaitUserFenceRequest request, decode_wait_user_fence(bytes));
  ExecQueuePtr queue;
  if (request.queue) {
    queue = queues_.find(static_cast<std::uint32_t>(*request.queue));
    if (!queue) return fail(ENOENT, "no such exec queue");
  }
  const UserWordReader read = [this](HostVa at) -> Result<std::uint64_t> {
    std::uint64_t word = 0;
    SX_TRY_VOID(memory_.read_object(at, word));
    return word;
  };
  WaitContext wait = interruptible_wait();
  WaitUserFenceAnswer answer = wait_user_fence(request, queue, read, device_.exec().waiters(), wait);
  reply_wait_user_fence(bytes, answer.timeout_ns);
  SX_TRY_VOID(answer.status);
  return 0;
}

Result<int> DrmFile::observation(Bytes bytes) {
  SX_TRY(ObservationRequest request, decode_observation(bytes));
  static_cast<void>(request);
  return fail(ENODEV, "no observation units on a software device");
}

}  // namespace softxe
