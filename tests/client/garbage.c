/*
 * Batches no one should submit. Each bans its own queue and nothing else: the client lives, the other
 * queue of the same VM goes on, and the address that failed can be asked for (docs/spec/uapi.md 13, 14).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "client_kit.h"

enum { WORDS = XE_PAGE / sizeof(uint32_t), KEPT = 0x11111111 };

/* What the batches aim at. */
struct targets {
  uint32_t *code;      /* two pages; the second one is not mapped */
  uint32_t *hole;      /* not mapped */
  uint32_t *advised;   /* mapped, READONLY for the GPU */
  uint32_t *protected; /* mapped, mprotect(PROT_READ) */
  uint32_t *plain;
};

enum aim { AIM_NOTHING, AIM_HOLE, AIM_AFTER_CODE, AIM_ADVISED, AIM_PROTECTED, AIM_ZERO };

struct garbage {
  const char *name;
  uint32_t first;      /* the command */
  enum aim operand;    /* its address; AIM_NOTHING: the command has none */
  enum aim faults_at;  /* AIM_NOTHING: the job ends by an error of the command itself */
  uint8_t access_type;
  int ended;           /* 0: MI_NOOP up to the end of the page, no end of the batch */
};

static const struct garbage kGarbage[] = {
    {"unknown client 7", 0xffffffffu, AIM_NOTHING, AIM_NOTHING, 0, 1},
    {"unknown MI opcode", 0x3f800001u & 0x1fffffffu, AIM_NOTHING, AIM_NOTHING, 0, 1},
    {"jump to a hole", KIT_MI_BATCH_BUFFER_START, AIM_HOLE, AIM_HOLE, FAULT_ACCESS_TYPE_READ, 1},
    {"jump to address 0", KIT_MI_BATCH_BUFFER_START, AIM_ZERO, AIM_ZERO, FAULT_ACCESS_TYPE_READ, 1},
    {"past the end of the buffer", KIT_MI_NOOP, AIM_NOTHING, AIM_AFTER_CODE, FAULT_ACCESS_TYPE_READ, 0},
    {"store to a hole", KIT_MI_STORE_DATA_IMM32, AIM_HOLE, AIM_HOLE, FAULT_ACCESS_TYPE_WRITE, 1},
    {"store to a read-only mirror", KIT_MI_STORE_DATA_IMM32, AIM_ADVISED, AIM_ADVISED, FAULT_ACCESS_TYPE_WRITE, 1},
    {"store to PROT_READ memory", KIT_MI_STORE_DATA_IMM32, AIM_PROTECTED, AIM_PROTECTED, FAULT_ACCESS_TYPE_WRITE, 1},
    {"store through the global table", KIT_MI_STORE_DATA_IMM32 | KIT_BIT_GGTT, AIM_ADVISED, AIM_NOTHING, 0, 1},
};

static uint64_t address_of(const struct targets *t, enum aim aim) {
  switch (aim) {
    case AIM_HOLE: return kit_address(t->hole);
    case AIM_AFTER_CODE: return kit_address(t->code + WORDS);
    case AIM_ADVISED: return kit_address(t->advised);
    case AIM_PROTECTED: return kit_address(t->protected);
    default: return 0;
  }
}

static void write_code(const struct targets *t, const struct garbage *g) {
  memset(t->code, 0, XE_PAGE); /* MI_NOOP */
  uint32_t *to = g->ended ? t->code : t->code + WORDS - 8;
  *to++ = g->first;
  if (g->operand != AIM_NOTHING) {
    *to++ = (uint32_t)address_of(t, g->operand);
    *to++ = (uint32_t)(address_of(t, g->operand) >> 32);
    *to++ = 0xbadbad;
  }
  if (g->ended) *to++ = KIT_MI_BATCH_BUFFER_END;
}

static void run_case(struct xe_device *xe, const struct targets *t, const struct garbage *g) {
  static uint64_t fence;
  static uint32_t proof;
  struct xe_vm_fault before[KIT_FAULTS_MAX], after[KIT_FAULTS_MAX];
  unsigned old_faults = kit_faults(xe, before);
  fence = 0;
  write_code(t, g);
  uint32_t queue = kit_queue_create(xe);
  KIT_CHECK(kit_queue_banned(xe, queue) == 0, "%s: banned before it ran", g->name);
  const uint32_t *start = g->ended ? t->code : t->code + WORDS - 8;
  KIT_CHECK(kit_exec(xe, queue, start, &fence) == 0, "%s: EXEC", g->name);
  int waited = kit_wait(xe, queue, &fence);
  KIT_CHECK(waited == EIO, "%s: the wait gave %s", g->name, strerror(waited));
  KIT_CHECK(fence == 0, "%s: the fence of a killed job was written: %#lx", g->name, (long)fence);
  KIT_CHECK(kit_queue_banned(xe, queue) == 1, "%s: not banned", g->name);
  int again = kit_exec(xe, queue, start, &fence);
  KIT_CHECK(again == ECANCELED, "%s: the next EXEC gave %s", g->name, strerror(again));

  unsigned faults = kit_faults(xe, after);
  KIT_CHECK(faults == old_faults + (g->faults_at != AIM_NOTHING), "%s: %u fault records, then %u",
            g->name, old_faults, faults);
  if (g->faults_at != AIM_NOTHING && faults > old_faults) {
    const struct xe_vm_fault *last = &after[faults - 1];
    KIT_CHECK(last->address == address_of(t, g->faults_at), "%s: fault at %#llx", g->name,
              (unsigned long long)last->address);
    KIT_CHECK(last->access_type == g->access_type, "%s: access %u", g->name, last->access_type);
    KIT_CHECK(last->address_precision == XE_PAGE, "%s: precision", g->name);
  }
  kit_store32(xe, &proof, proof + 1); /* the other queue of the VM */
  KIT_CHECK(proof != 0 && kit_queue_banned(xe, xe->queue_id) == 0, "%s: the other queue", g->name);
  KIT_CHECK(*t->advised == KEPT && *t->protected == KEPT, "%s: a refused store landed", g->name);
  KIT_CHECK(kit_queue_destroy(xe, queue) == 0, "%s: destroy", g->name);
}

/* A batch that never ends is legal; destroying its queue ends it, and its fence stays unwritten. */
static void endless(struct xe_device *xe, const struct targets *t) {
  static volatile uint32_t started;
  static uint64_t fence;
  uint64_t start = kit_address(&started), code = kit_address(t->code);
  const uint32_t loop[] = {KIT_MI_STORE_DATA_IMM32,   (uint32_t)start, (uint32_t)(start >> 32), 1,
                           KIT_MI_BATCH_BUFFER_START, (uint32_t)code,  (uint32_t)(code >> 32)};
  memcpy(t->code, loop, sizeof loop);
  uint32_t queue = kit_queue_create(xe);
  KIT_CHECK(kit_exec(xe, queue, t->code, &fence) == 0, "endless: EXEC");
  while (started == 0) { /* the test's own time limit bounds this */
  }
  KIT_CHECK(kit_queue_banned(xe, queue) == 0, "endless: banned while it runs");
  KIT_CHECK(kit_queue_destroy(xe, queue) == 0, "endless: destroy");
  KIT_CHECK(fence == 0, "endless: the fence was written");
  uint32_t *word = t->plain;
  kit_store32(xe, word, 77);
  KIT_CHECK(*word == 77, "endless: the engine is free again");
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  struct targets t = {.code = kit_map_aligned(2 * XE_PAGE),
                      .hole = kit_map_aligned(XE_PAGE),
                      .advised = kit_map_aligned(XE_PAGE),
                      .protected = kit_map_aligned(XE_PAGE),
                      .plain = kit_map_aligned(XE_PAGE)};
  *t.advised = *t.protected = KEPT;
  KIT_CHECK(kit_bind_mirror(&xe, t.advised, XE_PAGE, DRM_XE_VM_BIND_FLAG_READONLY) == 0, "read-only bind");
  KIT_CHECK(mprotect(t.protected, XE_PAGE, PROT_READ) == 0, "mprotect");
  kit_unmap(t.hole, XE_PAGE);
  kit_unmap(t.code + WORDS, XE_PAGE);

  for (size_t i = 0; i < sizeof kGarbage / sizeof kGarbage[0]; ++i) run_case(&xe, &t, &kGarbage[i]);
  endless(&xe, &t);
  xe_close(&xe);
  return kit_finish("garbage");
}
