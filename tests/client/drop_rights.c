/*
 * A service that opens the device as root and then becomes an ordinary user. libc changes the ids of all threads
 * by a signal that each must take, those of the engine too. Beside it a thread keeps memory going to VRAM and
 * back. Afterwards every thread of the process has the new ids, and the device works as before.
 *
 * An ordinary user takes the same way with the ids it has.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "client_kit.h"

enum { CHANGES = 20, NOBODY = 65534 };

static struct xe_device xe;
static atomic_int stop;

static void *keep_moving(void *unused) {
  struct xe_device own;
  kit_open(&own, 0, KIT_MIRROR_PLAIN);
  uint32_t *words = kit_map_aligned(XE_BLOCK);
  for (uint32_t turn = 1; !atomic_load(&stop) || turn < CHANGES; ++turn) {
    words[0] = turn; /* brings the block home */
    kit_store32(&own, words + 1024, turn);
    KIT_CHECK(words[0] == turn && words[1024] == turn, "%u and %u in turn %u", words[0], words[1024], turn);
  }
  xe_close(&own);
  return unused;
}

/* Threads of this process whose real and effective user ids are not `wanted`. */
static unsigned strangers(unsigned wanted) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) xe_die("tasks: %s", strerror(errno));
  unsigned found = 0, threads = 0;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    char path[300], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
      unsigned own, effective;
      if (sscanf(line, "Uid: %u %u", &own, &effective) != 2) continue;
      ++threads;
      found += own != wanted || effective != wanted;
    }
    if (file != NULL) fclose(file);
  }
  closedir(tasks);
  KIT_CHECK(threads >= 3, "%u threads: this test is about more than two", threads);
  return found;
}

static void check_use(uint32_t *data, uint32_t turn) {
  data[0] = turn;
  kit_store32(&xe, data + 2048, turn);
  size_t present = kit_pages_present(data, XE_BLOCK);
  KIT_CHECK(present == 0, "%zu pages did not go to VRAM in turn %u", present, turn);
  KIT_CHECK(data[0] == turn && data[2048] == turn, "%u and %u after change %u", data[0], data[2048], turn);
}

int main(void) {
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t *data = kit_map_aligned(XE_BLOCK);
  check_use(data, 1);
  pthread_t mover;
  if (pthread_create(&mover, NULL, keep_moving, NULL) != 0) xe_die("thread");
  const int root = geteuid() == 0;
  for (uint32_t turn = 1; turn <= CHANGES; ++turn) {
    /* Root: to and fro. */
    uid_t to = !root ? geteuid() : turn % 2 == 1 ? NOBODY : 0;
    KIT_CHECK(setresuid(to, to, (uid_t)-1) == 0, "setresuid to %u: %s", to, strerror(errno));
    KIT_CHECK(strangers(to) == 0, "%u threads kept their ids in turn %u", strangers(to), turn);
  }
  if (root) KIT_CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0, "groups: %s", strerror(errno));
  if (root) KIT_CHECK(setuid(NOBODY) == 0 && setuid(0) != 0, "setuid: %s", strerror(errno));
  prctl(PR_SET_DUMPABLE, 1); /* the kernel took it away; this test reads its own pagemap */
  KIT_CHECK(strangers(geteuid()) == 0, "threads kept their ids at the end");
  for (uint32_t turn = 1; turn <= CHANGES; ++turn) check_use(data, turn);
  atomic_store(&stop, 1);
  pthread_join(mover, NULL);
  xe_close(&xe);
  return kit_finish("drop_rights");
}
