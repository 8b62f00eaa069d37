/*
 * A device ioctl is no cancellation point: a thread that is cancelled inside one comes back from it and ends at its
 * next point, with its clean-up handlers; and whatever the engine held at that moment is free again.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client_kit.h"

enum { ROUNDS = 40 };

static struct xe_device xe;
static uint64_t gate;
static int entered, came_back, cleaned;

static void clean_up(void *unused) {
  (void)unused;
  ++cleaned;
}

static void wait_for_fence(void) {
  struct drm_xe_wait_user_fence wait = {.addr = kit_address(&gate), .value = 1, .mask = ~0ull, .timeout = INT64_MAX};
  kit_ioctl(xe.fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait);
}

static void wait_for_syncobj(void) {
  struct drm_syncobj_create create = {.handle = 0};
  kit_ioctl(xe.fd, DRM_IOCTL_SYNCOBJ_CREATE, &create);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct drm_syncobj_wait wait = {.handles = kit_address(&create.handle),
                                  .timeout_nsec = now.tv_sec * 1000000000ll + now.tv_nsec + 30000000,
                                  .count_handles = 1,
                                  .flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT};
  kit_ioctl(xe.fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait);
}

static unsigned char *block;

static void move_a_block(void) {
  memset(block, 1, XE_BLOCK);
  kit_prefetch(&xe, block, XE_BLOCK);
}

struct call {
  const char *name;
  void (*make)(void);
};
static const struct call calls[] = {
    {"WAIT_USER_FENCE", wait_for_fence}, {"SYNCOBJ_WAIT", wait_for_syncobj}, {"PREFETCH", move_a_block}};

static void *body(void *argument) {
  const struct call *call = argument;
  pthread_cleanup_push(clean_up, NULL);
  __atomic_store_n(&entered, 1, __ATOMIC_SEQ_CST);
  call->make();
  came_back = 1;
  for (;;) pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}

static void cancel_inside(const struct call *call, unsigned round) {
  entered = came_back = cleaned = 0;
  gate = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, body, (void *)call);
  while (__atomic_load_n(&entered, __ATOMIC_SEQ_CST) == 0) {
  }
  usleep(round * 100);
  pthread_cancel(thread);
  __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
  void *result = NULL;
  pthread_join(thread, &result);
  KIT_CHECK(result == PTHREAD_CANCELED && came_back && cleaned == 1, "%s, round %u: ended %p, came back %d, cleaned %d",
            call->name, round, result, came_back, cleaned);
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  block = kit_map_aligned(XE_BLOCK);
  for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; ++i)
    for (unsigned round = 0; round < ROUNDS; ++round) cancel_inside(&calls[i], round);
  uint32_t *word = kit_map_aligned(XE_BLOCK);
  kit_store32(&xe, word, 3);
  KIT_CHECK(*word == 3, "the device after all that");
  xe_close(&xe);
  return kit_finish("cancelled");
}
