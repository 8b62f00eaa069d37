/*
 * A vfork child shares the parent's memory, but has descriptors of its own: whatever it does with them, as spawning
 * runtimes do, the parent's device and its engine do not notice. So does a thread with a table of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;
static unsigned char *data;
static int other; /* a descriptor that is nobody's device */

static void nothing(void) {}
static void close_it(void) { close(xe.fd); }
static void close_raw(void) { syscall(SYS_close, xe.fd); }
static void close_each(void) {
  for (int fd = 3; fd < 1100; ++fd) close(fd);
}
static void close_from(void) { closefrom(3); }
static void close_a_range(void) { close_range(3, ~0u, 0); }
static void close_a_raw_range(void) { syscall(SYS_close_range, 3, ~0u, 0); }
static void close_at_exec(void) { close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); }
static void unshare_and_close(void) { close_range(3, ~0u, CLOSE_RANGE_UNSHARE); }
static void dup2_over(void) { dup2(other, xe.fd); }
static void dup3_over(void) { dup3(other, xe.fd, O_CLOEXEC); }
static void dup_to_stdin(void) { dup2(xe.fd, 0); }
static void dup_twice(void) { dup(dup(xe.fd)); }
static void fcntl_dup(void) { fcntl(xe.fd, F_DUPFD, 40); }
static void keep_over_exec(void) { fcntl(xe.fd, F_SETFD, 0); }
static void ioctl_on_what_replaced_it(void) {
  dup2(other, xe.fd);
  ioctl(xe.fd, FIOCLEX);
}
static void open_another(void) {
  close(xe.fd);
  open("/dev/dri/renderD128", O_RDWR);
}

struct way {
  const char *name;
  void (*act)(void);
};
#define WAY(function) \
  { #function, function }
static const struct way ways[] = {
    WAY(nothing),       WAY(close_it),          WAY(close_raw),     WAY(close_each),  WAY(close_from), WAY(close_a_range),
    WAY(close_a_raw_range), WAY(close_at_exec), WAY(unshare_and_close), WAY(dup2_over), WAY(dup3_over), WAY(dup_to_stdin),
    WAY(dup_twice),     WAY(fcntl_dup),         WAY(keep_over_exec), WAY(ioctl_on_what_replaced_it), WAY(open_another),
};

static void gpu_work(const char *what, uint32_t word) {
  memset(data, (int)word, XE_BLOCK);
  kit_store32(&xe, data + 64, word);
  uint32_t seen;
  memcpy(&seen, data + 64, sizeof seen);
  KIT_CHECK(seen == word && data[XE_BLOCK - 1] == (unsigned char)word, "%s: the word is %u", what, seen);
}

static void in_a_vfork_child(const struct way *way) {
  pid_t child = vfork();
  if (child == 0) {
    way->act();
    execl("/bin/true", "true", (char *)NULL);
    _exit(127);
  }
  int status = -1;
  waitpid(child, &status, 0);
  KIT_CHECK(status == 0, "%s: the child ended with %#x", way->name, status);
}

static void *in_a_table_of_its_own(void *unused) {
  if (unshare(CLONE_FILES) != 0) xe_die("unshare: %s", strerror(errno));
  close_each();
  return unused;
}

int main(void) {
  other = open("/dev/null", O_RDONLY | O_CLOEXEC);
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  data = kit_map_aligned(XE_BLOCK);
  for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; ++i) {
    in_a_vfork_child(&ways[i]);
    gpu_work(ways[i].name, i + 1);
  }
  pthread_t thread;
  pthread_create(&thread, NULL, in_a_table_of_its_own, NULL);
  pthread_join(thread, NULL);
  gpu_work("a thread with a table of its own", 100);
  /* And what the parent itself closes is closed. */
  struct xe_device second;
  kit_open(&second, 0, KIT_MIRROR_PLAIN);
  close(second.fd);
  KIT_CHECK(kit_ioctl(second.fd, DRM_IOCTL_VERSION, NULL) == EBADF, "closed by the parent");
  xe_close(&xe);
  return kit_finish("vforks");
}
