#include "preload/threads.h"

#include <pthread.h>

#include <atomic>
#include <ctime>
#include <deque>
#include <memory>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "host/live/engine_section.h"
#include "host/live/engine_stack.h"
#include "host/live/futex.h"
#include "preload/engine_alloc.h"
#include "preload/engine_scope.h"
#include "preload/own_libc.h"
#include "preload/session.h"
#include "preload/spin_futex.h"

namespace softxe::preload {
namespace {

using live::wait_while;
using live::wake_all;

constexpr std::size_t kStackBytes = 512ULL * 1024;
/// Threads beyond those that have work for good (the collectors): they wait for work when there is none.
constexpr unsigned kReserve = 2;
constexpr const char* kNoThreads = "an engine thread cannot be made (RLIMIT_NPROC, a pids cgroup, a seccomp filter)";
/// How often it is tried again to make a thread for work that waits.
constexpr timespec kRetry{.tv_sec = 0, .tv_nsec = 100'000'000};

/// A piece of work that wants a thread.
struct Errand {
  explicit Errand(std::function<void()> work) : body(std::move(work)) {}

  std::function<void()> body;
  std::atomic<std::uint32_t> ended{0};  ///< a futex: 1 once the body has returned and is gone
};

struct EngineThread {
  EngineThread() : stack_bytes(live::thread_stack_bytes(kStackBytes)), stack(engine_allocate(stack_bytes, 65536)) {}
  ~EngineThread() { engine_release(stack); }
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  std::size_t stack_bytes;
  void* stack;
  pthread_t id{};
};

/// The keeper itself is made by what the program has for it, the others by libc: nobody else is to know of threads that
/// come and go, a sanitizer for one would call those leaked that have just ended.
constinit OwnLibc<int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)> own_create{"pthread_create"};
constinit OwnLibc<int(pthread_t, void**)> own_join{"pthread_join"};

/// The thread that makes and joins all others. Engine threads come and go, and a new one has what its maker has: a
/// client's thread may be in a sandbox by now (seccomp), where the engine could not work. Nor may a client's thread
/// in the engine wait for libc's list of stacks, which both making and joining lock: setuid() holds it until each
/// thread has run a signal handler. Lives as long as the process.
///
/// When no thread can be made any more (RLIMIT_NPROC, a pids cgroup, a filter over all threads), work waits for one of
/// those that are there: two are kept in reserve, and workers end when they have nothing to do.
class Nursery {
 public:
  /// EAGAIN when there can be no thread at all.
  static Result<std::unique_ptr<Nursery>> make() {
    auto nursery = std::unique_ptr<Nursery>(new Nursery);
    if (!nursery->create(Role::kKeeper)) return fail(EAGAIN, kNoThreads);
    return nursery;
  }

  /// Makes threads up to the reserve and `more`, or says why it cannot.
  Status prepare(unsigned more) {
    lock_.lock();
    spare_ = kReserve + more;
    lock_.unlock();
    const std::uint32_t mine = wake_keeper();
    for (std::uint32_t done; static_cast<std::int32_t>((done = done_.load(std::memory_order_acquire)) - mine) < 0;)
      wait_while(done_, done);
    if (!enough_.load()) return fail(EAGAIN, kNoThreads);
    return {};
  }

  /// Returns at once; what it returns waits for the end of `body`.
  std::function<void()> start(std::function<void()> body) {
    auto errand = std::make_shared<Errand>(std::move(body));
    lock_.lock();
    errands_.push_back(errand);
    lock_.unlock();
    work_.fetch_add(1, std::memory_order_release);
    wake_all(work_);
    wake_keeper();
    return [errand] { wait_while(errand->ended, 0); };
  }

 private:
  enum class Role : std::uint8_t { kKeeper, kWorker };
  /// What a new thread is told.
  struct Cradle {
    Nursery* nursery;
    Role role;
    EngineThread* self;
  };

  Nursery() = default;

  static void* thread_main(void* argument) {
    const Cradle cradle = *static_cast<Cradle*>(argument);
    adopt_engine_thread();
    const live::AdoptedThread adopted;
    Nursery& nursery = *cradle.nursery;
    nursery.created_.store(1, std::memory_order_release);
    wake_all(nursery.created_);
    if (cradle.role == Role::kKeeper) nursery.keep();
    nursery.serve(cradle.self);
    return nullptr;
  }

  /// With the signal by which libc changes ids let in: its sender holds the list of stacks that this waits for.
  Status create(Role role) {
    const EngineMark mark;
    auto thread = std::make_unique<EngineThread>();
    Cradle cradle{this, role, thread.get()};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, thread->stack, thread->stack_bytes);
    const std::uint64_t mask = live::block_signals();  // inherited by the new thread
    created_.store(0, std::memory_order_relaxed);
    const auto make = role == Role::kKeeper ? pthread_create : own_create.pointer();
    const int error = make(&thread->id, &attributes, thread_main, &cradle);
    if (error == 0) wait_while(created_, 0);
    live::restore_signals(mask);
    pthread_attr_destroy(&attributes);
    if (error != 0) return fail(error, kNoThreads);
    static_cast<void>(thread.release());  // join() takes it back
    return {};
  }

  // ---- the keeper

  [[noreturn]] void keep() {
    for (;;) {
      const std::uint32_t seen = requests_.load(std::memory_order_acquire);
      join_ended();
      const bool enough = make_wanted();
      enough_.store(enough);
      done_.store(seen, std::memory_order_release);
      wake_all(done_);
      if (enough) {
        wait_while(requests_, seen);
      } else {
        raw_syscall(SYS_futex, &requests_, FUTEX_WAIT_PRIVATE, seen, &kRetry);
      }
    }
  }

  void join_ended() {
    for (;;) {
      lock_.lock();
      std::unique_ptr<EngineThread> thread;
      if (!ended_.empty()) {
        thread.reset(ended_.back());
        ended_.pop_back();
      }
      lock_.unlock();
      if (thread == nullptr) return;
      own_join(thread->id, nullptr);
    }
  }

  bool make_wanted() {
    for (;;) {
      lock_.lock();
      const bool enough = idle_ >= errands_.size() && workers_ >= spare_;
      if (!enough) {
        ++workers_;
        ++idle_;
      }
      lock_.unlock();
      if (enough) return true;
      if (const Status made = create(Role::kWorker); !made) {
        if (!said_.exchange(true)) SX_INFO("{} (errno {})", kNoThreads, made.error().err);
        lock_.lock();
        --workers_;
        --idle_;
        lock_.unlock();
        return false;
      }
    }
  }

  std::uint32_t wake_keeper() {
    const std::uint32_t mine = requests_.fetch_add(1, std::memory_order_release) + 1;
    wake_all(requests_);
    return mine;
  }

  // ---- a worker; it was counted as idle

  void serve(EngineThread* self) {
    for (;;) {
      const std::uint32_t seen = work_.load(std::memory_order_acquire);
      lock_.lock();
      std::shared_ptr<Errand> errand;
      if (!errands_.empty()) {
        errand = std::move(errands_.front());
        errands_.pop_front();
        --idle_;
      } else if (workers_ > spare_) {
        --idle_;
        --workers_;
        ended_.push_back(self);
        lock_.unlock();
        wake_keeper();
        return;
      }
      lock_.unlock();
      if (errand == nullptr) {
        wait_while(work_, seen);
        continue;
      }
      run(*errand);
      errand.reset();
      lock_.lock();
      ++idle_;
      lock_.unlock();
    }
  }

  static void run(Errand& errand) {
    errand.body();
    errand.body = nullptr;
    errand.ended.store(1, std::memory_order_release);
    wake_all(errand.ended);
  }

  SpinFutex lock_;
  std::deque<std::shared_ptr<Errand>> errands_ SX_GUARDED_BY(lock_);  ///< no thread has them yet
  std::vector<EngineThread*> ended_ SX_GUARDED_BY(lock_);             ///< to be joined
  unsigned workers_ SX_GUARDED_BY(lock_) = 0;                         ///< the keeper is none
  unsigned idle_ SX_GUARDED_BY(lock_) = 0;
  unsigned spare_ SX_GUARDED_BY(lock_) = 0;  ///< workers that stay, with work or without
  std::atomic<std::uint32_t> requests_{0};   ///< a futex: for the keeper
  std::atomic<std::uint32_t> work_{0};       ///< a futex: for idle workers
  std::atomic<std::uint32_t> created_{0};    ///< a futex: the thread being made has read its cradle
  std::atomic<std::uint32_t> done_{0};       ///< a futex: the request up to which the keeper has done what it could
  std::atomic<bool> enough_{true};           ///< whether that was all
  std::atomic<bool> said_{false};
};

}  // namespace

Result<ThreadStarter> engine_thread_starter(unsigned lasting) {
  // Under the lock of the session that is being made. A fork child has inherited no thread.
  static Nursery* nursery = nullptr;
  static std::uint64_t made_in = 0;
  if (nursery == nullptr || made_in != generation()) {
    SX_TRY(auto made, Nursery::make());
    nursery = made.release();
    made_in = generation();
  }
  SX_TRY_VOID(nursery->prepare(lasting));
  return ThreadStarter([here = nursery](std::function<void()> body) { return here->start(std::move(body)); });
}

}  // namespace softxe::preload
