// Starting programs: whatever environment they are given, they find the devices of the run (environment.h).
//
// These are called in vfork children, in the memory of a parent that waits: nothing is allocated but on the stack.
#include <alloca.h>
#include <spawn.h>
#include <stdio.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdlib>

#include "preload/engine_scope.h"
#include "preload/environment.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

using Words = char* const*;

constinit Real<int(const char*, Words, Words)> real_execve{"execve"};
constinit Real<int(const char*, Words, Words)> real_execvpe{"execvpe"};

/// Calls `start` with the environment that the program shall have.
template <typename Start>
auto with_environment(Words environment, Start start) {
  if (!active() || in_engine()) return start(environment);
  const EnvironmentPlan plan(environment);
  if (!plan.needed()) return start(environment);
  auto** list = static_cast<char**>(alloca(plan.words() * sizeof(char*)));
  auto* text = static_cast<char*>(alloca(plan.bytes()));
  return start(static_cast<Words>(plan.make(list, text)));
}

int exec_path(const char* path, Words arguments, Words environment) {
  return with_environment(environment, [=](Words full) { return real_execve(path, arguments, full); });
}
int exec_file(const char* file, Words arguments, Words environment) {
  return with_environment(environment, [=](Words full) { return real_execvpe(file, arguments, full); });
}

/// Calls of libc's that start a shell with the environment of the process as it is: for their time it is complete.
template <typename Start>
auto with_own_environment(Start start) {
  return with_environment(environ, [start](Words full) {
    char** const before = environ;
    if (full == before) return start();
    environ = const_cast<char**>(full);
    const auto result = start();
    if (environ == full) environ = before;
    return result;
  });
}

/// How many arguments an execl() has, its end included.
std::size_t count_arguments(const char* first, va_list& list) {
  std::size_t count = 1;
  va_list copy;
  va_copy(copy, list);
  for (const char* at = first; at != nullptr; at = va_arg(copy, const char*)) ++count;
  va_end(copy);
  return count;
}

void read_arguments(const char* first, va_list& list, const char** to) {
  const char* at = first;
  for (; at != nullptr; at = va_arg(list, const char*)) *to++ = at;
  *to = nullptr;
}

}  // namespace

// An argument list of execl() on this function's stack, where it must stay until the program is there.
#define SX_LIST_ARGUMENTS(name, first)                                                                 \
  va_list list;                                                                                        \
  va_start(list, first);                                                                               \
  auto** name = static_cast<const char**>(alloca(count_arguments(first, list) * sizeof(const char*))); \
  read_arguments(first, list, name)

SX_INTERPOSE(int, execve, (const char* path, Words arguments, Words environment)) {
  return exec_path(path, arguments, environment);
}
SX_INTERPOSE(int, execv, (const char* path, Words arguments)) { return exec_path(path, arguments, environ); }
SX_INTERPOSE(int, execvp, (const char* file, Words arguments)) { return exec_file(file, arguments, environ); }
SX_INTERPOSE(int, execvpe, (const char* file, Words arguments, Words environment)) {
  return exec_file(file, arguments, environment);
}
SX_INTERPOSE(int, execl, (const char* path, const char* first, ...)) {
  SX_LIST_ARGUMENTS(arguments, first);
  va_end(list);
  return exec_path(path, const_cast<Words>(arguments), environ);
}
SX_INTERPOSE(int, execlp, (const char* file, const char* first, ...)) {
  SX_LIST_ARGUMENTS(arguments, first);
  va_end(list);
  return exec_file(file, const_cast<Words>(arguments), environ);
}
SX_INTERPOSE(int, execle, (const char* path, const char* first, ...)) {
  SX_LIST_ARGUMENTS(arguments, first);
  auto* environment = va_arg(list, Words);
  va_end(list);
  return exec_path(path, const_cast<Words>(arguments), environment);
}
SX_INTERPOSE(int, fexecve, (int fd, Words arguments, Words environment)) {
  static constinit Real<int(int, Words, Words)> real{"fexecve"};
  return with_environment(environment, [=](Words full) { return real(fd, arguments, full); });
}
SX_INTERPOSE(int, execveat, (int dirfd, const char* path, Words arguments, Words environment, int flags)) {
  static constinit Real<int(int, const char*, Words, Words, int)> real{"execveat"};
  return with_environment(environment, [=](Words full) { return real(dirfd, path, arguments, full, flags); });
}

using SpawnActions = const posix_spawn_file_actions_t;
using SpawnAttributes = const posix_spawnattr_t;

SX_INTERPOSE(int, posix_spawn,
             (pid_t * pid, const char* path, SpawnActions* actions, SpawnAttributes* attributes, Words arguments,
              Words environment)) {
  static constinit Real<int(pid_t*, const char*, SpawnActions*, SpawnAttributes*, Words, Words)> real{"posix_spawn"};
  return with_environment(environment,
                          [=](Words full) { return real(pid, path, actions, attributes, arguments, full); });
}
SX_INTERPOSE(int, posix_spawnp,
             (pid_t * pid, const char* file, SpawnActions* actions, SpawnAttributes* attributes, Words arguments,
              Words environment)) {
  static constinit Real<int(pid_t*, const char*, SpawnActions*, SpawnAttributes*, Words, Words)> real{"posix_spawnp"};
  return with_environment(environment,
                          [=](Words full) { return real(pid, file, actions, attributes, arguments, full); });
}

SX_INTERPOSE(int, system, (const char* command)) {
  static constinit Real<int(const char*)> real{"system"};
  return with_own_environment([=] { return real(command); });
}
SX_INTERPOSE(FILE*, popen, (const char* command, const char* mode)) {
  static constinit Real<FILE*(const char*, const char*)> real{"popen"};
  return with_own_environment([=] { return real(command, mode); });
}

}  // namespace softxe::preload
