/*
 * mremap() to another size over blocks that were touched apart: registration with the userfaultfd cuts mappings, and
 * what is first touched on the two sides of a cut stays two mappings for the kernel. To the client it is one, and one
 * it stays.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client_kit.h"

enum { kBlock = 2 << 20, kBytes = 3 * kBlock, kPage = 4096 };

static struct xe_device xe;

/* Three blocks in the middle of nothing; the middle one was on the GPU's side when it was first touched. */
static unsigned char *make(void) {
  unsigned char *at = kit_map_aligned(8 * kBlock);
  kit_unmap(at + kBytes, 5 * kBlock);
  kit_store32(&xe, at + kBlock, 1);
  for (size_t i = 0; i < kBytes; ++i) at[i] = (unsigned char)(i * 7 + i / kPage);
  KIT_CHECK(kit_prefetch(&xe, at + kBlock, kBlock) == 0, "a block goes to VRAM");
  return at;
}

static size_t wrong(const unsigned char *at, size_t from, size_t bytes) {
  size_t count = 0;
  for (size_t i = 0; i < bytes; ++i) count += at[i] != (unsigned char)((i + from) * 7 + (i + from) / kPage);
  return count;
}

static size_t not_zero(const unsigned char *at, size_t bytes) {
  size_t count = 0;
  for (size_t i = 0; i < bytes; ++i) count += at[i] != 0;
  return count;
}

static unsigned char *resize(unsigned char *at, size_t from, size_t to, int flags, void *target) {
  unsigned char *got = mremap(at, from, to, flags, target);
  KIT_CHECK(got != MAP_FAILED, "mremap of %zu bytes to %zu, flags %d: %s", from, to, flags, strerror(errno));
  return got;
}

static void grows_in_place(void) {
  unsigned char *at = make();
  if (resize(at, kBytes, kBytes + kBlock, 0, NULL) == MAP_FAILED) return;
  KIT_CHECK(wrong(at, 0, kBytes) == 0 && not_zero(at + kBytes, kBlock) == 0, "what has grown is whole");
  munmap(at, kBytes + kBlock);
}

static void grows_elsewhere(void) {
  unsigned char *at = make();
  /* Something is in the way of growing where it is. */
  void *wall = mmap(at + kBytes, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  KIT_CHECK(wall != MAP_FAILED && mremap(at, kBytes, kBytes + kBlock, 0) == MAP_FAILED && errno == ENOMEM,
            "no room without MAYMOVE: %s", strerror(errno));
  KIT_CHECK(wrong(at, 0, kBytes) == 0, "a call that fails changes nothing");
  unsigned char *moved = resize(at, kBytes, kBytes + kBlock, MREMAP_MAYMOVE, NULL);
  if (moved == MAP_FAILED) return;
  KIT_CHECK(moved != at && wrong(moved, 0, kBytes) == 0 && not_zero(moved + kBytes, kBlock) == 0, "it is whole elsewhere");
  unsigned char there;
  KIT_CHECK(mincore(at, kPage, &there) != 0 && errno == ENOMEM, "and nothing is where it was");
  munmap(moved, kBytes + kBlock);
}

static void grows_onto(void) {
  unsigned char *at = make();
  unsigned char *target = kit_map_aligned(kBytes + kBlock);
  memset(target, 0xee, kBytes + kBlock);
  unsigned char *moved = resize(at + kPage, kBytes - kPage, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, target + kPage);
  if (moved == MAP_FAILED) return;
  KIT_CHECK(moved == target + kPage && wrong(moved, kPage, kBytes - kPage) == 0 && not_zero(target + kBytes, kPage) == 0,
            "it is whole at the target");
  KIT_CHECK(target[0] == 0xee && target[kBytes + kPage] == 0xee && wrong(at, 0, kPage) == 0, "and what lies around it");
  munmap(target, kBytes + kBlock);
}

static void shrinks(void) {
  unsigned char *at = make();
  unsigned char *target = kit_map_aligned(kBytes);
  if (resize(at, kBytes, kBytes - kPage, MREMAP_MAYMOVE, NULL) == at)
    KIT_CHECK(wrong(at, 0, kBytes - kPage) == 0, "what has shrunk is whole");
  unsigned char *moved = resize(at, kBytes - kPage, kBlock + kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target);
  if (moved != MAP_FAILED) KIT_CHECK(wrong(moved, 0, kBlock + kPage) == 0, "what has moved on the way is whole");
}

/* A border that the client has made is one. */
static void is_refused_where_it_is_two(void) {
  unsigned char *at = make();
  mprotect(at + 2 * kBlock, kBlock, PROT_READ);
  KIT_CHECK(mremap(at, kBytes, kBytes + kBlock, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT, "two mappings");
  KIT_CHECK(wrong(at, 0, kBytes) == 0, "a call that fails changes nothing");
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  grows_in_place();
  grows_elsewhere();
  grows_onto();
  shrinks();
  is_refused_where_it_is_two();
  return kit_finish("resized");
}
