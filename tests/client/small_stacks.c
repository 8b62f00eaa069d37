/*
 * Threads with the smallest stack that libc allows make every kind of call, as in Linux, where these run on the
 * kernel's stack; and many threads at once are inside the driver. Usage: small_stacks THREADS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;

static pthread_t start(void *(*body)(void *), void *argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int error = pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
  if (error != 0) xe_die("stack size: %s", strerror(error));
  pthread_t thread;
  error = pthread_create(&thread, &attributes, body, argument);
  if (error != 0) xe_die("pthread_create: %s", strerror(error));
  pthread_attr_destroy(&attributes);
  return thread;
}

static void files(void) {
  struct stat st;
  KIT_CHECK(stat("/dev/dri/renderD128", &st) == 0 && S_ISCHR(st.st_mode), "stat");
  int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  KIT_CHECK(fd >= 0, "open");
  char link[32], target[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  KIT_CHECK(readlink(link, target, sizeof target) > 0, "readlink");
  KIT_CHECK(close(fd) == 0, "close");
}

static void *every_call(void *unused) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  memset(data, 0x33, XE_BLOCK);
  kit_store32(&xe, data, 77);
  KIT_CHECK(data[0] == 77 && data[XE_BLOCK - 1] == 0x33, "the store");
  files();
  pid_t child = fork();
  if (child == 0) _exit(data[0] == 77 ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  KIT_CHECK(status == 0, "the child ended with %#x", status);
  KIT_CHECK(mprotect(data, XE_BLOCK / 2, PROT_READ) == 0, "mprotect");
  kit_unmap(data, XE_BLOCK);
  return unused;
}

/* Calls `make` with no more than `left` bytes of the thread's stack below it. */
static void __attribute__((noinline)) with_stack_left(size_t left, void (*make)(void)) {
  pthread_attr_t attributes;
  void *low;
  size_t bytes;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &bytes);
  pthread_attr_destroy(&attributes);
  const size_t here = (size_t)((char *)__builtin_frame_address(0) - (char *)low);
  if (here > left && bytes <= 2 * (size_t)PTHREAD_STACK_MIN) {
    volatile char *taken = __builtin_alloca(here - left);
    taken[0] = 1;
    make();
    taken[0] = 2;
  } else {
    make();
  }
}

static unsigned char *block;

static void ioctls(void) {
  struct drm_xe_vm_create create = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  KIT_CHECK(kit_ioctl(xe.fd, DRM_IOCTL_XE_VM_CREATE, &create) == 0, "VM_CREATE");
  struct drm_xe_vm_destroy destroy = {.vm_id = create.vm_id};
  KIT_CHECK(kit_ioctl(xe.fd, DRM_IOCTL_XE_VM_DESTROY, &destroy) == 0, "VM_DESTROY");
  KIT_CHECK(kit_prefetch(&xe, block, XE_BLOCK) == 0, "PREFETCH");
}

static void open_and_close(void) {
  int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  ioctl(fd, DRM_IOCTL_VERSION, NULL);
  close(fd);
}

static void mapping_calls(void) {
  mprotect(block, XE_BLOCK / 2, PROT_READ);
  munmap(block, XE_BLOCK);
}

static void *at_the_bottom(void *unused) {
  block = kit_map_aligned(XE_BLOCK);
  memset(block, 0x33, XE_BLOCK);
  with_stack_left(3072, ioctls);
  with_stack_left(3072, open_and_close);
  with_stack_left(6144, mapping_calls);
  return unused;
}

static pthread_barrier_t all_here;
static uint64_t gate;

/* Every thread of them waits inside the driver at the same time. */
static void *wait_inside(void *unused) {
  pthread_barrier_wait(&all_here);
  struct drm_xe_wait_user_fence wait = {.addr = kit_address(&gate), .value = 1, .mask = ~0ull, .timeout = INT64_MAX};
  int error = kit_ioctl(xe.fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait);
  KIT_CHECK(error == 0, "WAIT_USER_FENCE: %s", strerror(error));
  return unused;
}

static void many_threads(unsigned count) {
  pthread_t *threads = calloc(count, sizeof *threads);
  pthread_barrier_init(&all_here, NULL, count + 1);
  for (unsigned i = 0; i < count; ++i) threads[i] = start(wait_inside, NULL);
  pthread_barrier_wait(&all_here);
  __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
  for (unsigned i = 0; i < count; ++i) pthread_join(threads[i], NULL);
  free(threads);
}

int main(int argc, char **argv) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  pthread_join(start(every_call, NULL), NULL);
  at_the_bottom(NULL); /* what the loader does at the first call of a function needs more */
  pthread_join(start(at_the_bottom, NULL), NULL);
  many_threads(argc > 1 ? (unsigned)atoi(argv[1]) : 100);
  xe_close(&xe);
  return kit_finish("small_stacks");
}
