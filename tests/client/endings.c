/*
 * A client that ends in the way its argument says, with everything in use: memory in VRAM, an object mapped and
 * exported, a syncobj, a busy child. leftovers.py looks at what is left then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;

static void use_everything(void) {
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  memset(data, 1, XE_BLOCK);
  kit_store32(&xe, data, 2);
  struct drm_xe_gem_create bo = {.size = XE_BLOCK, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  KIT_CHECK(kit_ioctl(xe.fd, DRM_IOCTL_XE_GEM_CREATE, &bo) == 0, "GEM_CREATE");
  int exported = -1;
  KIT_CHECK(drmPrimeHandleToFD(xe.fd, bo.handle, DRM_CLOEXEC | DRM_RDWR, &exported) == 0, "dma-buf");
  unsigned char *bytes = mmap(NULL, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, exported, 0);
  if (bytes == MAP_FAILED) xe_die("mmap: %s", strerror(errno));
  memset(bytes, 1, XE_BLOCK);
  uint32_t syncobj = 0;
  int shared = -1;
  KIT_CHECK(drmSyncobjCreate(xe.fd, 0, &syncobj) == 0, "syncobj");
  KIT_CHECK(drmSyncobjHandleToFD(xe.fd, syncobj, &shared) == 0, "syncobj descriptor");
}

/* A child with a device of its own: comes back when it is in use. The child waits to be ended. */
static pid_t busy_child(void) {
  int ends[2];
  char ready = 0;
  if (pipe(ends) != 0) xe_die("pipe: %s", strerror(errno));
  pid_t child = fork();
  if (child < 0) xe_die("fork: %s", strerror(errno));
  if (child == 0) {
    use_everything();
    if (write(ends[1], &ready, 1) != 1) _exit(2);
    for (;;) pause();
  }
  if (read(ends[0], &ready, 1) != 1) xe_die("the child ended early");
  return child;
}

static void end_child(pid_t child, int signo) {
  int status = 0;
  kill(child, signo);
  if (waitpid(child, &status, 0) != child || WTERMSIG(status) != signo) xe_die("the child ended with %#x", status);
}

int main(int argc, char **argv) {
  const char *how = argc > 1 ? argv[1] : "return";
  use_everything();
  if (kit_finish(how) != 0) return 1;
  if (strcmp(how, "child-killed") == 0) end_child(busy_child(), SIGKILL);
  if (strcmp(how, "child-crashed") == 0) end_child(busy_child(), SIGSEGV);
  if (strcmp(how, "_exit") == 0) _exit(0);
  if (strcmp(how, "killed") == 0) raise(SIGKILL);
  if (strcmp(how, "terminated") == 0) raise(SIGTERM);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "crashed") == 0) {
    volatile int *volatile nowhere = (volatile int *)8;
    *nowhere = 1;
  }
  if (strcmp(how, "exec") == 0) execl("/bin/true", "true", (char *)NULL);
  return 0;
}
