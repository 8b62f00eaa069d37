/*
 * What a process does to its memory while the GPU uses it: unmap and map again, free, realloc, the
 * stack of a thread, the heap, MADV_DONTNEED, mprotect. After each the GPU sees what the CPU sees.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"

enum { MIB = 1024 * 1024 };

/* Reads through the GPU: copies to memory of its own, which the CPU then looks at. */
static uint32_t gpu_load32(struct xe_device *xe, const void *from) {
  uint32_t *to = malloc(sizeof *to);
  *to = 0xeeeeeeee;
  kit_copy(xe, to, from, sizeof *to);
  uint32_t value = *to;
  free(to);
  return value;
}

static void fill(unsigned char *data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) data[i] = (unsigned char)(i * 13 + 1);
}

static size_t differences(const unsigned char *data, size_t from, size_t bytes) {
  size_t wrong = 0;
  for (size_t i = from; i < bytes; ++i) wrong += data[i] != (unsigned char)(i * 13 + 1);
  return wrong;
}

static void same_address_again(struct xe_device *xe) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  for (uint32_t round = 1; round <= 8; ++round) {
    fill(data, XE_BLOCK);
    kit_store32(xe, data, round);
    kit_unmap(data, XE_BLOCK);
    void *again = mmap(data, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    KIT_CHECK(again == data, "mapped again");
    uint32_t first = gpu_load32(xe, data), middle = gpu_load32(xe, data + MIB);
    KIT_CHECK(first == 0 && middle == 0, "round %u: new memory reads %#x, %#x", round, first, middle);
    KIT_CHECK(data[0] == 0 && data[XE_BLOCK - 1] == 0, "round %u: CPU", round);
  }
  /* The same without an munmap in between: MAP_FIXED replaces what is there. */
  fill(data, XE_BLOCK);
  kit_store32(xe, data, 0x99);
  KIT_CHECK(mmap(data, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == data, "replaced");
  KIT_CHECK(gpu_load32(xe, data) == 0, "replaced memory shows the old word");
  kit_unmap(data, XE_BLOCK);
}

static void freed_block(struct xe_device *xe) {
  for (int round = 0; round < 4; ++round) {
    unsigned char *block = malloc(8 * MIB); /* mapped by libc, unmapped by libc */
    fill(block, 8 * MIB);
    kit_store32(xe, block + 4 * MIB, 5);
    free(block);
    unsigned char *next = calloc(1, 8 * MIB);
    KIT_CHECK(gpu_load32(xe, next + 4 * MIB) == 0, "calloc'ed memory shows an old word");
    free(next);
  }
}

static void *on_a_stack(void *argument) {
  struct xe_device *xe = argument;
  uint32_t local[4096];
  memset(local, 0x42, sizeof local);
  kit_store32(xe, &local[2000], 0x57ac4);
  KIT_CHECK(*(volatile uint32_t *)&local[2000] == 0x57ac4, "the GPU's word on the stack");
  KIT_CHECK(local[1999] == 0x42424242 && local[4095] == 0x42424242, "words beside it");
  return NULL;
}

static void thread_stack(struct xe_device *xe) {
  for (int round = 0; round < 4; ++round) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, on_a_stack, xe) != 0) xe_die("pthread_create");
    pthread_join(thread, NULL);
  }
}

static void growth(struct xe_device *xe) {
  size_t bytes = MIB;
  unsigned char *data = malloc(bytes);
  fill(data, bytes);
  for (int step = 0; step < 4; ++step) {
    kit_store32(xe, data, 0x1000u + (uint32_t)step);
    unsigned char *bigger = realloc(data, 2 * bytes); /* mremap */
    if (bigger == NULL) xe_die("realloc");
    data = bigger;
    uint32_t word;
    memcpy(&word, data, sizeof word);
    KIT_CHECK(word == 0x1000u + (uint32_t)step, "step %d: the GPU's word is %#x", step, word);
    size_t wrong = differences(data, 4, bytes);
    KIT_CHECK(wrong == 0, "step %d: %zu bytes lost", step, wrong);
    bytes *= 2;
    fill(data + 4, bytes - 4);
    for (size_t i = 4; i < bytes; ++i) data[i] = (unsigned char)(i * 13 + 1);
    kit_store32(xe, data + bytes - 4, 0xabc);
    memcpy(&word, data + bytes - 4, sizeof word);
    KIT_CHECK(word == 0xabc, "step %d: the new end", step);
    data[bytes - 4] = (unsigned char)((bytes - 4) * 13 + 1);
    for (size_t i = bytes - 4; i < bytes; ++i) data[i] = (unsigned char)(i * 13 + 1);
  }
  free(data);
}

static void heap(struct xe_device *xe) {
  mallopt(M_MMAP_THRESHOLD, 64 * MIB);
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
  for (int round = 0; round < 4; ++round) {
    unsigned char *block = malloc(6 * MIB);
    KIT_CHECK((void *)block < sbrk(0), "not the heap");
    fill(block, 6 * MIB);
    kit_store32(xe, block + 3 * MIB, 9);
    KIT_CHECK(block[3 * MIB] == 9 && differences(block, 3 * MIB + 4, 6 * MIB) == 0, "heap data");
    kit_store32(xe, block + 5 * MIB, 9);
    free(block); /* the heap shrinks by brk */
  }
  void *old = sbrk(0);
  KIT_CHECK(sbrk(4 * MIB) == old, "sbrk");
  KIT_CHECK(gpu_load32(xe, (char *)old + 2 * MIB) == 0, "fresh heap shows an old word");
  sbrk(-4 * MIB);
}

static void dontneed(struct xe_device *xe) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  fill(data, XE_BLOCK);
  kit_store32(xe, data, 3);
  KIT_CHECK(madvise(data, XE_BLOCK, MADV_DONTNEED) == 0, "madvise");
  KIT_CHECK(gpu_load32(xe, data) == 0, "GPU after MADV_DONTNEED");
  KIT_CHECK(data[0] == 0 && data[MIB] == 0, "CPU after MADV_DONTNEED");
  kit_unmap(data, XE_BLOCK);
}

static void protect(struct xe_device *xe) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  fill(data, XE_BLOCK);
  kit_store32(xe, data, 4);
  KIT_CHECK(mprotect(data, XE_BLOCK, PROT_READ) == 0, "mprotect");
  /* Not even a read is served through a writable mirror (docs/spec/svm.md 2.2, rule 5). */
  static uint64_t fence;
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  xe_emit_store32(&batch, data, 0xbad);
  batch.words[batch.count] = KIT_MI_BATCH_BUFFER_END;
  uint32_t queue = kit_queue_create(xe);
  KIT_CHECK(kit_exec(xe, queue, batch.words, &fence) == 0, "EXEC");
  KIT_CHECK(kit_wait(xe, queue, &fence) == EIO, "a GPU write to read-only memory is a fault");
  KIT_CHECK(data[0] == 4, "the refused write landed");
  KIT_CHECK(kit_queue_destroy(xe, queue) == 0, "destroy");

  KIT_CHECK(mprotect(data, XE_BLOCK, PROT_READ | PROT_WRITE) == 0, "mprotect back");
  kit_store32(xe, data, 6);
  KIT_CHECK(data[0] == 6 && differences(data, 4, XE_BLOCK) == 0, "writable again");
  xe_batch_free(&batch);
  kit_unmap(data, XE_BLOCK);
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  same_address_again(&xe);
  freed_block(&xe);
  thread_stack(&xe);
  growth(&xe);
  heap(&xe);
  dontneed(&xe);
  protect(&xe);
  xe_close(&xe);
  return kit_finish("cpu_events");
}
