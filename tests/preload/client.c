/*
 * What a client sees of the device as files and descriptors: an unmodified program, run under `softxe run`.
 * One CHECK per fact (docs/spec/clients.md 1.3, 1.4 and 5); the exit status is 1 when one does not hold.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/uapi.h"

#define NODE "/dev/dri/renderD128"
#define ENGINE "/sys/class/drm/card0/device/tile0/gt0/engines/bcs/"

static int bad;
static volatile int *volatile nowhere = (volatile int *)8; /* volatile: the compiler must not reason */
#define CHECK(fact)                                                             \
  do {                                                                          \
    if (!(fact)) {                                                              \
      printf("FAIL line %d: %s (errno %s)\n", __LINE__, #fact, strerror(errno)); \
      bad = 1;                                                                  \
    }                                                                           \
  } while (0)

static int is_xe(int fd) {
  char name[16] = "";
  struct drm_version version = {.name = name, .name_len = sizeof name - 1};
  return ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "xe") == 0;
}

static unsigned make_object(int fd, unsigned long bytes) {
  struct drm_xe_gem_create create = {
      .size = bytes, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  return ioctl(fd, DRM_IOCTL_XE_GEM_CREATE, &create) == 0 ? create.handle : 0;
}

static int file_says(const char *path, const char *text) {
  char data[4096];
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  size_t n = fread(data, 1, sizeof data - 1, file);
  data[n] = '\0';
  fclose(file);
  return strstr(data, text) != NULL;
}

static void nodes_and_numbers(void) {
  int fd = open(NODE, O_RDWR | O_CLOEXEC);
  CHECK(fd == 3);
  int other = open("/dev/null", O_RDONLY);
  CHECK(other == 4); /* the engine's own descriptors are out of the way */
  close(other);

  struct stat by_fd, by_name;
  CHECK(fstat(fd, &by_fd) == 0 && stat(NODE, &by_name) == 0);
  CHECK(S_ISCHR(by_fd.st_mode) && by_fd.st_rdev == makedev(226, 128));
  CHECK(by_fd.st_dev == by_name.st_dev && by_fd.st_ino == by_name.st_ino);
  char link[64] = "";
  CHECK(readlink("/proc/self/fd/3", link, sizeof link - 1) > 0 && strcmp(link, NODE) == 0);

  CHECK(is_xe(fd));
  unsigned handle = make_object(fd, 4096);
  CHECK(handle != 0);
  int again = open("/proc/self/fd/3", O_RDWR); /* a new file: the handle is unknown there */
  struct drm_gem_close gem_close = {.handle = handle};
  CHECK(again == 4 && is_xe(again));
  CHECK(ioctl(again, DRM_IOCTL_GEM_CLOSE, &gem_close) == -1 && errno == EINVAL);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 40); /* the same file: the handle is known */
  CHECK(copy == 40 && dup2(copy, 41) == 41);
  close(fd);
  close(copy);
  CHECK(ioctl(copy, DRM_IOCTL_GEM_CLOSE, &gem_close) == -1 && errno == EBADF);
  CHECK(ioctl(41, DRM_IOCTL_GEM_CLOSE, &gem_close) == 0);
  CHECK(ioctl(41, TCGETS, &by_fd) == -1 && errno == ENOTTY);
  CHECK(ioctl(41, DRM_IOCTL_VERSION, (void *)8) == -1 && errno == EFAULT);

  CHECK(close_range(3, ~0u, 0) == 0); /* what belongs to the engine stays */
  fd = open("/dev/dri/by-path/pci-0000:03:00.0-card", O_RDWR);
  CHECK(fd == 3 && is_xe(fd) && make_object(fd, 4096) != 0);
  close(fd);
  CHECK(open("/dev/dri/card7", O_RDWR) == -1 && errno == ENOENT);
}

static void objects(void) {
  int fd = open(NODE, O_RDWR);
  unsigned handle = make_object(fd, 65536);
  struct drm_xe_gem_mmap_offset where = {.handle = handle};
  CHECK(ioctl(fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &where) == 0);
  off_t offset = (off_t)where.offset;
  volatile char *map = mmap(NULL, 65536, PROT_WRITE, MAP_SHARED, fd, offset);
  CHECK(map != MAP_FAILED);
  map[5] = 42;
  CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE, fd, offset) == MAP_FAILED && errno == EINVAL);
  CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, offset + 4096) == MAP_FAILED && errno == EINVAL);

  struct drm_prime_handle prime = {.handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR};
  CHECK(ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
  CHECK(lseek(prime.fd, 0, SEEK_END) == 65536);
  CHECK(lseek(prime.fd, -1, SEEK_END) == -1 && errno == EINVAL);
  volatile char *shared = mmap(NULL, 65536, PROT_READ, MAP_SHARED, prime.fd, 0);
  CHECK(shared != MAP_FAILED && shared[5] == 42);
  CHECK(ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) == 0 && prime.handle == handle);
  prime.flags = DRM_CLOEXEC;
  CHECK(ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) == 0);
  CHECK(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, prime.fd, 0) == MAP_FAILED && errno == EACCES);
  /* A system call reads the mapping that the client may only write. */
  int null = open("/dev/null", O_WRONLY), pipes[2];
  CHECK(pipe(pipes) == 0 && write(pipes[1], (const void *)map, 4096) == 4096);
  close(null);
  close(fd);
  map[6] = 43; /* mapping and dma-buf outlive the file */
  CHECK(shared[6] == 43);
}

static int walked;
static int visit(const char *name, const struct stat *st, int flag, struct FTW *place) {
  (void)st, (void)flag;
  if (strncmp(name, "/sys/class/drm", 14) != 0 || place->base <= 0) bad = 1;
  ++walked;
  return 0;
}

static void trees(void) {
  CHECK(file_says("/sys/dev/char/226:128/device/vendor", "0x8086"));
  CHECK(file_says("/sys/class/drm/card0/device/uevent", "DRIVER=xe"));
  CHECK(file_says("/sys/kernel/debug/dri/0/gt0/stats", "svm_pagefault_count: "));
  char path[4096];
  CHECK(realpath("/sys/dev/char/226:128/device", path) != NULL &&
        strncmp(path, "/sys/devices/pci", 16) == 0);
  struct statfs fs;
  CHECK(statfs("/sys/class/drm", &fs) == 0 && fs.f_type == 0x62656572);
  struct stat here, above;
  CHECK(stat("/sys/kernel/debug/.", &here) == 0 && stat("/sys/kernel/debug/..", &above) == 0);
  CHECK(here.st_dev != above.st_dev); /* looks like a mount point */
  glob_t found;
  CHECK(glob("/dev/dri/card*", 0, NULL, &found) == 0 && found.gl_pathc == 1 &&
        strcmp(found.gl_pathv[0], "/dev/dri/card0") == 0);
  CHECK(nftw("/sys/class/drm", visit, 8, FTW_PHYS) == 0 && walked > 2);
  CHECK(open("/sys/class/drm/made_up", O_WRONLY | O_CREAT, 0644) == -1 && errno == ENOENT);
  CHECK(access("/sys/devices/system/cpu/online", R_OK) == 0); /* the host's own */

  /* As libudev walks: component by component from the root. */
  int root = open("/", O_PATH | O_DIRECTORY);
  int sys = openat(root, "sys", O_PATH | O_NOFOLLOW);
  int drm = openat(sys, "class/drm", O_RDONLY | O_DIRECTORY);
  int version = openat(drm, "../../class/drm/version", O_RDONLY);
  CHECK(root >= 0 && sys >= 0 && drm >= 0 && version >= 0);
  CHECK(chdir("/sys/class") == 0 && strcmp(getcwd(path, sizeof path), "/sys/class") == 0);
  CHECK(access("drm/card0", F_OK) == 0 && access("../../etc/passwd", R_OK) == 0);
  CHECK(chdir("/") == 0);
}

/* A program that runs threads sets the pool to 0 when its first thread ends, while others use pages. */
static void huge_page_pool(void) {
  CHECK(system("echo 128 > /proc/sys/vm/nr_hugepages") == 0);
  CHECK(file_says("/proc/meminfo", "HugePages_Total:     128"));
  CHECK(system("echo 0 > /proc/sys/vm/nr_hugepages") == 0);
  CHECK(file_says("/proc/sys/vm/nr_hugepages", "0\n"));
  CHECK(file_says("/proc/meminfo", "HugePages_Total:     128"));
  CHECK(file_says("/proc/meminfo", "HugePages_Free:      128"));
}

static void files_made_at_open(void) {
  CHECK(file_says(ENGINE "job_timeout_ms", "5000"));
  int fd = open(ENGINE "job_timeout_ms", O_WRONLY);
  CHECK(write(fd, "640", 3) == 3);
  CHECK(write(fd, "many", 4) == -1 && errno == EINVAL);
  close(fd);
  CHECK(file_says(ENGINE "job_timeout_ms", "640"));
  FILE *file = fopen(ENGINE "job_timeout_ms", "w");
  CHECK(file != NULL && fprintf(file, "77") == 2 && fclose(file) == 0);
  CHECK(file_says(ENGINE "job_timeout_ms", "77"));

  fd = open(NODE, O_RDWR);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  CHECK(make_object(fd, 1 << 20) != 0 && file_says(path, "drm-driver:\txe"));
  // A placed object holds pages the device maps: the kernel calls that region gtt.
  CHECK(file_says(path, "drm-total-gtt:\t1024 KiB") || file_says(path, "drm-total-gtt:\t1 MiB"));
  close(fd);
}

static sigjmp_buf back;
static volatile sig_atomic_t hits, on_alternate;
static char alternate[64 * 1024];
static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  char here;
  on_alternate = &here >= alternate && &here < alternate + sizeof alternate;
  hits += info->si_addr == (void *)8;
  siglongjmp(back, 1);
}

static void signals(void) {
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  CHECK(sigaltstack(&stack, NULL) == 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  if (sigsetjmp(back, 1) == 0) *nowhere = 1;
  CHECK(hits == 1 && on_alternate);
  CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_sigaction == on_fault &&
        old.sa_flags == action.sa_flags);
  int fd = open(NODE, O_RDWR);
  CHECK(ioctl(fd, DRM_IOCTL_VERSION, (void *)8) == -1 && errno == EFAULT && hits == 1);
  close(fd);
  CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
}

static int child_status(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

static void processes(void) {
  int fd = open(NODE, O_RDWR);
  volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    bad = 0;
    CHECK(is_xe(fd) && make_object(fd, 4096) != 0);
    int own = open("/dev/dri/card0", O_RDWR);
    CHECK(is_xe(own) && make_object(own, 4096) != 0);
    page[0] = 7;
    fflush(stdout);
    exit(bad);
  }
  CHECK(child_status(child) == 0 && page[0] == 7);
  child = fork();
  if (child == 0) {
    *nowhere = 1; /* no handler: dies of it */
    _exit(0);
  }
  int status = child_status(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  CHECK(system("test -e /dev/dri/card0") == 0);
  CHECK(is_xe(fd) && make_object(fd, 4096) != 0);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "killed") == 0) {
    CHECK(is_xe(open(NODE, O_RDWR)));
    if (!bad) raise(SIGKILL);
    return bad;
  }
  close_range(3, ~0u, 0); /* whatever the test runner left open */
  nodes_and_numbers();
  objects();
  trees();
  files_made_at_open();
  huge_page_pool();
  signals();
  processes();
  puts(bad ? "preload_client: BAD" : "preload_client: all right");
  return bad;
}
