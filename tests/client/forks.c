/*
 * New processes in the middle of GPU work: fork, vfork, posix_spawn, system, popen, exec. Data that
 * is in VRAM is in the child as well, and neither sees the other's later writes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

extern char **environ;

static unsigned char pattern(size_t i) { return (unsigned char)(i * 5 + 9); }

static size_t differences(const unsigned char *data, size_t from) {
  size_t wrong = 0;
  for (size_t i = from; i < XE_BLOCK; ++i) wrong += data[i] != pattern(i);
  return wrong;
}

static void to_vram(struct xe_device *xe, unsigned char *data, uint32_t word) {
  for (size_t i = 0; i < XE_BLOCK; ++i) data[i] = pattern(i);
  kit_store32(xe, data, word);
}

static uint32_t first_word(const void *data) {
  uint32_t word;
  memcpy(&word, data, sizeof word);
  return word;
}

static int status_of(pid_t child) {
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/* In the child: the parent's data, then a device of its own. */
static int in_the_child(unsigned char *data) {
  if (first_word(data) != 0xf0f0 || differences(data, 4) != 0) return 10;
  data[100] = 0; /* private */
  struct xe_device own;
  kit_open(&own, 0, KIT_MIRROR_PLAIN);
  kit_store32(&own, data, 0xc01d);
  if (first_word(data) != 0xc01d || data[100] != 0 || differences(data, 101) != 0) return 11;
  xe_close(&own);
  return 0;
}

static void fork_with_vram(struct xe_device *xe, unsigned char *data) {
  for (int round = 0; round < 3; ++round) {
    to_vram(xe, data, 0xf0f0);
    pid_t child = fork();
    if (child < 0) xe_die("fork: %s", strerror(errno));
    if (child == 0) _exit(in_the_child(data));
    kit_store32(xe, data + XE_BLOCK / 2, 1); /* the parent goes on beside the child */
    int status = status_of(child);
    KIT_CHECK(status == 0, "round %d: the child ended with %#x", round, status);
    KIT_CHECK(first_word(data) == 0xf0f0 && data[100] == pattern(100), "the child's writes came through");
    KIT_CHECK(data[XE_BLOCK / 2] == 1 && differences(data, XE_BLOCK / 2 + 4) == 0, "the parent's data");
  }
}

static void spawns(struct xe_device *xe, unsigned char *data) {
  to_vram(xe, data, 0xabab);
  pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(127);
  }
  KIT_CHECK(child > 0 && status_of(child) == 0, "vfork and exec");

  char *const arguments[] = {"sh", "-c", "exit 7", NULL};
  KIT_CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0, "posix_spawn");
  KIT_CHECK(WEXITSTATUS(status_of(child)) == 7, "posix_spawn's status");

  kit_store32(xe, data + 8, 2);
  int status = system("exit 3");
  KIT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "system() gave %#x", status);

  FILE *pipe = popen("echo from the shell", "r");
  char line[64] = "";
  KIT_CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL, "popen");
  KIT_CHECK(strcmp(line, "from the shell\n") == 0, "popen read \"%s\"", line);
  if (pipe != NULL) KIT_CHECK(pclose(pipe) == 0, "pclose");

  kit_store32(xe, data + 16, 4);
  KIT_CHECK(first_word(data) == 0xabab && data[8] == 2 && data[16] == 4, "data after the spawns");
  KIT_CHECK(differences(data, 20) == 0, "pattern after the spawns");
}

int main(int argc, char **argv) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  unsigned char *data = kit_map_aligned(XE_BLOCK);
  if (argc > 1) { /* the program this one became */
    to_vram(&xe, data, 0x2222);
    KIT_CHECK(first_word(data) == 0x2222 && differences(data, 4) == 0, "GPU work after exec");
    xe_close(&xe);
    return kit_finish("forks, after exec");
  }
  fork_with_vram(&xe, data);
  spawns(&xe, data);
  to_vram(&xe, data, 0x1111);
  if (kit_finish("forks") != 0) return 1;
  execl(argv[0], argv[0], "again", (char *)NULL);
  xe_die("exec: %s", strerror(errno));
}
