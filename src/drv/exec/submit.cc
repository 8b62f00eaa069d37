// EXEC between its checks and the scheduler.
#include "drv/exec/submit.h"

#include "base/step.h"
#include "base/turns.h"
#include "drv/exec/context_vm.h"
#include "drv/vm_ops.h"

namespace softxe {

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
    SX_MARK("drv.exec.validated");
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

Status submit_in_place(DeviceExec& exec, const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs,
                       const WaitContext& wait) {
  auto& context = static_cast<ContextVm&>(*queue->vm()).context();
  switch (queue->vm()->mode()) {
    case VmMode::kFault: return exec.submit(queue, std::move(batches), syncs);
    case VmMode::kDmaFence: {
      SX_TRY(FencePtr announced, announce(context, queue->vm()->jobs, wait));
      Status done = exec.submit(queue, std::move(batches), syncs);
      SX_MARK("drv.exec.submitted");
      if (done) {
        exec.scheduler().last_fence(*queue)->on_signal([announced] { announced->signal(); });
      } else {
        announced->signal();
      }
      return done;
    }
    case VmMode::kPreemptFence: {
      // No job starts before its entries are there: an eviction between the check and the submission finds no
      // work to restore the VM for, so it is looked for again; a later one finds the job.
      DeviceExec::VmPause hold(exec, queue->vm());
      SX_TRY_VOID(revalidate_with_patience(context, wait));
      SX_MARK("drv.exec.validated");
      SX_TRY_VOID(exec.submit(queue, std::move(batches), syncs));
      static_cast<void>(revalidate(context));
      return {};
    }
  }
  SX_UNREACHABLE("a VM has one of three modes");
}

}  // namespace softxe
