/*
 * CPU and GPU count in the same memory at the same time.
 *
 * One thread increments counters with ordinary C11 atomics while another submits batches whose
 * MI_ATOMIC commands increment the same words. The memory is advised atomic=global, which makes
 * atomics of either side safe against the other. Not one increment may be lost.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xe_example.h"

enum { PAGES = 16, COUNTERS_PER_PAGE = 4, COUNTERS = PAGES * COUNTERS_PER_PAGE,
       GPU_BATCHES = 256, GPU_INCREMENTS = 8 /* per counter and batch */,
       CPU_ROUNDS_MIN = 256 };

struct shared {
  struct xe_device xe;
  unsigned char *memory;
  atomic_bool cpu_started, gpu_done;
  uint32_t cpu_rounds; /* written by the CPU thread, read after it has been joined */
};

static atomic_uint *counter(struct shared *shared, int index) {
  size_t page = (size_t)index / COUNTERS_PER_PAGE, slot = (size_t)index % COUNTERS_PER_PAGE;
  return (atomic_uint *)(void *)(shared->memory + page * XE_PAGE + slot * 64);
}

static void *count_on_gpu(void *argument) {
  struct shared *shared = argument;
  struct xe_batch batch;
  xe_batch_init(&batch, (size_t)COUNTERS * GPU_INCREMENTS * 3);
  for (int n = 0; n < GPU_INCREMENTS; ++n)
    for (int i = 0; i < COUNTERS; ++i) xe_emit_atomic_increment(&batch, counter(shared, i));
  while (!atomic_load(&shared->cpu_started)) sched_yield();
  for (int n = 0; n < GPU_BATCHES; ++n) xe_run(&shared->xe, &batch);
  xe_batch_free(&batch);
  atomic_store(&shared->gpu_done, true);
  return NULL;
}

/* Goes on as long as the GPU counts, so that the two really meet. */
static void *count_on_cpu(void *argument) {
  struct shared *shared = argument;
  uint32_t rounds = 0;
  while (rounds < CPU_ROUNDS_MIN || !atomic_load(&shared->gpu_done)) {
    for (int i = 0; i < COUNTERS; ++i) atomic_fetch_add(counter(shared, i), 1);
    ++rounds;
    atomic_store(&shared->cpu_started, true);
  }
  shared->cpu_rounds = rounds;
  return NULL;
}

int main(void) {
  static struct shared shared;
  xe_open(&shared.xe, XE_ADVICE_STAYS);
  shared.memory = aligned_alloc(XE_PAGE, (size_t)PAGES * XE_PAGE);
  if (shared.memory == NULL) xe_die("out of memory");
  memset(shared.memory, 0, (size_t)PAGES * XE_PAGE);
  xe_madvise_atomic(&shared.xe, shared.memory, (size_t)PAGES * XE_PAGE, DRM_XE_ATOMIC_GLOBAL);

  pthread_t gpu, cpu;
  if (pthread_create(&cpu, NULL, count_on_cpu, &shared) != 0 ||
      pthread_create(&gpu, NULL, count_on_gpu, &shared) != 0)
    xe_die("no thread to be had");
  pthread_join(gpu, NULL);
  pthread_join(cpu, NULL);

  uint32_t from_gpu = GPU_BATCHES * GPU_INCREMENTS, want = from_gpu + shared.cpu_rounds;
  int wrong = 0;
  for (int i = 0; i < COUNTERS; ++i) {
    uint32_t is = atomic_load(counter(&shared, i));
    if (is == want) continue;
    printf("  counter %d is %u, %u are missing\n", i, is, want - is);
    wrong++;
  }
  printf("%d counters in %d pages: %u increments each from the GPU, %u from the CPU, %d wrong\n",
         COUNTERS, PAGES, from_gpu, shared.cpu_rounds, wrong);
  free(shared.memory);
  xe_close(&shared.xe);
  puts(wrong ? "shared_counters: INCREMENTS LOST" : "shared_counters: every increment counted");
  return wrong != 0;
}
