/* A client program that does nothing but fault, for bench/trace_cost: how long FAULTS GPU faults take.
 *
 *   fault_storm FAULTS [back|stay]
 *
 * Pages of mappings of one page each, so that each has a range of its own. The GPU stores to all of them, then
 *
 *   back   the CPU reads them: every page goes to VRAM and comes back, one GPU fault and one CPU fault each
 *   stay   advice keeps them in system memory, and madvise(2) drops them: GPU faults that move nothing
 *
 * Prints nanoseconds: of the process's processors, and of the clock.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "xe_example.h"

enum { PAGES = 500 };

static uint64_t ns_of(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv) {
  const unsigned long faults = argc > 1 ? strtoul(argv[1], NULL, 0) : 100000;
  const int stay = argc > 2 && strcmp(argv[2], "stay") == 0;
  struct xe_device xe;
  xe_open(&xe, XE_ADVICE_STAYS);
  /* Every second page stays without access: what lies between two such pages is a mapping of its own. */
  const size_t bytes = (size_t)PAGES * 2 * XE_PAGE;
  char *pages = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) xe_die("mmap");
  struct xe_batch batch;
  xe_batch_init(&batch, (size_t)PAGES * 4);
  for (int i = 0; i < PAGES; ++i) {
    char *page = pages + (size_t)i * 2 * XE_PAGE;
    if (mprotect(page, XE_PAGE, PROT_READ | PROT_WRITE) != 0) xe_die("mprotect");
    *(volatile char *)page = 1;
    xe_emit_store32(&batch, page, 0xfeed0000u + (uint32_t)i);
  }
  if (stay) xe_madvise_preferred(&xe, pages, bytes, (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM);

  const uint64_t busy = ns_of(CLOCK_PROCESS_CPUTIME_ID), begin = ns_of(CLOCK_MONOTONIC);
  unsigned long wrong = 0;
  for (unsigned long done = 0; done < faults; done += PAGES) {
    xe_run(&xe, &batch);
    for (int i = 0; i < PAGES; ++i) {
      char *page = pages + (size_t)i * 2 * XE_PAGE;
      if (stay) {
        if (madvise(page, XE_PAGE, MADV_DONTNEED) != 0) xe_die("madvise");
      } else {
        wrong += *(volatile uint32_t *)page != 0xfeed0000u + (uint32_t)i;
      }
    }
  }
  printf("processor_ns %llu\nclock_ns %llu\n", (unsigned long long)(ns_of(CLOCK_PROCESS_CPUTIME_ID) - busy),
         (unsigned long long)(ns_of(CLOCK_MONOTONIC) - begin));
  if (wrong != 0) xe_die("%lu words are wrong", wrong);
  return 0;
}
