/*
 * Buffer objects cost the client no descriptors and are no files that it writes: thousands of them under the usual
 * soft limits. The limits stay what they are, and every number below the first one is the client's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { OBJECTS = 2000, OBJECT_BYTES = 65536, DESCRIPTORS = 256 };

static struct xe_device xe;
static volatile sig_atomic_t too_large;

static void on_xfsz(int signal) {
  (void)signal;
  ++too_large;
}

static void check_limits(const char *when) {
  struct rlimit files, bytes;
  getrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_FSIZE, &bytes);
  KIT_CHECK(files.rlim_cur == DESCRIPTORS && bytes.rlim_cur == 0, "%s: the limits are %lu and %lu", when,
            (unsigned long)files.rlim_cur, (unsigned long)bytes.rlim_cur);
}

static uint32_t make_object(void) {
  struct drm_xe_gem_create create = {
      .size = OBJECT_BYTES, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  int error = kit_ioctl(xe.fd, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (error != 0) xe_die("GEM_CREATE: %s", strerror(error));
  return create.handle;
}

static unsigned char *map_object(uint32_t handle) {
  struct drm_xe_gem_mmap_offset request = {.handle = handle};
  int error = kit_ioctl(xe.fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &request);
  if (error != 0) xe_die("MMAP_OFFSET: %s", strerror(error));
  return mmap(NULL, OBJECT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, xe.fd, (off_t)request.offset);
}

/* As many files as the client may have, less what is open already: all its numbers are free for it. */
static void own_files(void) {
  int opened = 0;
  while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) ++opened;
  KIT_CHECK(errno == EMFILE && opened == DESCRIPTORS - 4, "%d files, then %s", opened, strerror(errno));
  closefrom(xe.fd + 1);
}

static void text_files(void) {
  char text[256];
  int fd = open("/sys/class/drm/card0/device/tile0/gt0/gtidle/name", O_RDONLY | O_CLOEXEC);
  KIT_CHECK(fd >= 0 && read(fd, text, sizeof text) > 0, "a file of sysfs: %s", strerror(errno));
  close(fd);
}

static void in_a_child(uint32_t handle) {
  pid_t child = fork();
  if (child == 0) {
    unsigned char *bytes = map_object(handle);
    check_limits("the child");
    _exit(bytes != MAP_FAILED && bytes[0] == 0x5a ? kit_finish("child") : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  KIT_CHECK(status == 0, "the child ended with %#x", status);
}

int main(void) {
  closefrom(3);
  signal(SIGXFSZ, on_xfsz);
  struct rlimit files, bytes;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = DESCRIPTORS;
  getrlimit(RLIMIT_FSIZE, &bytes);
  bytes.rlim_cur = 0;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0 || setrlimit(RLIMIT_FSIZE, &bytes) != 0)
    xe_die("setrlimit: %s", strerror(errno));
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t first = make_object(), last = first;
  for (unsigned i = 1; i < OBJECTS; ++i) last = make_object();
  for (uint32_t handle = first; handle == first || handle == last; handle += last - first) {
    unsigned char *mapped = map_object(handle);
    KIT_CHECK(mapped != MAP_FAILED, "mmap of %u: %s", handle, strerror(errno));
    mapped[0] = 0x5a;
  }
  check_limits("afterwards");
  own_files();
  text_files();
  in_a_child(last);
  KIT_CHECK(too_large == 0, "SIGXFSZ came %d times", (int)too_large);
  xe_close(&xe);
  return kit_finish("many_objects");
}
