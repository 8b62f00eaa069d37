// Multi-queue groups: joining, who of a group may go, when another one may (spec/multi-queue.md 1 and 2).
#include <algorithm>

#include "drv/exec/engine_state.h"
#include "drv/exec/queue_state.h"
#include "drv/exec/scheduler.h"

namespace softxe {

Status Scheduler::join(QueueGroup& group) {
  if (group.ever.load(std::memory_order_relaxed) == QueueGroup::kMembersMax)
    return fail(EINVAL, "the group has had as many members as it can have");
  group.ever.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Scheduler::give_back_place(ExecQueue& queue) {
  if (queue.group() == nullptr) return;
  Guard hold(lock());
  queue.group()->ever.fetch_sub(1, std::memory_order_relaxed);
}

Status Scheduler::set_group_priority(ExecQueue& queue, QueuePriority priority) {
  if (queue.group() == nullptr) return fail(EINVAL, "queue is in no group");
  After after;
  {
    Guard hold(lock());
    QueueState& state = state_of(queue);
    if (state.reset() || state.group_priority() == priority) return {};
    QueueGroup& group = *queue.group();
    if (state.is_high()) group.high -= 1;
    state.shown.group_priority.store(priority, std::memory_order_relaxed);
    if (state.is_high()) group.high += 1;
    // Those that it has outranked may be on other engines.
    wake_members(group, Leaves::kWaits, nullptr, after);
  }
  pay(after);
  return {};
}

/// After a slice: may another member go?
void Scheduler::end_turn(QueueContext& context, SliceEnd end, const EngineState& ran_on, After& after) {
  const QueueState& queue = context.queue;
  if (queue.facts.group == nullptr) return;
  if ((end == SliceEnd::kBudget || end == SliceEnd::kPolling) && !queue.reset()) return;
  const bool waits = end == SliceEnd::kYield;
  if (!waits || context.hw->progress() != context.progress_before) look_at_all(*queue.facts.group);
  context.in_vain = waits;
  drop_current(context, waits ? Leaves::kWaits : Leaves::kForGood, &ran_on, after);
}

void Scheduler::drop_current(QueueContext& context, Leaves leaves, const EngineState* ran_on, After& after) {
  QueueGroup* group = context.queue.facts.group.get();
  if (group == nullptr || group->current != &context) return;
  group->current = nullptr;
  // A group has had its turn as one context would: the members that wait here go behind what is not of it.
  auto& queue = context.engine->run_queue;
  std::stable_partition(queue.begin(), queue.end(),
                        [&](const QueueContext* other) { return other->queue.facts.group.get() != group; });
  wake_members(*group, leaves, ran_on, after);
}

/// After a member that only waits, engines that sleep between two looks are left alone: two engines on which members
/// of one group wait would never let each other sleep. Those that found nothing do not look again by themselves.
void Scheduler::wake_members(const QueueGroup& group, Leaves why, const EngineState* but, After& after) {
  for (const QueueState* member : group.members) {
    const QueueContext& other = *member->contexts.front();
    if (other.state != QueueContext::State::kQueued || other.engine == but) continue;
    if (why == Leaves::kForGood || other.engine->found_nothing) wake(*other.engine, after);
  }
}

}  // namespace softxe
