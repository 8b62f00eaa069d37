// Scheduler: which context runs on which engine, and what becomes of jobs and queues.
//
// Owns the states of queues, VMs and engines (queue_state.h, engine_state.h); an ExecQueue or ExecVm finds its own by
// its handle. One lock (leaf) for all engines of the device: run queues, job lists, group modes and pauses change
// together when a job starts on several engines or moves between them; slices run without it. Nothing is
// signalled, woken or freed under it: such effects are collected in an After and paid when it is released.
//
//   scheduler.cc        queues come and go, workers, effects
//   scheduler_slice.cc  picking, slices, what becomes of a context after one
//   scheduler_jobs.cc   submission, start, completion, reset, time-outs, group modes, pauses
//   scheduler_groups.cc multi-queue groups: who may go, joining, priorities
//   scheduler_settle.cc waiting until nothing goes on by itself
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/counters.h"
#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/job_syncs.h"
#include "drv/exec/wait_context.h"
#include "drv/exec/wait_user_fence.h"
#include "drv/exec/worker_thread.h"

namespace softxe {

// What only the Scheduler sees.
struct After;
struct EngineGroup;
struct EngineState;
struct Job;
struct Pick;
struct QueueContext;
struct QueueState;
struct VmState;

struct SchedulerConfig {
  const DeviceProfile& profile;
  const Clock& clock;
  CounterSet& counters;
  UserFenceWaiters& waiters;
  BackendFactory& backends;
  ExecPolicy policy = ExecPolicy::kThreads;
  ThreadStarter starter = default_thread_starter();
  /// A job took longer than its queue's class may, or was ended for what it did: Linux treats both alike. Before its
  /// fence signals, without locks. Empty: nobody listens.
  std::function<void()> hung{};
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

  ClassLimits& limits(EngineClass cls) { return limits_[static_cast<std::size_t>(cls)]; }

  /// Makes the contexts of an engine queue and enters it. The queue's own facts are set. EINVAL: its group is full.
  Status attach(ExecQueue& queue) SX_EXCLUDES(schedule);
  /// The same for one that had its place in its group before a fork.
  void attach_inherited(ExecQueue& queue) SX_EXCLUDES(schedule);
  /// Takes back what attach() has done to the count of its group.
  void give_back_place(ExecQueue& queue) SX_EXCLUDES(schedule);
  /// The end of a handle.
  void forget(QueueState& queue) SX_EXCLUDES(schedule);
  void forget(VmState& vm) SX_EXCLUDES(schedule);

  /// ECANCELED: queue reset. EAGAIN: 1000 jobs outstanding. First check of EXEC after its decoding.
  Status check_submit(const ExecQueue& queue) const SX_EXCLUDES(schedule);
  /// Queues a job; it starts when the in-fences have signalled and those before it are done. Installs
  /// its fence through `syncs` before anything can signal it. Same errors as check_submit().
  Status submit(Submission what, const JobSyncs& syncs) SX_EXCLUDES(schedule);
  /// The newest job's fence; a signalled one when there was none.
  FencePtr last_fence(const ExecQueue& queue) const SX_EXCLUDES(schedule);

  /// From the next choice inside its group on; nothing for a queue that was reset. EINVAL: in no group.
  Status set_group_priority(ExecQueue& queue, QueuePriority priority) SX_EXCLUDES(schedule);

  /// kGroup: another member of its group was banned.
  enum class ResetCause : std::uint8_t { kKilled, kFault, kBadCommand, kBadKernel, kTimeout, kGtReset, kGroup };
  /// A ban is one of the whole group, and so is the end of its primary.
  void reset(ExecQueue& queue, ResetCause cause) SX_EXCLUDES(schedule);
  /// Resets the queues of a VM (its ban in preempt-fence mode, close of the file).
  void reset_vm(const ExecVm& vm, ResetCause cause) SX_EXCLUDES(schedule);
  void reset_gt(std::uint16_t gt) SX_EXCLUDES(schedule);
  /// Kills every queue there is; new ones may come.
  void reset_all() SX_EXCLUDES(schedule);
  /// True when no engine of the GT has a context queued or running ("gt-c6").
  bool gt_idle(std::uint16_t gt) const SX_EXCLUDES(schedule);

  /// True when a queue of the VM has a job that is not complete.
  bool busy(const ExecVm& vm) const SX_EXCLUDES(schedule);
  /// No context of the VM runs from the return of pause() to resume(). Nests.
  void pause(ExecVm& vm) SX_EXCLUDES(schedule);
  void resume(ExecVm& vm) SX_EXCLUDES(schedule);

  /// Waits until nothing goes on by itself: every job is complete, waits in a semaphore or for a fence, or only polls.
  /// Jobs that go on after the deadline are not waited for any more. kNo: interrupted. kThreads only.
  enum class Settled : std::uint8_t { kNo, kYes };
  Settled settle(const WaitContext& wait, Deadline deadline) SX_EXCLUDES(schedule);

  /// kManual: one slice on the next engine, in turn, that has something to run.
  bool run_once();
  /// Kills every queue and joins every worker.
  void stop() SX_EXCLUDES(schedule);

 private:
  using JobPtr = std::shared_ptr<Job>;

  /// The analysis calls it `schedule`: it guards the fields of all states here, which are no members.
  LeafMutex& lock() const SX_RETURN_CAPABILITY(schedule) { return lock_; }
  void pay(After& after) SX_EXCLUDES(schedule);

  // scheduler.cc: states, workers
  std::vector<std::unique_ptr<HwContext>> make_contexts(const QueueFacts& facts);
  void enter(ExecQueue& queue, std::list<QueueState>& made) SX_REQUIRES(schedule);
  static QueueState& state_of(const ExecQueue& queue) SX_REQUIRES(schedule);
  VmState& state_of(ExecVm& vm) SX_REQUIRES(schedule);
  EngineState& engine_at(const QueueFacts& facts, unsigned instance) const;
  EngineGroup& group_of_queue(const QueueFacts& facts) const;
  void work(EngineState& engine);
  enum class Rest : std::uint8_t { kGoOn, kEnd };
  enum class Ran : std::uint8_t { kSlice, kNothing };
  /// Between slices on the worker: sleeps as the polling back-off or idleness asks.
  Rest rest(EngineState& engine, Ran ran) SX_EXCLUDES(schedule);
  void wake(EngineState& engine, After& after) SX_REQUIRES(schedule);
  void wake_group(const EngineGroup& group, After& after) SX_REQUIRES(schedule);

  // scheduler_slice.cc
  /// Runs one slice of some context, if any may run. The worker's loop body, and the only way to run anything
  /// under ExecPolicy::kManual.
  Ran run_engine(EngineState& engine) SX_EXCLUDES(schedule);
  bool pick(EngineState& engine, Pick& pick) SX_EXCLUDES(schedule);
  /// The event of the job's beginning at this position.
  std::uint64_t note_begin(const EngineState& engine, Pick& pick);
  SliceEnd run_slice(EngineState& engine, Pick& pick);
  void finish_slice(EngineState& engine, Pick& pick, SliceEnd end) SX_EXCLUDES(schedule);
  QueueContext* choose(EngineState& engine, std::uint64_t now_ns) SX_REQUIRES(schedule);
  QueueContext* steal(EngineState& thief, std::uint64_t now_ns) SX_REQUIRES(schedule);
  std::vector<EngineState*> place(const QueueFacts& facts) const SX_REQUIRES(schedule);
  void enqueue(QueueContext& context, EngineState& engine, After& after) SX_REQUIRES(schedule);
  void requeue(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) SX_REQUIRES(schedule);
  std::uint64_t timeslice_ns(const QueueFacts& facts) const;

  // scheduler_groups.cc: multi-queue groups
  static Status join(QueueGroup& group) SX_REQUIRES(schedule);
  /// `leaves`: why the member is not the current one any more. `ran_on`: looks for the next one by itself.
  enum class Leaves : std::uint8_t { kForGood, kWaits };
  void drop_current(QueueContext& context, Leaves leaves, const EngineState* ran_on, After& after)
      SX_REQUIRES(schedule);
  void end_turn(QueueContext& context, SliceEnd end, const EngineState& ran_on, After& after) SX_REQUIRES(schedule);
  void wake_members(const QueueGroup& group, Leaves why, const EngineState* but, After& after) SX_REQUIRES(schedule);

  // scheduler_jobs.cc: jobs and queues
  void job_ready(const JobPtr& job) SX_EXCLUDES(schedule);
  Status may_submit(const QueueState& queue) const SX_REQUIRES(schedule);
  void start_front(QueueState& queue, After& after) SX_REQUIRES(schedule);
  void enter_group(Job& job, EngineGroup& group) SX_REQUIRES(schedule);
  void leave_group(Job& job, After& after) SX_REQUIRES(schedule);
  void suspend_fault_queues(EngineGroup& group) SX_REQUIRES(schedule);
  void left_slice(EngineState& engine, QueueContext& context, After& after) SX_REQUIRES(schedule);
  void position_done(QueueContext& context, After& after) SX_REQUIRES(schedule);
  void reset_locked(QueueState& queue, ResetCause cause, After& after) SX_REQUIRES(schedule);
  void reset_one(QueueState& queue, ResetCause cause, After& after) SX_REQUIRES(schedule);
  void cancel_jobs(QueueState& queue, After& after) SX_REQUIRES(schedule);
  std::uint64_t job_timeout_ns(const QueueFacts& facts) const;
  void check_timeout(QueueState& queue, std::uint64_t now_ns, After& after) SX_REQUIRES(schedule);
  void check_orphan(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) SX_REQUIRES(schedule);

  // scheduler_settle.cc
  void note_progress(QueueContext& context, const Pick& pick, SliceEnd end) SX_REQUIRES(schedule);
  bool may_get_on(const EngineState& engine) const SX_REQUIRES(schedule);
  bool settled() const SX_REQUIRES(schedule);
  void give_up_on_endless() SX_REQUIRES(schedule);
  void wake_settlers() SX_EXCLUDES(schedule);

  const SchedulerConfig config_;
  std::array<ClassLimits, kEngineClasses> limits_;
  std::size_t turn_ = 0;  ///< run_once() of the manual policy

  mutable LeafMutex lock_{"Scheduler"};
  CondVar pausers_;
  CondVar settled_;
  std::atomic<std::uint32_t> settlers_{0};  ///< threads in settle()
  std::atomic<std::uint32_t> paying_{0};    ///< workers between the end of a slice and its effects
  bool stopping_ SX_GUARDED_BY(schedule) = false;
  /// Changes with every slice that got on, and with every look of a settler: who waited in it waits for the client.
  std::uint64_t epoch_ SX_GUARDED_BY(schedule) = 1;
  std::list<VmState> vms_ SX_GUARDED_BY(schedule);
  std::list<QueueState> queues_ SX_GUARDED_BY(schedule);

  // Fixed after construction. Last: their threads use the rest.
  std::vector<std::unique_ptr<EngineGroup>> groups_;
  std::vector<std::unique_ptr<EngineState>> engines_;
};

}  // namespace softxe
