#include "drv/gc_worker.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <csignal>
#include <memory>
#include <thread>

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
  if (pending_.exchange(1) != 0) return;
  syscall(SYS_futex, &pending_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void GcWorker::run() {
  for (;;) {
    while (pending_.load() == 0) {
      syscall(SYS_futex, &pending_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
    pending_.store(0);
    if (stop_.load()) return;
    pass_();
  }
}

}  // namespace softxe
