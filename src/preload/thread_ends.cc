#include "preload/thread_ends.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <threads.h>

#include <atomic>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <new>

#include "base/raw_syscall.h"
#include "host/live/engine_section.h"
#include "preload/engine_alloc.h"
#include "preload/engine_scope.h"
#include "preload/fd_owner.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

/// Of a counted thread the value is how often its destructor has run, plus 1.
constinit pthread_key_t key = 0;
constinit std::atomic<unsigned> counted{0};
constinit std::atomic<int> status_of_first{0};

/// The kernel walks no further either (ROBUST_LIST_LIMIT).
constexpr unsigned kRobustMax = 2048;

bool is_first_thread() { return raw_syscall(SYS_gettid) == raw_syscall(SYS_getpid); }

/// The words that the kernel marks as their owner's death, home and pinned. Their list is libc's, and stands in the
/// descriptor of the thread, which is pinned with the stack.
void pin_robust_words(live::LiveHostMm& mm) {
  robust_list_head* head = nullptr;
  std::size_t bytes = 0;
  if (raw_syscall(SYS_get_robust_list, 0, &head, &bytes) != 0 || head == nullptr) return;
  const auto pin = [&](const robust_list* entry) {
    const auto word = static_cast<std::uint64_t>(reinterpret_cast<std::intptr_t>(entry) + head->futex_offset);
    mm.pin(HostRange::of(HostVa(align_down(word, kPageSize)), kPageSize));
  };
  const auto plain = [](robust_list* entry) {  // the lowest bit says that the mutex inherits priority
    return reinterpret_cast<robust_list*>(reinterpret_cast<std::uintptr_t>(entry) & ~std::uintptr_t{1});
  };
  if (head->list_op_pending != nullptr) pin(plain(head->list_op_pending));
  unsigned seen = 0;
  for (robust_list* at = plain(head->list.next); at != &head->list && seen < kRobustMax; at = plain(at->next), ++seen)
    pin(at);
}

void pin_for_the_kernel() {
  if (live::LiveHostMm* mm = live_mm(); mm != nullptr) {
    run_in_engine([mm] { pin_robust_words(*mm); });  // the thread's descriptor is pinned by the scope
  }
}

/// The calling thread is not counted any more. True: the process is to end with it, and libc does not know.
bool count_out(int status) {
  if (is_first_thread()) status_of_first.store(status);
  return counted.fetch_sub(1) == 1 && live::AdoptedThread::count() != 0;
}

/// Runs with the destructors of the client's thread-specific data, and behind them: in the last of their rounds.
/// Behind it libc ends the process if this was the last thread it knows.
void on_end(void* value) {
  const auto round = reinterpret_cast<std::uintptr_t>(value);
  if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(key, reinterpret_cast<void*>(round + 1));
    return;
  }
  if (!interposing() || !in_owner_process()) return;
  pin_for_the_kernel();
  if (count_out(0)) exit(0);  // as libc does, in the same place
}

void count_this_thread() { pthread_setspecific(key, reinterpret_cast<void*>(std::uintptr_t{1})); }

/// What a new thread is to do.
template <typename R>
struct Start {
  R (*routine)(void*);
  void* argument;
};

template <typename R>
R begin(void* start) {
  auto* given = static_cast<Start<R>*>(start);
  const Start<R> mine = *given;
  {
    const EngineEntry entry;
    engine_release(given);
  }
  count_this_thread();
  return mine.routine(mine.argument);
}

/// `make` makes a thread of the routine and argument that it is given: 0, or an error.
template <typename R, typename Make>
int make_counted(R (*routine)(void*), void* argument, const Make& make) {
  if (!interposing() || !in_owner_process()) return make(routine, argument);
  Start<R>* start = nullptr;
  {
    const EngineEntry entry;
    start = ::new (engine_allocate(sizeof(Start<R>), alignof(Start<R>))) Start<R>{routine, argument};
  }
  counted.fetch_add(1);  // before the thread is there: it may be the last one when this returns
  const int error = make(begin<R>, start);
  if (error == 0) return 0;
  counted.fetch_sub(1);
  const EngineEntry entry;
  engine_release(start);
  return error;
}

}  // namespace

void watch_thread_ends() {
  pthread_key_create(&key, on_end);
  count_this_thread();
}

void forget_other_threads() {
  counted.store(1);
  status_of_first.store(0);
}

void end_thread(int status) {
  if (interposing() && in_owner_process()) {
    pin_for_the_kernel();
    if (pthread_getspecific(key) != nullptr && count_out(status))
      raw_syscall(SYS_exit_group, is_first_thread() ? status : status_of_first.load());
  }
  for (;;) raw_syscall(SYS_exit, status);
}

namespace {

using Create = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

void* first_symbol(const char* name) { return dlsym(RTLD_DEFAULT, name); }

/// For the runtime: by the program's own definition where it has one, as a sanitizer does, which calls the next one.
int create_for_engine(Real<Create>& real, pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*),
                      void* argument) {
  static constinit LateBound<Create, first_symbol> first{"pthread_create"};
  thread_local constinit bool inner = false;
  if (inner) return real(thread, attributes, routine, argument);
  inner = true;
  const int error = first(thread, attributes, routine, argument);
  inner = false;
  return error;
}

}  // namespace

SX_INTERPOSE(int, pthread_create,
             (pthread_t * thread, const pthread_attr_t* attributes, void* (*routine)(void*), void* argument)) {
  static constinit Real<Create> real{"pthread_create"};
  if (in_engine()) return create_for_engine(real, thread, attributes, routine, argument);
  return make_counted(routine, argument,
                      [=](void* (*body)(void*), void* given) { return real(thread, attributes, body, given); });
}

SX_INTERPOSE(int, thrd_create, (thrd_t * thread, thrd_start_t routine, void* argument)) {
  static constinit Real<int(thrd_t*, thrd_start_t, void*)> real{"thrd_create"};
  return make_counted(routine, argument, [=](thrd_start_t body, void* given) { return real(thread, body, given); });
}

/// Libc makes a thread of its own for notices by threads, and keeps it: with it the process outlives all others.
void count_notifier(const sigevent* how) {
  static constinit std::atomic<bool> done{false};
  if (how != nullptr && how->sigev_notify == SIGEV_THREAD && !done.exchange(true)) counted.fetch_add(1);
}

SX_INTERPOSE(int, timer_create, (clockid_t clock, sigevent* how, timer_t* timer)) {
  static constinit Real<int(clockid_t, sigevent*, timer_t*)> real{"timer_create"};
  if (interposing() && in_owner_process()) count_notifier(how);
  return real(clock, how, timer);
}

SX_INTERPOSE(int, mq_notify, (mqd_t queue, const sigevent* how)) {
  static constinit Real<int(mqd_t, const sigevent*)> real{"mq_notify"};
  if (interposing() && in_owner_process()) count_notifier(how);
  return real(queue, how);
}

}  // namespace softxe::preload
