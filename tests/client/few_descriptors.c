/*
 * A client whose RLIMIT_NOFILE (the argument) is far below the numbers that the engine prefers: it gets its
 * device, works when its last descriptor is gone, and keeps the device when it closes everything it does not
 * know. Without room for a device the open says EMFILE, and succeeds once there is room.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client_kit.h"

enum { LEFT_FREE = 3 };

static int limit;

/* Opens files until nothing is left, then gives back `left_free` of them, the highest first. */
static void use_up(int left_free) {
  int highest[LEFT_FREE] = {-1, -1, -1};
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
    memmove(highest + 1, highest, sizeof highest - sizeof highest[0]);
    highest[0] = fd;
  }
  if (errno != EMFILE) xe_die("/dev/null: %s", strerror(errno));
  for (int i = 0; i < left_free; ++i) close(highest[i]);
}

/* As daemons do, without asking whose they are. */
static void close_from(int first) {
  for (int fd = first; fd < limit; ++fd) close(fd);
}

static void no_room_for_a_device(void) {
  use_up(LEFT_FREE);
  int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  KIT_CHECK(fd < 0 && errno == EMFILE, "open without descriptors gave %d, %s", fd, strerror(errno));
  close_from(3);
}

static void gpu_work(struct xe_device *xe, unsigned char *data, uint32_t word) {
  memset(data, (int)word, XE_BLOCK);
  kit_store32(xe, data + 64, word);
  uint32_t seen;
  memcpy(&seen, data + 64, sizeof seen);
  KIT_CHECK(seen == word && data[XE_BLOCK - 1] == (unsigned char)word, "round %u: the word is %u", word, seen);
}

int main(int argc, char **argv) {
  limit = argc > 1 ? atoi(argv[1]) : 64;
  close_from(3); /* what the shell left open must not decide */
  struct rlimit low = {.rlim_cur = (rlim_t)limit, .rlim_max = (rlim_t)limit};
  if (setrlimit(RLIMIT_NOFILE, &low) != 0) xe_die("setrlimit: %s", strerror(errno));
  no_room_for_a_device();

  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  KIT_CHECK(xe.fd == 3, "the device is descriptor %d", xe.fd);
  int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
  KIT_CHECK(next == 4, "the next file is descriptor %d", next);

  unsigned char *data = kit_map_aligned(XE_BLOCK);
  gpu_work(&xe, data, 1);
  use_up(0);
  gpu_work(&xe, data, 2);
  close_from(4);
  gpu_work(&xe, data, 3);
  closefrom(4);
  gpu_work(&xe, data, 4);
  close_from(3);
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  KIT_CHECK(xe.fd == 3, "the device opened again is descriptor %d", xe.fd);
  gpu_work(&xe, data, 5);
  xe_close(&xe);
  return kit_finish("few_descriptors");
}
