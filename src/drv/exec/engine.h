// Engine: one user-visible hardware engine: its run queue and the worker that runs slices of it.
//
// The worker thread exists only while there is something to run, and kIdleExitNs longer. It holds the
// Scheduler's lock to pick and to account, never while a slice runs. While the context on the engine only
// polls, the worker sleeps between short looks (10 us doubling to kPollSleepMaxNs) on its own condition
// variable; the context stays resident, so its run time goes on as on hardware.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "drv/exec/engine_backend.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/worker_thread.h"

namespace softxe {

class Scheduler;

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

/// State of one engine group. Scheduler's lock.
struct EngineGroup {
  std::uint16_t gt = 0;
  GroupKind kind = GroupKind::kCopy;
  std::uint32_t dma_jobs = 0;       ///< started and unfinished jobs of dma-fence VMs
  std::uint32_t fault_running = 0;  ///< fault-mode contexts inside a slice
  std::uint64_t suspend_since_ns = 0;
  std::vector<ExecQueue*> fault_queues;
};

class Engine {
 public:
  Engine(Scheduler& scheduler, const EngineFact& fact, const EngineId& id, EngineGroup& group,
         std::unique_ptr<EngineBackend> backend, const ThreadStarter& starter)
      : fact_(fact), scheduler_(scheduler), id_(id), group_(group), backend_(std::move(backend)), worker_(starter) {}

  const EngineFact& fact() const { return fact_; }
  const EngineId& id() const { return id_; }

  /// Runs one slice of some context, if any may run; false when there was nothing to do. The worker's
  /// loop body, and the only way to run anything under ExecPolicy::kManual.
  bool run_once();

  /// Time some context was resident, in ns, up to the last slice (fdinfo, engine busyness).
  std::uint64_t busy_ns() const { return busy_ns_.load(std::memory_order_relaxed); }

 private:
  friend class Scheduler;
  /// What a pick says: the context with everything that keeps it alive.
  struct Pick {
    QueueContext* context = nullptr;
    JobPtr job;
    ExecVmPtr vm;
    SliceLimits limits;
  };
  /// The worker thread's body.
  void work();

  const EngineFact fact_;
  Scheduler& scheduler_;
  const EngineId id_;
  EngineGroup& group_;
  const std::unique_ptr<EngineBackend> backend_;
  std::atomic<std::uint64_t> busy_ns_{0};

  // Scheduler's lock:
  std::deque<QueueContext*> run_queue_;
  QueueContext* running_ = nullptr;
  QueueContext* resident_ = nullptr;
  std::uint64_t slice_began_ns_ = 0;  ///< start of resident_'s time slice
  std::uint64_t busy_mark_ns_ = 0;    ///< busy_ns_ is right up to here while somebody is resident
  std::uint32_t yields_in_row_ = 0;
  std::uint64_t backoff_ns_ = 0;  ///< last polling sleep; doubles
  std::uint64_t rest_ns_ = 0;     ///< sleep this long before the next pick
  bool found_nothing_ = true;     ///< at its last pick
  bool worker_alive_ = false;
  bool woken_ = false;
  CondVar wake_;

  WorkerThread worker_;
};

}  // namespace softxe
