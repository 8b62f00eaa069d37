// Exec queues, EXEC, WAIT_USER_FENCE (spec/uapi.md 10-12, 15).
#include <unistd.h>

#include "abi/drm_device.h"
#include "base/step.h"
#include "base/turns.h"
#include "drv/vm_ops.h"

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

namespace {

/// Announcements that came beside an eviction before EXEC gives up; each such eviction gave its memory to
/// another request, so this many in a row mean that the VM cannot keep what it needs.
constexpr unsigned kAnnouncementsMax = 1000;

// The jobs of a dma-fence VM cannot fault and need their PTEs until they end. The PTEs are put right first,
// which may wait for evictions; then the submission is announced, so that evictions wait for it, and checked
// again. One that came in between shows in the counter or in stale PTEs. The fence stands for the job: the
// caller signals it when the job is done, or is not to be.
Result<FencePtr> announce(VmContext& context, VmJobs& jobs, const WaitContext& wait) {
  for (unsigned tries = 0; tries < kAnnouncementsMax; ++tries) {
    SX_TRY_VOID(revalidate_with_patience(context, wait));
    SX_MARK("abi.exec.validated");
    const FencePtr announced = Fence::pending();
    jobs.add(announced);
    // In this order: an eviction lowers the count after its zap.
    const std::uint32_t evictions = context.evictions.load();
    if (evictions == 0 && !context.vm.has_stale_ptes()) return announced;
    announced->signal();
    if (evictions != 0) wait_while(context.evictions, evictions);
  }
  return fail(ENOSPC, "the VM's objects are pushed out again and again");
}

}  // namespace

Status DrmFile::submit_checked(const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs) {
  auto& context = static_cast<ContextVm&>(*queue->vm()).context();
  DeviceExec& exec = device_.exec();
  switch (queue->vm()->mode()) {
    case VmMode::kFault: return exec.submit(queue, std::move(batches), syncs);
    case VmMode::kDmaFence: {
      SX_TRY(FencePtr announced, announce(context, queue->vm()->jobs, wait_context()));
      Status done = exec.submit(queue, std::move(batches), syncs);
      SX_MARK("abi.exec.submitted");
      if (done) {
        RuntimePm& power = device_.power();
        power.get();
        exec.scheduler().last_fence(*queue)->on_signal([announced, &power] {
          announced->signal();
          power.put();
        });
      } else {
        announced->signal();
      }
      return done;
    }
    case VmMode::kPreemptFence: {
      // No job starts before its entries are there: an eviction between the check and the submission finds no
      // work to restore the VM for, so it is looked for again; a later one finds the job.
      DeviceExec::VmPause hold(exec, queue->vm());
      SX_TRY_VOID(revalidate_with_patience(context, wait_context()));
      SX_MARK("abi.exec.validated");
      SX_TRY_VOID(exec.submit(queue, std::move(batches), syncs));
      static_cast<void>(revalidate(context));
      return {};
    }
  }
  SX_UNREACHABLE("a VM has one of three modes");
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
