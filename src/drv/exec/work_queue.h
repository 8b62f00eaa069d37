// WorkQueue: late work of the driver (binds behind fences), first in first out. One per device, owned by DeviceExec.
//
// kThreads: one worker thread, started by the first work and gone after kIdleExitNs without any.
// kManual: run_once() runs one piece on the caller's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "base/lock.h"
#include "drv/exec/wait_context.h"
#include "drv/exec/worker_thread.h"

namespace softxe {

class WorkQueue {
 public:
  WorkQueue(ExecPolicy policy, const ThreadStarter& starter) : policy_(policy), worker_(starter) {}
  ~WorkQueue();

  /// Callable under any lock below kLeaf. After stop() it is dropped.
  void post(std::function<void()> work) SX_EXCLUDES(lock_);
  /// kManual: runs the oldest piece; false when there is none.
  bool run_once() SX_EXCLUDES(lock_);
  /// Waits until there is no work and none is being done, or the deadline has passed. False: interrupted.
  bool settle(const WaitContext& wait, Deadline deadline) SX_EXCLUDES(lock_);
  /// False where nothing happens unless run_once() is called.
  bool threaded() const { return policy_ == ExecPolicy::kThreads; }
  /// Finishes what was posted, then joins the thread.
  void stop() SX_EXCLUDES(lock_);

 private:
  void run();

  const ExecPolicy policy_;
  LeafMutex lock_{"WorkQueue"};
  CondVar wake_;
  CondVar done_;
  struct Work {
    std::function<void()> run;
    std::uint64_t cause;  ///< what the thread was about that posted it, as an event
  };
  std::deque<Work> work_ SX_GUARDED_BY(lock_);
  bool busy_ SX_GUARDED_BY(lock_) = false;  ///< a piece is being done
  bool stopping_ SX_GUARDED_BY(lock_) = false;
  bool running_ SX_GUARDED_BY(lock_) = false;  ///< the thread's body has not decided to end
  WorkerThread worker_;
};

}  // namespace softxe
