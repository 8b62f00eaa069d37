/*
 * Shared virtual memory in its simplest form: malloc, let the GPU write, read.
 *
 * The GPU gets plain pointers. It stores into pages the CPU filled, counts atomically, and copies
 * between two malloc'ed blocks; the CPU checks every byte, its own and the GPU's. Nothing is bound,
 * registered or pinned, and no buffer object exists.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xe_example.h"

enum { STORE_BYTES = 4 * 1024 * 1024, COPY_BYTES = 2 * 1024 * 1024 + 4096 + 12, ATOMICS = 1000,
       ROUNDS = 8 };

static int wrong_total;

static void report(const char *what, unsigned long checked, unsigned long wrong) {
  printf("%-34s %8lu checked, %lu wrong\n", what, checked, wrong);
  if (wrong != 0) wrong_total = 1;
}

static uint32_t gpu_value(size_t page) { return 0xc0000000u + (uint32_t)page * 3; }

/* Every page belongs to both: word 0 is the GPU's, all others the CPU's. */
static void stores(struct xe_device *xe) {
  size_t words = STORE_BYTES / sizeof(uint32_t), words_per_page = XE_PAGE / sizeof(uint32_t);
  size_t pages = STORE_BYTES / XE_PAGE;
  uint32_t *data = malloc(STORE_BYTES);
  if (data == NULL) xe_die("out of memory");
  for (size_t i = 0; i < words; ++i) data[i] = (uint32_t)i;

  struct xe_batch batch;
  xe_batch_init(&batch, pages * 4);
  for (size_t page = 0; page < pages; ++page)
    xe_emit_store32(&batch, &data[page * words_per_page], gpu_value(page));
  xe_run(xe, &batch);

  unsigned long wrong = 0;
  for (size_t i = 0; i < words; ++i) {
    uint32_t want = i % words_per_page == 0 ? gpu_value(i / words_per_page) : (uint32_t)i;
    wrong += data[i] != want;
  }
  report("GPU stores among the CPU's data", words, wrong);
  xe_batch_free(&batch);
  free(data);
}

/* The same 64-bit word is written by CPU and GPU in turn: the page goes there and back. */
static void turns(struct xe_device *xe) {
  uint64_t *word = calloc(1, sizeof *word);
  if (word == NULL) xe_die("out of memory");
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  unsigned long wrong = 0;
  for (uint64_t round = 1; round <= ROUNDS; ++round) {
    *word = round;
    xe_batch_reset(&batch);
    xe_emit_store64(&batch, word, round << 40 | 0xfeed);
    xe_run(xe, &batch);
    wrong += *word != (round << 40 | 0xfeed);
  }
  report("words written in turns", ROUNDS, wrong);
  xe_batch_free(&batch);
  free(word);
}

static void atomics(struct xe_device *xe) {
  uint32_t *counter = calloc(1, sizeof *counter);
  if (counter == NULL) xe_die("out of memory");
  struct xe_batch batch;
  xe_batch_init(&batch, ATOMICS * 3);
  for (int i = 0; i < ATOMICS; ++i) xe_emit_atomic_increment(&batch, counter);
  xe_run(xe, &batch);
  *counter += 5;
  xe_run(xe, &batch);
  report("atomic increments", 2 * ATOMICS + 5, *counter != 2 * ATOMICS + 5);
  if (*counter != 2 * ATOMICS + 5) printf("  the counter is %u\n", *counter);
  xe_batch_free(&batch);
  free(counter);
}

/* Odd start and length; the bytes on either side must stay. */
static void copy(struct xe_device *xe) {
  enum { EDGE = 100 };
  unsigned char *from = malloc(COPY_BYTES), *to = malloc(COPY_BYTES + 2 * EDGE);
  if (from == NULL || to == NULL) xe_die("out of memory");
  uint32_t noise = 1;
  for (size_t i = 0; i < COPY_BYTES; ++i) {
    noise = noise * 1664525u + 1013904223u;
    from[i] = (unsigned char)(noise >> 24);
  }
  memset(to, 0x5a, COPY_BYTES + 2 * EDGE);

  struct xe_batch batch;
  xe_batch_init(&batch, 256);
  xe_emit_copy(&batch, to + EDGE, from, COPY_BYTES);
  xe_run(xe, &batch);

  unsigned long wrong = 0;
  for (size_t i = 0; i < COPY_BYTES + 2 * EDGE; ++i) {
    int copied = i >= EDGE && i < EDGE + COPY_BYTES;
    wrong += to[i] != (copied ? from[i - EDGE] : 0x5a);
  }
  report("bytes of a GPU copy and its edges", COPY_BYTES + 2 * EDGE, wrong);
  xe_batch_free(&batch);
  free(from);
  free(to);
}

int main(void) {
  struct xe_device xe;
  xe_open(&xe, XE_ADVICE_STAYS);
  stores(&xe);
  turns(&xe);
  atomics(&xe);
  copy(&xe);
  xe_close(&xe);
  puts(wrong_total ? "svm_stores: WRONG DATA" : "svm_stores: all data right");
  return wrong_total;
}
