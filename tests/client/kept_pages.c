/*
 * Memory in VRAM that somebody else holds: a pipe that its pages were spliced into, a userfaultfd of the client's own.
 * The pipe delivers what was spliced, whatever the frames are used for later; pages that the client moves arrive, and
 * memory that was in VRAM can be registered.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client_kit.h"

enum { BYTES = 64 * 1024, OTHERS = 4, ROUNDS = 6 };

/* Linux 6.8; the distribution's header is older. */
struct move_request {
  uint64_t to, from, bytes, mode;
  int64_t moved;
};
#define MOVE_REQUEST _IOWR(0xAA, 0x05, struct move_request)

static struct xe_device xe;

static void to_vram(void *start, size_t bytes) {
  KIT_CHECK(kit_prefetch(&xe, start, bytes) == 0, "prefetch");
}

static unsigned char value(int round, size_t i) { return (unsigned char)(i / 4096 + (size_t)round * 3 + 1); }

enum after { TOUCH, UNMAP, DISCARD };

static void spliced(enum after after) {
  static unsigned char got[BYTES];
  for (int round = 0; round < ROUNDS; ++round) {
    unsigned char *data = kit_map_aligned(XE_BLOCK);
    for (size_t i = 0; i < BYTES; ++i) data[i] = value(round, i);
    int pipes[2];
    KIT_CHECK(pipe(pipes) == 0 && fcntl(pipes[0], F_SETPIPE_SZ, 2 * BYTES) > 0, "a pipe");
    struct iovec whole = {data, BYTES};
    KIT_CHECK(vmsplice(pipes[1], &whole, 1, 0) == BYTES, "vmsplice");
    to_vram(data, BYTES);
    if (after == TOUCH) KIT_CHECK(*(volatile unsigned char *)data == value(round, 0), "at home again");
    if (after == UNMAP) kit_unmap(data, XE_BLOCK);
    if (after == DISCARD) KIT_CHECK(madvise(data, BYTES, MADV_DONTNEED) == 0, "discarded");
    unsigned char *others[OTHERS];
    for (int k = 0; k < OTHERS; ++k) { /* frames and staging are used again */
      others[k] = kit_map_aligned(XE_BLOCK);
      memset(others[k], 0xee, XE_BLOCK);
      to_vram(others[k], XE_BLOCK);
      kit_store32(&xe, others[k], 5);
    }
    size_t have = 0, wrong = 0;
    for (ssize_t n = 1; have < BYTES && n > 0; have += n > 0 ? (size_t)n : 0) n = read(pipes[0], got + have, BYTES - have);
    for (size_t i = 0; i < have; ++i) wrong += got[i] != value(round, i);
    KIT_CHECK(have == BYTES && wrong == 0, "way %d, round %d: %zu of %zu bytes are wrong", after, round, wrong, have);
    for (int k = 0; k < OTHERS; ++k) kit_unmap(others[k], XE_BLOCK);
    if (after != UNMAP) kit_unmap(data, XE_BLOCK);
    close(pipes[0]);
    close(pipes[1]);
  }
}

static int request(int handler, unsigned long number, void *argument) { return ioctl(handler, number, argument) == 0 ? 0 : errno; }

static void own_handler(void) {
  int handler = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (handler < 0) return; /* not allowed here */
  struct uffdio_api api = {.api = UFFD_API};
  KIT_CHECK(request(handler, UFFDIO_API, &api) == 0, "a userfaultfd");
  unsigned char *from = kit_map_aligned(XE_BLOCK), *to = kit_map_aligned(XE_BLOCK);
  struct uffdio_register target = {.range = {kit_address(to), BYTES}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  to[0] = 1;
  to_vram(to, BYTES);
  KIT_CHECK(to[0] == 1, "at home again");
  KIT_CHECK(madvise(to, BYTES, MADV_DONTNEED) == 0, "empty");
  KIT_CHECK(request(handler, UFFDIO_REGISTER, &target) == 0, "memory that was in VRAM: %s", strerror(errno));
  memset(from, 7, BYTES);
  to_vram(from, BYTES);
  struct move_request move = {kit_address(to), kit_address(from), BYTES, 2 /* holes are allowed */, 0};
  int err = request(handler, MOVE_REQUEST, &move);
  if (err == EINVAL || err == ENOTTY) return; /* a kernel without it */
  KIT_CHECK(err == 0 || err == EFAULT, "moved: %s", strerror(err));
  unsigned char *arrived = err == 0 ? to : from;
  size_t wrong = 0;
  for (size_t i = 0; i < BYTES; ++i) wrong += arrived[i] != 7;
  KIT_CHECK(wrong == 0, "%zu bytes are lost on the client's own way", wrong);
  close(handler);
  kit_unmap(from, XE_BLOCK);
  kit_unmap(to, XE_BLOCK);
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  for (enum after after = TOUCH; after <= DISCARD; ++after) spliced(after);
  own_handler();
  xe_close(&xe);
  return kit_finish("kept_pages");
}
