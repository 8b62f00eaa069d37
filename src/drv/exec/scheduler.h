// Scheduler: which context runs on which engine, and what becomes of jobs and queues.
//
// One lock (leaf) for all engines of the device: run queues, job lists, group modes and pauses change
// together when a job starts on several engines or moves between them; slices run without it. Nothing is
// signalled, woken or freed under it: such effects are collected in an After and paid when it is released.
//
//   scheduler.cc        engines, picking, slices, accounting
//   scheduler_jobs.cc   submission, start, completion, reset, time-outs, group modes, pauses
//   scheduler_groups.cc multi-queue groups: who may go, joining, priorities
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/counters.h"
#include "drv/exec/engine.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/wait_user_fence.h"

namespace softxe {

struct SchedulerConfig {
  const DeviceProfile& profile;
  const Clock& clock;
  CounterSet& counters;
  UserFenceWaiters& waiters;
  BackendFactory& backends;
  ExecPolicy policy = ExecPolicy::kThreads;
  ThreadStarter starter = default_thread_starter();
};

/// Per-class limits that sysfs can change (spec/uapi.md 10, class defaults).
struct ClassLimits {
  std::atomic<std::uint32_t> job_timeout_ms{5000};
  std::atomic<std::uint32_t> timeslice_us{1000};
  std::atomic<std::uint32_t> preempt_timeout_us{640'000};
};

class Scheduler : public std::enable_shared_from_this<Scheduler> {
 public:
  explicit Scheduler(const SchedulerConfig& config);
  /// Everything was stop()ped and every queue is gone.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  std::span<const std::unique_ptr<Engine>> engines() const { return engines_; }
  ClassLimits& limits(EngineClass cls) { return limits_[static_cast<std::size_t>(cls)]; }

  /// Makes the contexts of an engine queue and enters it. The queue's own facts are set. EINVAL: its group is full.
  Status attach(ExecQueue& queue) SX_EXCLUDES(lock_);
  /// The same for one that had its place in its group before a fork.
  void attach_inherited(ExecQueue& queue) SX_EXCLUDES(lock_);
  /// Takes back what attach() has done to the count of its group.
  void give_back_place(ExecQueue& queue) SX_EXCLUDES(lock_);
  void forget(ExecQueue& queue) SX_EXCLUDES(lock_);

  /// ECANCELED: queue reset. EAGAIN: 1000 jobs outstanding. First check of EXEC after its decoding.
  Status check_submit(const ExecQueue& queue) const SX_EXCLUDES(lock_);
  /// Queues the job; it starts when `in_fences` have signalled and those before it are done. Installs
  /// job->done through `syncs` before anything can signal it. Same errors as check_submit().
  Status submit(const JobPtr& job, const JobSyncs& syncs) SX_EXCLUDES(lock_);
  /// The newest job's fence; a signalled one when there was none.
  FencePtr last_fence(const ExecQueue& queue) const SX_EXCLUDES(lock_);

  /// From the next choice inside its group on; nothing for a queue that was reset. EINVAL: in no group.
  Status set_group_priority(ExecQueue& queue, QueuePriority priority) SX_EXCLUDES(lock_);

  /// kGroup: another member of its group was banned.
  enum class ResetCause : std::uint8_t { kKilled, kFault, kBadCommand, kBadKernel, kTimeout, kGtReset, kGroup };
  /// A ban is one of the whole group, and so is the end of its primary.
  void reset(ExecQueue& queue, ResetCause cause) SX_EXCLUDES(lock_);
  /// Resets the queues of a VM (its ban in preempt-fence mode, close of the file).
  void reset_vm(const ExecVm& vm, ResetCause cause) SX_EXCLUDES(lock_);
  void reset_gt(std::uint16_t gt) SX_EXCLUDES(lock_);
  /// True when no engine of the GT has a context queued or running ("gt-c6").
  bool gt_idle(std::uint16_t gt) const SX_EXCLUDES(lock_);

  /// True when a queue of the VM has a job that is not complete.
  bool busy(const ExecVm& vm) const SX_EXCLUDES(lock_);
  /// No context of the VM runs from the return of pause() to resume(). Nests.
  void pause(ExecVm& vm) SX_EXCLUDES(lock_);
  void resume(ExecVm& vm) SX_EXCLUDES(lock_);

  /// kManual: one slice on the next engine, in turn, that has something to run.
  bool run_once();
  /// Kills every queue and joins every worker.
  void stop() SX_EXCLUDES(lock_);

 private:
  friend class Engine;

  /// Effects to pay outside the lock, in this order.
  struct After {
    std::vector<std::pair<JobPtr, int>> done;  ///< signal with that error; keeps the queue alive
    std::vector<Engine*> start;                ///< needs a thread
    std::vector<Engine*> wake;
    bool notify_waiters = false;
    bool notify_pausers = false;
  };
  void pay(After& after) SX_EXCLUDES(lock_);

  // scheduler.cc: engines and slices
  bool pick(Engine& engine, Engine::Pick& pick) SX_EXCLUDES(lock_);
  /// The event of the job's beginning at this position.
  std::uint64_t note_begin(const Engine& engine, Engine::Pick& pick);
  SliceEnd run_slice(Engine& engine, Engine::Pick& pick) SX_EXCLUDES(lock_);
  void finish_slice(Engine& engine, Engine::Pick& pick, SliceEnd end) SX_EXCLUDES(lock_);
  enum class Rest : std::uint8_t { kGoOn, kEnd };
  enum class Ran : std::uint8_t { kSlice, kNothing };
  /// Between slices on the worker: sleeps as the polling back-off or idleness asks.
  Rest rest(Engine& engine, Ran ran) SX_EXCLUDES(lock_);

  QueueContext* choose(Engine& engine, std::uint64_t now_ns) SX_REQUIRES(lock_);
  QueueContext* steal(Engine& thief, std::uint64_t now_ns) SX_REQUIRES(lock_);
  bool eligible(const QueueContext& context, const EngineGroup& group) const SX_REQUIRES(lock_);
  bool may_run(const QueueContext& context, const EngineGroup& group) const SX_REQUIRES(lock_);

  // scheduler_groups.cc: multi-queue groups
  static bool outranked(const QueueContext& context);
  /// `leaves`: why the member is not the current one any more. `ran_on`: looks for the next one by itself.
  enum class Leaves : std::uint8_t { kForGood, kWaits };
  void drop_current(QueueContext& context, Leaves leaves, const Engine* ran_on, After& after) SX_REQUIRES(lock_);
  void make_current(QueueContext& context) SX_REQUIRES(lock_);
  static void look_at_all(const QueueGroup& group);
  void end_turn(QueueContext& context, SliceEnd end, const Engine& ran_on, After& after) SX_REQUIRES(lock_);
  void wake_members(const QueueGroup& group, Leaves why, const Engine* but, After& after) SX_REQUIRES(lock_);
  Status join(ExecQueue& queue) SX_REQUIRES(lock_);
  void make_resident(Engine& engine, QueueContext& context, std::uint64_t now_ns) SX_REQUIRES(lock_);
  void switch_out(QueueContext& context, std::uint64_t now_ns) SX_REQUIRES(lock_);
  void account_busy(Engine& engine, std::uint64_t now_ns) SX_REQUIRES(lock_);
  std::uint64_t run_time(const QueueContext& context, std::uint64_t now_ns) const SX_REQUIRES(lock_);
  std::uint64_t timeslice_ns(const ExecQueue& queue) const;
  void enqueue(QueueContext& context, Engine& engine, After& after) SX_REQUIRES(lock_);
  void requeue(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) SX_REQUIRES(lock_);
  void back_off(Engine& engine, SliceEnd end) SX_REQUIRES(lock_);
  void wake(Engine& engine, After& after) SX_REQUIRES(lock_);
  void wake_group(const EngineGroup& group, After& after) SX_REQUIRES(lock_);
  std::vector<Engine*> place(const ExecQueue& queue) const SX_REQUIRES(lock_);
  Engine& engine_at(const ExecQueue& queue, unsigned instance) const;
  static std::size_t load(const Engine& engine);

  // scheduler_jobs.cc: jobs and queues
  void job_ready(const JobPtr& job) SX_EXCLUDES(lock_);
  void start_front(ExecQueue& queue, After& after) SX_REQUIRES(lock_);
  void enter_group(Job& job, EngineGroup& group) SX_REQUIRES(lock_);
  void leave_group(Job& job, After& after) SX_REQUIRES(lock_);
  void suspend_fault_queues(EngineGroup& group) SX_REQUIRES(lock_);
  void left_slice(Engine& engine, QueueContext& context, After& after) SX_REQUIRES(lock_);
  void position_done(QueueContext& context, After& after) SX_REQUIRES(lock_);
  void reset_locked(ExecQueue& queue, ResetCause cause, After& after) SX_REQUIRES(lock_);
  void reset_one(ExecQueue& queue, ResetCause cause, After& after) SX_REQUIRES(lock_);
  void make_contexts(ExecQueue& queue);
  void enter(ExecQueue& queue) SX_REQUIRES(lock_);
  void cancel_jobs(ExecQueue& queue, After& after) SX_REQUIRES(lock_);
  void check_timeout(ExecQueue& queue, std::uint64_t now_ns, After& after) SX_REQUIRES(lock_);
  void check_orphan(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) SX_REQUIRES(lock_);
  EngineGroup& group_of_queue(const ExecQueue& queue) const;
  static bool running(const ExecQueue& queue);

  const SchedulerConfig config_;
  std::array<ClassLimits, kEngineClasses> limits_;
  std::size_t turn_ = 0;  ///< run_once() of the manual policy

  mutable LeafMutex lock_{"Scheduler"};
  std::set<ExecQueue*> queues_ SX_GUARDED_BY(lock_);
  bool stopping_ SX_GUARDED_BY(lock_) = false;
  CondVar pausers_;

  // Fixed after construction; what is inside belongs to lock_. Last: their threads use the rest.
  std::vector<std::unique_ptr<EngineGroup>> groups_;
  std::vector<std::unique_ptr<Engine>> engines_;
};

}  // namespace softxe
