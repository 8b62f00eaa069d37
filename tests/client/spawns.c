/*
 * Programs started while memory is in VRAM: posix_spawn, vfork and exec, fork and exec, in rounds, beside a
 * thread that keeps the GPU busy. Starting a program takes nothing out of VRAM (fork does: the child may read
 * it), its arguments may themselves be in VRAM, and what it does is seen in its status and output.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

extern char **environ;

enum { ROUNDS = 8, TEXT_AT = 4096 };

static struct xe_device xe;
static unsigned char *data;     /* in VRAM when a program is started */
static unsigned char *argument; /* a page with the command, in VRAM as well */

static unsigned char pattern(size_t i, int round) { return (unsigned char)(i * 3 + (size_t)round); }

static void send_to_vram(int round) {
  for (size_t i = 0; i < XE_BLOCK; ++i) data[i] = pattern(i, round);
  memset(argument, 0, XE_BLOCK);
  snprintf((char *)argument + TEXT_AT, 64, "exit %d", 20 + round);
  kit_store32(&xe, data, (uint32_t)round);
  kit_store32(&xe, argument, (uint32_t)round);
}

/* The child is a program of its own when this returns (vfork) or soon will be. */
static void become_shell(void) {
  execl("/bin/sh", "sh", "-c", (char *)argument + TEXT_AT, (char *)NULL);
  _exit(127);
}

static pid_t by_vfork(void) {
  pid_t child = vfork();
  if (child == 0) become_shell();
  return child;
}

static pid_t by_fork(void) {
  pid_t child = fork();
  if (child == 0) become_shell();
  return child;
}

static pid_t by_posix_spawn(void) {
  char *const words[] = {"sh", "-c", (char *)argument + TEXT_AT, NULL};
  pid_t child = -1;
  return posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ) == 0 ? child : -1;
}

/* The output of a program whose descriptors were set up by file actions. */
static pid_t by_posix_spawn_into_a_pipe(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) xe_die("pipe: %s", strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  char *const words[] = {"sh", "-c", "echo spawned; eval \"$0\"", (char *)argument + TEXT_AT, NULL};
  pid_t child = -1;
  int error = posix_spawnp(&child, "sh", &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char line[16] = "";
  KIT_CHECK(read(ends[0], line, sizeof line - 1) == 8 && strcmp(line, "spawned\n") == 0, "it wrote \"%s\"", line);
  close(ends[0]);
  return error == 0 ? child : -1;
}

static const struct {
  const char *name;
  pid_t (*start)(void);
  int stays_in_vram;
} kWays[] = {
    {"vfork and exec", by_vfork, 1},
    {"posix_spawn", by_posix_spawn, 1},
    {"posix_spawnp with file actions", by_posix_spawn_into_a_pipe, 1},
    {"fork and exec", by_fork, 0},
};

static void check_parent(const char *way, int round, int stays_in_vram) {
  size_t present = kit_pages_present(data, XE_BLOCK);
  if (stays_in_vram) KIT_CHECK(present == 0, "%s, round %d: %zu pages came home", way, round, present);
  uint32_t word;
  memcpy(&word, data, sizeof word);
  size_t wrong = word != (uint32_t)round;
  for (size_t i = sizeof word; i < XE_BLOCK; ++i) wrong += data[i] != pattern(i, round);
  KIT_CHECK(wrong == 0, "%s, round %d: %zu bytes of the parent differ", way, round, wrong);
}

static void start_program(size_t way, int round) {
  send_to_vram(round);
  pid_t child = kWays[way].start();
  KIT_CHECK(child > 0, "%s, round %d: %s", kWays[way].name, round, strerror(errno));
  if (child <= 0) return;
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  KIT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 20 + round, "%s, round %d: ended with %#x",
            kWays[way].name, round, status);
  check_parent(kWays[way].name, round, kWays[way].stays_in_vram);
}

static atomic_int stop;
static unsigned long turns;

static void *keep_busy(void *unused) {
  struct xe_device own;
  kit_open(&own, 0, KIT_MIRROR_PLAIN);
  uint32_t *words = kit_map_aligned(XE_BLOCK);
  while (!atomic_load(&stop)) {
    uint32_t value = (uint32_t)++turns;
    words[0] = value; /* brings the block home again */
    kit_store32(&own, words + 1024, value);
    KIT_CHECK(words[0] == value && words[1024] == value, "busy thread: %u and %u", words[0], words[1024]);
  }
  xe_close(&own);
  return unused;
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  data = kit_map_aligned(XE_BLOCK);
  argument = kit_map_aligned(XE_BLOCK);
  for (size_t way = 0; way < sizeof kWays / sizeof kWays[0]; ++way) {
    for (int round = 1; round <= ROUNDS; ++round) start_program(way, round);
  }
  pthread_t busy;
  if (pthread_create(&busy, NULL, keep_busy, NULL) != 0) xe_die("thread");
  for (int round = 1; round <= ROUNDS; ++round) {
    for (size_t way = 0; way < sizeof kWays / sizeof kWays[0]; ++way) start_program(way, round);
  }
  atomic_store(&stop, 1);
  pthread_join(busy, NULL);
  xe_close(&xe);
  return kit_finish("spawns");
}
