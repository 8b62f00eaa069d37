/*
 * Handlers that interrupt device ioctls and calls that change mappings: they use the device themselves, and they
 * jump out with siglongjmp(). The device works as before afterwards, also on the thread that was jumped in.
 * Usage: jumping_handlers CALL
 */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "client_kit.h"

enum { JUMPS = 1500 };

static struct xe_device xe;
static sigjmp_buf out;
static volatile int jumps, refused;
static uint64_t gate;
static unsigned char *block;

static int query(void) {
  struct drm_xe_device_query request = {.query = DRM_XE_DEVICE_QUERY_MEM_REGIONS};
  return kit_ioctl(xe.fd, DRM_IOCTL_XE_DEVICE_QUERY, &request);
}

static void on_alarm(int signal) {
  (void)signal;
  if (query() != 0) ++refused;
  ++jumps;
  siglongjmp(out, 1);
}

static void tick(long us) {
  const struct itimerval timer = {.it_interval = {0, us}, .it_value = {0, us}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void prefetch(void) {
  kit_prefetch(&xe, block, XE_BLOCK);
  block[4096] = 1;
}
static void wait(void) {
  struct drm_xe_wait_user_fence request = {.addr = kit_address(&gate), .value = 1, .mask = ~0ull, .timeout = 50000000};
  kit_ioctl(xe.fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &request);
}
static void just_query(void) { query(); }
static void discard(void) { madvise(block, XE_BLOCK, MADV_DONTNEED); }
static void map_over(void) {
  if (mmap(block, XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    xe_die("mmap: %s", strerror(errno));
}

static const struct {
  const char *name;
  void (*make)(void);
} calls[] = {{"query", just_query}, {"wait", wait}, {"prefetch", prefetch}, {"discard", discard}, {"map", map_over}};

static void (*make)(void);

int main(int argc, char **argv) {
  for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; ++i)
    if (argc > 1 && strcmp(argv[1], calls[i].name) == 0) make = calls[i].make;
  if (make == NULL) xe_die("usage: jumping_handlers CALL");
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  block = kit_map_aligned(XE_BLOCK);
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_NODEFER};
  sigaction(SIGALRM, &action, NULL);
  tick(700);
  if (sigsetjmp(out, 1) == 0 || jumps < JUMPS)
    for (;;) make();
  tick(0);
  KIT_CHECK(refused == 0, "%d of %d calls of the handler were refused", refused, jumps);
  KIT_CHECK(query() == 0, "the query afterwards: %s", strerror(query()));
  uint32_t *word = kit_map_aligned(XE_BLOCK);
  kit_store32(&xe, word, 3);
  KIT_CHECK(*word == 3, "the store afterwards: %u", *word);
  kit_unmap(word, XE_BLOCK);
  xe_close(&xe);
  return kit_finish("jumping_handlers");
}
