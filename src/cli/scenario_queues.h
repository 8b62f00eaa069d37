// Exec queues and jobs of scenario files: the execution half of one device, run slice by slice on the caller's thread
// or by engines that are flows of their own.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/scenario_world.h"
#include "drv/exec/device_exec.h"
#include "drv/exec/hw_backend.h"

namespace softxe::scenario {

/// The bytes of a batch that stands at `address`, whole quadwords.
std::vector<std::uint64_t> encode_batch(const std::vector<BatchCommand>& commands, std::uint64_t address);

/// Queues and jobs by name. Its destructor ends all jobs; it goes before its VMs and its device. Statements may come
/// from several flows.
class Queues {
 public:
  /// What starts engines and late work; empty: they run inside run_once().
  Queues(Device& device, const Clock& clock, ThreadStarter starter);
  ~Queues();

  Status create(const QueueSpec& spec, const std::shared_ptr<VmContext>& vm, VmMode mode);
  Status destroy(const std::string& name);
  Status set_priority(const std::string& name, QueueRank rank);
  /// The batch stands in memory.
  Status exec(const ExecSpec& spec);
  bool has(const std::string& queue) const;
  /// The name of its VM.
  Result<std::string> vm_of(const std::string& queue) const;
  bool has_job(const std::string& job) const;

  bool runs_by_itself() const { return policy_ == ExecPolicy::kThreads; }
  /// One slice; false when nothing can run. Only where it does not run by itself.
  bool run_once();
  /// Until the job is complete, or all are: its errno, 0. Only where it runs by itself. ETIME: not in ten seconds.
  Result<int> wait(const std::string& job);
  Status wait_for_all();
  /// EBUSY: live queues of a VM in preempt-fence mode.
  Status check_close(const VmContext& vm) const;
  /// -1: not complete.
  Result<int> job_error(const std::string& job) const;
  Result<std::string> queue_state(const std::string& queue) const;

 private:
  Result<ExecQueuePtr> find(const std::string& name) const SX_REQUIRES(mutex_);
  Result<ExecQueueCreateRequest> request_for(const QueueSpec& spec) const;

  Device& device_;
  const ExecPolicy policy_;
  HwBackendFactory backends_;
  DeviceExec exec_;
  const SyncobjTable no_syncobjs_;
  /// Held while a slice of run_once() runs: no engine lock is held when it is taken.
  mutable Mutex<LockRank::kDrmFile> mutex_{"scenario queues"};
  std::map<const VmContext*, std::shared_ptr<ContextVm>> vms_;
  /// EXECs of one queue take turns: whose job is whose is known by its being the last.
  struct Turn {
    Mutex<LockRank::kDrmFile> mutex{"scenario queue"};
  };
  struct Named {
    ExecQueuePtr queue;
    std::string vm;
    std::shared_ptr<Turn> turn;
  };
  /// The fence of the new job.
  Result<FencePtr> submit(const Named& to, const ExecSpec& spec);
  Result<Named> find_named(const std::string& name) const SX_REQUIRES(mutex_);
  std::map<std::string, Named> queues_;
  std::map<std::string, FencePtr> jobs_;
};

}  // namespace softxe::scenario
