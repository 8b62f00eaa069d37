/* Descriptors 100 to 149 are the list's; children close whatever there is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

extern char** environ;
enum { kFirst = 100, kEnd = 150 };

static int mine(int64_t number) { return kFirst + (int)((uint64_t)number % (kEnd - kFirst)); }

static void say_child(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    say_result(-1);
  else
    say(" %#x", status);
}

/* file to flags(-1: dup2, -2: F_DUPFD): one of the list's files, or a descriptor of the list (100 + n) */
static void do_dup(const struct op* op) {
  const int from = op->n[0] < 4 ? file_of(op->n[0]) : mine(op->n[0]);
  const int to = mine(op->n[1]);
  if (op->n[2] == -2) {
    const int got = fcntl(from, F_DUPFD_CLOEXEC, 120);
    say(" %d", got < 0 ? -errno : 120);
    if (got >= 0) close(got);
  } else {
    say_result(op->n[2] == -1 ? dup2(from, to) : dup3(from, to, (int)op->n[2]));
  }
}
static void do_close(const struct op* op) { say_result(close(mine(op->n[0]))); }
/* first end flags */
static void do_close_range(const struct op* op) {
  say_result(close_range((unsigned)mine(op->n[0]), (unsigned)mine(op->n[1]), (int)op->n[2]));
}
static void do_flags(const struct op* op) {
  struct stat found;
  say_result(fcntl(mine(op->n[0]), op->n[1] & 1 ? F_GETFL : F_GETFD));
  if (op->n[1] & 2) say_result(fcntl(mine(op->n[0]), F_SETFD, op->n[1] & 4 ? FD_CLOEXEC : 0));
  say_result(fstat(mine(op->n[0]), &found));
}
/* descriptor page pages: write from the memory through it */
static void do_write_there(const struct op* op) {
  say_result(pwrite(mine(op->n[0]), at_page(op->n[1]), (size_t)(op->n[2] > 16 ? 16 : op->n[2]) * kPage, 0));
}

/* kind page value: a vfork child closes everything (all one by one, close_range, or from 3 on) and stores */
static void do_closing_child(const struct op* op) {
  const pid_t child = op->n[0] & 1 ? fork() : vfork();
  if (child == 0) {
    if (op->n[0] & 2)
      close_range(3, ~0u, 0);
    else
      for (int fd = 3; fd < 256; ++fd) close(fd);
    _exit(guarded_store(at_page(op->n[1]) + 5, (unsigned char)op->n[2]) != 0);
  }
  say_child(child);
}

/* kind: posix_spawn with file actions, or vfork and exec */
static void do_spawn_with(const struct op* op) {
  char* const arguments[] = {"true", NULL};
  pid_t child = -1;
  if (op->n[0] == 0) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, file_of(0), mine(7));
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    const int failed = posix_spawnp(&child, "true", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return say(" %d", failed);
  } else {
    child = op->n[0] == 1 ? vfork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
      execvp(op->n[1] != 0 ? "/no/such/program" : "true", arguments);
      _exit(127);
    }
  }
  say_child(child);
}

const struct named_operation fd_operations[] = {
    {"dup", do_dup},
    {"close", do_close},
    {"close_range", do_close_range},
    {"flags", do_flags},
    {"write_there", do_write_there},
    {"closing_child", do_closing_child},
    {"spawn_with", do_spawn_with},
    {NULL, NULL},
};
