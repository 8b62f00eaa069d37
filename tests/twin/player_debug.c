/* Debuggers: another process looks into the memory and changes it, by ptrace and by /proc/PID/mem. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

enum { kWordsMax = 64 };

static void wait_and_say(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return say_result(-1);
  if (WIFEXITED(status))
    say(" exit %d", WEXITSTATUS(status));
  else
    say(" signal %d", WTERMSIG(status));
}

/* A word in the middle of each page: read, and changed when there is a seed. Folds what was seen into 7 bits; the
 * highest bit says that a word could not be had. */
static int look_at(pid_t process, int64_t page, int64_t pages, int64_t seed) {
  unsigned long sum = 0;
  int refused = 0;
  for (int64_t p = page; p < page + pages && p < page + kWordsMax; ++p) {
    void* const where = at_page(p) + 1536;
    errno = 0;
    const long word = ptrace(PTRACE_PEEKDATA, process, where, 0);
    refused |= errno != 0;
    sum = sum * 31 + (errno != 0 ? 5 : (unsigned long)word);
    if (seed != 0) refused |= ptrace(PTRACE_POKEDATA, process, where, (void*)(uintptr_t)(seed * 77 + p)) != 0;
  }
  return (int)((sum ^ sum >> 7 ^ sum >> 21) & 0x7F) | refused << 7;
}

/* page pages seed(0: read only): a child debugs its parent */
static void do_debugged(const struct op* op) {
  const pid_t parent = getpid();
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  const pid_t child = fork();
  if (child == 0) {
    int status = 0;
    if (ptrace(PTRACE_SEIZE, parent, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, parent, 0, 0) != 0) _exit(255);
    if (waitpid(parent, &status, __WALL) != parent) _exit(254);
    const int seen = look_at(parent, op->n[0], op->n[1], op->n[2]);
    ptrace(PTRACE_DETACH, parent, 0, 0);
    _exit(seen);
  }
  wait_and_say(child);
}

/* page pages seed: a child is debugged, and says what it has afterwards */
static void do_debugs(const struct op* op) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    unsigned sum = 0;
    for (int64_t p = op->n[0]; p < op->n[0] + op->n[1] && p < op->n[0] + kWordsMax; ++p) {
      unsigned char byte = 0;
      sum = sum * 31 + (unsigned)guarded_load(at_page(p) + 1536, &byte) + byte;
    }
    _exit((int)(sum ^ sum >> 8) & 0xFF);
  }
  int status = 0;
  if (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    say(" %d", look_at(child, op->n[0], op->n[1], op->n[2]));
    ptrace(PTRACE_DETACH, child, 0, 0);
  }
  wait_and_say(child);
}

static unsigned char others[16 * kPage];

/* page pages seed(0: read): a child does it by /proc/PARENT/mem */
static void do_child_mem(const struct op* op) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", (int)getpid());
  const size_t bytes = (size_t)(op->n[1] > 16 ? 16 : op->n[1]) * kPage;
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(path, O_RDWR | O_CLOEXEC);
    memset(others, (int)op->n[2], sizeof others);
    const off_t where = (off_t)(uintptr_t)at_page(op->n[0]);
    const ssize_t done = op->n[2] == 0 ? pread(file, others, bytes, where) : pwrite(file, others, bytes, where);
    unsigned sum = done < 0 ? (unsigned)errno : (unsigned)(done >> 12);
    for (size_t i = 0; op->n[2] == 0 && i < bytes; i += 64) sum = sum * 31 + others[i];
    _exit((int)(sum ^ sum >> 8) & 0xFF);
  }
  wait_and_say(child);
}

const struct named_operation debug_operations[] = {
    {"debugged", do_debugged}, {"debugs", do_debugs}, {"child_mem", do_child_mem}, {NULL, NULL}};
