/*
 * A client that closes every descriptor by system calls of its own, which nothing in user space can see, closes those of
 * the runtime, too. Its memory stays what it is: pages in VRAM come home when they are touched, by whatever call, and
 * a device that can do no more says so instead of storing where nobody looks.
 *
 * usage: raw_closes WAY      WAY: loop, range, fork
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { kBlock = 2 << 20, kBlocks = 8, kWords = kBlock / sizeof(uint32_t), kNumbers = 70000 };

static struct xe_device xe;
static uint32_t *blocks[kBlocks];

static long system_call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

static void send_all(void) {
  for (int i = 0; i < kBlocks; ++i) {
    for (uint32_t word = 0; word < kWords; ++word) blocks[i][word] = (uint32_t)i * kWords + word;
    KIT_CHECK(kit_prefetch(&xe, blocks[i], kBlock) == 0, "block %d goes to VRAM", i);
  }
}

static size_t wrong_words(const uint32_t *words, uint32_t first, uint32_t count) {
  size_t wrong = 0;
  for (uint32_t i = 0; i < count; ++i) wrong += words[i] != first + i;
  return wrong;
}

/* Loads and stores in a block of its own while the descriptors go. */
static atomic_int ending;
static void *beside(void *at) {
  volatile uint32_t *word = at;
  size_t lost = 0;
  for (uint32_t i = 1; !atomic_load(&ending); ++i) {
    *word = i;
    lost += *word != i;
  }
  return (void *)lost;
}

static void close_everything(const char *way) {
  if (strcmp(way, "loop") == 0) {
    for (int fd = 3; fd < kNumbers; ++fd) system_call(SYS_close, fd, 0, 0);
  } else {
    system_call(SYS_close_range, 3, ~0u, 0);
  }
}

/* What the GPU stores, the CPU sees; or the GPU is refused. */
static void store_by_gpu(uint32_t *to) {
  struct drm_xe_vm_create vm = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  const int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  if (fd < 0 || kit_ioctl(fd, DRM_IOCTL_XE_VM_CREATE, &vm) != 0) return;
  close(fd);
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  kit_store32(&xe, to, 77);
  KIT_CHECK(*(volatile uint32_t *)to == 77, "a GPU store that was done is seen");
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  for (int i = 0; i < kBlocks; ++i) blocks[i] = kit_map_aligned(kBlock);
  send_all();
  pthread_t thread;
  pthread_create(&thread, NULL, beside, blocks[7]);

  close_everything(argv[1]);
  if (strcmp(argv[1], "fork") == 0) {
    const pid_t child = fork();
    if (child == 0) _exit(wrong_words(blocks[0], 0, kWords) == 0 ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    KIT_CHECK(status == 0, "the child sees what was in VRAM: %#x", status);
  }
  KIT_CHECK(wrong_words(blocks[0], 0, kWords) == 0, "loads");
  blocks[1][5] = 1;
  KIT_CHECK(blocks[1][5] == 1 && wrong_words(blocks[1] + 6, kWords + 6, kWords - 6) == 0, "a store");
  KIT_CHECK(mprotect(blocks[2], kBlock, PROT_READ) == 0 && wrong_words(blocks[2], 2 * kWords, kWords) == 0, "mprotect");
  uint32_t *moved = mremap(blocks[3], kBlock, 2 * kBlock, MREMAP_MAYMOVE);
  KIT_CHECK(moved != MAP_FAILED && wrong_words(moved, 3 * kWords, kWords) == 0, "mremap: %s", strerror(errno));
  KIT_CHECK(madvise(blocks[4], kBlock / 2, MADV_DONTNEED) == 0 && blocks[4][0] == 0 &&
                wrong_words(blocks[4] + kWords / 2, 4 * kWords + kWords / 2, kWords / 2) == 0,
            "a discard of half a block");
  KIT_CHECK(munmap(blocks[5], kBlock / 2) == 0 &&
                wrong_words(blocks[5] + kWords / 2, 5 * kWords + kWords / 2, kWords / 2) == 0,
            "an unmap of half a block");
  int ends[2];
  KIT_CHECK(pipe(ends) == 0 && write(ends[1], blocks[6], 4096) == 4096, "write() of what was in VRAM");
  KIT_CHECK(read(ends[0], blocks[6], 4096) == 4096 && wrong_words(blocks[6], 6 * kWords, kWords) == 0, "read()");
  atomic_store(&ending, 1);
  void *lost;
  pthread_join(thread, &lost);
  KIT_CHECK(lost == NULL, "%zu stores of the other thread were lost", (size_t)lost);
  KIT_CHECK(wrong_words(blocks[7] + 1, 7 * kWords + 1, kWords - 1) == 0, "its block is what it was");
  store_by_gpu(blocks[6] + 9);
  return kit_finish("raw_closes");
}
