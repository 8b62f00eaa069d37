// Syncobj: a container for at most one fence: none, a plain one, or the head of a timeline chain
// (spec/uapi.md 17). The operations of the DRM_SYNCOBJ ioctls on one file's table are in
// syncobj_table.h; what EXEC and VM_BIND do with sync entries is in job_syncs.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/lock.h"
#include "drv/exec/fence.h"

namespace softxe {

/// One point of a timeline. Signals when its own work and everything before it is done. The chain
/// behind a node is dropped as soon as it is done.
class ChainNode final : public Fence {
 public:
  /// `before`: what the syncobj held: none, a plain fence, or a ChainNode.
  static std::shared_ptr<ChainNode> append(const FencePtr& before, std::uint64_t point, const FencePtr& work);

  /// A pending node that stands for `original`, which whoever owns the copy signals (fork_syncs.h). `before`:
  /// the copy of what is before it, or none.
  static std::shared_ptr<ChainNode> copy_of(const ChainNode& original, const FencePtr& before);

  /// Never goes back along a chain: an out-of-order point takes the number of the newest one.
  std::uint64_t sequence() const { return sequence_; }
  /// Sequence of the node before when this point was in order, else 0.
  std::uint64_t sequence_before() const { return sequence_before_; }
  FencePtr before() const SX_EXCLUDES(link_lock_);

  /// Use append().
  ChainNode(std::uint64_t sequence, std::uint64_t sequence_before)
      : sequence_(sequence), sequence_before_(sequence_before) {}

 private:
  /// The links of a finished chain keep nothing alive.
  void forget_before() SX_EXCLUDES(link_lock_);

  const std::uint64_t sequence_;
  const std::uint64_t sequence_before_;
  /// Stored before the work counts as done: callbacks run in the order of their registration.
  std::atomic<int> work_error_{0};
  mutable LeafMutex link_lock_{"ChainNode"};
  FencePtr before_ SX_GUARDED_BY(link_lock_);
};

/// The fence that answers for `point` when a syncobj holds `head`; none when the point is missing.
/// Point 0 is the head itself. A point above 0 on a plain fence is missing.
FencePtr find_point(const FencePtr& head, std::uint64_t point);

/// Thread-safe. Shared by handles, syncobj fds and running waits.
class Syncobj {
 public:
  enum class Initially : std::uint8_t { kEmpty, kSignalled };
  /// Called after every change of the content, with no lock held and possibly from several threads at
  /// once; true: it wants no more calls (one that is under way may still come).
  using Watcher = std::function<bool(const FencePtr& head)>;
  using WatchTicket = std::uint64_t;

  explicit Syncobj(Initially initially = Initially::kEmpty);

  /// None when empty.
  FencePtr head() const SX_EXCLUDES(lock_);
  FencePtr find(std::uint64_t point) const { return find_point(head(), point); }

  /// Replaces the content by a plain fence (or a chain's head); none resets.
  void replace(FencePtr fence) SX_EXCLUDES(lock_);
  /// Adds a timeline point on top of the content. Point 0 behaves as replace().
  void add_point(std::uint64_t point, const FencePtr& work) SX_EXCLUDES(lock_);

  enum class Query : std::uint8_t { kLastSignalled, kLastSubmitted };
  /// 0 for empty and plain content.
  std::uint64_t query(Query what) const;

  /// Calls `watcher` with the content now, and after each change until it returns true.
  WatchTicket watch(Watcher watcher) SX_EXCLUDES(lock_);
  void unwatch(WatchTicket ticket) SX_EXCLUDES(lock_);

 private:
  void changed(const FencePtr& head) SX_EXCLUDES(lock_);

  mutable LeafMutex lock_{"Syncobj"};
  FencePtr head_ SX_GUARDED_BY(lock_);
  WatchTicket next_ticket_ SX_GUARDED_BY(lock_) = 1;
  std::vector<std::pair<WatchTicket, std::shared_ptr<Watcher>>> watchers_ SX_GUARDED_BY(lock_);
};

using SyncobjPtr = std::shared_ptr<Syncobj>;

}  // namespace softxe
