#include "drv/exec/work_queue.h"

#include "base/event_ring.h"

namespace softxe {

WorkQueue::~WorkQueue() { stop(); }

void WorkQueue::post(std::function<void()> work) {
  bool start = false;
  {
    Guard hold(lock_);
    if (stopping_) return;
    work_.push_back({std::move(work), current_cause()});
    start = policy_ == ExecPolicy::kThreads && !running_;
    running_ = running_ || start;
    if (start) worker_.promise();
  }
  if (start) {
    worker_.start_promised([this] { run(); });
  } else {
    wake_.notify_one();
  }
}

bool WorkQueue::run_once() {
  Work work;
  {
    Guard hold(lock_);
    if (work_.empty()) return false;
    work = std::move(work_.front());
    work_.pop_front();
    busy_ = true;
  }
  {
    const EventScope late(work.cause);
    work.run();
  }
  {
    Guard hold(lock_);
    busy_ = false;
  }
  done_.notify_all();
  return true;
}

bool WorkQueue::settle(const WaitContext& wait, Deadline deadline) {
  Guard hold(lock_);
  const auto settled = [this] {
    lock_.assert_held();
    return work_.empty() && !busy_;
  };
  while (!settled() && !deadline.passed(wait.clock)) {
    if (wait.interrupted()) return false;
    done_.wait_for(lock_, Monitor::kInterruptPollNs, settled);
  }
  return true;
}

void WorkQueue::run() {
  for (;;) {
    while (run_once()) {
    }
    Guard hold(lock_);
    wake_.wait_for(lock_, kIdleExitNs, [this] {
      lock_.assert_held();
      return stopping_ || !work_.empty();
    });
    if (work_.empty()) {
      running_ = false;
      return;
    }
  }
}

void WorkQueue::stop() {
  {
    Guard hold(lock_);
    stopping_ = true;
  }
  wake_.notify_all();
  worker_.join();
  while (run_once()) {
  }
}

}  // namespace softxe
