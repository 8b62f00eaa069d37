// ForkSyncs: syncobjs and fences as a fork child is to have them, made in the parent before the fork.
//
// What a syncobj holds changes on any thread at any time, so the child cannot read it from the memory it
// inherited. The copies made here are known to the forking thread alone: the child finds them whole. What
// was signalled is signalled, what is pending follows the parent's fence (signal_board.h).
#pragma once

#include <map>
#include <memory>

#include "drv/exec/signal_board.h"
#include "drv/exec/sync_file.h"
#include "drv/exec/syncobj.h"

namespace softxe {

/// Made and filled by one thread. In the parent it is destroyed after the fork; in the child it is kept for
/// ever, since it holds what belongs to the parent.
class ForkSyncs {
 public:
  /// One copy per object, whatever names it: handles of several files, descriptors.
  SyncobjPtr copy(const SyncobjPtr& object);
  FencePtr copy(const FencePtr& fence);

  bool has_pending() const { return board_ != nullptr; }
  /// Before the fork, if anything is pending: how the child sees that this process has ended.
  void open_parent();
  /// In the child: follows what is pending until it is signalled or the parent is gone.
  void watch();
  /// One look, where no thread watches.
  void pass_on();

 private:
  FencePtr copy_node(const FencePtr& fence, const FencePtr& before);
  void relay(const FencePtr& original, const FencePtr& copy);
  bool parent_lives() const;

  // With the original, so that no other object gets its address meanwhile.
  template <typename Ptr>
  struct Pair {
    Ptr original;
    Ptr copy;
  };
  std::map<const Syncobj*, Pair<SyncobjPtr>> objects_;
  std::map<const Fence*, Pair<FencePtr>> fences_;
  std::shared_ptr<SignalBoard> board_;
  OwnedFd parent_;
  int parent_pid_ = 0;
};

}  // namespace softxe
