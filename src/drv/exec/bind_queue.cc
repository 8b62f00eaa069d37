#include "drv/exec/bind_queue.h"

namespace softxe {

bool BindQueue::idle(std::span<const FencePtr> in_fences) const {
  if (!all_signalled(in_fences)) return false;
  Guard hold(lock_);
  return pending_.empty() && !running_;
}

FencePtr BindQueue::last() const {
  Guard hold(lock_);
  return last_;
}

BindQueue::Submission BindQueue::submit(std::span<const FencePtr> in_fences, Work work) {
  const FencePtr done = Fence::pending();
  const FencePtr ready = all_of(in_fences);
  Path path = Path::kLater;
  {
    Guard hold(lock_);
    if (killed_) {
      path = Path::kRefused;
    } else if (ready->signalled() && pending_.empty() && !running_) {
      path = Path::kInline;
      running_ = true;
      last_ = done;
    } else {
      pending_.push_back({ready, std::move(work), done});
      last_ = done;
    }
  }
  if (path == Path::kLater) {
    ready->on_signal([self = shared_from_this()] { self->schedule(); });
    return {done, false, {}};
  }
  const Status status =
      path == Path::kInline ? work() : fail(ECANCELED, "the bind queue was destroyed");
  done->signal(status ? 0 : status.error().err);
  if (path == Path::kInline) {
    {
      Guard hold(lock_);
      running_ = false;
    }
    schedule();
  }
  return {done, true, status};
}

void BindQueue::schedule() {
  {
    Guard hold(lock_);
    if (running_ || pending_.empty() || !pending_.front().ready->signalled()) return;
    running_ = true;
  }
  workers_->post([self = shared_from_this()] { self->pump(); });
}

void BindQueue::pump() {
  for (;;) {
    Pending next;
    {
      Guard hold(lock_);
      if (pending_.empty() || !pending_.front().ready->signalled()) {
        running_ = false;
        return;
      }
      next = std::move(pending_.front());
      pending_.pop_front();
    }
    const Status status = next.work();
    next.done->signal(status ? 0 : status.error().err);
  }
}

void BindQueue::kill() {
  std::deque<Pending> dropped;
  {
    Guard hold(lock_);
    killed_ = true;
    dropped.swap(pending_);
  }
  for (const Pending& pending : dropped) pending.done->signal(ECANCELED);
}

}  // namespace softxe
