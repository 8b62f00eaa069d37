// Multi-queue groups: joining, who of a group may go, when another one may (spec/multi-queue.md 1 and 2).
#include <algorithm>

#include "drv/exec/scheduler.h"

namespace softxe {

namespace {

bool is_high(const ExecQueue& queue) { return queue.group_priority() == QueuePriority::kHigh; }

/// Goes before others; low and normal are one. After a look in vain a high member is one of these, too: it may wait for
/// what they are to do.
bool urgent(const QueueContext& context) { return is_high(*context.queue) && !context.in_vain; }

}  // namespace

Status Scheduler::join(ExecQueue& queue) {
  QueueGroup& group = *queue.group_;
  if (group.ever.load(std::memory_order_relaxed) == QueueGroup::kMembersMax)
    return fail(EINVAL, "the group has had as many members as it can have");
  group.ever.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Scheduler::give_back_place(ExecQueue& queue) {
  if (queue.group_ == nullptr) return;
  Guard hold(lock_);
  queue.group_->ever.fetch_sub(1, std::memory_order_relaxed);
}

Status Scheduler::set_group_priority(ExecQueue& queue, QueuePriority priority) {
  if (queue.group_ == nullptr) return fail(EINVAL, "queue is in no group");
  After after;
  {
    Guard hold(lock_);
    if (queue.reset() || queue.group_priority() == priority) return {};
    QueueGroup& group = *queue.group_;
    if (is_high(queue)) group.high -= 1;
    queue.group_priority_.store(priority, std::memory_order_relaxed);
    if (is_high(queue)) group.high += 1;
    // Those that it has outranked may be on other engines.
    wake_members(group, Leaves::kWaits, nullptr, after);
  }
  pay(after);
  return {};
}

/// Another member has to go first, on whichever engine.
bool Scheduler::outranked(const QueueContext& context) {
  const ExecQueue& queue = *context.queue;
  const QueueGroup* group = queue.group_.get();
  if (group == nullptr || group->high == 0 || group->current == &context) return false;
  if (urgent(context)) return false;
  return std::any_of(group->members.begin(), group->members.end(), [](const ExecQueue* member) {
    const QueueContext& other = *member->contexts_.front();
    return other.state == QueueContext::State::kQueued && urgent(other);
  });
}

void Scheduler::make_current(QueueContext& context) {
  QueueGroup* group = context.queue->group_.get();
  if (group == nullptr || group->current == &context) return;
  group->current = &context;
  context.progress_before = context.hw->progress();
  // Its turn came again: everybody else has been looked at meanwhile.
  if (context.in_vain) look_at_all(*group);
}

/// All that wait are worth a look again.
void Scheduler::look_at_all(const QueueGroup& group) {
  for (const ExecQueue* member : group.members) member->contexts_.front()->in_vain = false;
}

/// After a slice: may another member go?
void Scheduler::end_turn(QueueContext& context, SliceEnd end, const Engine& ran_on, After& after) {
  const ExecQueue& queue = *context.queue;
  if (queue.group_ == nullptr) return;
  if ((end == SliceEnd::kBudget || end == SliceEnd::kPolling) && !queue.reset()) return;
  const bool waits = end == SliceEnd::kYield;
  if (!waits || context.hw->progress() != context.progress_before) look_at_all(*queue.group_);
  context.in_vain = waits;
  drop_current(context, waits ? Leaves::kWaits : Leaves::kForGood, &ran_on, after);
}

void Scheduler::drop_current(QueueContext& context, Leaves leaves, const Engine* ran_on, After& after) {
  QueueGroup* group = context.queue->group_.get();
  if (group == nullptr || group->current != &context) return;
  group->current = nullptr;
  // A group has had its turn as one context would: the members that wait here go behind what is not of it.
  auto& queue = context.engine->run_queue_;
  std::stable_partition(queue.begin(), queue.end(),
                        [&](const QueueContext* other) { return other->queue->group_.get() != group; });
  wake_members(*group, leaves, ran_on, after);
}

/// After a member that only waits, engines that sleep between two looks are left alone: two engines on which members
/// of one group wait would never let each other sleep. Those that found nothing do not look again by themselves.
void Scheduler::wake_members(const QueueGroup& group, Leaves why, const Engine* but, After& after) {
  for (const ExecQueue* member : group.members) {
    const QueueContext& other = *member->contexts_.front();
    if (other.state != QueueContext::State::kQueued || other.engine == but) continue;
    if (why == Leaves::kForGood || other.engine->found_nothing_) wake(*other.engine, after);
  }
}

}  // namespace softxe
