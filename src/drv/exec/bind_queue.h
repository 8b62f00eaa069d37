// BindQueue: keeps binds in order and makes the late ones happen (spec/uapi.md 8).
//
// A bind that waits for no fence, its own or an earlier one's, runs inside the ioctl: a client that submits
// right after an unsynchronised bind finds it done. When another thread is inside a bind of the same queue
// the ioctl waits for it, as Linux waits for the VM's lock. Everything else runs on the device's WorkQueue,
// one after the other per bind queue, as soon as its in-fences have signalled.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>

#include "base/lock.h"
#include "drv/exec/fence.h"
#include "drv/exec/work_queue.h"

namespace softxe {

/// Thread-safe. Kept alive by its pending work.
class BindQueue : public std::enable_shared_from_this<BindQueue> {
 public:
  /// Page-table work of one bind; runs exactly once, with no lock held. Its error goes into the fence.
  using Work = std::function<Status()>;

  explicit BindQueue(std::shared_ptr<WorkQueue> workers) : workers_(std::move(workers)) {}

  struct Submission {
    FencePtr done;  ///< signals when the work is complete, all earlier ones before it
    bool finished_inline = false;
    Status status;  ///< of work that ran inline; success otherwise
  };
  /// Runs `work` now, after what is running, unless it must wait for a fence: then queues it. The caller
  /// installs `done` in its out-syncs; a user fence is a callback on it.
  Submission submit(std::span<const FencePtr> in_fences, Work work) SX_EXCLUDES(lock_);

  /// True when submit() with these fences would queue its work.
  bool must_wait(std::span<const FencePtr> in_fences) const SX_EXCLUDES(lock_);
  /// Signals when everything submitted so far is done.
  FencePtr last() const SX_EXCLUDES(lock_);

  /// Destroy of the queue: work not begun is dropped, its fences complete with ECANCELED.
  void kill() SX_EXCLUDES(lock_);

 private:
  struct Pending {
    FencePtr ready;
    Work work;
    FencePtr done;
  };
  enum class Path : std::uint8_t { kInline, kLater, kRefused };
  /// Where `work` is to run; takes it when that is later.
  Path admit(const FencePtr& ready, const FencePtr& done, Work& work) SX_EXCLUDES(lock_);
  /// Is somebody at work who will get to the end of the queue without any fence or help of the caller?
  bool in_progress() const SX_REQUIRES(lock_);
  /// The end of an inline Work.
  void end_inline() SX_EXCLUDES(lock_);
  /// Hands the front to a worker when it is ready and nobody is working.
  void schedule() SX_EXCLUDES(lock_);
  /// On a worker, with running_ ours: does everything that is ready, in order.
  void pump() SX_EXCLUDES(lock_);

  const std::shared_ptr<WorkQueue> workers_;
  mutable LeafMutex lock_{"BindQueue"};
  std::deque<Pending> pending_ SX_GUARDED_BY(lock_);
  CondVar stopped_;                            ///< running_ became false
  bool running_ SX_GUARDED_BY(lock_) = false;  ///< somebody is inside a Work, inline or on a worker
  bool inline_ SX_GUARDED_BY(lock_) = false;   ///< and it is a thread inside submit()
  bool killed_ SX_GUARDED_BY(lock_) = false;
  FencePtr last_ SX_GUARDED_BY(lock_) = Fence::signalled_stub();
};

}  // namespace softxe
