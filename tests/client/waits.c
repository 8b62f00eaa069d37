/*
 * Signals and waits: a handler runs while its thread sleeps in a wait, and then the wait returns EINTR,
 * or goes on (SA_RESTART). What nobody would notice does not end a wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "client_kit.h"

enum { SOON_US = 2000, SHORT_NS = 300 * 1000 * 1000 };

static uint64_t word;
static volatile sig_atomic_t alarms;
static int opens_the_word;

static void on_alarm(int signo) {
  (void)signo;
  ++alarms;
  if (opens_the_word && alarms == 3) __atomic_store_n(&word, KIT_FENCE_DONE, __ATOMIC_SEQ_CST);
}

/* Every 2 ms, so that no alarm before the wait can be the last one. */
static void alarm_clock(int flags, int on) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {.it_interval.tv_usec = on ? SOON_US : 0, .it_value.tv_usec = on ? SOON_US : 0};
  setitimer(ITIMER_REAL, &timer, NULL);
}

/* 0 or errno; plain ioctl(), since drmIoctl() hides EINTR. */
static int wait_word(struct xe_device *xe, int64_t timeout_ns) {
  struct drm_xe_wait_user_fence wait = {.addr = kit_address(&word),
                                        .op = DRM_XE_UFENCE_WAIT_OP_EQ,
                                        .value = KIT_FENCE_DONE,
                                        .mask = UINT64_MAX,
                                        .timeout = timeout_ns};
  return ioctl(xe->fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait) == 0 ? 0 : errno;
}

static int wait_syncobj(struct xe_device *xe, uint32_t handle, int64_t until_ns) {
  struct drm_syncobj_wait wait = {.handles = kit_address(&handle),
                                  .count_handles = 1,
                                  .timeout_nsec = until_ns,
                                  .flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT};
  return ioctl(xe->fd, DRM_IOCTL_SYNCOBJ_WAIT, &wait) == 0 ? 0 : errno;
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  struct drm_syncobj_create create = {0};
  if (kit_ioctl(xe.fd, DRM_IOCTL_SYNCOBJ_CREATE, &create) != 0) xe_die("SYNCOBJ_CREATE");

  alarm_clock(0, 1);
  int error = wait_word(&xe, -1);
  KIT_CHECK(error == EINTR && alarms > 0, "user fence, handler without SA_RESTART: errno %d", error);
  alarms = 0;
  error = wait_syncobj(&xe, create.handle, INT64_MAX);
  KIT_CHECK(error == EINTR && alarms > 0, "syncobj, handler without SA_RESTART: errno %d", error);

  alarms = 0;
  opens_the_word = 1;
  alarm_clock(SA_RESTART, 1);
  error = wait_word(&xe, -1);
  KIT_CHECK(error == 0 && alarms >= 3, "SA_RESTART: the wait ends by its fence, errno %d", error);
  word = 0;
  opens_the_word = 0;
  alarms = 0;
  error = wait_word(&xe, SHORT_NS);
  KIT_CHECK(error == ETIME && alarms > 0, "a wait that goes on keeps its time-out, errno %d", error);

  signal(SIGALRM, SIG_IGN);
  struct itimerval timer = {.it_interval.tv_usec = SOON_US, .it_value.tv_usec = SOON_US};
  setitimer(ITIMER_REAL, &timer, NULL);
  error = wait_word(&xe, SHORT_NS);
  KIT_CHECK(error == ETIME, "an ignored signal does not end a wait, errno %d", error);
  alarm_clock(0, 1);
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarm_only, NULL);
  error = wait_word(&xe, SHORT_NS);
  KIT_CHECK(error == ETIME, "nor one that the client blocks, errno %d", error);
  alarm_clock(0, 0);
  xe_close(&xe);
  return kit_finish("waits");
}
