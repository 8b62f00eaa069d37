/*
 * A client in a sandbox whose every mount is read-only, as bubblewrap makes them: a device node can be opened for
 * writing there, a plain file cannot.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_kit.h"

enum { SHARED_WITH_NOBODY = 1 << 18 /* MS_PRIVATE, which <sys/mount.h> defines beside the kernel's header */ };

static void make_all_mounts_read_only(void) {
  const struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = SHARED_WITH_NOBODY};
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) xe_die("unshare: %s", strerror(errno));
  if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    xe_die("mount_setattr: %s", strerror(errno));
}

int main(void) {
  make_all_mounts_read_only();
  int file = open("/tmp/softxe-read-only", O_RDWR | O_CREAT, 0600);
  KIT_CHECK(file < 0 && errno == EROFS, "a file on a read-only mount: %d, %s", file, strerror(errno));
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  unsigned char* data = kit_map_aligned(XE_BLOCK);
  memset(data, 7, XE_BLOCK);
  kit_store32(&xe, data + 8, 99);
  KIT_CHECK(data[8] == 99 && data[77] == 7, "%d %d", data[8], data[77]);
  int attribute = open("/sys/class/drm/card0/device/tile0/gt0/freq0/min_freq", O_WRONLY);
  KIT_CHECK(attribute < 0 && errno == EROFS, "an attribute: %d, %s", attribute, strerror(errno));
  return kit_finish("read_only");
}
