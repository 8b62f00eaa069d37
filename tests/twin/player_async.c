/* I/O that the kernel carries out later, or on the pages themselves: O_DIRECT, AIO, io_uring with and without pins. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "player.h"

enum { kMost = 16 * kPage };
static unsigned char side[kMost] __attribute__((aligned(4096)));

static size_t bytes_of(int64_t pages) { return (size_t)(pages > 16 ? 16 : pages) * kPage; }

static uint64_t hash_of(size_t bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i) hash = (hash ^ side[i]) * 0x100000001b3;
  return hash;
}

static int direct_file(void) {
  static int file = -1;
  if (file < 0) {
    char name[] = "twin-direct-XXXXXX";
    file = mkostemp(name, O_CLOEXEC);
    const int direct = open(name, O_RDWR | O_CLOEXEC | O_DIRECT);
    unlink(name);
    if (direct >= 0) {
      close(file);
      file = direct;
    }
  }
  return file;
}

/* What the file has after a write, or what a read is to find. */
static void say_file(size_t bytes) {
  const ssize_t have = pread(direct_file(), side, bytes, 0);
  say(" %zd #%016llx", have, (unsigned long long)hash_of(have > 0 ? (size_t)have : 0));
}
static void fill_file(int64_t seed, size_t bytes) {
  memset(side, (int)seed, sizeof side);
  if (pwrite(direct_file(), side, bytes, 0) < 0) say(" pwrite");
}

/* page pages seed(0: write from the memory) */
static void do_direct(const struct op* op) {
  const size_t bytes = bytes_of(op->n[1]);
  if (op->n[2] != 0) {
    fill_file(op->n[2], bytes);
    say_result(pread(direct_file(), at_page(op->n[0]), bytes, 0));
  } else {
    const ssize_t done = pwrite(direct_file(), at_page(op->n[0]), bytes, 0);
    say_result(done);
    if (done > 0) say_file((size_t)done);
  }
}

static void do_aio(const struct op* op) {
  const size_t bytes = bytes_of(op->n[1]);
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, 4, &context) != 0) return say(" no aio");
  if (op->n[2] != 0) fill_file(op->n[2], bytes);
  struct iocb block = {.aio_fildes = (uint32_t)direct_file(),
                       .aio_lio_opcode = op->n[2] != 0 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
                       .aio_buf = (uint64_t)(uintptr_t)at_page(op->n[0]),
                       .aio_nbytes = bytes};
  struct iocb* blocks[] = {&block};
  const long submitted = syscall(SYS_io_submit, context, 1, blocks);
  say_result(submitted);
  struct io_event event = {0};
  if (submitted == 1 && syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1) {
    say(" %lld", (long long)event.res);
    if (op->n[2] == 0 && event.res > 0) say_file((size_t)event.res);
  }
  syscall(SYS_io_destroy, context);
}

/* ---- io_uring, one request at a time ---- */

static struct ring {
  int fd;
  unsigned char *submit, *complete;
  struct io_uring_sqe* entries;
  struct io_uring_params params;
} ring = {.fd = -2};

static int ring_ready(void) {
  if (ring.fd != -2) return ring.fd >= 0;
  ring.fd = (int)syscall(SYS_io_uring_setup, 4, &ring.params);
  if (ring.fd < 0) return 0;
  fcntl(ring.fd, F_SETFD, FD_CLOEXEC);
  const struct io_sqring_offsets* sq = &ring.params.sq_off;
  const struct io_cqring_offsets* cq = &ring.params.cq_off;
  const int both = PROT_READ | PROT_WRITE;
  ring.submit = mmap(NULL, sq->array + ring.params.sq_entries * 4, both, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
  ring.complete = mmap(NULL, cq->cqes + ring.params.cq_entries * sizeof(struct io_uring_cqe), both, MAP_SHARED, ring.fd,
                       IORING_OFF_CQ_RING);
  ring.entries =
      mmap(NULL, ring.params.sq_entries * sizeof(struct io_uring_sqe), both, MAP_SHARED, ring.fd, IORING_OFF_SQES);
  if (ring.submit == MAP_FAILED || ring.complete == MAP_FAILED || ring.entries == MAP_FAILED) ring.fd = -1;
  return ring.fd >= 0;
}

static _Atomic uint32_t* ring_word(unsigned char* where, uint32_t offset) {
  return (_Atomic uint32_t*)(where + offset);
}

/* The result of the request. */
static int64_t ring_do(const struct io_uring_sqe* request) {
  const uint32_t tail = *ring_word(ring.submit, ring.params.sq_off.tail);
  const uint32_t place = tail & (ring.params.sq_entries - 1);
  ring.entries[place] = *request;
  *ring_word(ring.submit, ring.params.sq_off.array + place * 4) = place;
  atomic_store_explicit(ring_word(ring.submit, ring.params.sq_off.tail), tail + 1, memory_order_release);
  if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) return -errno;
  const uint32_t head = *ring_word(ring.complete, ring.params.cq_off.head);
  const struct io_uring_cqe* done = (const struct io_uring_cqe*)(ring.complete + ring.params.cq_off.cqes);
  const int64_t result = done[head & (ring.params.cq_entries - 1)].res;
  atomic_store_explicit(ring_word(ring.complete, ring.params.cq_off.head), head + 1, memory_order_release);
  return result;
}

static void do_uring(const struct op* op) {
  if (!ring_ready()) return say(" no io_uring");
  const size_t bytes = bytes_of(op->n[1]);
  if (op->n[2] != 0) fill_file(op->n[2], bytes);
  const struct io_uring_sqe request = {.opcode = op->n[2] != 0 ? IORING_OP_READ : IORING_OP_WRITE,
                                       .fd = direct_file(),
                                       .addr = (uint64_t)(uintptr_t)at_page(op->n[0]),
                                       .len = (uint32_t)bytes};
  const int64_t done = ring_do(&request);
  say(" %lld", (long long)done);
  if (op->n[2] == 0 && done > 0) say_file((size_t)done);
}

/* page pages seed: the ring pins the pages; they are sent away and stored to, and the ring must see those stores */
static void do_pinned(const struct op* op) {
  if (!ring_ready()) return say(" no io_uring");
  const size_t bytes = bytes_of(op->n[1]);
  const struct iovec buffer = {at_page(op->n[0]), bytes};
  const long pinned = syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1);
  say_result(pinned);
  if (pinned != 0) return;
  send_away(op->n[0], op->n[1]);
  store_pattern(op->n[0], (int64_t)bytes / kPage, (uint64_t)op->n[2]);
  struct io_uring_sqe request = {.opcode = IORING_OP_WRITE_FIXED,
                                 .fd = direct_file(),
                                 .addr = (uint64_t)(uintptr_t)at_page(op->n[0]),
                                 .len = (uint32_t)bytes};
  const int64_t written = ring_do(&request);
  say(" %lld", (long long)written);
  if (written > 0) say_file((size_t)written);
  send_away(op->n[0], op->n[1]);
  fill_file(op->n[2] + 1, bytes);
  request.opcode = IORING_OP_READ_FIXED;
  say(" %lld", (long long)ring_do(&request));
  say_sum(op->n[0], (int64_t)bytes / kPage);
  say_result(syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
}

const struct named_operation async_operations[] = {
    {"direct", do_direct}, {"aio", do_aio}, {"uring", do_uring}, {"pinned", do_pinned}, {NULL, NULL}};
