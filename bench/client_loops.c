/* A client program that times its own calls, for bench/run: one number per line, nanoseconds per round.
 *
 *   client_loops plain      no device is opened: what the calls cost without softxe, or with the inert library. A second
 *                           thread sleeps: without any, glibc's malloc leaves its locks out, and an open device has threads
 *   client_loops mirror     a device is open, its VM mirrors the process, another mapping is in VRAM
 *   client_loops ioctl      VM_BIND of one page, map and unmap in turn, against two system calls
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "xe_example.h"

enum { ROUNDS = 60, CALLS = 200, BIG = 256 * 1024 };

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *sleep_for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

static void small_mallocs(void) {
  void *blocks[CALLS];
  for (int i = 0; i < CALLS; ++i) {
    blocks[i] = malloc(64 + (size_t)i);
    *(volatile char *)blocks[i] = 1;
  }
  for (int i = 0; i < CALLS; ++i) free(blocks[i]);
}

static void big_mallocs(void) { /* above malloc's threshold: mmap and munmap */
  for (int i = 0; i < CALLS / 10; ++i) {
    char *block = malloc(BIG);
    memset(block, 1, BIG);
    __asm__ volatile("" : : "r"(block) : "memory"); /* or the compiler leaves all of it out */
    free(block);
  }
}

static void bare_mmaps(void) {
  for (int i = 0; i < CALLS / 10; ++i) {
    char *at = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < BIG; page += XE_PAGE) at[page] = 1;
    munmap(at, BIG);
  }
}

static void time_loop(const char *name, void (*loop)(void)) {
  uint64_t best = UINT64_MAX;
  loop();
  for (int round = 0; round < ROUNDS; ++round) {
    uint64_t begin = now_ns();
    loop();
    uint64_t took = now_ns() - begin;
    if (took < best) best = took;
  }
  printf("%s %llu\n", name, (unsigned long long)best);
}

static void time_ioctls(struct xe_device *xe) {
  struct drm_xe_gem_create create = {.size = XE_BLOCK, .placement = 1, .cpu_caching = 1};
  if (ioctl(xe->fd, DRM_IOCTL_XE_GEM_CREATE, &create) != 0) xe_die("GEM_CREATE");
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.range = XE_PAGE;
  bind.bind.pat_index = xe->pat_index;
  uint64_t best = UINT64_MAX;
  uint64_t bare = UINT64_MAX;
  for (int round = 0; round < ROUNDS * 4; ++round) {
    uint64_t begin = now_ns();
    for (int i = 0; i < CALLS; ++i) {
      syscall(SYS_getppid);
      syscall(SYS_getppid);
    }
    uint64_t took = now_ns() - begin;
    if (took < bare) bare = took;
    begin = now_ns();
    for (int i = 0; i < CALLS; ++i) {
      /* Below where the process can have memory, and one page further each time. */
      bind.bind.addr = 0x8000 + (uint64_t)(i / 2) * XE_PAGE;
      bind.bind.obj = i % 2 == 0 ? create.handle : 0;
      bind.bind.op = i % 2 == 0 ? DRM_XE_VM_BIND_OP_MAP : DRM_XE_VM_BIND_OP_UNMAP;
      if (ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind) != 0) xe_die("VM_BIND");
    }
    took = now_ns() - begin;
    if (took < best) best = took;
  }
  printf("vm_bind %llu\ntwo_getppid %llu\n", (unsigned long long)best / CALLS,
         (unsigned long long)bare / CALLS);
}

int main(int argc, char **argv) {
  struct xe_device xe;
  const char *mode = argc > 1 ? argv[1] : "plain";
  if (strcmp(mode, "plain") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) xe_die("pthread_create");
  } else {
    xe_open(&xe, XE_ADVICE_STAYS);
    void *elsewhere = mmap(NULL, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct xe_batch batch;
    xe_batch_init(&batch, 64);
    xe_emit_store32(&batch, elsewhere, 1);
    xe_run(&xe, &batch);
    if (strcmp(mode, "ioctl") == 0) {
      time_ioctls(&xe);
      return 0;
    }
  }
  time_loop("small_malloc", small_mallocs);
  time_loop("big_malloc", big_mallocs);
  time_loop("mmap", bare_mmaps);
  return 0;
}
