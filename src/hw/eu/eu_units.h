// EuUnits: the execution units of one engine: workers that run the groups of a dispatch.
//
// Worker 0 is the engine's own thread. Others are threads that join a slice when it has lasted a little and groups are
// left; they wait for the next one for a while, then end. Every worker has a runner of its own (an MMU, decoded code):
// a fault blocks its worker only. With one runner there are no threads at all.
//
// Lock: one leaf for everything about the dispatch under way. Groups start, run and end outside of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/event_ring.h"
#include "base/lock.h"
#include "hw/eu/eu_dispatch.h"

namespace softxe {

/// Runs threads for one worker, on the worker's thread; a fake in tests. Group and thread are the worker's for the
/// call. enter() and leave() stand around everything a worker does in one slice.
class EuWorker : public EuThreadRunner {
 public:
  virtual void enter(const EuWalker& walker) = 0;
  virtual void leave() = 0;
  /// The worker is about to take a lock or to look around: nothing may be held that others wait for.
  virtual void rest() {}
};

/// How long a dispatch may run.
struct EuSlice {
  const std::atomic<bool>& stop;
  const Clock& clock;
  std::uint64_t deadline_ns = 0;
  std::uint64_t instructions_max = 0;     ///< of each worker
  std::uint64_t cause = current_cause();  ///< of what workers do in it, as an event
};

/// A failure names the thread it happened in.
struct EuRun {
  EuStop stop;
  EuTriple group{};
  std::uint32_t thread = 0;
};

/// Every worker has a slot of its device's InvalidationDomain: with 32 of them ten engines fit.
inline constexpr std::uint32_t kEuWorkersMax = 32;

class EuUnits {
 public:
  /// As the drv layer's ThreadStarter: runs the body on a new thread; the result joins it.
  using ThreadStarter = std::function<std::function<void()>(std::function<void()>)>;
  using WorkerFactory = std::function<std::unique_ptr<EuWorker>(std::uint32_t number)>;

  struct Config {
    EuThreadIds& ids;
    std::uint32_t workers_max = 1;  ///< 1 to kEuWorkersMax
    /// Worker 0 is made at once, the others when a slice first wants them. Called on the engine's thread.
    WorkerFactory make_worker;
    ThreadStarter starter{};  ///< not used with one worker
  };
  explicit EuUnits(Config config);
  ~EuUnits();
  EuUnits(const EuUnits&) = delete;
  EuUnits& operator=(const EuUnits&) = delete;

  /// Runs groups of `dispatch`, which is active. kEnded: all have ended. kBudget: the slice is over. kBarrier: nothing
  /// can run, the groups that are left wait for themselves. The others: a thread failed. On return no worker is busy.
  EuRun run(EuDispatch& dispatch, const EuSlice& slice) SX_EXCLUDES(lock_);

  /// Of walkers that end; on the engine's thread.
  EuResidentPool& pool() { return pool_; }

 private:
  struct Helper {
    std::unique_ptr<EuWorker> worker;
    std::function<void()> join;  ///< the engine's thread only
    // lock_:
    bool wanted = false;  ///< is to join the slice
    bool alive = false;   ///< its thread has not decided to end
  };
  /// What is left of a worker's slice.
  struct Share {
    const EuSlice& slice;
    std::uint64_t instructions = 0;
    bool calls_helpers = false;
    std::uint64_t call_at_ns = 0;
  };

  void work(EuWorker& worker, EuDispatch& dispatch, Share& share) SX_EXCLUDES(lock_);
  EuStop run_group(EuWorker& worker, EuDispatch& dispatch, EuResident& resident, Share& share) SX_EXCLUDES(lock_);
  bool over(EuDispatch& dispatch, Share& share) SX_EXCLUDES(lock_);
  void put(EuDispatch& dispatch, EuResident& resident, const EuStop& stop) SX_REQUIRES(lock_);
  void call_helpers(EuDispatch& dispatch) SX_EXCLUDES(lock_);
  void help(Helper& helper) SX_EXCLUDES(lock_);

  const Config config_;
  const std::unique_ptr<EuWorker> first_;
  EuResidentPool pool_;
  std::vector<std::unique_ptr<Helper>> helpers_;  ///< the vector: the engine's thread only

  LeafMutex lock_{"EuUnits"};
  CondVar helpers_wake_;
  CondVar engine_wakes_;
  EuDispatch* dispatch_ SX_GUARDED_BY(lock_) = nullptr;  ///< while a slice may be joined
  const EuSlice* slice_ SX_GUARDED_BY(lock_) = nullptr;
  std::uint32_t helping_ SX_GUARDED_BY(lock_) = 0;
  bool stopping_ SX_GUARDED_BY(lock_) = false;
  EuRun failure_ SX_GUARDED_BY(lock_);
  /// A thread failed: everybody stops. Read without the lock.
  std::atomic<bool> halted_{false};
};

}  // namespace softxe
