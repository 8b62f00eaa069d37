/*
 * A client that is built with a sanitizer does on a device what others do, to its end: sanitizers stand between a
 * program and libc, keep megabytes in thread-local storage, allocate before the first constructor, and the search for
 * leaks stops every thread and reads all of the heap, pages in VRAM among it.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { kHeapBytes = 8 << 20, kBlock = 2 << 20, kThreads = 4 };

/* Of a runtime that searches for leaks; not 0: it has found some. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct xe_device xe;

static void to_vram(void *start, size_t bytes) {
  KIT_CHECK(kit_prefetch(&xe, start, bytes) == 0, "memory is sent to VRAM");
}

/* The whole blocks inside of an allocation. */
static void heap_to_vram(char *heap) {
  const uint64_t start = (kit_address(heap) + kBlock - 1) / kBlock * kBlock;
  const uint64_t end = (kit_address(heap) + kHeapBytes) / kBlock * kBlock;
  to_vram((void *)(uintptr_t)start, end - start);
}

/* The heap's blocks hold the only pointers to other blocks: a search that misses their bytes calls those lost. */
static char **make_heap(void) {
  char **heap = malloc(kHeapBytes);
  for (size_t i = 0; i < kHeapBytes / sizeof *heap; ++i) heap[i] = NULL;
  for (size_t i = 0; i < kHeapBytes / sizeof *heap; i += 4096) {
    heap[i] = malloc(100);
    strcpy(heap[i], "kept");
  }
  return heap;
}

static void check_heap(char **heap) {
  size_t kept = 0;
  for (size_t i = 0; i < kHeapBytes / sizeof *heap; i += 4096) kept += strcmp(heap[i], "kept") == 0;
  KIT_CHECK(kept == kHeapBytes / sizeof *heap / 4096, "the heap is what it was");
}

static void *work(void *at) {
  uint32_t *mine = at;
  const uint32_t queue = kit_queue_create(&xe);
  kit_queue_destroy(&xe, queue);
  char *block = malloc(1 << 20);
  memset(block, 3, 1 << 20);
  *mine = (uint32_t)block[5];
  free(block);
  return NULL;
}

static void threads(void) {
  pthread_t ids[kThreads];
  uint32_t results[kThreads] = {0};
  for (int i = 0; i < kThreads; ++i) pthread_create(&ids[i], NULL, work, &results[i]);
  for (int i = 0; i < kThreads; ++i) pthread_join(ids[i], NULL);
  for (int i = 0; i < kThreads; ++i) KIT_CHECK(results[i] == 3, "thread %d has done its work", i);
}

static void child(char **heap) {
  const pid_t pid = fork();
  if (pid == 0) _exit(strcmp(heap[4096], "kept") == 0 ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  KIT_CHECK(status == 0, "the child sees the heap: %#x", status);
  KIT_CHECK(system("exit 3") == 3 << 8, "a program is started");
}

static volatile sig_atomic_t handled;
static void on_signal(int number) { handled = number; }

static void signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  struct sigaction before;
  static const int numbers[] = {SIGUSR1, SIGABRT, SIGQUIT};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    sigaction(numbers[i], &action, NULL);
    raise(numbers[i]);
    KIT_CHECK(handled == numbers[i], "signal %d came", numbers[i]);
    signal(numbers[i], SIG_DFL);
    sigaction(numbers[i], NULL, &before);
    KIT_CHECK(before.sa_handler == SIG_DFL, "signal %d is at its default again", numbers[i]);
  }
}

static char **reachable;
static uintptr_t hidden;

static __attribute__((noinline)) void hide(void) {
  reachable[4096 + 1] = NULL;
  hidden = ~(uintptr_t)malloc(77);
}

/* The search is right while the heap is in VRAM: what hangs on it is not lost, what hangs on nothing is. */
static void leaks(void) {
  if (__lsan_do_recoverable_leak_check == NULL) return;
  heap_to_vram((char *)reachable);
  KIT_CHECK(__lsan_do_recoverable_leak_check() == 0, "nothing is lost");
  hide();
  heap_to_vram((char *)reachable);
  KIT_CHECK(__lsan_do_recoverable_leak_check() != 0, "a lost block is found");
  free((void *)~hidden);
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  char **heap = make_heap();
  uint32_t *mapped = kit_map_aligned(kBlock);
  mapped[1] = 1;
  for (int round = 0; round < 3; ++round) {
    heap_to_vram((char *)heap);
    to_vram(mapped, kBlock);
    kit_store32(&xe, mapped, 5);
    KIT_CHECK(mapped[0] == 5 && mapped[1] == 1, "a GPU store arrives");
    check_heap(heap);
    heap_to_vram((char *)heap);
    child(heap);
    threads();
  }
  signals();
  kit_unmap(mapped, kBlock);
  reachable = heap;
  leaks();
  heap_to_vram((char *)heap); /* where the search for leaks finds it */
  return kit_finish("sanitized");
}
