/*
 * Forks of a process that is busy on the GPU: one thread submits to a VM without faults and makes and destroys
 * syncobjs, one runs jobs over its mirror whose pages migrate, one binds and unbinds. Every child finds the
 * inherited VM, queue and syncobjs whole, whatever those threads were doing at its fork, and runs a job there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inherited_kit.h"

enum { FORKS = 40, AREAS = 8 };

static struct {
  struct xe_device faulting, plain;
  struct area for_children;
  struct area for_submitter;
  uint32_t childrens_queue;
  uint32_t kept; /* a timeline syncobj whose points only grow */
  atomic_int stop;
  atomic_uint submitted, faulted, bound;
} world;

static void *submits(void *unused) {
  struct xe_device *xe = &world.plain;
  uint32_t *counter = world.for_submitter.cpu + AREA_DATA;
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  xe_emit_atomic_increment(&batch, counter);
  while (!world.stop) {
    uint64_t point = world.submitted + 1;
    int error = inh_submit(xe, xe->queue_id, &world.for_submitter, &batch, world.kept, point);
    KIT_CHECK(error == 0, "EXEC: %s", strerror(error));
    error = inh_wait_point(xe->fd, world.kept, point, 60000);
    KIT_CHECK(error == 0, "point %lu: %s", (unsigned long)point, strerror(error));
    uint32_t passing = 0;
    KIT_CHECK(drmSyncobjCreate(xe->fd, 0, &passing) == 0, "syncobj: %s", strerror(errno));
    KIT_CHECK(drmSyncobjTransfer(xe->fd, passing, 0, world.kept, point, 0) == 0, "TRANSFER: %s", strerror(errno));
    KIT_CHECK(drmSyncobjDestroy(xe->fd, passing) == 0, "DESTROY: %s", strerror(errno));
    ++world.submitted;
  }
  KIT_CHECK(*counter == world.submitted, "%u jobs ran %u times", world.submitted, *counter);
  xe_batch_free(&batch);
  return unused;
}

static void *faults(void *unused) {
  while (!world.stop) {
    char *memory = kit_map_aligned(XE_BLOCK);
    memory[0] = 1;
    uint32_t *last = (uint32_t *)(void *)(memory + XE_BLOCK - 4);
    kit_store32(&world.faulting, last, ++world.faulted);
    KIT_CHECK(memory[0] == 1 && *last == world.faulted, "%u and %u", memory[0], *last);
    kit_unmap(memory, XE_BLOCK);
  }
  return unused;
}

static void *binds(void *unused) {
  struct area areas[AREAS];
  for (unsigned i = 0; i < AREAS; ++i) areas[i] = inh_area(world.plain.fd, NULL, 0);
  for (unsigned round = 0; !world.stop; ++round) {
    struct area *area = &areas[round % AREAS];
    uint32_t op = (round / AREAS) % 2 == 0 ? DRM_XE_VM_BIND_OP_MAP : DRM_XE_VM_BIND_OP_UNMAP;
    int error = inh_bind(&world.plain, op, op == DRM_XE_VM_BIND_OP_MAP ? area->handle : 0, area->cpu, AREA_BYTES, 0);
    KIT_CHECK(error == 0, "VM_BIND: %s", strerror(error));
    ++world.bound;
  }
  return unused;
}

static int in_the_child(uint32_t round) {
  struct xe_device *xe = &world.plain;
  uint32_t done = 0;
  KIT_CHECK(drmSyncobjCreate(xe->fd, 0, &done) == 0, "syncobj: %s", strerror(errno));
  KIT_CHECK(done != world.kept, "a number that is in use");
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  uint32_t *word = world.for_children.cpu + AREA_DATA;
  xe_emit_store32(&batch, word, round);
  int error = inh_submit(xe, world.childrens_queue, &world.for_children, &batch, done, 0);
  KIT_CHECK(error == 0, "EXEC in the child: %s", strerror(error));
  error = inh_wait_point(xe->fd, done, 0, 60000);
  KIT_CHECK(error == 0 && *word == round, "%s, %u", strerror(error), *word);
  uint64_t point = 0;
  KIT_CHECK(drmSyncobjQuery(xe->fd, &world.kept, &point, 1) == 0, "QUERY: %s", strerror(errno));
  KIT_CHECK(point <= world.submitted + 1, "point %lu of %u", (unsigned long)point, world.submitted);
  if (point != 0) KIT_CHECK(inh_wait_point(xe->fd, world.kept, point, 0) == 0, "a point that was signalled");
  KIT_CHECK(inh_vm_destroy(xe->fd, world.faulting.vm_id) == 0, "VM_DESTROY");
  xe_batch_free(&batch);
  return kit_finish("inherited_busy, a child");
}

int main(void) {
  kit_open(&world.faulting, 0, KIT_MIRROR_PLAIN);
  world.plain = world.faulting;
  world.plain.vm_id = inh_vm_create(world.plain.fd, 0);
  world.plain.queue_id = kit_queue_create(&world.plain);
  world.childrens_queue = kit_queue_create(&world.plain);
  world.for_children = inh_area(world.plain.fd, &world.plain, 0);
  world.for_submitter = inh_area(world.plain.fd, &world.plain, 0);
  if (drmSyncobjCreate(world.plain.fd, 0, &world.kept) != 0) xe_die("syncobj: %s", strerror(errno));
  pthread_t threads[3];
  pthread_create(&threads[0], NULL, submits, NULL);
  pthread_create(&threads[1], NULL, faults, NULL);
  pthread_create(&threads[2], NULL, binds, NULL);
  for (uint32_t round = 1; round <= FORKS; ++round) {
    uint32_t before[3] = {world.submitted, world.faulted, world.bound};
    while (world.submitted == before[0] || world.faulted == before[1] || world.bound == before[2]) sched_yield();
    pid_t child = fork();
    if (child < 0) xe_die("fork: %s", strerror(errno));
    if (child == 0) _exit(in_the_child(round));
    inh_reap(child, "a child");
    KIT_CHECK(world.for_children.cpu[AREA_DATA] == round, "%u, not %u", world.for_children.cpu[AREA_DATA], round);
  }
  world.stop = 1;
  for (unsigned i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  xe_close(&world.faulting);
  return kit_finish("inherited_busy");
}
