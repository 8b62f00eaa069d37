// ExecQueue: an ordered list of jobs for one engine, any of several, or several at once; or, for the
// bind class, an ordered list of binds (bind_queue.h).
//
//   width 1, one placement     that engine
//   width 1, n placements      virtual: whichever of the n has least to do, chosen anew at every slice
//   width n                    parallel: n batches started together on consecutive engines
//
// Queues of width 1 may form groups that share an engine as one context: queue_group.h.
//
// A queue goes from alive to reset and never back. Reset is what a page fault, a bad command, a job time-out,
// destroy or close make of it: its jobs complete with an error, EXEC says ECANCELED, BAN reads 1, waiters
// get EIO (spec/uapi.md 13).
//
// Here is what never changes (QueueFacts), what anybody may read (QueueShown), and a handle: jobs, contexts and turns
// are a QueueState of the Scheduler's.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_vm.h"
#include "drv/exec/fence.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/queue_group.h"
#include "drv/exec/schedule_handle.h"
#include "drv/requests.h"

namespace softxe {

class BindQueue;
class ExecQueue;
struct QueueState;
using ExecQueuePtr = std::shared_ptr<ExecQueue>;

/// One EXEC, as it is asked for.
struct Submission {
  ExecQueuePtr queue;
  std::vector<GpuVa> batches;               ///< one per position
  std::optional<SyncUserFence> user_fence;  ///< address: GPU, written behind the last batch
};

/// What never changes.
struct QueueFacts {
  ExecVmPtr vm;
  EngineClass cls = EngineClass::kRender;
  std::uint16_t width = 1;
  std::uint16_t gt = 0;
  std::uint32_t logical_mask = 0;
  ExecQueueProperties properties;
  GroupRole role = GroupRole::kNone;
  QueueGroupPtr group = nullptr;              ///< null: in none
  std::shared_ptr<BindQueue> bind = nullptr;  ///< null: an engine queue
};

/// What changes and may be read with no lock, by a fork child in the parent's image, too. Written by the Scheduler
/// with its lock; of a bind queue by DeviceExec.
struct QueueShown {
  std::atomic<bool> reset{false};
  std::atomic<std::uint64_t> run_time_ns{0};
  std::atomic<QueuePriority> group_priority{QueuePriority::kNormal};
};

/// Engine and bind queues share ids, hence one type. Thread-safe.
class ExecQueue {
 public:
  static constexpr std::size_t kJobsMax = 1000;

  explicit ExecQueue(QueueFacts facts);
  ~ExecQueue();
  ExecQueue(const ExecQueue&) = delete;
  ExecQueue& operator=(const ExecQueue&) = delete;

  const QueueFacts& facts() const { return facts_; }
  const ExecVmPtr& vm() const { return facts_.vm; }
  bool is_bind_queue() const { return facts_.bind != nullptr; }
  /// Only for bind queues.
  BindQueue& bind() { return *facts_.bind; }
  EngineClass engine_class() const { return facts_.cls; }
  std::uint16_t width() const { return facts_.width; }
  std::uint16_t gt() const { return facts_.gt; }
  std::uint32_t logical_mask() const { return facts_.logical_mask; }
  GroupRole role() const { return facts_.role; }
  const QueueGroupPtr& group() const { return facts_.group; }
  const ExecQueueProperties& properties() const { return facts_.properties; }

  /// Inside its group.
  QueuePriority group_priority() const { return shown_.group_priority.load(std::memory_order_relaxed); }
  /// Property BAN, and the EIO of WAIT_USER_FENCE: reset, killed or banned.
  bool reset() const { return shown_.reset.load(std::memory_order_acquire); }
  /// Run time of the first position, in ns, as of its last slice (fdinfo).
  std::uint64_t run_time_ns() const { return shown_.run_time_ns.load(std::memory_order_relaxed); }

  /// An engine queue that was made: from here to its destroy, or its end, it is one of its VM's.
  void count_in_vm();
  void leave_vm();

  // The Scheduler's.
  QueueShown& shown() { return shown_; }
  ScheduleHandle<QueueState>& handle() { return handle_; }
  const ScheduleHandle<QueueState>& handle() const { return handle_; }

 private:
  const QueueFacts facts_;
  QueueShown shown_;
  std::atomic<bool> counted_{false};   ///< in ExecVm::queues
  ScheduleHandle<QueueState> handle_;  ///< last: the state looks at the rest
};

}  // namespace softxe
