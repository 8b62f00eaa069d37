/*
 * What a vfork child does with signal handlers is its own affair: the parent's stand as they were, those that softxe
 * chains (SIGSEGV, SIGBUS) and those it watches (SIGABRT).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static sigjmp_buf jump;
static volatile sig_atomic_t aborts;

static void on_fault(int number) { siglongjmp(jump, number); }
static void on_abort(int number) {
  (void)number;
  ++aborts;
}

static int faults(volatile char* at) {
  const int number = sigsetjmp(jump, 1);
  if (number == 0) *at = 1;
  return number;
}

static void install(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(number, &action, NULL);
}

static int child_ends_with(void (*body)(volatile char*), volatile char* nowhere) {
  const pid_t child = vfork();
  if (child == 0) {
    body(nowhere);
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void resets(volatile char* nowhere) {
  (void)nowhere;
  signal(SIGSEGV, SIG_DFL);
  signal(SIGABRT, SIG_DFL);
}
static void dies(volatile char* nowhere) {
  signal(SIGSEGV, SIG_DFL);
  *nowhere = 1;
}
static void catches(volatile char* nowhere) {
  if (faults(nowhere) != SIGSEGV) _exit(1);
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  volatile char* nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  install(SIGSEGV, on_fault, 0);
  install(SIGABRT, on_abort, 0);
  KIT_CHECK(child_ends_with(resets, nowhere) == 7, "a child that resets handlers lives");
  KIT_CHECK(faults(nowhere) == SIGSEGV, "the parent's SIGSEGV handler stands");
  raise(SIGABRT);
  KIT_CHECK(aborts == 1, "the parent's SIGABRT handler stands");
  KIT_CHECK(child_ends_with(dies, nowhere) == -SIGSEGV, "a child may die of SIGSEGV");
  KIT_CHECK(faults(nowhere) == SIGSEGV, "and the parent's handler stands");
  KIT_CHECK(child_ends_with(catches, nowhere) == 7, "a child inherits the handler");
  install(SIGSEGV, on_fault, SA_RESETHAND);
  KIT_CHECK(child_ends_with(catches, nowhere) == 7, "one that works once works once in the child");
  KIT_CHECK(faults(nowhere) == SIGSEGV, "and once in the parent");
  struct sigaction now;
  sigaction(SIGSEGV, NULL, &now);
  KIT_CHECK(now.sa_handler == SIG_DFL, "then it is gone");
  xe_close(&xe);
  return kit_finish("vfork_signals");
}
