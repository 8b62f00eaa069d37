// DeviceExec: the execution half of one device: engines, queues, jobs, binds in order, fences.
//
// What an ioctl handler does with it (checks of the request alone are done by abi/ before):
//   EXEC_QUEUE_CREATE  create_queue(); then the file's IdTable<ExecQueuePtr>::add()
//   EXEC_QUEUE_DESTROY remove() from the table, then destroy_queue()
//   GET_PROPERTY BAN   queue->reset()
//   EXEC               is_bind_queue() -> EINVAL; width; check_submit(); JobSyncs from the entries; batch
//                      addresses; submit()
//   VM_BIND            JobSyncs; the VM's PendingBinds: submit()
//   WAIT_USER_FENCE    wait_user_fence(..., waiters(), ...)
//   SYNCOBJ_*          the file's SyncobjTable; needs nothing from here
//   VM_DESTROY         vm.queue_count() for EBUSY; close_vm of the device; wait on vm.jobs.all()
//   close(fd)          destroy_queue() of every queue, then the VMs
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "drv/exec/bind_queue.h"
#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/scheduler.h"
#include "drv/exec/wait_context.h"
#include "drv/exec/wait_user_fence.h"
#include "drv/exec/work_queue.h"

namespace softxe {

/// Whether a queue for these engines of this VM may join the group of `primary`: EINVAL when that is none, or has
/// other engines or another VM.
Status check_join(const ExecQueue& primary, const ExecQueueCreateRequest& request, const ExecVm& vm);

/// Jobs that go on for longer are let run beside the client.
inline constexpr std::uint64_t kSettleNs = 5'000'000'000;

/// One per device, owned by it. Thread-safe. No method may be called with a lock of rank >= kVm held, unless
/// it says so.
class DeviceExec {
 public:
  struct Config {
    const DeviceProfile& profile;
    const Clock& clock;
    CounterSet& counters;
    /// The hardware: HwBackendFactory (hw_backend.h). Outlives this object.
    BackendFactory& backends;
    ExecPolicy policy = ExecPolicy::kThreads;
    ThreadStarter starter = default_thread_starter();
    /// As SchedulerConfig::hung.
    std::function<void()> hung{};
  };
  explicit DeviceExec(const Config& config);
  /// As shut_down().
  ~DeviceExec();
  DeviceExec(const DeviceExec&) = delete;
  DeviceExec& operator=(const DeviceExec&) = delete;

  const Clock& clock() const { return config_.clock; }
  /// How a thread of the client waits on this device.
  WaitContext wait_context();
  Scheduler& scheduler() { return *scheduler_; }
  UserFenceWaiters& waiters() { return waiters_; }
  /// Fences may need work off the signalling thread (user fences of binds, deferred operations).
  WorkQueue& work() { return *work_; }

  /// ENOENT: VM closed or banned. EINVAL: the group is full. The request and its properties were decoded.
  /// `primary`: of the group that a secondary joins, which passed check_join(); a queue that joins a group that is
  /// gone is reset from the start.
  Result<ExecQueuePtr> create_queue(const ExecQueueCreateRequest& request, const ExecQueueProperties& properties,
                                    ExecVmPtr vm, const ExecQueuePtr& primary = nullptr);
  /// Of a queue that nobody could use yet: its place in its group is free again.
  void discard_queue(const ExecQueuePtr& queue);
  /// In a fork child: a queue like one of the parent's, of which only what never changes and atomics are read; reset
  /// as that one is. Nothing of its jobs is here. `groups`: the child's, by the parent's.
  using InheritedGroups = std::map<const QueueGroup*, QueueGroupPtr>;
  ExecQueuePtr inherit_queue(const ExecQueue& parents, ExecVmPtr vm, InheritedGroups& groups);
  /// A bind queue, for an exec queue or for a VM, whose own has no id. ENOMEM.
  Result<std::shared_ptr<BindQueue>> create_bind_queue();
  /// The same in a fork child, where it cannot be refused.
  std::shared_ptr<BindQueue> make_bind_queue();
  /// Kills: see exec_queue.h. Returns at once; unfinished jobs complete when they have left their engines.
  void destroy_queue(const ExecQueuePtr& queue);

  /// ECANCELED, EAGAIN: the checks of EXEC that come before its sync entries.
  Status check_submit(const ExecQueue& queue) const { return scheduler_->check_submit(queue); }
  /// EXEC with batches: ECANCELED (queue reset; VM closed or banned), EAGAIN. With none (num_batch_buffer 0):
  /// out-syncs get the last fence in a dma-fence VM (EOPNOTSUPP with in-syncs), nothing else.
  Status submit(const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs);

  /// The VM was banned: kills its queues when it is a preempt-fence VM (spec/vm.md 2.6).
  void vm_banned(const ExecVm& vm);
  /// debugfs force_reset: bans queues whose first job had started (spec/uapi.md 13).
  void reset_gt(std::uint16_t gt) { scheduler_->reset_gt(gt); }
  /// Every queue ends: the device is wedged, or its driver is unbound.
  void reset_all() { scheduler_->reset_all(); }
  /// True when no engine of the GT has a context queued or running.
  bool gt_idle(std::uint16_t gt) const { return scheduler_->gt_idle(gt); }

  /// Between construction and destruction no context of the VM runs: for changes that must not race with
  /// its jobs (preempt-fence rebinds, userptr invalidation). May be taken under a Vm lock only if
  /// the VM's faults do not need that lock (never in fault mode).
  class VmPause {
   public:
    VmPause(DeviceExec& exec, ExecVmPtr vm);
    ~VmPause();
    VmPause(const VmPause&) = delete;
    VmPause& operator=(const VmPause&) = delete;

   private:
    DeviceExec& exec_;
    ExecVmPtr vm_;
  };

  /// Waits until engines and late work have come to rest (Scheduler::settle()), or for kSettleNs. kThreads only.
  Scheduler::Settled settle(const WaitContext& wait);
  /// kManual: runs one slice or one piece of late work; false when nothing can run.
  bool run_once();
  /// Kills everything and joins all threads. Later submissions fail with ECANCELED.
  void shut_down();

 private:
  const Config config_;
  UserFenceWaiters waiters_;
  std::shared_ptr<WorkQueue> work_;
  /// Shared: fences of other devices may hold callbacks to it that outlive this object.
  std::shared_ptr<Scheduler> scheduler_;
};

}  // namespace softxe
