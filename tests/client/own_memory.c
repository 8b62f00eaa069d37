/*
 * The memory of the runtime in this process is not the client's: run with one of
 *   locks     mlockall() without a device, with one, and before one is opened; its limit is the client's
 *   stray     GPU stores to what /proc/self/maps shows of the runtime are faults as on unmapped memory
 *   wild      pointers into it are EFAULT for system calls and SIGSEGV for loads; memory calls find a hole
 *   neighbours  memory as allocators map it (MAP_NORESERVE), next to anything, is the GPU's to use
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { RANGES_MAX = 256, MIB = 1024 * 1024 };

struct range {
  unsigned long start, end;
  char access[8];
};

/* Mappings that come with the device, or with softxe, and are no file: those that are left out of core files. */
static size_t runtime_ranges(struct range *found, size_t max) {
  FILE *smaps = fopen("/proc/self/smaps", "r");
  char line[512];
  struct range now = {0};
  size_t count = 0;
  while (count < max && fgets(line, sizeof line, smaps) != NULL) {
    unsigned long start, end;
    char access[8];
    if (sscanf(line, "%lx-%lx %7s", &start, &end, access) == 3) {
      now = (struct range){start, end, ""};
      strcpy(now.access, access);
    }
    if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") != NULL && strstr(line, " io") == NULL &&
        strstr(line, " pf") == NULL && strstr(line, " sh") == NULL)
      found[count++] = now;
  }
  fclose(smaps);
  return count;
}

static size_t resident_mib(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (size_t)usage.ru_maxrss / 1024;
}

static int in_child(int (*run)(void)) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    int status = run();
    fflush(NULL);
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

/* A limit far below what the runtime reserves, and no right to lock more. */
static int locks_within_a_limit(void) {
  const struct rlimit limit = {128 * MIB, 128 * MIB};
  setrlimit(RLIMIT_MEMLOCK, &limit);
  if (setgid(65534) != 0 || setuid(65534) != 0) return 0; /* not root: nothing to give up */
  KIT_CHECK(mlockall(MCL_CURRENT) == 0, "mlockall as nobody: %s", strerror(errno));
  const struct rlimit small = {64 * 1024, 64 * 1024};
  setrlimit(RLIMIT_MEMLOCK, &small);
  KIT_CHECK(mlockall(MCL_CURRENT) == -1 && errno == ENOMEM, "more than the limit: %s", strerror(errno));
  return kit_finish("limit");
}

static void check_locks(void) {
  const int flags[] = {MCL_CURRENT, MCL_CURRENT | MCL_FUTURE, MCL_CURRENT | MCL_ONFAULT, MCL_CURRENT};
  KIT_CHECK(mlockall(0) == -1 && errno == EINVAL, "no flags: %s", strerror(errno));
  KIT_CHECK(in_child(locks_within_a_limit) == 0, "a limit on locked memory");
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; ++i)
    KIT_CHECK(mlockall(flags[i]) == 0, "mlockall(%d): %s", flags[i], strerror(errno));
  KIT_CHECK(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "mlockall: %s", strerror(errno));
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN); /* its reservations come after MCL_FUTURE */
  uint32_t *word = mmap(NULL, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  kit_store32(&xe, word, 5);
  KIT_CHECK(*word == 5, "locked memory is the GPU's, too: %u", *word);
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; ++i)
    KIT_CHECK(mlockall(flags[i]) == 0, "with a device, mlockall(%d): %s", flags[i], strerror(errno));
  munlockall();
  KIT_CHECK(resident_mib() < 512, "%zu MiB became resident", resident_mib());
}

/* The errno of a GPU store, through a queue of its own. */
static int store_error(struct xe_device *xe, unsigned long to) {
  static uint32_t *batch;
  static uint64_t *fence;
  if (batch == NULL) {
    batch = kit_map_aligned(XE_PAGE);
    fence = mmap(NULL, XE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  }
  const uint32_t words[] = {KIT_MI_STORE_DATA_IMM32, (uint32_t)to, (uint32_t)(to >> 32), 0xdeadbeef,
                            KIT_MI_BATCH_BUFFER_END};
  memcpy(batch, words, sizeof words);
  *fence = 0;
  uint32_t queue = kit_queue_create(xe);
  int error = kit_exec(xe, queue, batch, fence);
  if (error == 0) error = kit_wait(xe, queue, fence);
  kit_queue_destroy(xe, queue);
  return error;
}

static void check_stray(void) {
  struct xe_device xe;
  struct range ranges[RANGES_MAX];
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t *mine = kit_map_aligned(XE_BLOCK);
  size_t count = runtime_ranges(ranges, RANGES_MAX);
  KIT_CHECK(count >= 4, "only %zu mappings of the runtime", count);
  for (size_t i = 0; i < count; ++i) {
    const unsigned long places[] = {
        ranges[i].start, ranges[i].start + (ranges[i].end - ranges[i].start) / 2 / 4096 * 4096, ranges[i].end - 4096};
    for (size_t k = 0; k < 3; ++k) {
      int error = store_error(&xe, places[k]);
      KIT_CHECK(error == EIO, "a store to %lx (%s): %s", places[k], ranges[i].access, strerror(error));
    }
    mine[i] = 0;
    kit_store32(&xe, &mine[i], (uint32_t)i + 1);
    KIT_CHECK(mine[i] == i + 1, "own memory after that");
  }
  KIT_CHECK(store_error(&xe, 0x10000) == EIO, "unmapped memory");
}

static sigjmp_buf back;
static siginfo_t seen;
static void on_segv(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  seen = *info;
  siglongjmp(back, 1);
}

static int load_dies(void) {
  struct range ranges[RANGES_MAX];
  size_t count = runtime_ranges(ranges, RANGES_MAX);
  for (size_t i = 0; i < count; ++i)
    if (ranges[i].end - ranges[i].start >= 512 * (unsigned long)MIB)
      return *(volatile char *)(ranges[i].start + (ranges[i].end - ranges[i].start) / 2);
  return 0;
}

static void check_pointer(char *at, const char *access) {
  char byte = 0;
  struct iovec here = {&byte, 1}, there = {at, 1};
  int ends[2];
  KIT_CHECK(process_vm_readv(getpid(), &here, 1, &there, 1, 0) == -1 && errno == EFAULT,
            "process_vm_readv of %p (%s): %s", (void *)at, access, strerror(errno));
  if (pipe(ends) != 0) xe_die("pipe: %s", strerror(errno));
  KIT_CHECK(write(ends[1], at, 1) == -1 && errno == EFAULT, "write of %p (%s): %s", (void *)at, access,
            strerror(errno));
  KIT_CHECK(write(ends[1], "x", 1) == 1 && read(ends[0], at, 1) == -1 && errno == EFAULT, "read into %p (%s): %s",
            (void *)at, access, strerror(errno));
  close(ends[0]);
  close(ends[1]);
  if (sigsetjmp(back, 1) == 0) {
    byte = *(volatile char *)at;
    KIT_CHECK(0, "a load of %p (%s) went through", (void *)at, access);
  }
  KIT_CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == at,
            "a load of %p (%s): signal %d, code %d, address %p", (void *)at, access, seen.si_signo, seen.si_code,
            seen.si_addr);
  KIT_CHECK(mprotect(at, XE_PAGE, PROT_NONE) == -1 && errno == ENOMEM, "mprotect: %s", strerror(errno));
  KIT_CHECK(madvise(at, XE_PAGE, MADV_DONTNEED) == -1 && errno == ENOMEM, "madvise: %s", strerror(errno));
  KIT_CHECK(mlock(at, XE_PAGE) == -1 && errno == ENOMEM, "mlock: %s", strerror(errno));
  KIT_CHECK(munmap(at, XE_PAGE) == 0, "munmap: %s", strerror(errno));
}

static void check_wild(void) {
  struct xe_device xe;
  struct range ranges[RANGES_MAX];
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t *mine = kit_map_aligned(XE_BLOCK);
  mine[0] = 1;
  kit_store32(&xe, mine, 2);
  const struct sigaction action = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  size_t count = runtime_ranges(ranges, RANGES_MAX);
  size_t tried = 0;
  for (size_t i = 0; i < count; ++i) {
    const unsigned long bytes = ranges[i].end - ranges[i].start;
    /* What is in use is as any library's memory; a window is readable, and empty in its middle. */
    if (ranges[i].access[0] == 'r' && bytes < 512 * (unsigned long)MIB) continue;
    check_pointer((char *)(ranges[i].start + bytes / 2 / 4096 * 4096), ranges[i].access);
    ++tried;
  }
  KIT_CHECK(tried >= 3, "only %zu reservations", tried);
  struct drm_syncobj_array handles = {.count_handles = 1};
  for (size_t i = 0; i < count; ++i) {
    handles.handles = ranges[i].start + (ranges[i].end - ranges[i].start) / 2;
    int error = kit_ioctl(xe.fd, DRM_IOCTL_SYNCOBJ_RESET, &handles);
    KIT_CHECK(error == EFAULT || (ranges[i].access[0] == 'r' && error == ENOENT), "ioctl: %s", strerror(error));
  }
  kit_store32(&xe, mine, 3);
  KIT_CHECK(mine[0] == 3, "the device lives");
  signal(SIGSEGV, SIG_DFL);
}

static int wild_load_by_default(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  return load_dies();
}

static void check_neighbours(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  for (unsigned i = 0; i < 200; ++i) {
    const size_t bytes = i % 3 == 0 ? 64 * 1024 : i % 3 == 1 ? XE_BLOCK : XE_PAGE;
    uint32_t *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    words[0] = i;
    KIT_CHECK(store_error(&xe, kit_address(words + 1)) == 0, "mapping %u", i);
    KIT_CHECK(words[0] == i && words[1] == 0xdeadbeef, "mapping %u: %u, %#x", i, words[0], words[1]);
  }
}

int main(int count, char **arguments) {
  const char *what = count > 1 ? arguments[1] : "";
  alarm(100);
  if (strcmp(what, "locks") == 0) check_locks();
  if (strcmp(what, "stray") == 0) check_stray();
  if (strcmp(what, "neighbours") == 0) check_neighbours();
  if (strcmp(what, "wild") == 0) {
    int status = in_child(wild_load_by_default);
    KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a wild load, by default: %x", status);
    check_wild();
  }
  return kit_finish(what);
}
