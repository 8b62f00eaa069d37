// QueueState, VmState: what a Scheduler knows of a queue and of a VM: jobs, contexts, turns, pauses.
//
// Owned by the Scheduler; an ExecQueue and an ExecVm hold a handle. Every field that changes is guarded by the
// Scheduler's lock, but for those that say whose they are. Methods here look at states and change them; what wakes,
// signals or moves between engines is the Scheduler's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "base/event_ring.h"
#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/schedule_handle.h"

namespace softxe {

struct EngineGroup;
struct EngineState;
struct QueueState;

struct VmState {
  /// When a queue of this VM was banned for what it did itself; 0: never.
  std::uint64_t first_ban_ns SX_GUARDED_BY(schedule) = 0;
  std::uint32_t pauses SX_GUARDED_BY(schedule) = 0;   ///< above 0: no context of this VM starts (VmPause)
  std::uint32_t running SX_GUARDED_BY(schedule) = 0;  ///< contexts of this VM inside a slice right now
  std::list<VmState>::iterator at SX_GUARDED_BY(schedule);
};

/// One EXEC. Keeps its queue alive from submission to its fence.
struct Job {
  explicit Job(Submission&& from)
      : batches(std::move(from.batches)), user_fence(from.user_fence), queue(std::move(from.queue)) {}

  const std::vector<GpuVa> batches;               ///< one per position
  const std::optional<SyncUserFence> user_fence;  ///< address: GPU, written behind the last batch
  std::atomic<std::uint32_t> batches_left{0};     ///< positions whose batch has not ended
  const FencePtr done = Fence::pending();
  const std::uint64_t cause = current_cause();  ///< the EXEC, as an event

  ExecQueuePtr queue SX_GUARDED_BY(schedule);                      ///< cleared when the job is complete
  bool ready SX_GUARDED_BY(schedule) = false;                      ///< in-fences have signalled
  bool started SX_GUARDED_BY(schedule) = false;                    ///< a slice of it has begun
  bool in_group SX_GUARDED_BY(schedule) = false;                   ///< counted in EngineGroup::dma_jobs
  std::uint32_t left SX_GUARDED_BY(schedule) = 0;                  ///< positions that have not finished
  std::uint64_t run_time_at_start_ns SX_GUARDED_BY(schedule) = 0;  ///< of the first position's context
  std::uint64_t run_time_checked_ns SX_GUARDED_BY(schedule) = 0;   ///< the same at the last time-out check
  std::uint64_t next_check_ns SX_GUARDED_BY(schedule) = 0;         ///< of the job time-out; 0: timer not armed
  std::uint64_t gated_since_ns SX_GUARDED_BY(schedule) = 0;        ///< fault mode: waits for dma-fence jobs
};
using JobPtr = std::shared_ptr<Job>;

/// One position of a queue: what an engine's run queue holds.
struct QueueContext {
  QueueContext(QueueState& of, unsigned nth, std::unique_ptr<HwContext> hardware)
      : queue(of), position(nth), hw(std::move(hardware)) {}

  QueueState& queue;
  const unsigned position;
  std::atomic<bool> stop{false};  ///< end the running slice early

  // The worker's that runs it; between slices, with the lock, whoever's.
  enum class Stage : std::uint8_t { kToBegin, kBatch, kUserFence };
  const std::unique_ptr<HwContext> hw;
  Stage stage = Stage::kBatch;     ///< of the job under way
  bool ended_last = false;         ///< of its job's batches: it writes the user fence
  std::uint64_t began = kNoEvent;  ///< the event of its beginning

  enum class State : std::uint8_t { kIdle, kQueued, kRunning };
  enum class Mood : std::uint8_t { kBusy, kPolling, kYielded };
  State state SX_GUARDED_BY(schedule) = State::kIdle;
  Mood mood SX_GUARDED_BY(schedule) = Mood::kBusy;
  std::uint64_t waited_in SX_GUARDED_BY(schedule) = 0;  ///< Scheduler's epoch_ of the newest slice that got nowhere
  bool endless SX_GUARDED_BY(schedule) = false;         ///< its job is none that settle() waits for
  bool in_vain SX_GUARDED_BY(schedule) = false;  ///< waits, and none of its group has got on since it was looked at
  EngineState* engine SX_GUARDED_BY(schedule) = nullptr;        ///< where it is queued, running or resident
  std::uint64_t run_time_ns SX_GUARDED_BY(schedule) = 0;        ///< up to resident_since_ns
  std::uint64_t resident_since_ns SX_GUARDED_BY(schedule) = 0;  ///< 0: switched out
  std::uint32_t passed_over SX_GUARDED_BY(schedule) = 0;        ///< times a higher priority went first
  std::uint64_t progress_before SX_GUARDED_BY(schedule) = 0;    ///< of `hw`, when it became its group's current one
  std::uint64_t progress_seen SX_GUARDED_BY(schedule) = 0;      ///< of `hw`, at ...
  std::uint64_t progress_ns SX_GUARDED_BY(schedule) = 0;        ///< ... the last time it had changed

  std::uint64_t run_time(std::uint64_t now_ns) const SX_REQUIRES(schedule);
  /// Off its engine, when it is resident there: its run time stands still.
  void switch_out(std::uint64_t now_ns) SX_REQUIRES(schedule);
  /// May it be chosen by an engine of `group`? By modes, pauses and what its multi-queue group says.
  bool eligible(const EngineGroup& group) const SX_REQUIRES(schedule) { return may_run(group) && !outranked(); }
  /// But for the order inside a multi-queue group.
  bool may_run(const EngineGroup& group) const SX_REQUIRES(schedule);
  /// Another member of its multi-queue group has to go first, on whichever engine.
  bool outranked() const SX_REQUIRES(schedule);
  /// Its multi-queue group, if any, is at this one from here on.
  void make_current() SX_REQUIRES(schedule);
};

struct QueueState {
  QueueState(ExecQueue& of, std::vector<std::unique_ptr<HwContext>> hardware);

  const QueueFacts& facts;  ///< the ExecQueue's, which outlives this
  QueueShown& shown;        ///< the same; written with the lock

  VmState* vm SX_GUARDED_BY(schedule) = nullptr;
  std::vector<std::unique_ptr<QueueContext>> contexts SX_GUARDED_BY(schedule);  ///< one per position
  std::deque<JobPtr> jobs SX_GUARDED_BY(schedule);  ///< submitted and not complete; the front may be running
  FencePtr last SX_GUARDED_BY(schedule);            ///< of the newest job
  int first_error SX_GUARDED_BY(schedule) = 0;      ///< of a reset: what the started job's fence says
  std::list<QueueState>::iterator at SX_GUARDED_BY(schedule);

  bool reset() const { return shown.reset.load(std::memory_order_acquire); }
  QueuePriority group_priority() const { return shown.group_priority.load(std::memory_order_relaxed); }
  /// In its multi-queue group it goes before others; low and normal are one.
  bool is_high() const { return group_priority() == QueuePriority::kHigh; }
  /// Is one of its contexts inside a slice?
  bool running() const SX_REQUIRES(schedule);
  /// Asks the slices of its contexts to end early.
  void stop_slices() SX_REQUIRES(schedule);
};

/// All members of a multi-queue group that wait are worth a look again.
void look_at_all(const QueueGroup& group) SX_REQUIRES(schedule);

/// What a pick says: the context with everything that keeps it alive.
struct Pick {
  QueueContext* context = nullptr;
  JobPtr job;
  ExecVmPtr vm;
  SliceLimits limits;
  std::uint64_t epoch = 0;     ///< the Scheduler's, at its beginning
  std::uint64_t progress = 0;  ///< of the context's hardware, then
};

/// Effects of a change, to be paid when the lock is released, in this order.
struct After {
  std::vector<std::pair<JobPtr, int>> done;  ///< signal with that error; keeps the queue alive
  std::vector<EngineState*> start;           ///< needs a thread
  std::vector<EngineState*> wake;
  bool notify_waiters = false;
  bool hung = false;  ///< SchedulerConfig::hung
  bool notify_pausers = false;
};

}  // namespace softxe
