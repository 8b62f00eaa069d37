/*
 * Limits on the address space: run with a small VRAM. Beside it and 1 GiB for the runtime the client has what the
 * limit leaves; where the device does not fit in it is not there, and the program goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client_kit.h"

enum { MIB = 1024 * 1024 };

static size_t used_mib(void) {
  size_t pages = 0;
  FILE *statm = fopen("/proc/self/statm", "r");
  if (statm == NULL || fscanf(statm, "%zu", &pages) != 1) xe_die("statm: %s", strerror(errno));
  fclose(statm);
  return pages / 256;
}

int main(int count, char **arguments) {
  const int fits = count > 1 && strcmp(arguments[1], "fits") == 0;
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  KIT_CHECK(limit.rlim_cur != RLIM_INFINITY, "run with a limit");
  const size_t before = used_mib();
  KIT_CHECK(before < limit.rlim_cur / MIB / 4, "%zu MiB are taken before there is a device", before);
  if (fits) {
    struct xe_device xe;
    kit_open(&xe, 0, KIT_MIRROR_PLAIN);
    uint32_t *word = kit_map_aligned(XE_BLOCK);
    kit_store32(&xe, word, 5);
    KIT_CHECK(*word == 5, "a GPU store: %u", *word);
  } else {
    int fd = open("/dev/dri/renderD128", O_RDWR);
    KIT_CHECK(fd < 0 && errno == ENODEV, "a device that does not fit: %d, %s", fd, strerror(errno));
  }
  /* A quarter of what there is stays the client's. */
  void *mine = mmap(NULL, limit.rlim_cur / 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  KIT_CHECK(mine != MAP_FAILED, "the client's own memory: %s", strerror(errno));
  return kit_finish("address_space");
}
