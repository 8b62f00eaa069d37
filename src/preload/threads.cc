#include "preload/threads.h"

#include <pthread.h>

#include <atomic>
#include <deque>
#include <memory>
#include <new>

#include "base/result.h"
#include "host/live/engine_section.h"
#include "host/live/futex.h"
#include "preload/engine_alloc.h"
#include "preload/engine_scope.h"
#include "preload/session.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

using live::wait_while;
using live::wake_all;

constexpr std::size_t kStackBytes = 512ULL * 1024;

struct EngineThread {
  explicit EngineThread(std::function<void()> work)
      : body(std::move(work)), stack(engine_allocate(kStackBytes, 65536)) {}
  ~EngineThread() { engine_release(stack); }
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  std::function<void()> body;
  void* stack;
  pthread_t id{};
  std::atomic<std::uint32_t> ended{0};  ///< a futex: 1 once the body has returned
};

/// The thread that makes and joins all others. Engine threads come and go, and a new one has what its maker has: a
/// client's thread may be in a sandbox by now (seccomp), where the engine could not work. Nor may a client's thread
/// in the engine wait for libc's list of stacks, which both making and joining lock: setuid() holds it until each
/// thread has run a signal handler. Lives as long as the process.
class Nursery {
 public:
  Nursery() {
    self_.nursery = this;
    self_.thread = std::make_shared<EngineThread>([this] { work(); });
    create(self_);
  }

  /// Returns at once; what it returns waits for the end of `body`.
  std::function<void()> start(std::function<void()> body) {
    auto thread = std::make_shared<EngineThread>(std::move(body));
    request(wanted_, thread);
    return [thread] { wait_while(thread->ended, 0); };
  }

 private:
  using Thread = std::shared_ptr<EngineThread>;
  using List = std::deque<Thread>;
  /// What a new thread is told.
  struct Cradle {
    Nursery* nursery = nullptr;
    Thread thread;
  };

  static void* thread_main(void* argument) {
    auto& cradle = *static_cast<Cradle*>(argument);
    adopt_engine_thread();
    live::EngineSection::adopt_engine_thread();
    Nursery& nursery = *cradle.nursery;
    const Thread thread = cradle.thread;
    nursery.created_.store(1, std::memory_order_release);
    wake_all(nursery.created_);
    thread->body();
    thread->body = nullptr;
    nursery.request(nursery.ended_, thread);
    thread->ended.store(1, std::memory_order_release);
    wake_all(thread->ended);
    return nullptr;
  }

  void create(Cradle& cradle) {
    const EngineMark mark;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, cradle.thread->stack, kStackBytes);
    const std::uint64_t mask = live::block_signals();  // inherited by the new thread
    created_.store(0, std::memory_order_relaxed);
    const int error = pthread_create(&cradle.thread->id, &attributes, thread_main, &cradle);
    SX_ASSERT(error == 0);
    wait_while(created_, 0);
    live::restore_signals(mask);
    pthread_attr_destroy(&attributes);
  }

  void work() {
    for (;;) {
      const std::uint32_t seen = requests_.load(std::memory_order_acquire);
      while (const Thread thread = next(ended_)) pthread_join(thread->id, nullptr);
      while (const Thread thread = next(wanted_)) {
        Cradle cradle{this, thread};
        create(cradle);
      }
      wait_while(requests_, seen);
    }
  }

  void request(List& list, const Thread& thread) {
    lock_.lock();
    list.push_back(thread);
    lock_.unlock();
    requests_.fetch_add(1, std::memory_order_release);
    wake_all(requests_);
  }
  Thread next(List& list) {
    Thread thread;
    lock_.lock();
    if (!list.empty()) {
      thread = std::move(list.front());
      list.pop_front();
    }
    lock_.unlock();
    return thread;
  }

  SpinFutex lock_;
  List wanted_;                             ///< to be made; lock_
  List ended_;                              ///< to be joined; lock_
  std::atomic<std::uint32_t> requests_{0};  ///< a futex
  std::atomic<std::uint32_t> created_{0};   ///< a futex: the thread being made has read its cradle
  Cradle self_;
};

}  // namespace

ThreadStarter engine_thread_starter() {
  // Under the lock of the session that is being made. A fork child has inherited no thread.
  static Nursery* nursery = nullptr;
  static std::uint64_t made_in = 0;
  if (nursery == nullptr || made_in != generation()) {
    nursery = new Nursery;
    made_in = generation();
  }
  return [here = nursery](std::function<void()> body) { return here->start(std::move(body)); };
}

}  // namespace softxe::preload
