/*
 * The client's own SIGSEGV and SIGBUS handlers, on its own signal stack, in two threads at once. Each real
 * fault reaches its handler once, with the right number, code and address: no mapping, no permission, a page
 * beyond the end of a file. A page in VRAM is not a fault: neither a load, a store nor a system call on it is
 * seen by a handler, from the main program or inside of a handler.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"

enum { ROUNDS = 10, STACK_BYTES = 64 * 1024 };

/* What one thread's handler saw, and where it goes on. */
struct seen {
  sigjmp_buf back;
  int count, signo, code, on_stack;
  void *address;
  uint32_t word; /* read from VRAM by the handler */
  unsigned char *vram, *stack;
};
static _Thread_local struct seen *mine;

static void on_fault(int signo, siginfo_t *info, void *context) {
  (void)context;
  unsigned char here;
  ++mine->count;
  mine->signo = signo;
  mine->code = info->si_code;
  mine->address = info->si_addr;
  mine->on_stack = &here >= mine->stack && &here < mine->stack + STACK_BYTES;
  memcpy(&mine->word, mine->vram, sizeof mine->word);
  siglongjmp(mine->back, 1);
}

static void store_faults(volatile unsigned char *at) {
  if (sigsetjmp(mine->back, 1) == 0) *at = 1;
}
static void load_faults(volatile unsigned char *at) {
  if (sigsetjmp(mine->back, 1) == 0) (void)*at;
}

static const struct {
  const char *name;
  enum { NOTHING_MAPPED, NO_PERMISSION, READ_ONLY, BEYOND_THE_FILE } where;
  void (*touch)(volatile unsigned char *at);
  int signo, code;
} kFaults[] = {
    {"load where nothing is mapped", NOTHING_MAPPED, load_faults, SIGSEGV, SEGV_MAPERR},
    {"store where nothing is mapped", NOTHING_MAPPED, store_faults, SIGSEGV, SEGV_MAPERR},
    {"load without permission", NO_PERMISSION, load_faults, SIGSEGV, SEGV_ACCERR},
    {"store to a page that became read-only in VRAM", READ_ONLY, store_faults, SIGSEGV, SEGV_ACCERR},
    {"load beyond the end of a file", BEYOND_THE_FILE, load_faults, SIGBUS, BUS_ADRERR},
    {"store beyond the end of a file", BEYOND_THE_FILE, store_faults, SIGBUS, BUS_ADRERR},
};

static void to_vram(struct xe_device *xe, unsigned char *block, uint32_t word) {
  memset(block, 7, XE_BLOCK);
  kit_store32(xe, block, word);
}

/* Loads, stores and system calls on VRAM pages: no handler runs, the data is right. */
static void no_fault_is_seen(struct xe_device *xe, struct seen *seen, uint32_t round) {
  int before = seen->count;
  int ends[2];
  if (pipe(ends) != 0) xe_die("pipe: %s", strerror(errno));
  if (sigsetjmp(seen->back, 1) != 0) {
    KIT_CHECK(0, "a page in VRAM gave signal %d at %p", seen->signo, seen->address);
    return;
  }
  to_vram(xe, seen->vram, round);
  KIT_CHECK(*(volatile uint32_t *)seen->vram == round, "load");
  to_vram(xe, seen->vram, round);
  *(volatile uint32_t *)(seen->vram + 8) = round + 1;
  KIT_CHECK(*(volatile uint32_t *)(seen->vram + 8) == round + 1, "store");
  to_vram(xe, seen->vram, round);
  KIT_CHECK(write(ends[1], seen->vram, 4) == 4, "write from VRAM: %s", strerror(errno));
  to_vram(xe, seen->vram, 0);
  KIT_CHECK(read(ends[0], seen->vram, 4) == 4, "read into VRAM: %s", strerror(errno));
  KIT_CHECK(*(volatile uint32_t *)seen->vram == round, "data through the pipe");
  KIT_CHECK(seen->count == before, "a handler ran for a page in VRAM");
  close(ends[0]);
  close(ends[1]);
}

struct places {
  unsigned char *at[4]; /* by kFaults[].where */
  struct xe_device *xe;
};

static void one_fault(const struct places *places, struct seen *seen, size_t row, uint32_t round) {
  unsigned char *at = places->at[kFaults[row].where] + 0x321;
  if (kFaults[row].where == READ_ONLY) {
    unsigned char *block = places->at[READ_ONLY];
    if (mprotect(block, XE_BLOCK, PROT_READ | PROT_WRITE) != 0) xe_die("mprotect");
    to_vram(places->xe, block, round);
    if (mprotect(block, XE_BLOCK, PROT_READ) != 0) xe_die("mprotect");
  }
  to_vram(places->xe, seen->vram, round);
  kit_store32(places->xe, seen->stack + STACK_BYTES - 64, round); /* the frame goes there */
  int before = seen->count;
  kFaults[row].touch(at);
  const char *name = kFaults[row].name;
  KIT_CHECK(seen->count == before + 1, "%s: %d handlers ran", name, seen->count - before);
  KIT_CHECK(seen->signo == kFaults[row].signo, "%s: signal %d", name, seen->signo);
  KIT_CHECK(seen->code == kFaults[row].code, "%s: code %d", name, seen->code);
  KIT_CHECK(seen->address == at, "%s: address %p, not %p", name, seen->address, (void *)at);
  KIT_CHECK(seen->on_stack, "%s: not on the signal stack", name);
  KIT_CHECK(seen->word == round, "%s: the handler read %u", name, seen->word);
}

static unsigned char *beyond_a_file(void) {
  int file = memfd_create("short", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, XE_PAGE) != 0) xe_die("memfd: %s", strerror(errno));
  unsigned char *at = mmap(NULL, 2 * XE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) xe_die("mmap: %s", strerror(errno));
  close(file);
  return at + XE_PAGE;
}

static void *run_thread(void *unused) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  struct seen seen = {.vram = kit_map_aligned(XE_BLOCK), .stack = kit_map_aligned(STACK_BYTES)};
  mine = &seen;
  stack_t stack = {.ss_sp = seen.stack, .ss_size = STACK_BYTES};
  if (sigaltstack(&stack, NULL) != 0) xe_die("sigaltstack: %s", strerror(errno));

  struct places places = {.xe = &xe};
  places.at[NOTHING_MAPPED] = (unsigned char *)0x10000; /* below what may be mapped */
  places.at[NO_PERMISSION] = mmap(NULL, XE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  places.at[READ_ONLY] = kit_map_aligned(XE_BLOCK);
  places.at[BEYOND_THE_FILE] = beyond_a_file();
  for (uint32_t round = 1; round <= ROUNDS; ++round) {
    no_fault_is_seen(&xe, &seen, round);
    for (size_t row = 0; row < sizeof kFaults / sizeof kFaults[0]; ++row) one_fault(&places, &seen, row, round);
  }
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, NULL);
  xe_close(&xe);
  return unused;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  /* One before the first device is opened, one after: the engine takes both signals in between. */
  if (sigaction(SIGSEGV, &action, NULL) != 0) xe_die("sigaction");
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  if (sigaction(SIGBUS, &action, NULL) != 0) xe_die("sigaction");

  pthread_t other;
  if (pthread_create(&other, NULL, run_thread, NULL) != 0) xe_die("thread");
  run_thread(NULL);
  pthread_join(other, NULL);
  xe_close(&xe);
  return kit_finish("own_handlers");
}
