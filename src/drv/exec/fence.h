// Fence: "something will be done", signalled once, with or without an error.
//
// Order of one signal(): the error is stored, the state becomes signalled, sleepers are woken, callbacks
// run on the signalling thread in the order of their registration, with no lock of this file held. A
// callback may signal other fences: their callbacks run after the current ones, in the same outermost
// signal() (a queue, not a recursion), so chains of any length cost no stack.
//
// A pending fence owns its callbacks: one that owns a fence it hangs on, or one waiting for that, would
// keep all of them for ever. So callbacks are handed the error and need no fence for it.
//
// signal() may be called under any lock below LockRank::kLeaf; callbacks must live with that: they take
// leaf locks only and never wait. Read next: syncobj.h, sync_file.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/lock.h"
#include "base/result.h"
#include "drv/exec/wait_context.h"

namespace softxe {

class Fence;
using FencePtr = std::shared_ptr<Fence>;

/// Thread-safe. Owned by everyone who waits for it and by the one who signals it. Invariant: the state
/// goes from pending to signalled once and never back; error() is fixed from then on.
class Fence {
 public:
  /// The argument is the fence's error().
  using Callback = std::function<void(int error)>;
  /// Names a callback for forget(); 0: it has run already.
  using Ticket = std::uint64_t;

  Fence() = default;
  virtual ~Fence() = default;
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  static FencePtr pending() { return std::make_shared<Fence>(); }
  /// A fence that was signalled at birth.
  static FencePtr signalled_stub(int error = 0);

  bool signalled() const { return signalled_.load(std::memory_order_acquire); }
  /// Positive errno of the failure, 0 for success or while pending.
  int error() const { return signalled() ? error_ : 0; }

  /// False when it was signalled before (then nothing changes).
  bool signal(int error = 0) SX_EXCLUDES(lock_);

  /// Runs `callback` once after the signal; at once, in this call, when it is signalled already.
  Ticket on_signal(Callback callback) SX_EXCLUDES(lock_);
  /// For callbacks that do not ask for the error.
  template <typename F>
  requires std::is_invocable_v<F&> Ticket on_signal(F callback)
  SX_EXCLUDES(lock_) {
    return on_signal(Callback([callback = std::move(callback)](int) mutable { callback(); }));
  }
  /// Drops a callback that has not started. It may still be running on another thread afterwards.
  void forget(Ticket ticket) SX_EXCLUDES(lock_);

  /// Waits for the signal. ETIME past the deadline, EINTR when interrupted.
  Status wait(WaitContext& context, Deadline deadline);

 private:
  LeafMutex lock_{"Fence"};
  std::atomic<bool> signalled_{false};
  int error_ = 0;  ///< written once, before signalled_
  Ticket next_ticket_ SX_GUARDED_BY(lock_) = 1;
  std::vector<std::pair<Ticket, Callback>> callbacks_ SX_GUARDED_BY(lock_);
};

/// A fence that signals when all of `fences` have, with the error of the first failed one in the order
/// of the list. An empty list is signalled.
FencePtr all_of(std::span<const FencePtr> fences);

/// True when every fence of the list is signalled.
bool all_signalled(std::span<const FencePtr> fences);

}  // namespace softxe
