// syscall(3): calls that FdTable follows, or that start a program, are the same calls whatever way they are made.
// Those that change mappings are seen at the patched site inside libc's syscall().
#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdarg>

#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/thread_ends.h"

extern "C" {
int close_range(unsigned first, unsigned last, int flags) noexcept;
int execveat(int dirfd, const char* path, char* const* arguments, char* const* environment, int flags) noexcept;
int unshare(int flags) noexcept;
}

namespace softxe::preload {
namespace {

using Arguments = std::array<long, 6>;

int as_int(long value) { return static_cast<int>(value); }
template <typename T>
T* as(long value) {
  return reinterpret_cast<T*>(value);
}

long call_close(const Arguments& a) { return close(as_int(a[0])); }
long call_close_range(const Arguments& a) {
  return close_range(static_cast<unsigned>(a[0]), static_cast<unsigned>(a[1]), as_int(a[2]));
}
long call_dup(const Arguments& a) { return dup(as_int(a[0])); }
long call_dup2(const Arguments& a) { return dup2(as_int(a[0]), as_int(a[1])); }
long call_dup3(const Arguments& a) { return dup3(as_int(a[0]), as_int(a[1]), as_int(a[2])); }
long call_fcntl(const Arguments& a) { return fcntl(as_int(a[0]), as_int(a[1]), a[2]); }
long call_ioctl(const Arguments& a) { return ioctl(as_int(a[0]), static_cast<unsigned long>(a[1]), as<void>(a[2])); }
long call_open(const Arguments& a) { return open(as<const char>(a[0]), as_int(a[1]), static_cast<mode_t>(a[2])); }
long call_openat(const Arguments& a) {
  return openat(as_int(a[0]), as<const char>(a[1]), as_int(a[2]), static_cast<mode_t>(a[3]));
}
long call_execve(const Arguments& a) {
  return execve(as<const char>(a[0]), as<char* const>(a[1]), as<char* const>(a[2]));
}
long call_execveat(const Arguments& a) {
  return execveat(as_int(a[0]), as<const char>(a[1]), as<char* const>(a[2]), as<char* const>(a[3]), as_int(a[4]));
}
[[noreturn]] long call_exit(const Arguments& a) { end_thread(as_int(a[0])); }
long call_unshare(const Arguments& a) { return unshare(as_int(a[0])); }

struct Row {
  long number;
  long (*call)(const Arguments&);
};
constexpr std::array kRows{
    Row{SYS_close, call_close},       Row{SYS_close_range, call_close_range},
    Row{SYS_dup, call_dup},           Row{SYS_dup2, call_dup2},
    Row{SYS_dup3, call_dup3},         Row{SYS_fcntl, call_fcntl},
    Row{SYS_ioctl, call_ioctl},       Row{SYS_open, call_open},
    Row{SYS_openat, call_openat},     Row{SYS_execve, call_execve},
    Row{SYS_execveat, call_execveat}, Row{SYS_unshare, call_unshare},
    Row{SYS_exit, call_exit},
};

}  // namespace

SX_INTERPOSE(long, syscall, (long number, ...)) {
  static constinit Real<long(long, long, long, long, long, long, long)> real{"syscall"};
  va_list list;
  va_start(list, number);
  Arguments a{};
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (interposing()) {
    for (const Row& row : kRows)
      if (row.number == number) return row.call(a);
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // namespace softxe::preload
