/*
 * The client's own SIGSEGV handler, on its own signal stack, while the GPU uses both the memory the
 * handler reads and the signal stack itself. The client gets its faults, and only its own.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"

enum { ROUNDS = 40, STACK_BYTES = 256 * 1024 };

static unsigned char *guarded;   /* PROT_NONE until the handler opens it */
static unsigned char *in_vram;   /* the GPU wrote it a moment ago */
static unsigned char *signal_stack;
static volatile sig_atomic_t handled, wrong_address, wrong_stack, wrong_code;
static volatile uint32_t seen_in_handler;

static void on_fault(int signo, siginfo_t *info, void *context) {
  (void)signo;
  (void)context;
  unsigned char here;
  ++handled;
  wrong_address += info->si_addr != guarded + 123;
  wrong_code += info->si_code != SEGV_ACCERR;
  wrong_stack += &here < signal_stack || &here >= signal_stack + STACK_BYTES;
  memcpy((void *)&seen_in_handler, in_vram, sizeof seen_in_handler);
  mprotect(guarded, XE_PAGE, PROT_READ | PROT_WRITE);
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  guarded = kit_map_aligned(XE_PAGE);
  in_vram = kit_map_aligned(XE_BLOCK);
  signal_stack = kit_map_aligned(STACK_BYTES);
  memset(signal_stack, 0, STACK_BYTES);
  memset(in_vram, 1, XE_BLOCK);

  stack_t stack = {.ss_sp = signal_stack, .ss_size = STACK_BYTES};
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGSEGV, &action, NULL) != 0) xe_die("signal set-up");

  for (uint32_t round = 1; round <= ROUNDS; ++round) {
    if (mprotect(guarded, XE_PAGE, PROT_NONE) != 0) xe_die("mprotect");
    kit_store32(&xe, in_vram, round);
    kit_store32(&xe, signal_stack + STACK_BYTES - 64, round); /* the frame will be pushed there */
    *(volatile unsigned char *)(guarded + 123) = (unsigned char)round;
    KIT_CHECK(handled == (int)round, "round %u: %d faults handled", round, (int)handled);
    KIT_CHECK(seen_in_handler == round, "round %u: the handler read %u", round, seen_in_handler);
    KIT_CHECK(guarded[123] == round, "round %u: the store did not happen", round);
  }
  KIT_CHECK(wrong_address == 0, "%d faults with a wrong address", (int)wrong_address);
  KIT_CHECK(wrong_code == 0, "%d faults with a wrong code", (int)wrong_code);
  KIT_CHECK(wrong_stack == 0, "%d faults off the signal stack", (int)wrong_stack);
  struct sigaction now;
  KIT_CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_fault, "the handler reads back");
  KIT_CHECK((now.sa_flags & (SA_SIGINFO | SA_ONSTACK)) == (SA_SIGINFO | SA_ONSTACK), "with its flags");
  xe_close(&xe);
  return kit_finish("signals");
}
