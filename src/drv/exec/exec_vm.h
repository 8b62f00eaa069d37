// ExecVm: a VM as the execution half sees it, and the fences of its jobs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/lock.h"
#include "drv/exec/fence.h"
#include "drv/exec/schedule_handle.h"
#include "drv/requests.h"

namespace softxe {

/// The unfinished jobs of one dma-fence VM: VM_DESTROY, MADVISE and invalidations wait for them
/// (spec/uapi.md 2, 14). Jobs of long-running VMs leave no fence here. Thread-safe.
class VmJobs {
 public:
  void add(FencePtr job) SX_EXCLUDES(lock_);
  /// The unfinished jobs, oldest first.
  std::vector<FencePtr> pending() const SX_EXCLUDES(lock_);
  /// Signals when every job submitted so far is done.
  FencePtr all() const { return all_of(pending()); }

 private:
  mutable LeafMutex lock_{"VmJobs"};
  mutable std::vector<FencePtr> jobs_ SX_GUARDED_BY(lock_);
};

struct VmState;

/// Held by its queues. The mode never changes; closed and banned never go back. Thread-safe.
class ExecVm {
 public:
  explicit ExecVm(VmMode mode) : mode_(mode) {}
  virtual ~ExecVm() = default;
  ExecVm(const ExecVm&) = delete;
  ExecVm& operator=(const ExecVm&) = delete;

  VmMode mode() const { return mode_; }
  virtual bool closed() const = 0;
  virtual bool banned() const = 0;

  VmJobs jobs;

  /// Live engine queues (bind queues not counted): VM_DESTROY of a preempt-fence VM is EBUSY unless 0.
  std::uint32_t queue_count() const { return queues.load(std::memory_order_acquire); }
  std::atomic<std::uint32_t> queues{0};  ///< changed by its queues

  /// The Scheduler's. Empty until the first queue, or pause.
  ScheduleHandle<VmState> handle;

 private:
  const VmMode mode_;
};

using ExecVmPtr = std::shared_ptr<ExecVm>;

}  // namespace softxe
