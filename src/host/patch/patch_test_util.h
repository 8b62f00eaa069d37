// Shared by the patcher's tests: bodies that run in a child of their own, a hook that records.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "host/patch/patcher.h"

namespace softxe::patch::test {

/// Runs `body` in a fork child: it has one thread whatever other tests left behind, and its patched
/// libc goes away with it. Failures are printed there and counted here.
template <typename Body>
void run_isolated(Body body) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    body();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status)) << "died of signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "failed in the child, see above";
}

struct Recorded {
  long nr;
  std::array<unsigned long, 6> a;
  long result;
};
inline std::array<Recorded, 4096> g_calls;
inline std::atomic<std::size_t> g_call_count{0};

/// Performs and notes the call; spoils errno, which must not reach the caller.
inline long record_call(SyscallArgs& call) {
  const long result = raw_syscall(call);
  const std::size_t i = g_call_count.fetch_add(1);
  if (i < g_calls.size()) g_calls[i] = {call.nr, call.a, result};
  errno = EXDEV;
  return result;
}

/// Recorded calls that match.
template <typename Match>
std::size_t count_calls(Match match) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < g_call_count.load() && i < g_calls.size(); ++i) n += match(g_calls[i]) ? 1 : 0;
  return n;
}
inline std::size_t count_nr(long nr) {
  return count_calls([nr](const Recorded& r) { return r.nr == nr; });
}

inline void forget_calls() { g_call_count.store(0); }

/// Installed, awake, nothing recorded; the body of most tests begins with it.
inline void install_active(const HookTable& hooks) {
  const PatchReport& r = install(hooks);
  ASSERT_EQ(r.rung, Rung::kPatched) << r.why;
  activate();
  forget_calls();
}

}  // namespace softxe::patch::test
