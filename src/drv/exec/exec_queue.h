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
// get EIO (spec/uapi.md 13). All state but `reset` belongs to the Scheduler and its lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/event_ring.h"
#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_vm.h"
#include "drv/exec/fence.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/queue_group.h"
#include "drv/requests.h"

namespace softxe {

class BindQueue;
class Engine;
class ExecQueue;
class Scheduler;
using ExecQueuePtr = std::shared_ptr<ExecQueue>;

/// One EXEC. Keeps its queue alive from submission to its fence.
struct Job {
  ExecQueuePtr queue;                          ///< cleared under the scheduler's lock when the job is complete
  std::vector<GpuVa> batches;                  ///< one per position
  std::optional<SyncUserFence> user_fence;     ///< address: GPU, written behind the last batch
  std::atomic<std::uint32_t> batches_left{0};  ///< positions whose batch has not ended
  FencePtr done = Fence::pending();
  std::uint64_t cause = current_cause();  ///< the EXEC, as an event

  // Scheduler's lock:
  bool ready = false;                      ///< in-fences have signalled
  bool started = false;                    ///< a slice of it has begun
  bool in_group = false;                   ///< counted in EngineGroup::dma_jobs
  std::uint32_t left = 0;                  ///< positions that have not finished
  std::uint64_t run_time_at_start_ns = 0;  ///< of the first position's context
  std::uint64_t run_time_checked_ns = 0;   ///< the same at the last time-out check
  std::uint64_t next_check_ns = 0;         ///< of the job time-out; 0: timer not armed
  std::uint64_t gated_since_ns = 0;        ///< fault mode: waits for dma-fence jobs of its group
};
using JobPtr = std::shared_ptr<Job>;

/// One position of a queue: what an engine's run queue holds. Scheduler's lock, but for the first group.
struct QueueContext {
  ExecQueue* queue = nullptr;     ///< fixed
  unsigned position = 0;          ///< fixed
  std::unique_ptr<HwContext> hw;  ///< used by the worker that runs it
  std::atomic<bool> stop{false};  ///< end the running slice early

  enum class State : std::uint8_t { kIdle, kQueued, kRunning };
  enum class Mood : std::uint8_t { kBusy, kPolling, kYielded };
  State state = State::kIdle;
  Mood mood = Mood::kBusy;
  bool in_vain = false;                 ///< waits, and none of its group has got on since it was looked at
  bool begin = false;                   ///< the job's batch has not begun
  std::uint64_t began = kNoEvent;       ///< the event of its beginning
  bool batch_done = false;              ///< only the user fence is left to write
  bool ended_last = false;              ///< of its job's batches: it writes the user fence
  Engine* engine = nullptr;             ///< where it is queued, running or resident
  std::uint64_t run_time_ns = 0;        ///< up to resident_since_ns
  std::uint64_t resident_since_ns = 0;  ///< 0: switched out
  std::uint32_t passed_over = 0;        ///< times a higher priority went first
  std::uint64_t progress_before = 0;    ///< of `hw`, when it became the current one of its group
  std::uint64_t progress_seen = 0;      ///< of `hw`, at ...
  std::uint64_t progress_ns = 0;        ///< ... the last time it had changed
};

/// Engine and bind queues share ids, hence one type.
class ExecQueue : public std::enable_shared_from_this<ExecQueue> {
 public:
  static constexpr std::size_t kJobsMax = 1000;

  ~ExecQueue();
  ExecQueue(const ExecQueue&) = delete;
  ExecQueue& operator=(const ExecQueue&) = delete;

  const ExecVmPtr& vm() const { return vm_; }
  bool is_bind_queue() const { return bind_ != nullptr; }
  /// Only for bind queues.
  BindQueue& bind() { return *bind_; }
  EngineClass engine_class() const { return cls_; }
  std::uint16_t width() const { return width_; }
  std::uint16_t gt() const { return gt_; }
  std::uint32_t logical_mask() const { return logical_mask_; }
  GroupRole role() const { return role_; }
  const QueueGroupPtr& group() const { return group_; }
  /// Inside its group.
  QueuePriority group_priority() const { return group_priority_.load(std::memory_order_relaxed); }
  const ExecQueueProperties& properties() const { return properties_; }

  /// Property BAN, and the EIO of WAIT_USER_FENCE: reset, killed or banned.
  bool reset() const { return reset_.load(std::memory_order_acquire); }
  /// Run time of the first position, in ns, as of its last slice (fdinfo).
  std::uint64_t run_time_ns() const { return run_time_shown_.load(std::memory_order_relaxed); }

 private:
  friend class DeviceExec;
  friend class Engine;
  friend class Scheduler;
  ExecQueue() = default;

  ExecVmPtr vm_;
  EngineClass cls_ = EngineClass::kRender;
  std::uint16_t width_ = 1;
  std::uint16_t gt_ = 0;
  std::uint32_t logical_mask_ = 0;
  ExecQueueProperties properties_;
  GroupRole role_ = GroupRole::kNone;
  QueueGroupPtr group_;  ///< null: in none
  std::shared_ptr<BindQueue> bind_;
  std::weak_ptr<Scheduler> scheduler_;  ///< none: a bind queue, or the device is gone
  std::atomic<bool> reset_{false};
  std::atomic<bool> counted_{false};  ///< in ExecVm::queues_
  std::atomic<std::uint64_t> run_time_shown_{0};
  std::atomic<QueuePriority> group_priority_{QueuePriority::kNormal};  ///< written with the scheduler's lock

  // Scheduler's lock:
  std::vector<std::unique_ptr<QueueContext>> contexts_;  ///< one per position
  std::deque<JobPtr> jobs_;                              ///< submitted and not complete; the front may be running
  FencePtr last_;                                        ///< of the newest job
  int first_error_ = 0;                                  ///< of a reset: what the started job's fence says
};

}  // namespace softxe
