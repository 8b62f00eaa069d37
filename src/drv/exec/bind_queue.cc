#include "drv/exec/bind_queue.h"

#include <algorithm>

namespace softxe {

bool BindQueue::in_progress() const {
  if (!running_) return false;
  if (!inline_ && !workers_->threaded()) return false;
  return std::ranges::all_of(pending_, [](const Pending& p) { return p.ready->signalled(); });
}

bool BindQueue::must_wait(std::span<const FencePtr> in_fences) const {
  if (!all_signalled(in_fences)) return true;
  Guard hold(lock_);
  return (running_ || !pending_.empty()) && !in_progress();
}

FencePtr BindQueue::last() const {
  Guard hold(lock_);
  return last_;
}

BindQueue::Path BindQueue::admit(const FencePtr& ready, const FencePtr& done, Work& work) {
  Guard hold(lock_);
  if (ready->signalled()) {
    stopped_.wait(lock_, [this] {
      lock_.assert_held();
      return !in_progress();
    });
  }
  if (killed_) return Path::kRefused;
  last_ = done;
  if (ready->signalled() && pending_.empty() && !running_) {
    running_ = inline_ = true;
    return Path::kInline;
  }
  pending_.push_back({ready, std::move(work), done});
  return Path::kLater;
}

BindQueue::Submission BindQueue::submit(std::span<const FencePtr> in_fences, Work work) {
  const FencePtr done = Fence::pending();
  const FencePtr ready = all_of(in_fences);
  const Path path = admit(ready, done, work);
  if (path == Path::kLater) {
    ready->on_signal([self = shared_from_this()] { self->schedule(); });
    return {done, false, {}};
  }
  const Status status = path == Path::kInline ? work() : fail(ECANCELED, "the bind queue was destroyed");
  done->signal(status ? 0 : status.error().err);
  if (path == Path::kInline) end_inline();
  return {done, true, status};
}

void BindQueue::end_inline() {
  {
    Guard hold(lock_);
    running_ = inline_ = false;
  }
  stopped_.notify_all();
  schedule();
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
        stopped_.notify_all();
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
