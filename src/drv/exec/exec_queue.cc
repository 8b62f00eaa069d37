#include "drv/exec/exec_queue.h"

#include <algorithm>

#include "drv/exec/bind_queue.h"
#include "drv/exec/queue_state.h"

namespace softxe {

ExecQueue::ExecQueue(QueueFacts facts) : facts_(std::move(facts)) {
  shown_.group_priority.store(facts_.properties.group_priority, std::memory_order_relaxed);
}

ExecQueue::~ExecQueue() {
  leave_vm();
  if (is_bind_queue()) bind().kill();
}

void ExecQueue::count_in_vm() {
  vm()->queues.fetch_add(1, std::memory_order_acq_rel);
  counted_.store(true);
}

void ExecQueue::leave_vm() {
  if (counted_.exchange(false)) vm()->queues.fetch_sub(1, std::memory_order_acq_rel);
}

void VmJobs::add(FencePtr job) {
  std::vector<FencePtr> finished;  // released after the lock
  Guard hold(lock_);
  auto live = std::stable_partition(jobs_.begin(), jobs_.end(), [](const FencePtr& f) { return !f->signalled(); });
  std::move(live, jobs_.end(), std::back_inserter(finished));
  jobs_.erase(live, jobs_.end());
  jobs_.push_back(std::move(job));
}

std::vector<FencePtr> VmJobs::pending() const {
  std::vector<FencePtr> out;
  Guard hold(lock_);
  for (const FencePtr& job : jobs_)
    if (!job->signalled()) out.push_back(job);
  return out;
}

}  // namespace softxe
