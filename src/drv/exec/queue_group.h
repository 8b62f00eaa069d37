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
// Who decides: Scheduler::eligible(), Scheduler::reset_locked().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace softxe {

class ExecQueue;
struct QueueContext;

/// Shared by its members. Scheduler's lock, but for the atomics, which a fork child reads in the parent's image.
struct QueueGroup {
  static constexpr std::uint32_t kMembersMax = 64;

  std::vector<ExecQueue*> members;        ///< whose objects exist, in order of creation
  std::uint32_t high = 0;                 ///< of these, with the high priority
  const QueueContext* current = nullptr;  ///< has begun and has not come to a point where another may go
  std::atomic<std::uint32_t> ever{0};     ///< members that exist or existed: no place is given out twice
  std::atomic<bool> gone{false};          ///< banned, or without its primary: its members are reset, new ones too
};
using QueueGroupPtr = std::shared_ptr<QueueGroup>;

/// What a queue is in a group.
enum class GroupRole : std::uint8_t { kNone, kPrimary, kSecondary };

}  // namespace softxe
