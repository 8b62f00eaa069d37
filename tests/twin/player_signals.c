/* Signals: handlers that use the memory, run in it, or are left by a jump. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "player.h"

static struct {
  const struct op* op;
  sigjmp_buf* out;
  int faults;
  int on_alternate;
} now;

static int fault_of(int64_t page, unsigned char value) {
  unsigned char byte = 0;
  const int fault = guarded_load(at_page(page) + 3000, &byte);
  return fault != 0 ? fault : guarded_store(at_page(page) + 3000, value);
}

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)info;
  (void)context;
  stack_t stack;
  now.on_alternate = sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0;
  now.faults = fault_of(now.op->n[0], (unsigned char)(now.op->n[1] + number));
  if (now.out != NULL) siglongjmp(*now.out, 1);
}

static void install(int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(SIGUSR1, &action, NULL);
}

/* page value: the handler loads and stores */
static void do_handler(const struct op* op) {
  now.op = op;
  now.out = NULL;
  install(0);
  raise(SIGUSR1);
  say(" %d", now.faults);
}

/* page value: and is left by a jump, ten times in a row, the mask as it was */
static void do_jump(const struct op* op) {
  now.op = op;
  install(0);
  volatile int jumps = 0;
  for (volatile int i = 0; i < 10; ++i) {
    sigjmp_buf out;
    if (sigsetjmp(out, 1) == 0) {
      now.out = &out;
      kill(getpid(), SIGUSR1);
      say(" not left");
    } else {
      jumps = jumps + 1;
    }
  }
  now.out = NULL;
  sigset_t mask;
  sigprocmask(SIG_SETMASK, NULL, &mask);
  say(" %d %d %d", jumps, now.faults, sigismember(&mask, SIGUSR1));
}

/* page value stack-page stack-pages: the kernel writes the frame into the memory, and the handler runs there */
static void do_stack(const struct op* op) {
  const int64_t first = op->n[2], pages = op->n[3];
  unsigned char byte = 0;
  for (int64_t p = first; p < first + pages; ++p)
    if (guarded_load(at_page(p), &byte) != 0 || guarded_store(at_page(p), byte) != 0) return say(" refused");
  now.op = op;
  now.out = NULL;
  install(SA_ONSTACK);
  const stack_t stack = {.ss_sp = at_page(first), .ss_size = (size_t)(pages * kPage)};
  const stack_t none = {.ss_flags = SS_DISABLE};
  say_result(sigaltstack(&stack, NULL));
  raise(SIGUSR1);
  say(" %d %d", now.faults, now.on_alternate);
  say_result(sigaltstack(&none, NULL));
  /* Frames have addresses of libraries. */
  for (int64_t p = first; p < first + pages; ++p) memset(at_page(p), 0, kPage);
}

/* page bits: the mask comes from the memory, and the old one goes there */
static void do_mask(const struct op* op) {
  sigset_t* const there = (sigset_t*)(at_page(op->n[0]) + 512);
  sigset_t old;
  sigprocmask(SIG_SETMASK, NULL, &old);
  say_result(sigprocmask(SIG_BLOCK, NULL, there));
  sigset_t set = old;
  if (op->n[1] & 1) sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_SETMASK, &set, NULL);
  say_result(sigprocmask(SIG_SETMASK, there, NULL));
  sigprocmask(SIG_SETMASK, &old, NULL);
}

const struct named_operation signal_operations[] = {
    {"handler", do_handler}, {"jump", do_jump}, {"stack", do_stack}, {"mask", do_mask}, {NULL, NULL}};
