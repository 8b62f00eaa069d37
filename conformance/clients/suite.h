// What the suites have in common: how a row fails, how rows run one after the other, and rows that are a process of
// their own. Nothing of a runtime in it.
#pragma once

#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <functional>
#include <regex>
#include <string>
#include <vector>

extern char** environ;

namespace kit {

/// Thrown: the row failed, and why. (Rows are short; a return code in each call would drown them.)
struct Failed {
  std::string why;
};

[[noreturn]] inline void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
inline void fail(const char* format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  throw Failed{text};
}

template <typename Device>
struct RowOf {
  std::string name;
  std::function<void(Device&)> run;
};

/// What the command line asks for.
struct Wanted {
  std::string pattern;
  bool list = false;  ///< print names, run nothing
};

/// Runs the rows whose names the pattern finds, by `run_row(row, device)`; `make_device` only when one runs. One line a
/// row, then the sum. The status of the suite.
template <typename Rows, typename MakeDevice, typename RunRow>
int run_rows(const Rows& rows, const Wanted& wanted, MakeDevice make_device, RunRow run_row) {
  const std::regex pattern(wanted.pattern);
  int passed = 0;
  int failed = 0;
  try {
    decltype(make_device()) device;
    if (!wanted.list) device = make_device();
    for (const auto& row : rows) {
      if (!std::regex_search(row.name, pattern)) continue;
      if (wanted.list) {
        std::printf("%s\n", row.name.c_str());
        continue;
      }
      try {
        run_row(row, *device);
        std::printf("pass %s\n", row.name.c_str());
        ++passed;
      } catch (const Failed& failure) {
        std::printf("FAIL %s: %s\n", row.name.c_str(), failure.why.c_str());
        ++failed;
      }
      std::fflush(stdout);
    }
  } catch (const Failed& failure) {
    std::printf("no device: %s\n", failure.why.c_str());
    return 1;
  }
  if (!wanted.list) std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}

/// A row that is a process of its own, this suite with `--ban WAY`: it must end, with status 0.
inline void run_ban(const char* way) {
  constexpr int kSeconds = 120;
  const char* const argv[] = {"suite", "--ban", way, nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(argv), environ) != 0) fail("no process");
  const int watched = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd end = {watched, POLLIN, 0};
  const bool ended = watched >= 0 && poll(&end, 1, kSeconds * 1000) == 1;
  if (!ended) kill(child, SIGKILL);
  if (watched >= 0) close(watched);
  int status = 0;
  waitpid(child, &status, 0);
  if (!ended) fail("the process had not ended after %d s", kSeconds);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("the process ended with %#x", static_cast<unsigned>(status));
}

}  // namespace kit
