#include "drv/exec/exec_queue.h"

#include <algorithm>

#include "drv/exec/bind_queue.h"
#include "drv/exec/scheduler.h"

namespace softxe {

ExecQueue::~ExecQueue() {
  if (const auto scheduler = scheduler_.lock()) scheduler->forget(*this);
  if (counted_.exchange(false)) vm_->queues_.fetch_sub(1, std::memory_order_acq_rel);
  if (bind_ != nullptr) bind_->kill();
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
