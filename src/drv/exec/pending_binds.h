// PendingBinds: the binds of one VM that have not happened yet, and the order among them and those that come.
//
// Inside a bind queue binds happen in order (bind_queue.h). Across queues:
//
//   updates of overlapping intervals   happen in the order they were asked for (spec/vm.md 3.2a, 3.7)
//   an unmap of what a bind with an unsignalled user fence will map   is EBUSY (spec/vm.md 3.5)
//
// A bind that must wait for a fence is checked at once and done later, as a whole (docs/DEVIATIONS.md).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/lock.h"
#include "drv/exec/bind_queue.h"
#include "drv/exec/fence.h"
#include "drv/exec/job_syncs.h"
#include "drv/vm_ops.h"

namespace softxe {

class BindUserFence;
class DeviceExec;

/// Whom a bind tells what. Copied into what is late: it may hold nothing of an open file.
struct BindClient {
  /// The value of the user fence, when the bind is complete; on a worker when it is late. A failing write is dropped
  /// (spec/uapi.md 9).
  std::function<void(const SyncUserFence& word)> write;
  /// A PREFETCH into VRAM names memory; before the bind is submitted.
  std::function<void(const GpuRange& range)> named;
};

/// One VM_BIND, decoded and resolved.
struct BindCall {
  Device& device;
  DeviceExec& exec;
  BindQueue& queue;
  std::vector<ResolvedBind> ops;
  const JobSyncs& syncs;
  BindClient client;
};

/// Owned by a VM (ContextVm). Thread-safe; no lock is held while a bind waits or runs.
class PendingBinds {
 public:
  explicit PendingBinds(std::shared_ptr<VmContext> context) : context_(std::move(context)) {}

  /// Does it, or queues it behind the fences that it must wait for; installs its fence and writes its user fence. The
  /// caller has flushed the collector. EBUSY: see above. ENOBUFS: too large to wait. Else as vm_bind().
  Status submit(const BindCall& call) SX_EXCLUDES(lock_);
  /// Of every update that was put off.
  std::vector<FencePtr> updates() const SX_EXCLUDES(lock_);

 private:
  using Intervals = std::vector<GpuRange>;
  /// A bind with a user fence that waits behind an in-fence: the tree has not changed yet.
  struct Fenced {
    Intervals maps;                   ///< mirrors left out
    std::vector<FencePtr> waits_for;  ///< in-fences and the bind before it in its queue
    FencePtr done;
    std::shared_ptr<BindUserFence> fence;
  };
  /// A bind that has not happened yet, as others see it: which intervals of the page tables it is going to write.
  struct Update {
    Intervals intervals;
    FencePtr done;
  };
  /// What a new bind waits for. `intervals`: of its own, when somebody has asked for them already.
  struct Order {
    std::optional<Intervals> intervals;
    std::vector<FencePtr> in_fences;
  };

  Status check_fenced(const BindCall& call) SX_EXCLUDES(lock_);
  Order order_of(const BindCall& call) SX_EXCLUDES(lock_);
  bool updates_wait() SX_EXCLUDES(lock_);
  BindQueue::Submission run(const BindCall& call, const Order& order, const std::shared_ptr<BindUserFence>& fence);
  void remember_update(const BindCall& call, Order&& order, const FencePtr& done) SX_EXCLUDES(lock_);
  void remember_fenced(const BindCall& call, Fenced&& fenced) SX_EXCLUDES(lock_);

  const std::shared_ptr<VmContext> context_;
  mutable LeafMutex lock_{"PendingBinds"};
  std::vector<Fenced> fenced_ SX_GUARDED_BY(lock_);
  std::vector<Update> updates_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
