// QueueGroup: a multi-queue group: several queues that an engine treats as one context (spec/multi-queue.md).
//
//   primary     made with the group; its queue priority and time slice are the group's, and its end is the group's
//   secondary   joins by the primary's id
//
// At most one member runs at any time, on at most one engine. Another one may go when the running one's batch ends,
// when it waits in an unsatisfied semaphore, and when it is reset; neither the end of a time slice nor a higher
// priority takes the engine from it. Then the members with the high priority go first, equal ones in their order of
// submission. After a look at its semaphore in vain a high member counts as a normal one until another has got on, or
// its turn came again: it may wait for what a normal one is to do. A group is banned as a whole.
// Who decides: QueueContext::eligible(), Scheduler::reset_locked().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "drv/exec/schedule_handle.h"

namespace softxe {

struct QueueContext;
struct QueueState;

/// Shared by its members. A fork child reads the atomics in the parent's image.
struct QueueGroup {
  static constexpr std::uint32_t kMembersMax = 64;

  std::vector<QueueState*> members SX_GUARDED_BY(schedule);  ///< whose objects exist, in order of creation
  std::uint32_t high SX_GUARDED_BY(schedule) = 0;            ///< of these, with the high priority
  /// Has begun and has not come to a point where another may go.
  const QueueContext* current SX_GUARDED_BY(schedule) = nullptr;
  std::atomic<std::uint32_t> ever{0};  ///< members that exist or existed: no place is given out twice
  std::atomic<bool> gone{false};       ///< banned, or without its primary: its members are reset, new ones too
};
using QueueGroupPtr = std::shared_ptr<QueueGroup>;

/// What a queue is in a group.
enum class GroupRole : std::uint8_t { kNone, kPrimary, kSecondary };

}  // namespace softxe
