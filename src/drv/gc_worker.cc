#include "drv/gc_worker.h"

#include <csignal>
#include <memory>
#include <thread>

#include "base/event_ring.h"
#include "base/turns.h"

namespace softxe {

ThreadStarter default_thread_starter() {
  return [](std::function<void()> body) -> std::function<void()> {
    auto thread = std::make_shared<std::thread>([body = std::move(body)] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
      body();
    });
    return [thread] { thread->join(); };
  };
}

GcWorker::GcWorker(Mode mode, const ThreadStarter& start, std::function<void()> pass) : pass_(std::move(pass)) {
  if (mode == Mode::kThread) join_ = start([this] { run(); });
}

GcWorker::~GcWorker() {
  stop_.store(true);
  kick();
  if (join_) join_();
}

void GcWorker::kick() {
  cause_.store(current_cause(), std::memory_order_relaxed);
  if (pending_.exchange(1) != 0) return;
  notify_one(pending_);
}

void GcWorker::run() {
  for (;;) {
    wait_while(pending_, 0u);
    pending_.store(0);
    if (stop_.load()) return;
    const EventScope kicked(cause_.load(std::memory_order_relaxed));
    pass_();
  }
}

}  // namespace softxe
