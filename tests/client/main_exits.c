/*
 * main() leaves by pthread_exit() and another thread goes on with the device: memory, a child, a second descriptor,
 * and with the argument "late" the very first one, too. /proc/self shows nothing of a process whose first thread has
 * ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

static struct xe_device xe;
static pthread_t first;
static int late;

static void work(unsigned round) {
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  memset(data, (int)round, XE_BLOCK);
  kit_store32(&xe, data + 8, round);
  KIT_CHECK(data[8] == round && data[99] == round, "round %u", round);
  kit_unmap(data, XE_BLOCK);
}

static void *rest(void *unused) {
  pthread_join(first, NULL);
  if (late) kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  for (unsigned round = 0; round < 10; ++round) work(round);
  pid_t child = fork();
  if (child == 0) {
    struct xe_device own;
    kit_open(&own, 0, KIT_MIRROR_PLAIN);
    uint32_t word = 0;
    kit_store32(&own, &word, 9);
    _exit(word == 9 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  KIT_CHECK(status == 0, "the child ended with %#x", status);
  int fd = open("/dev/dri/renderD128", O_RDWR | O_CLOEXEC);
  struct drm_version version = {.version_major = 0};
  int error = kit_ioctl(fd, DRM_IOCTL_VERSION, &version);
  KIT_CHECK(error == 0, "VERSION on a new descriptor: %s", strerror(error));
  close(fd);
  exit(kit_finish("main_exits"));
  return unused;
}

int main(int argc, char **argv) {
  late = argc > 1 && strcmp(argv[1], "late") == 0;
  first = pthread_self();
  if (!late) kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  pthread_t thread;
  pthread_create(&thread, NULL, rest, NULL);
  (void)argv;
  pthread_exit(NULL);
}
