// Threads of the execution half: who makes them, and when they are there at all.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/lock.h"
#include "drv/gc_worker.h"

namespace softxe {

/// kThreads: engines and late work run on threads of their own. kManual: only inside run_once() calls
/// (simulator, tests).
enum class ExecPolicy : std::uint8_t { kThreads, kManual };

/// Idle threads end after this long; the next work starts a new one.
inline constexpr std::uint64_t kIdleExitNs = 20'000'000;

/// One thread at a time, made by the device's ThreadStarter (signals blocked, stack in engine memory): the one before
/// must have decided to end. A thread may run, and end, before the call that started it has come back from the
/// starter, and the next start() may overtake that call: so every handle is kept until somebody joins it, and join()
/// waits for the calls that are still on their way. The lock only guards the handles, because starter and join may
/// take locks of their own.
class WorkerThread {
 public:
  explicit WorkerThread(const ThreadStarter& starter) : starter_(starter) {}
  ~WorkerThread() { join(); }
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  /// Under the lock that decides that a thread is needed: from here on join() waits for the start_promised() that
  /// follows once that lock is released.
  void promise() { on_their_way_.fetch_add(1); }
  void start_promised(std::function<void()> body) SX_EXCLUDES(lock_) {
    join_known();
    Join join_it = starter_(std::move(body));
    Guard hold(lock_);
    handles_.push_back(std::move(join_it));
    on_their_way_.fetch_sub(1);
    arrived_.notify_all();
  }
  void start(std::function<void()> body) SX_EXCLUDES(lock_) {
    promise();
    start_promised(std::move(body));
  }
  /// Whoever may promise a thread has been told to stop.
  void join() SX_EXCLUDES(lock_) {
    {
      Guard hold(lock_);
      arrived_.wait(lock_, [this] { return on_their_way_.load() == 0; });
    }
    join_known();
  }

 private:
  using Join = std::function<void()>;

  void join_known() SX_EXCLUDES(lock_) {
    std::vector<Join> handles;
    {
      Guard hold(lock_);
      handles.swap(handles_);
    }
    for (const Join& join_it : handles) join_it();
  }

  const ThreadStarter starter_;
  std::atomic<std::uint32_t> on_their_way_{0};  ///< starts that were promised and have not left their handle
  LeafMutex lock_{"WorkerThread"};
  CondVar arrived_;
  std::vector<Join> handles_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
