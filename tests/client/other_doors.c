/*
 * The client's own userfaultfd over memory that is or was in VRAM: its registration is not refused, its moves lose
 * nothing. And mincore(): a page in VRAM is a page of the process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client_kit.h"

/* Newer than the distribution's headers. */
struct move_request {
  uint64_t to, from, length, mode;
  int64_t moved;
};
#define MOVE_PAGES _IOWR(UFFDIO, 0x05, struct move_request)
enum { ALLOW_HOLES = 2, BYTES = 16 * XE_PAGE };

static struct xe_device xe;
static int uffd;

static unsigned char *block_in_vram(int fill) {
  unsigned char *block = kit_map_aligned(XE_BLOCK);
  memset(block, fill, XE_BLOCK);
  kit_store32(&xe, block + XE_BLOCK - 4, 0);
  KIT_CHECK(kit_pages_present(block, XE_BLOCK) == 0, "the block is not in VRAM");
  return block;
}

static int register_range(void *start, size_t bytes, uint64_t mode) {
  struct uffdio_register request = {.range = {kit_address(start), bytes}, .mode = mode};
  return ioctl(uffd, UFFDIO_REGISTER, &request) == 0 ? 0 : errno;
}

static void check_bytes(const char *what, const unsigned char *at, size_t bytes, int fill) {
  for (size_t i = 0; i < bytes; ++i)
    if (at[i] != fill) {
      KIT_CHECK(0, "%s: byte %zu is %#x", what, i, at[i]);
      return;
    }
}

static void check_move(void) {
  const uint64_t modes[] = {0, ALLOW_HOLES};
  for (size_t i = 0; i < 2; ++i) {
    unsigned char *from = block_in_vram(7), *to = kit_map_aligned(XE_BLOCK);
    KIT_CHECK(register_range(to, BYTES, UFFDIO_REGISTER_MODE_MISSING) == 0, "register: %s", strerror(errno));
    struct move_request move = {kit_address(to), kit_address(from), BYTES, modes[i], 0};
    int moved = ioctl(uffd, MOVE_PAGES, &move);
    KIT_CHECK(moved == 0 && move.moved == BYTES, "MOVE: %s, %lld bytes", strerror(errno), (long long)move.moved);
    check_bytes("moved", to, BYTES, 7);
    check_bytes("where it was", from, BYTES, 0);
    check_bytes("what did not move", from + BYTES, XE_BLOCK - BYTES - 4, 7);
    kit_unmap(to, XE_BLOCK);
    kit_unmap(from, XE_BLOCK);
  }
}

static void *serve_one_page(void *filler) {
  struct uffd_msg message;
  if (read(uffd, &message, sizeof message) != sizeof message) return NULL;
  struct uffdio_copy copy = {
      .dst = message.arg.pagefault.address & ~(uint64_t)(XE_PAGE - 1), .src = kit_address(filler), .len = XE_PAGE};
  ioctl(uffd, UFFDIO_COPY, &copy);
  return NULL;
}

/* In VRAM, and after it has been there. */
static void check_register(void) {
  static unsigned char filler[XE_PAGE] __attribute__((aligned(XE_PAGE)));
  memset(filler, 9, sizeof filler);
  for (int was = 0; was < 2; ++was) {
    unsigned char *block = block_in_vram(5);
    if (was) check_bytes("home", block, XE_PAGE, 5);
    int error = register_range(block, XE_BLOCK, UFFDIO_REGISTER_MODE_MISSING);
    KIT_CHECK(error == 0, "memory that %s in VRAM: %s", was ? "was" : "is", strerror(error));
    check_bytes("registered", block, XE_BLOCK - 4, 5);
    madvise(block, XE_PAGE, MADV_DONTNEED);
    pthread_t server;
    pthread_create(&server, NULL, serve_one_page, filler);
    check_bytes("served by the client", block, XE_PAGE, 9);
    pthread_join(server, NULL);
    kit_store32(&xe, block + 64, 3);
    KIT_CHECK(block[64] == 3, "a GPU store into it");
    struct uffdio_range range = {kit_address(block), XE_BLOCK};
    KIT_CHECK(ioctl(uffd, UFFDIO_UNREGISTER, &range) == 0, "unregister: %s", strerror(errno));
    kit_unmap(block, XE_BLOCK);
  }
}

static void check_mincore(void) {
  unsigned char *block = block_in_vram(1), resident[XE_BLOCK / XE_PAGE + 1];
  memset(resident, 0xa0, sizeof resident);
  KIT_CHECK(mincore(block, XE_BLOCK, resident) == 0, "mincore: %s", strerror(errno));
  for (size_t i = 0; i < XE_BLOCK / XE_PAGE; ++i) KIT_CHECK(resident[i] == 1, "page %zu: %#x", i, resident[i]);
  KIT_CHECK(resident[XE_BLOCK / XE_PAGE] == 0xa0, "mincore wrote too much");
  KIT_CHECK(mincore(block + 1, XE_PAGE, resident) == -1 && errno == EINVAL, "an odd address: %s", strerror(errno));
  kit_unmap(block, XE_BLOCK);
}

int main(void) {
  alarm(100);
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) != 0) xe_die("userfaultfd: %s", strerror(errno));
  check_move();
  check_register();
  check_mincore();
  return kit_finish("other_doors");
}
