/*
 * Syncobjs, sync_files and fences over a fork: what was signalled is, what is pending follows the parent's job,
 * which runs once and in the parent; when the parent dies with it, nobody waits for ever.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inherited_kit.h"

struct world {
  struct xe_device xe; /* its VM does not fault */
  struct area area;
  uint32_t *gate, *counter;
  uint32_t empty, signalled, timeline, pending, moved;
  int sync_file, done_file, syncobj_fd;
};

static uint32_t syncobj(int fd, uint32_t flags) {
  uint32_t made = 0;
  if (drmSyncobjCreate(fd, flags, &made) != 0) xe_die("syncobj: %s", strerror(errno));
  return made;
}

static int sync_file_of(int fd, uint32_t handle) {
  int made = -1;
  if (drmSyncobjExportSyncFile(fd, handle, &made) != 0) xe_die("sync_file: %s", strerror(errno));
  return made;
}

static uint64_t last_point(int fd, uint32_t handle) {
  uint64_t point = ~0ull;
  KIT_CHECK(drmSyncobjQuery(fd, &handle, &point, 1) == 0, "QUERY: %s", strerror(errno));
  return point;
}

static int readable(int fd, int ms) {
  struct pollfd entry = {.fd = fd, .events = POLLIN};
  return poll(&entry, 1, ms) == 1 && (entry.revents & POLLIN) != 0;
}

static int status_of(int sync_file) {
  struct sync_file_info info;
  memset(&info, 0, sizeof info);
  KIT_CHECK(ioctl(sync_file, SYNC_IOC_FILE_INFO, &info) == 0, "FILE_INFO: %s", strerror(errno));
  return info.status;
}

/* One job that waits for the gate, pending as a fence, as point 7 of a timeline, and as descriptors. */
static void make_world(struct world *w) {
  memset(w, 0, sizeof *w);
  kit_open(&w->xe, 0, KIT_MIRROR_PLAIN);
  int fd = w->xe.fd;
  w->xe.vm_id = inh_vm_create(fd, 0);
  w->xe.queue_id = kit_queue_create(&w->xe);
  w->area = inh_area(fd, &w->xe, 0);
  w->gate = w->area.cpu + AREA_DATA;
  w->counter = w->gate + 1;
  w->empty = syncobj(fd, 0);
  w->signalled = syncobj(fd, DRM_SYNCOBJ_CREATE_SIGNALED);
  w->timeline = syncobj(fd, 0);
  w->pending = syncobj(fd, 0);
  w->moved = syncobj(fd, 0);
  uint64_t points[] = {3, 5};
  for (int i = 0; i < 2; ++i)
    KIT_CHECK(drmSyncobjTimelineSignal(fd, &w->timeline, &points[i], 1) == 0, "point: %s", strerror(errno));
  struct xe_batch batch;
  xe_batch_init(&batch, 16);
  inh_gated_count(&batch, w->gate, w->counter);
  int error = inh_submit(&w->xe, w->xe.queue_id, &w->area, &batch, w->timeline, 7);
  KIT_CHECK(error == 0, "EXEC: %s", strerror(error));
  xe_batch_free(&batch);
  KIT_CHECK(drmSyncobjTransfer(fd, w->pending, 0, w->timeline, 7, 0) == 0, "TRANSFER: %s", strerror(errno));
  KIT_CHECK(drmSyncobjTransfer(fd, w->moved, 9, w->timeline, 7, 0) == 0, "TRANSFER: %s", strerror(errno));
  w->sync_file = sync_file_of(fd, w->pending);
  w->done_file = sync_file_of(fd, w->signalled);
  if (drmSyncobjHandleToFD(fd, w->pending, &w->syncobj_fd) != 0) xe_die("syncobj fd: %s", strerror(errno));
}

static void as_it_was_at_the_fork(struct world *w) {
  int fd = w->xe.fd;
  KIT_CHECK(inh_wait_point(fd, w->empty, 0, 0) == EINVAL, "an empty syncobj");
  KIT_CHECK(inh_wait_point(fd, w->signalled, 0, 0) == 0, "a signalled one");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 3, 0) == 0, "point 3");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 5, 0) == 0, "point 5");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 6, 0) == ETIME, "point 6, as 7");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 7, 0) == ETIME, "point 7");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 8, 0) == EINVAL, "point 8");
  KIT_CHECK(last_point(fd, w->timeline) == 5, "the last point is %lu", (unsigned long)last_point(fd, w->timeline));
  KIT_CHECK(inh_wait_point(fd, w->pending, 0, 10) == ETIME, "a pending one");
  KIT_CHECK(inh_wait_point(fd, w->moved, 9, 0) == ETIME, "a pending point");
  KIT_CHECK(status_of(w->sync_file) == 0 && !readable(w->sync_file, 0), "a pending sync_file");
  KIT_CHECK(status_of(w->done_file) == 1 && readable(w->done_file, 0), "a signalled sync_file");
}

static void as_the_parents_job_is_done(struct world *w, uint32_t imported) {
  int fd = w->xe.fd;
  KIT_CHECK(inh_wait_point(fd, w->pending, 0, 20000) == 0, "the fence of the parent's job");
  KIT_CHECK(inh_wait_point(fd, w->timeline, 7, 20000) == 0, "point 7 of the parent's job");
  KIT_CHECK(inh_wait_point(fd, w->moved, 9, 20000) == 0, "its copy");
  KIT_CHECK(inh_wait_point(fd, imported, 0, 20000) == 0, "the same by its descriptor");
  KIT_CHECK(last_point(fd, w->timeline) == 7, "the last point");
  KIT_CHECK(readable(w->sync_file, 20000) && status_of(w->sync_file) == 1, "the sync_file");
  KIT_CHECK(*w->counter == 1, "the job ran %u times", *w->counter);
}

/* A job of this process behind one of its parent: by the inherited fence, on the inherited queue. */
static void a_job_behind_the_parents(struct world *w) {
  struct area area = inh_area(w->xe.fd, &w->xe, 0);
  uint32_t *counter = area.cpu + AREA_DATA;
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  xe_emit_atomic_increment(&batch, counter);
  memcpy(area.cpu, batch.words, batch.count * sizeof batch.words[0]);
  area.cpu[batch.count] = KIT_MI_BATCH_BUFFER_END;
  xe_batch_free(&batch);
  uint32_t done = syncobj(w->xe.fd, 0);
  struct drm_xe_sync syncs[2] = {
      {.type = DRM_XE_SYNC_TYPE_SYNCOBJ, .handle = w->pending},
      {.type = DRM_XE_SYNC_TYPE_SYNCOBJ, .flags = DRM_XE_SYNC_FLAG_SIGNAL, .handle = done}};
  struct drm_xe_exec exec = {.exec_queue_id = w->xe.queue_id, .num_syncs = 2, .syncs = kit_address(syncs),
                             .address = kit_address(area.cpu), .num_batch_buffer = 1};
  int error = kit_ioctl(w->xe.fd, DRM_IOCTL_XE_EXEC, &exec);
  KIT_CHECK(error == 0, "EXEC behind a fence of the parent: %s", strerror(error));
  KIT_CHECK(inh_wait_point(w->xe.fd, done, 0, 20) == ETIME && *counter == 0, "it did not wait");
  *w->gate = 1; /* shared: the parent's engine sees it */
  KIT_CHECK(inh_wait_point(w->xe.fd, done, 0, 20000) == 0 && *counter == 1, "it waits for ever");
}

static int late_fd = -1;
static uint32_t late;

/* An allocator locks its heap in such a handler: what a child inherits is settled before. */
static void before_fork(void) {
  if (late_fd >= 0) late = syncobj(late_fd, 0);
}

static int in_the_child(struct world *w) {
  as_it_was_at_the_fork(w);
  KIT_CHECK(late != 0 && drmSyncobjDestroy(w->xe.fd, late) != 0 && errno == EINVAL, "%u came after the image", late);
  late_fd = -1;
  uint32_t imported = 0;
  KIT_CHECK(drmSyncobjFDToHandle(w->xe.fd, w->syncobj_fd, &imported) == 0, "import: %s", strerror(errno));
  KIT_CHECK(imported != w->moved, "a number that is in use");
  KIT_CHECK(inh_wait_point(w->xe.fd, imported, 0, 0) == ETIME, "the descriptor's");
  pid_t grandchild = fork();
  if (grandchild == 0) {
    as_the_parents_job_is_done(w, imported);
    _exit(kit_finish("inherited_syncs, grandchild"));
  }
  a_job_behind_the_parents(w);
  as_the_parents_job_is_done(w, imported);
  uint32_t all[] = {w->signalled};
  KIT_CHECK(drmSyncobjReset(w->xe.fd, all, 1) == 0, "RESET");
  KIT_CHECK(drmSyncobjSignal(w->xe.fd, &w->empty, 1) == 0, "SIGNAL");
  uint64_t point = 20;
  KIT_CHECK(drmSyncobjTimelineSignal(w->xe.fd, &w->timeline, &point, 1) == 0, "point 20");
  KIT_CHECK(last_point(w->xe.fd, w->timeline) == 20, "point 20 is not there");
  inh_reap(grandchild, "the grandchild");
  return kit_finish("inherited_syncs, child");
}

/* A process whose job never ends has a child and is killed. The child tells through the pipe. */
static void orphan_is_told(void) {
  int pipe_fds[2];
  if (pipe(pipe_fds) != 0) xe_die("pipe: %s", strerror(errno));
  pid_t doomed = fork();
  if (doomed == 0) {
    struct world w;
    make_world(&w);
    pid_t orphan = fork();
    if (orphan == 0) {
      char ready = inh_wait_point(w.xe.fd, w.pending, 0, 0) == ETIME ? 'p' : '?';
      if (write(pipe_fds[1], &ready, 1) != 1) _exit(3);
      int waited = inh_wait_point(w.xe.fd, w.pending, 0, 60000);
      int told = readable(w.sync_file, 60000) && status_of(w.sync_file) == -ECANCELED;
      KIT_CHECK(waited == 0 && told, "wait %d, sync_file %d", waited, status_of(w.sync_file));
      KIT_CHECK(*w.counter == 0, "the job ran %u times", *w.counter);
      char end = kit_finish("inherited_syncs, orphan") == 0 ? 'y' : 'n';
      if (write(pipe_fds[1], &end, 1) != 1) _exit(3);
      _exit(0);
    }
    for (;;) pause();
  }
  close(pipe_fds[1]);
  char said[2] = {0, 0};
  KIT_CHECK(read(pipe_fds[0], &said[0], 1) == 1 && said[0] == 'p', "before: %c", said[0]);
  kill(doomed, SIGKILL);
  int status = 0;
  waitpid(doomed, &status, 0);
  KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the parent ended with %#x", status);
  KIT_CHECK(read(pipe_fds[0], &said[1], 1) == 1 && said[1] == 'y', "after: %c", said[1]);
  close(pipe_fds[0]);
}

int main(void) {
  orphan_is_told();
  struct world w;
  make_world(&w);
  late_fd = w.xe.fd;
  pthread_atfork(before_fork, NULL, NULL);
  pid_t child = fork();
  if (child == 0) _exit(in_the_child(&w));
  KIT_CHECK(drmSyncobjDestroy(w.xe.fd, late) == 0, "the parent has it: %s", strerror(errno));
  inh_reap(child, "the child");
  uint32_t imported = 0;
  KIT_CHECK(drmSyncobjFDToHandle(w.xe.fd, w.syncobj_fd, &imported) == 0, "import: %s", strerror(errno));
  as_the_parents_job_is_done(&w, imported);
  KIT_CHECK(inh_wait_point(w.xe.fd, w.signalled, 0, 0) == 0, "the child has reset the parent's syncobj");
  KIT_CHECK(inh_wait_point(w.xe.fd, w.empty, 0, 0) == EINVAL, "the child has signalled the parent's syncobj");
  KIT_CHECK(last_point(w.xe.fd, w.timeline) == 7, "the child has moved the parent's timeline");
  xe_close(&w.xe);
  return kit_finish("inherited_syncs");
}
