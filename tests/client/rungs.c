/*
 * The rungs of live memory (the argument; SOFTXE_RUNG forces it): what the GPU wrote is right on each, and pages
 * are where the rung promises. full: what the GPU touches migrates. user-only: what the client named by advice
 * or prefetch, and nothing else; a name ends with its mapping. none: nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"

enum { ROUNDS = 4 };
enum rung { NONE, USER_ONLY, FULL };
static enum rung rung;
static struct xe_device xe;

static void no_name(unsigned char *block) { (void)block; }
static void by_advice(unsigned char *block) {
  xe_madvise_preferred(&xe, block, XE_BLOCK, DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE);
}
static void by_system_advice(unsigned char *block) {
  xe_madvise_preferred(&xe, block, XE_BLOCK, (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM);
}
static void by_prefetch(unsigned char *block) {
  int error = kit_prefetch(&xe, block, XE_BLOCK);
  KIT_CHECK(error == 0, "PREFETCH: %s", strerror(error));
}
/* Advice about everything says nothing about any memory of the client's. */
static void by_advice_for_all(unsigned char *block) {
  (void)block;
  xe_madvise_preferred(&xe, NULL, (size_t)1 << 47, DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE);
}

static const struct {
  const char *how;
  void (*name)(unsigned char *block);
  enum rung migrates_from; /* the lowest rung on which it is in VRAM afterwards */
} kNames[] = {
    {"not named", no_name, FULL},
    {"advice: VRAM", by_advice, USER_ONLY},
    {"prefetch into VRAM", by_prefetch, USER_ONLY},
    {"advice: system memory", by_system_advice, FULL + 1},
    {"advice for all of the address space", by_advice_for_all, FULL},
};

static void check_block(const char *how, unsigned char *block, uint32_t word, enum rung migrates_from) {
  kit_store32(&xe, block + XE_PAGE, word);
  size_t present = kit_pages_present(block, XE_BLOCK), all = XE_BLOCK / XE_PAGE;
  size_t wanted = rung >= migrates_from ? 0 : all;
  KIT_CHECK(present == wanted, "%s: %zu of %zu pages are in system memory, not %zu", how, present, all, wanted);
  uint32_t seen;
  memcpy(&seen, block + XE_PAGE, sizeof seen);
  KIT_CHECK(seen == word, "%s: the GPU's word is %#x, not %#x", how, seen, word);
  size_t wrong = 0;
  for (size_t i = 0; i < XE_BLOCK; ++i) wrong += (i < XE_PAGE || i >= XE_PAGE + 4) && block[i] != (unsigned char)word;
  KIT_CHECK(wrong == 0, "%s: %zu bytes differ", how, wrong);
  /* Home again by the touches above: a system call may use it on every rung. */
  int ends[2];
  if (pipe(ends) != 0) xe_die("pipe: %s", strerror(errno));
  KIT_CHECK(write(ends[1], block, 8) == 8, "%s: write: %s", how, strerror(errno));
  close(ends[0]);
  close(ends[1]);
}

static void one_row(size_t row, uint32_t round) {
  unsigned char *block = kit_map_aligned(XE_BLOCK);
  memset(block, (int)round, XE_BLOCK);
  kNames[row].name(block);
  check_block(kNames[row].how, block, round | 0x100, kNames[row].migrates_from);
  memset(block, (int)round + 1, XE_BLOCK);
  if (kNames[row].name == by_prefetch) by_prefetch(block);
  check_block(kNames[row].how, block, (round + 1) | 0x200, kNames[row].migrates_from);
  kit_unmap(block, XE_BLOCK);
}

/* The same address, another mapping: on user-only it has no name, whether it was in use or not. */
static void a_name_ends_with_its_mapping(uint32_t round) {
  unsigned char *block = kit_map_aligned(XE_BLOCK);
  memset(block, 1, XE_BLOCK);
  by_advice(block);
  if (round % 2 == 0) kit_store32(&xe, block, round);
  kit_unmap(block, XE_BLOCK);
  void *again = mmap(block, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (again != block) xe_die("mmap at the same address: %s", strerror(errno));
  memset(block, 3, XE_BLOCK);
  check_block("mapped again", block, 0x303, FULL);
  kit_unmap(block, XE_BLOCK);
}

/* The device wants its atomics in VRAM. Where no page can get there, they act on system memory. */
static void atomics_work_on_each_rung(void) {
  unsigned char *block = kit_map_aligned(XE_BLOCK);
  volatile uint32_t *word = (volatile uint32_t *)(block + XE_PAGE);
  memset(block, 0, XE_BLOCK);
  for (uint32_t round = 1; round <= ROUNDS; ++round) {
    if (round == 3) kit_store32(&xe, block, 7); /* read and written before, the page is mapped for the GPU */
    struct xe_batch batch;
    xe_batch_init(&batch, 16);
    xe_emit_atomic_increment(&batch, block + XE_PAGE);
    xe_run(&xe, &batch);
    xe_batch_free(&batch);
    size_t present = kit_pages_present(block, XE_BLOCK), wanted = rung == FULL ? 0 : XE_BLOCK / XE_PAGE;
    KIT_CHECK(present == wanted, "atomic: %zu pages are in system memory, not %zu", present, wanted);
    if (round == 2) KIT_CHECK(*word == 2, "two atomics made %u", *word);
  }
  KIT_CHECK(*word == ROUNDS, "%d atomics made %u", ROUNDS, *word);
  kit_unmap(block, XE_BLOCK);
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "full";
  rung = strcmp(name, "full") == 0 ? FULL : strcmp(name, "user-only") == 0 ? USER_ONLY : NONE;
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  for (uint32_t round = 1; round <= ROUNDS; ++round) {
    for (size_t row = 0; row < sizeof kNames / sizeof kNames[0]; ++row) one_row(row, round);
    a_name_ends_with_its_mapping(round);
  }
  atomics_work_on_each_rung();
  xe_close(&xe);
  return kit_finish(name);
}
