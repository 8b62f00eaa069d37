/*
 * Memory advice, and what becomes of it when the memory goes away.
 *
 * Four 2 MiB blocks: three get advice (where pages should live, how atomics are done), the GPU uses
 * all of them, then the CPU unmaps the middle two and maps new memory at the same addresses. The
 * address space was bound with MADVISE_AUTORESET, so the new memory must not inherit the advice of
 * the old, while the blocks that stayed keep theirs.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xe_example.h"

enum { BLOCKS = 4 };

/* What a block was told. */
struct advice {
  uint32_t preferred;
  uint32_t atomic;
};

static const struct advice kDefault = {DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE, DRM_XE_ATOMIC_UNDEFINED};
static int failed;

static const char *preferred_name(uint32_t location) {
  if (location == DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE) return "device";
  return location == (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM ? "system" : "?";
}

static const char *atomic_name(uint32_t mode) {
  static const char *const kNames[] = {"undefined", "device", "global", "cpu"};
  return mode < sizeof kNames / sizeof kNames[0] ? kNames[mode] : "?";
}

static void map_block(unsigned char *at) {
  void *got = mmap(at, XE_BLOCK, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (got != at) xe_die("mmap at %p did not work", (void *)at);
}

/* Finds room for the blocks, aligned like the GPU's largest pages. */
static unsigned char *map_blocks(void) {
  size_t bytes = (BLOCKS + 1) * (size_t)XE_BLOCK;
  void *room = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) xe_die("out of memory");
  uintptr_t start = ((uintptr_t)room + XE_BLOCK - 1) / XE_BLOCK * XE_BLOCK;
  munmap(room, bytes);
  for (int i = 0; i < BLOCKS; ++i) map_block((unsigned char *)start + i * (size_t)XE_BLOCK);
  return (unsigned char *)start;
}

/* The CPU writes all pages, the GPU adds a word to each, the CPU checks both. */
static void use(struct xe_device *xe, unsigned char *block, uint32_t seed) {
  struct xe_batch batch;
  xe_batch_init(&batch, XE_BLOCK / XE_PAGE * 4);
  memset(block, (int)(seed & 0xff), XE_BLOCK);
  for (uint32_t page = 0; page < XE_BLOCK / XE_PAGE; ++page)
    xe_emit_store32(&batch, block + page * (size_t)XE_PAGE, seed * 0x10000u + page);
  xe_run(xe, &batch);
  for (uint32_t page = 0; page < XE_BLOCK / XE_PAGE; ++page) {
    uint32_t word;
    memcpy(&word, block + page * (size_t)XE_PAGE, sizeof word);
    if (word != seed * 0x10000u + page || block[page * (size_t)XE_PAGE + 4] != (seed & 0xff)) {
      printf("  WRONG DATA in page %u of the block at %p\n", page, (void *)block);
      failed = 1;
      break;
    }
  }
  xe_batch_free(&batch);
}

static void show(struct xe_device *xe, unsigned char *blocks, const struct advice *want,
                 const char *when) {
  printf("%s: %u attribute ranges\n", when,
         xe_attribute_ranges(xe, blocks, BLOCKS * (size_t)XE_BLOCK));
  for (int i = 0; i < BLOCKS; ++i) {
    struct drm_xe_mem_range_attr is = xe_attributes_at(xe, blocks + i * (size_t)XE_BLOCK);
    int right = is.preferred_mem_loc.devmem_fd == want[i].preferred && is.atomic.val == want[i].atomic;
    printf("  block %d: preferred %-7s atomic %-10s%s\n", i,
           preferred_name(is.preferred_mem_loc.devmem_fd), atomic_name(is.atomic.val),
           right ? "" : " <- NOT as it should be");
    if (!right) failed = 1;
  }
}

int main(void) {
  const uint32_t system = (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM;
  const uint32_t device = DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE;
  struct advice want[BLOCKS] = {kDefault, kDefault, kDefault, kDefault};
  struct xe_device xe;
  xe_open(&xe, XE_ADVICE_RESETS);
  unsigned char *blocks = map_blocks();
  unsigned char *block[BLOCKS];
  for (int i = 0; i < BLOCKS; ++i) block[i] = blocks + i * (size_t)XE_BLOCK;

  show(&xe, blocks, want, "before any advice");

  xe_madvise_preferred(&xe, block[0], XE_BLOCK, system);
  xe_madvise_atomic(&xe, block[1], XE_BLOCK, DRM_XE_ATOMIC_DEVICE);
  xe_madvise_preferred(&xe, block[2], XE_BLOCK, system);
  xe_madvise_atomic(&xe, block[2], XE_BLOCK, DRM_XE_ATOMIC_GLOBAL);
  want[0] = (struct advice){system, DRM_XE_ATOMIC_UNDEFINED};
  want[1] = (struct advice){device, DRM_XE_ATOMIC_DEVICE};
  want[2] = (struct advice){system, DRM_XE_ATOMIC_GLOBAL};
  for (int i = 0; i < BLOCKS; ++i) use(&xe, block[i], 0x11u + (uint32_t)i);
  show(&xe, blocks, want, "after the advice and GPU use");

  /* One call for both, as free() of a large block would do. */
  munmap(block[1], 2 * (size_t)XE_BLOCK);
  map_block(block[1]);
  map_block(block[2]);
  want[1] = want[2] = kDefault;
  for (int i = 1; i <= 2; ++i) use(&xe, block[i], 0x21u + (uint32_t)i);
  show(&xe, blocks, want, "after munmap and mmap at the same addresses");

  munmap(blocks, BLOCKS * (size_t)XE_BLOCK);
  xe_close(&xe);
  puts(failed ? "madvise_reset: FAILED" : "madvise_reset: new memory starts with default attributes");
  return failed;
}
