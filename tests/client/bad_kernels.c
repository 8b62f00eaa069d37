/*
 * Kernels that cannot be carried out, and one that never ends. Each bans or holds its own queue only; the report names
 * what failed (docs/DEVIATIONS.md). Kernels are instruction words: docs/KERNELS.md says how to write some.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "client_kit.h"

enum { STATE_BASE_ADDRESS = 0x61010014, COMPUTE_WALKER = 0x72080026 };

struct kernel {
  const char *name;
  uint32_t words[4];
};

static const struct kernel kBad[] = {
    {"illegal instruction", {0, 0, 0, 0}},
    /* (W) send.rta (1|M0) null r0 null 0x0 0x02000000: to the ray tracing unit */
    {"message of a unit that is not here", {0x80000031, 0, 0x8000000c, 0}},
};
/* (W) jmpi 0: to itself */
static const struct kernel kEndless = {"endless", {0x80000020, 0x00004000, 0, 0}};

/* One group of one thread with 16 lanes. */
static void write_batch(uint32_t *to, const struct kernel *kernel, uint32_t groups) {
  uint32_t *code = to + 256;
  memcpy(code, kernel->words, sizeof kernel->words);
  memset(to, 0, 256 * sizeof *to);
  to[0] = STATE_BASE_ADDRESS;
  to[10] = (uint32_t)kit_address(to) | 1;
  to[11] = (uint32_t)(kit_address(to) >> 32);
  uint32_t *walker = to + 22;
  walker[0] = COMPUTE_WALKER;
  walker[4] = 1u << 30;
  walker[5] = 0xffff;
  walker[7] = groups;
  walker[8] = walker[9] = 1;
  walker[19] = 256 * sizeof *to; /* the kernel, from the instruction base */
  walker[24] = 1;
  walker[40] = KIT_MI_BATCH_BUFFER_END;
}

static void run_bad(uint32_t *batch, const struct kernel *kernel) {
  static uint64_t fence;
  struct xe_vm_fault faults[KIT_FAULTS_MAX];
  struct xe_device xe;
  xe_open_compute(&xe, XE_ADVICE_STAYS);
  fence = 0;
  write_batch(batch, kernel, 1);
  KIT_CHECK(kit_exec(&xe, xe.queue_id, batch, &fence) == 0, "%s: EXEC", kernel->name);
  KIT_CHECK(kit_wait(&xe, xe.queue_id, &fence) == EIO, "%s: the wait", kernel->name);
  KIT_CHECK(fence == 0, "%s: the fence of a banned job was written", kernel->name);
  KIT_CHECK(kit_queue_banned(&xe, xe.queue_id) == 1, "%s: not banned", kernel->name);
  unsigned count = kit_faults(&xe, faults);
  KIT_CHECK(count == 1 && faults[0].address == kit_address(batch), "%s: %u faults", kernel->name, count);
  xe_close(&xe);
}

static void run_endless(uint32_t *batch) {
  static uint64_t fence;
  struct xe_device xe;
  xe_open_compute(&xe, XE_ADVICE_STAYS);
  write_batch(batch, &kEndless, 100);
  uint32_t copies = kit_queue_create(&xe);
  KIT_CHECK(kit_exec(&xe, xe.queue_id, batch, &fence) == 0, "endless: EXEC");
  /* Another queue of the VM gets its turn, and the kernel goes on beside it. */
  static uint32_t store[] = {KIT_MI_STORE_DATA_IMM32, 0, 0, 7, KIT_MI_BATCH_BUFFER_END};
  static uint32_t word;
  static uint64_t stored;
  store[1] = (uint32_t)kit_address(&word);
  store[2] = (uint32_t)(kit_address(&word) >> 32);
  KIT_CHECK(kit_exec(&xe, copies, store, &stored) == 0, "endless: a store beside it");
  KIT_CHECK(kit_wait(&xe, copies, &stored) == 0 && word == 7, "endless: the store");
  KIT_CHECK(kit_queue_banned(&xe, xe.queue_id) == 0, "endless: banned while it runs");
  KIT_CHECK(kit_queue_destroy(&xe, xe.queue_id) == 0, "endless: destroy");
  KIT_CHECK(fence == 0, "endless: the fence was written");
}

int main(void) {
  uint32_t *batch = kit_map_aligned(XE_PAGE);
  for (size_t i = 0; i < sizeof kBad / sizeof kBad[0]; ++i) run_bad(batch, &kBad[i]);
  run_endless(batch);
  return kit_finish("bad_kernels");
}
