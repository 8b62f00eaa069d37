// Threads of the execution half: who makes them, and when they are there at all.
#pragma once

#include <cstdint>
#include <functional>

#include "base/lock.h"
#include "drv/gc_worker.h"

namespace softxe {

/// kThreads: engines and late work run on threads of their own. kManual: only inside run_once() calls
/// (simulator, tests).
enum class ExecPolicy : std::uint8_t { kThreads, kManual };

/// Idle threads end after this long; the next work starts a new one.
inline constexpr std::uint64_t kIdleExitNs = 20'000'000;

/// One thread at a time, made by the device's ThreadStarter (signals blocked, stack in engine memory): a
/// new start() first joins the one before, which must have decided to end. At most one start() at a time;
/// the lock only guards the handle, because starter and join may take locks of their own.
class WorkerThread {
 public:
  explicit WorkerThread(const ThreadStarter& starter) : starter_(starter) {}
  ~WorkerThread() { join(); }
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  void start(std::function<void()> body) SX_EXCLUDES(lock_) {
    join();
    std::function<void()> join_it = starter_(std::move(body));
    Guard hold(lock_);
    join_ = std::move(join_it);
  }
  void join() SX_EXCLUDES(lock_) {
    std::function<void()> join_it;
    {
      Guard hold(lock_);
      join_it.swap(join_);
    }
    if (join_it) join_it();
  }

 private:
  const ThreadStarter starter_;
  LeafMutex lock_{"WorkerThread"};
  std::function<void()> join_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
