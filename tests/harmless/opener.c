/*
 * Preloaded behind softxe into programs that know nothing of GPUs: opens the device before main() and
 * mirrors the whole process in a VM with page faults, so that every later call of the program passes
 * an engine that is awake.
 *
 *   HARMLESS_STIR=1   besides, a thread keeps sending memory of the program to VRAM
 *
 * The descriptor sits high, since programs count the low ones. Nothing here uses the program's heap.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "abi/uapi.h"

enum { kDescriptorMin = 700, kBlock = 2 << 20, kPauseUs = 300, kStackBytes = 256 << 10 };

static int device = -1;
static uint32_t vm_id;

static void die(const char *what) {
  perror(what);
  _exit(120);
}

static void make_vm(void) {
  struct drm_xe_vm_create vm = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  if (ioctl(device, DRM_IOCTL_XE_VM_CREATE, &vm) != 0) die("opener: VM_CREATE");
  vm_id = vm.vm_id;
  struct drm_xe_vm_bind bind = {.vm_id = vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET;
  bind.bind.range = (uint64_t)1 << 48;
  bind.bind.pat_index = 2;
  if (ioctl(device, DRM_IOCTL_XE_VM_BIND, &bind) != 0) die("opener: VM_BIND of the mirror");
}

/* The program may unmap what is being sent: any answer is fine. */
static void send(uint64_t start, uint64_t bytes) {
  struct drm_xe_vm_bind bind = {.vm_id = vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_PREFETCH;
  bind.bind.addr = start;
  bind.bind.range = bytes;
  bind.bind.prefetch_mem_region_instance = 1; /* VRAM */
  ioctl(device, DRM_IOCTL_XE_VM_BIND, &bind);
}

/* One block of every private anonymous mapping that lines of /proc/self/maps name; another block each
 * time, so that everything has its turn. */
static void send_some(const char *maps, uint64_t round) {
  for (const char *line = maps; *line != '\0'; line = strchr(line, '\n') + 1) {
    char *end = NULL;
    const uint64_t start = strtoull(line, &end, 16);
    const uint64_t stop = strtoull(end + 1, &end, 16);
    const char *inode = end + 6; /* " rw-p " */
    for (int field = 0; field < 2; ++field) inode = strchr(inode, ' ') + 1;
    if (strncmp(end, " rw-p ", 6) == 0 && strtoul(inode, NULL, 10) == 0) {
      const uint64_t blocks = (stop - start + kBlock - 1) / kBlock;
      const uint64_t from = start + round % blocks * kBlock;
      send(from, stop - from < kBlock ? stop - from : kBlock);
    }
  }
}

/* As high as the program's limit allows: it may compare or close the low ones. */
static int raised(int low) {
  int high = fcntl(low, F_DUPFD_CLOEXEC, kDescriptorMin);
  if (high < 0) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) high = fcntl(low, F_DUPFD_CLOEXEC, (int)limit.rlim_cur / 2);
  }
  if (high < 0) die("opener: descriptor");
  close(low);
  return high;
}

static int maps_file;

static void *stir(void *unused) {
  static char maps[1 << 20];
  for (uint64_t round = 0;; ++round) {
    size_t have = 0;
    ssize_t got = 0;
    lseek(maps_file, 0, SEEK_SET);
    while (have < sizeof maps - 1 && (got = read(maps_file, maps + have, sizeof maps - 1 - have)) > 0)
      have += (size_t)got;
    while (have > 0 && maps[have - 1] != '\n') --have; /* a line that did not fit */
    maps[have] = '\0';
    send_some(maps, round);
    usleep(kPauseUs); /* leaves the processor to the program */
  }
  return unused;
}

static void start_stirring(void) {
  static char stack[kStackBytes] __attribute__((aligned(4096)));
  sigset_t all;
  sigset_t before;
  pthread_attr_t attributes;
  pthread_t thread;
  maps_file = raised(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* the program's signals are for its own threads */
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, sizeof stack);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&thread, &attributes, stir, NULL) != 0) die("opener: thread");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void open_device(void) {
  const int low = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  if (low < 0) die("opener: /dev/dri/renderD128");
  device = raised(low);
  make_vm();
  const char *wanted = getenv("HARMLESS_STIR");
  /* On the user-only rung memory may be named only by who makes no system calls on it; here all is named. */
  const int full_rung = geteuid() == 0 || access("/dev/userfaultfd", R_OK | W_OK) == 0;
  if (wanted != NULL && *wanted == '1' && full_rung) start_stirring();
}
