// Exec queues and jobs of scenario files: the execution half of one device, run slice by slice on the caller's thread.
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
/// from several threads; they take turns.
class Queues {
 public:
  Queues(Device& device, const Clock& clock);

  Status create(const QueueSpec& spec, const std::shared_ptr<VmContext>& vm, VmMode mode);
  Status destroy(const std::string& name);
  Status set_priority(const std::string& name, QueueRank rank);
  /// The batch stands in memory.
  Status exec(const ExecSpec& spec);
  bool has(const std::string& queue) const;
  /// The name of its VM.
  Result<std::string> vm_of(const std::string& queue) const;
  bool has_job(const std::string& job) const;

  /// One slice; false when nothing can run.
  bool run_once();
  /// EBUSY: live queues of a VM in preempt-fence mode.
  Status check_close(const VmContext& vm) const;
  /// -1: not complete.
  Result<int> job_error(const std::string& job) const;
  Result<std::string> queue_state(const std::string& queue) const;

 private:
  Result<ExecQueuePtr> find(const std::string& name) const;
  Result<ExecQueueCreateRequest> request_for(const QueueSpec& spec) const;

  Device& device_;
  HwBackendFactory backends_;
  DeviceExec exec_;
  const SyncobjTable no_syncobjs_;
  /// Held while a slice runs: no engine lock is held when it is taken.
  mutable Mutex<LockRank::kDrmFile> mutex_{"scenario queues"};
  std::map<const VmContext*, std::shared_ptr<ContextVm>> vms_;
  struct Named {
    ExecQueuePtr queue;
    std::string vm;
  };
  std::map<std::string, Named> queues_;
  std::map<std::string, FencePtr> jobs_;
};

}  // namespace softxe::scenario
