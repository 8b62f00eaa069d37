/* Processes, and threads that load and store while the list goes on. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "player.h"

extern char** environ;

static void wait_for(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return say_result(-1);
  if (WIFEXITED(status)) say(" exit %d", WEXITSTATUS(status));
  else say(" signal %d", WTERMSIG(status));
}

static unsigned char fingerprint(int64_t page, int64_t pages) {
  unsigned sum = 0;
  for (int64_t p = page; p < page + pages; ++p) {
    unsigned char byte = 0;
    const int fault = guarded_load(at_page(p) + 1, &byte);
    sum = sum * 31 + byte + (unsigned)fault;
  }
  return (unsigned char)(sum ^ sum >> 8);
}

/* page pages seed: what the child sees, and that its stores stay its own */
static void do_fork(const struct op* op) {
  const pid_t child = fork();
  if (child == 0) {
    const unsigned char before = fingerprint(op->n[0], op->n[1]);
    for (int64_t p = op->n[0]; p < op->n[0] + op->n[1]; ++p)
      guarded_store(at_page(p) + 1, (unsigned char)op->n[2]);
    _exit((before ^ fingerprint(op->n[0], op->n[1])) & 0xFF);
  }
  wait_for(child);
}

/* The same by the system call, which no wrapper of libc sees. */
static void do_raw_fork(const struct op* op) {
  const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) syscall(SYS_exit_group, fingerprint(op->n[0], op->n[1]));
  wait_for(child);
}

/* page: a vfork child stores into the parent's memory */
static void do_vfork(const struct op* op) {
  volatile int fault = 0;
  const pid_t child = vfork();
  if (child == 0) {
    fault = guarded_store(at_page(op->n[0]) + 2, (unsigned char)op->n[1]);
    _exit(fault != 0);
  }
  wait_for(child);
}

static void do_spawn(const struct op* op) {
  (void)op;
  pid_t child = -1;
  char* const arguments[] = {"true", NULL};
  const int failed = posix_spawnp(&child, "true", NULL, NULL, arguments, environ);
  if (failed != 0) say(" %d", failed);
  else wait_for(child);
}

/* ---- storms: each thread has a word in every page and knows what it must find there ---- */

enum { kThreads = 3, kStormPagesMax = 256 };

static struct storm {
  int64_t page, pages;
  int may_be_zeroed;
  atomic_int stop, wrong;
  pthread_t threads[kThreads];
  int running;
} storm;

static void note_wrong(int64_t page, uint32_t found, uint32_t wanted) {
  if (atomic_fetch_add(&storm.wrong, 1) == 0)
    dprintf(STDERR_FILENO, "storm: page %lld: found %u, stored %u\n", (long long)page, found, wanted);
}

static void* blow(void* argument) {
  const size_t number = (size_t)(uintptr_t)argument;
  uint32_t mine[kStormPagesMax] = {0};
  sigjmp_buf jump;
  for (volatile int64_t i = 0; !atomic_load(&storm.stop); ++i) {
    const int64_t p = i % storm.pages;
    volatile uint32_t* word = (volatile uint32_t*)(at_page(storm.page + p) + 256) + number;
    if (sigsetjmp(jump, 1) == 0) {
      guard_jump = &jump;
      __asm__ volatile("" ::: "memory"); /* the handler reads it behind the compiler's back */
      const uint32_t found = *word;
      if (found != mine[p] && !(found == 0 && storm.may_be_zeroed)) note_wrong(storm.page + p, found, mine[p]);
      *word = found + 1;
      mine[p] = found + 1; /* a store that faulted did not come here */
    }
    guard_jump = NULL;
  }
  return NULL;
}

/* page pages may_be_zeroed */
static void do_storm(const struct op* op) {
  if (storm.running) return say(" already");
  storm.page = op->n[0];
  storm.pages = op->n[1] > kStormPagesMax ? kStormPagesMax : op->n[1];
  storm.may_be_zeroed = (int)op->n[2];
  say_address(mmap(at_page(storm.page), (size_t)(storm.pages * kPage), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
  atomic_store(&storm.stop, 0);
  atomic_store(&storm.wrong, 0);
  for (size_t i = 0; i < kThreads; ++i) pthread_create(&storm.threads[i], NULL, blow, (void*)(uintptr_t)i);
  storm.running = 1;
}

void calm_down(void) {
  if (!storm.running) return;
  atomic_store(&storm.stop, 1);
  for (size_t i = 0; i < kThreads; ++i) pthread_join(storm.threads[i], NULL);
  storm.running = 0;
  say(" wrong %d", atomic_load(&storm.wrong));
  /* Counts differ from run to run: the words are cleared before sums are compared. */
  for (int64_t p = storm.page; p < storm.page + storm.pages; ++p)
    for (int byte = 0; byte < 4 * kThreads; ++byte)
      if (guarded_store(at_page(p) + 256 + byte, 0) != 0) break;
}
static void do_calm(const struct op* op) {
  (void)op;
  calm_down();
}

/* milliseconds, so that storms and moves meet */
static void do_pause(const struct op* op) { usleep((useconds_t)op->n[0] * 1000); }

const struct named_operation process_operations[] = {
    {"fork", do_fork},   {"raw_fork", do_raw_fork}, {"vfork", do_vfork}, {"spawn", do_spawn},
    {"storm", do_storm}, {"calm", do_calm},         {"pause", do_pause}, {NULL, NULL},
};
