/*
 * A program that is slow on a card with little memory, for a reason that its text does not show (docs/USING.md).
 *
 *   two_tables            80 MiB of input are looked at once in each round, 16 MiB of results are written again and again
 *   two_tables --advise   the same, and the driver is told that the input may stay where it is
 *
 * All of it fits into the memory of a large card. In 64 MiB of VRAM the input, which is touched once and moves there like
 * everything else, pushes the results out each time it comes by.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xe_example.h"

enum { INPUT_BLOCKS = 40, RESULT_BLOCKS = 8, ROUNDS = 8, TAKEN = 4096 };

/* Blocks of 2 MiB, each at such an address: a range of its own for the driver. */
static char *blocks_of(size_t count) {
  char *all = mmap(NULL, (count + 1) * XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) xe_die("mmap");
  return all + (XE_BLOCK - (size_t)((uintptr_t)all % XE_BLOCK)) % XE_BLOCK;
}

int main(int argc, char **argv) {
  struct xe_device xe;
  xe_open(&xe, XE_ADVICE_STAYS);
  char *input = blocks_of(INPUT_BLOCKS), *results = blocks_of(RESULT_BLOCKS);
  for (size_t i = 0; i < INPUT_BLOCKS; ++i) memset(input + i * XE_BLOCK, (int)(i + 1), XE_BLOCK);
  memset(results, 0, (size_t)RESULT_BLOCKS * XE_BLOCK);
  printf("input at %p\nresults at %p\n", (void *)input, (void *)results);

  if (argc > 1 && strcmp(argv[1], "--advise") == 0)
    xe_madvise_preferred(&xe, input, (size_t)INPUT_BLOCKS * XE_BLOCK, (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM);

  struct xe_batch batch;
  xe_batch_init(&batch, 4096);
  for (int round = 0; round < ROUNDS; ++round) {
    xe_batch_reset(&batch);
    for (size_t i = 0; i < INPUT_BLOCKS; ++i) {
      char *to = results + i % RESULT_BLOCKS * XE_BLOCK + i / RESULT_BLOCKS * TAKEN;
      xe_emit_copy(&batch, to, input + i * XE_BLOCK, TAKEN);
    }
    xe_run(&xe, &batch);
  }

  unsigned long wrong = 0;
  for (size_t i = 0; i < INPUT_BLOCKS; ++i) {
    const char *from = results + i % RESULT_BLOCKS * XE_BLOCK + i / RESULT_BLOCKS * TAKEN;
    for (size_t b = 0; b < TAKEN; ++b) wrong += from[b] != (char)(i + 1);
  }
  xe_batch_free(&batch);
  xe_close(&xe);
  printf("two_tables: %lu wrong\n", wrong);
  return wrong != 0;
}
