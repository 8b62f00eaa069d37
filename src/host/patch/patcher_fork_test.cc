// Calls that make processes and threads while the hooks are awake.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <csignal>
#include <cstdlib>
#include <functional>

#include "host/patch/patch_test_util.h"

extern char** environ;

namespace softxe::patch {
namespace {

using test::install_active;
using test::record_call;
using test::run_isolated;

/// In memory that parent and children share, so that each sees what the other's hooks did.
struct ForkEvents {
  std::atomic<int> before{0};
  std::atomic<int> parent{0};
  std::atomic<int> child{0};
  std::atomic<unsigned long> flags{0};
  std::atomic<long> parent_result{0};
  std::atomic<long> before_pid{0};
  std::atomic<long> child_pid{0};
  std::atomic<int> order_errors{0};
};
ForkEvents* g_events = nullptr;

void before_fork(unsigned long flags) {
  g_events->before++;
  g_events->flags = flags;
  g_events->before_pid = raw_syscall(SYS_getpid);
  errno = EXDEV;
}
void after_parent(long result) {
  g_events->parent++;
  g_events->parent_result = result;
  if (raw_syscall(SYS_getpid) != g_events->before_pid) g_events->order_errors++;
}
void after_child() {
  g_events->child++;
  g_events->child_pid = raw_syscall(SYS_getpid);
  if (g_events->before == 0) g_events->order_errors++;
}

constexpr HookTable kForkHooks = {
    .call = record_call, .fork = {before_fork, after_parent, after_child}, .signals = SignalPolicy::kBlock};

void start(const HookTable& hooks = kForkHooks) {
  void* shared = mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_events = new (shared) ForkEvents;
  install_active(hooks);
}

int wait_for(pid_t pid) {
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, __WALL), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool signals_open() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, SIGUSR1) == 0;
}

/// In the child: memory works, hooks work, signals are open.
int child_check() {
  const auto before = test::g_call_count.load();
  void* volatile p = malloc(2 * k2M);
  free(p);
  munmap(reinterpret_cast<void*>(1), 0);  // the malloc above may have come from the heap
  return signals_open() && test::g_call_count.load() > before ? 7 : 8;
}

alignas(16) unsigned char g_stack[256 * 1024];
void* stack_top() { return g_stack + sizeof g_stack; }

struct ForkCase {
  const char* what;
  std::function<pid_t()> fork;
};

TEST(PatcherFork, HooksRunAroundEveryKindOfFork) {
  const ForkCase cases[] = {
      {"fork",
       [] {
         const pid_t pid = fork();
         if (pid == 0) _exit(child_check());
         return pid;
       }},
      {"_Fork",
       [] {
         const pid_t pid = _Fork();
         if (pid == 0) _exit(child_check());
         return pid;
       }},
      {"clone on a stack of its own",
       [] { return clone([](void*) { return child_check(); }, stack_top(), SIGCHLD, nullptr); }},
      {"syscall(SYS_fork)",
       [] {
         // fork has no flags: what stands in their register must not be read as such.
         const auto pid = static_cast<pid_t>(syscall(SYS_fork, long{CLONE_VM}));
         if (pid == 0) _exit(child_check());
         return pid;
       }},
      {"syscall(SYS_clone)",
       [] {
         const auto pid = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
         if (pid == 0) _exit(child_check());
         return pid;
       }},
  };
  for (const ForkCase& c : cases) {
    SCOPED_TRACE(c.what);
    run_isolated([&c] {
      start();
      errno = 0;
      const pid_t pid = c.fork();
      EXPECT_EQ(errno, 0);
      EXPECT_GT(pid, 0);
      EXPECT_EQ(wait_for(pid), 7);
      EXPECT_EQ(g_events->before, 1);
      EXPECT_EQ(g_events->parent, 1);
      EXPECT_EQ(g_events->child, 1);
      EXPECT_EQ(g_events->parent_result, pid);
      EXPECT_EQ(g_events->child_pid, pid);
      EXPECT_EQ(g_events->order_errors, 0);
      EXPECT_EQ(g_events->flags & 0xff, unsigned{SIGCHLD});
      EXPECT_TRUE(signals_open());
      EXPECT_EQ(child_check(), 7) << "the parent's thread is hooked again";
    });
  }
}

TEST(PatcherFork, AFailedForkReportsItsError) {
  run_isolated([] {
    start();
    // A signal handler table cannot be shared without the memory.
    EXPECT_EQ(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(g_events->before, 1);
    EXPECT_EQ(g_events->parent, 1);
    EXPECT_EQ(g_events->parent_result, -EINVAL);
    EXPECT_EQ(g_events->child, 0);
    EXPECT_TRUE(signals_open());
  });
}

int g_shared_word = 0;

int increment_shared(void*) {
  g_shared_word++;
  return 5;
}

struct SpawnCase {
  const char* what;
  int exit_code;
  std::function<int()> spawn;
};

TEST(PatcherFork, SharedMemoryChildrenAreNotForks) {
  const SpawnCase cases[] = {
      {"vfork", 3,
       [] {
         const pid_t pid = vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork): the row is about it
         if (pid == 0) _exit(3);
         return wait_for(pid);
       }},
      {"posix_spawn", 4,
       [] {
         char shell[] = "sh";
         char option[] = "-c";
         char command[] = "exit 4";
         char* arguments[] = {shell, option, command, nullptr};
         pid_t pid = 0;
         EXPECT_EQ(posix_spawn(&pid, "/bin/sh", nullptr, nullptr, arguments, environ), 0);
         return wait_for(pid);
       }},
      // NOLINTNEXTLINE(concurrency-mt-unsafe): the row is about it
      {"system", 6, [] { return WEXITSTATUS(std::system("exit 6")); }},
      {"popen", 9,
       [] {
         FILE* pipe = popen("exit 9", "r");
         return pipe == nullptr ? -1 : WEXITSTATUS(pclose(pipe));
       }},
      {"clone with the same memory", 5,
       [] {
         g_shared_word = 0;
         const pid_t pid = clone(increment_shared, stack_top(), CLONE_VM | SIGCHLD, nullptr);
         const int code = wait_for(pid);
         EXPECT_EQ(g_shared_word, 1);
         return code;
       }},
      {"clone as vfork", 5,
       [] { return wait_for(clone(increment_shared, stack_top(), CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr)); }},
      {"thread", 11,
       [] {
         pthread_t thread;
         auto body = [](void*) -> void* { return reinterpret_cast<void*>(child_check() + 4ul); };
         EXPECT_EQ(pthread_create(&thread, nullptr, body, nullptr), 0);
         void* result = nullptr;
         pthread_join(thread, &result);
         return static_cast<int>(reinterpret_cast<long>(result));
       }},
  };
  for (const SpawnCase& c : cases) {
    SCOPED_TRACE(c.what);
    run_isolated([&c] {
      start();
      EXPECT_EQ(c.spawn(), c.exit_code);
      EXPECT_EQ(g_events->before, 0);
      EXPECT_EQ(g_events->parent, 0);
      EXPECT_EQ(g_events->child, 0);
    });
  }
}

TEST(PatcherFork, WithoutForkHooksOrAsleepForkIsPlain) {
  run_isolated([] {
    start({.call = record_call, .fork = {}, .signals = SignalPolicy::kBlock});
    pid_t pid = fork();
    if (pid == 0) _exit(child_check());
    EXPECT_EQ(wait_for(pid), 7);
    deactivate();
    pid = fork();
    if (pid == 0) _exit(12);
    EXPECT_EQ(wait_for(pid), 12);
  });
}

TEST(PatcherFork, ThreadsHammerWhileOthersFork) {
  run_isolated([] {
    start();
    std::atomic<bool> stop{false};
    auto hammer = [](void* s) -> void* {
      while (!static_cast<std::atomic<bool>*>(s)->load()) {
        void* volatile p = malloc(2 * k2M);
        free(p);
      }
      return nullptr;
    };
    pthread_t threads[2];
    for (pthread_t& t : threads) ASSERT_EQ(pthread_create(&t, nullptr, hammer, &stop), 0);
    for (int i = 0; i < 20; ++i) {
      const pid_t pid = fork();
      if (pid == 0) _exit(child_check());
      EXPECT_EQ(wait_for(pid), 7);
    }
    stop = true;
    for (pthread_t t : threads) pthread_join(t, nullptr);
    EXPECT_EQ(g_events->before, 20);
    EXPECT_EQ(g_events->child, 20);
    EXPECT_EQ(g_events->order_errors, 0);
  });
}

}  // namespace
}  // namespace softxe::patch
