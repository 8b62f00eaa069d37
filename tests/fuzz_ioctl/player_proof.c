/* What no list may change, and a client that must work whatever the list did. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"
#include "player.h"

static int broken;
#define HOLDS(claim, ...) ((claim) ? (void)0 : (void)(broken = 1, printf("BROKEN: " __VA_ARGS__), putchar('\n')))

/* ---- memory that was never handed out ---- */

enum { kHeapBytes = 16384, kObjectBytes = 65536 };
static unsigned char in_data[8192];
static unsigned char* on_heap;

static unsigned char pattern(const unsigned char* at) {
  return (unsigned char)(((uintptr_t)at >> 4) * 31 + (uintptr_t)at);
}

static void fill(unsigned char* start, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) start[i] = pattern(start + i);
}

static void expect_filled(const unsigned char* start, size_t bytes, const char* what) {
  for (size_t i = 0; i < bytes; ++i) {
    if (start[i] == pattern(start + i)) continue;
    HOLDS(0, "%s: byte %zu is %#x, was %#x", what, i, start[i], pattern(start + i));
    return;
  }
}

static void map_arena(void) {
  unsigned char* whole = mmap(ARENA - kCanaryBytes, kArenaBytes + 2 * kCanaryBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (whole != ARENA - kCanaryBytes) xe_die("no room for the arena: %s", strerror(errno));
  fill(ARENA - kCanaryBytes, kCanaryBytes);
  fill(ARENA + kArenaBytes - kReadOnlyBytes, kReadOnlyBytes + kCanaryBytes);
  if (mprotect(ARENA + kArenaBytes - kReadOnlyBytes, kReadOnlyBytes, PROT_READ) != 0)
    xe_die("mprotect: %s", strerror(errno));
}

/* ---- another client: its own file, address space and object ---- */

static struct xe_device other;
static unsigned char* object;
static uint32_t* word;

static void other_start(void) {
  kit_open(&other, 0, KIT_MIRROR_PLAIN);
  const int fd = fcntl(other.fd, F_DUPFD_CLOEXEC, kFirstOwnFd);
  close(other.fd);
  other.fd = fd;
  struct drm_xe_gem_create create = {
      .size = kObjectBytes, .placement = other.has_vram ? 2 : 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WC};
  int failed = kit_ioctl(fd, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (failed != 0) xe_die("GEM_CREATE: %s", strerror(failed));
  struct drm_xe_gem_mmap_offset ask = {.handle = create.handle};
  failed = kit_ioctl(fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &ask);
  object =
      failed != 0 ? MAP_FAILED : mmap(NULL, kObjectBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)ask.offset);
  if (object == MAP_FAILED) xe_die("an object of the other client: %s", strerror(errno));
  fill(object, kObjectBytes);
  atomic_store(&variables[kVariables - 1], other.pat_index);
  word = kit_map_aligned(2 * XE_PAGE);
}

/* Runs the commands in `batch` on the device's own queue. Jobs with fences that were there before may each take their
 * time limit of 5 s before a queue of a mirrored address space gets its turn: longer than xe_run() waits. */
static void run(struct xe_device* xe, struct xe_batch* batch) {
  enum { kLooks = 24 };
  static const int64_t kLookNs = 5ll * 1000 * 1000 * 1000;
  uint64_t fence = 0;
  const uint32_t end = KIT_MI_BATCH_BUFFER_END;
  xe_emit_words(batch, &end, 1);
  const int failed = kit_exec(xe, xe->queue_id, batch->words, &fence);
  if (failed != 0) xe_die("EXEC of a well-formed client: %s", strerror(failed));
  int waited = ETIME;
  for (int look = 0; look < kLooks && waited == ETIME; ++look) {
    struct drm_xe_wait_user_fence wait = {.addr = kit_address(&fence),
                                          .op = DRM_XE_UFENCE_WAIT_OP_EQ,
                                          .value = KIT_FENCE_DONE,
                                          .mask = UINT64_MAX,
                                          .timeout = kLookNs,
                                          .exec_queue_id = xe->queue_id};
    waited = kit_ioctl(xe->fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait);
  }
  HOLDS(waited == 0, "the work of a well-formed client: %s", strerror(waited));
  xe_batch_reset(batch);
}

static void store_and_copy(struct xe_device* xe, uint32_t* to, uint32_t value) {
  struct xe_batch batch;
  xe_batch_init(&batch, 32);
  xe_emit_store32(&batch, to, value);
  run(xe, &batch);
  xe_emit_copy(&batch, to + XE_PAGE / 4, to, XE_PAGE);
  run(xe, &batch);
  xe_batch_free(&batch);
  HOLDS(to[0] == value && to[XE_PAGE / 4] == value, "stores and copies: %#x and %#x, not %#x", to[0], to[XE_PAGE / 4],
        value);
}

void proof_start(void) {
  map_arena();
  on_heap = malloc(kHeapBytes);
  fill(in_data, sizeof in_data);
  fill(on_heap, kHeapBytes);
  other_start();
  store_and_copy(&other, word, 0x0123);
}

static void new_client(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  uint32_t* memory = kit_map_aligned(2 * XE_PAGE);
  store_and_copy(&xe, memory, 0xfeed);
  kit_unmap(memory, 2 * XE_PAGE);
  xe_close(&xe);
}

int proof_end(void) {
  expect_filled(ARENA - kCanaryBytes, kCanaryBytes, "memory before the arena");
  expect_filled(ARENA + kArenaBytes, kCanaryBytes, "memory behind the arena");
  expect_filled(ARENA + kArenaBytes - kReadOnlyBytes, kReadOnlyBytes, "memory that is read only");
  expect_filled(in_data, sizeof in_data, "the program's data");
  expect_filled(on_heap, kHeapBytes, "the program's heap");
  expect_filled(object, kObjectBytes, "the other client's object");
  HOLDS(*word == 0x0123, "the other client's memory: %#x", *word);
  store_and_copy(&other, word, 0x4567);
  new_client();
  fflush(stdout);
  return broken;
}
