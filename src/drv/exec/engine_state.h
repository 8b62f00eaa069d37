// EngineState: one user-visible hardware engine: its run queue and the worker that runs slices of it.
//
// The worker thread exists only while there is something to run, and kIdleExitNs longer. It holds the
// Scheduler's lock to pick and to account, never while a slice runs. While the context on the engine only
// polls, the worker sleeps between short looks (10 us doubling to kPollSleepMaxNs) on its own condition
// variable; the context stays resident, so its run time goes on as on hardware.
//
// Owned by the Scheduler, seen by nobody else. Fields: fixed ones first, then those of the Scheduler's lock.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "drv/exec/engine_backend.h"
#include "drv/exec/schedule_handle.h"
#include "drv/exec/worker_thread.h"

namespace softxe {

struct QueueContext;
struct QueueState;

inline constexpr std::uint64_t kSliceNs = 1'000'000;
inline constexpr std::uint64_t kPollSliceNs = 30'000;
inline constexpr std::uint64_t kPollSleepFirstNs = 10'000;
inline constexpr std::uint64_t kPollSleepMaxNs = 250'000;
inline constexpr std::uint32_t kSliceCommandsThreads = 1u << 20;
inline constexpr std::uint32_t kSliceCommandsManual = 256;
/// Of a kernel, in one of these; threads are stopped by time alone.
inline constexpr std::uint64_t kStepInstructionsManual = 256;

/// Engines exclude fault-mode and other work group by group (spec/uapi.md 11).
enum class GroupKind : std::uint8_t { kCopy, kRenderCompute, kVideo };
GroupKind group_of(EngineClass cls);

/// The engines of a GT that share a mode.
struct EngineGroup {
  const std::uint16_t gt;
  const GroupKind kind;

  std::uint32_t dma_jobs SX_GUARDED_BY(schedule) = 0;       ///< started and unfinished jobs of dma-fence VMs
  std::uint32_t fault_running SX_GUARDED_BY(schedule) = 0;  ///< fault-mode contexts inside a slice
  std::uint64_t suspend_since_ns SX_GUARDED_BY(schedule) = 0;
  std::vector<QueueState*> fault_queues SX_GUARDED_BY(schedule) = {};
};

struct EngineState {
  EngineState(const EngineFact& what, const EngineId& who, EngineGroup& of, std::unique_ptr<EngineBackend> hardware,
              const ThreadStarter& starter)
      : fact(what), id(who), group(of), backend(std::move(hardware)), worker(starter) {}

  const EngineFact fact;
  const EngineId id;
  EngineGroup& group;
  const std::unique_ptr<EngineBackend> backend;  ///< the worker's

  std::deque<QueueContext*> run_queue SX_GUARDED_BY(schedule);
  QueueContext* running SX_GUARDED_BY(schedule) = nullptr;
  QueueContext* resident SX_GUARDED_BY(schedule) = nullptr;
  std::uint64_t slice_began_ns SX_GUARDED_BY(schedule) = 0;  ///< start of resident's time slice
  std::uint32_t yields_in_row SX_GUARDED_BY(schedule) = 0;
  std::uint64_t backoff_ns SX_GUARDED_BY(schedule) = 0;  ///< last polling sleep; doubles
  std::uint64_t rest_ns SX_GUARDED_BY(schedule) = 0;     ///< sleep this long before the next pick
  bool found_nothing SX_GUARDED_BY(schedule) = true;     ///< at its last pick
  bool at_rest SX_GUARDED_BY(schedule) = true;           ///< has let go of the VM of its last slice
  bool worker_alive SX_GUARDED_BY(schedule) = false;
  bool woken SX_GUARDED_BY(schedule) = false;
  CondVar wake;  ///< of Scheduler::lock()

  WorkerThread worker;

  /// Contexts that wait for it or run on it.
  std::size_t load() const SX_REQUIRES(schedule) { return run_queue.size() + (running != nullptr ? 1 : 0); }
  /// After a slice that got on: no sleep before the next pick.
  void look_at_once() SX_REQUIRES(schedule);
  /// A resident spinner, or a round of nothing but unsatisfied semaphores: sleep before the next look.
  void back_off(SliceEnd end) SX_REQUIRES(schedule);
  /// From now on the context's run time goes on; whoever was resident is switched out.
  void make_resident(QueueContext& context, std::uint64_t now_ns, std::uint64_t timeslice_ns) SX_REQUIRES(schedule);
};

}  // namespace softxe
