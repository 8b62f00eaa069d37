/*
 * The VMs and queues of its parent that a fork child finds behind an inherited descriptor: the same numbers,
 * flags, mappings and attributes, as copies. Jobs of the child run on them; nothing it does to them is seen
 * by the parent. Only a mirror leads nowhere: it is of the parent's memory. A child of the child has them, too,
 * whether or not the child has used them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inherited_kit.h"

enum { ATTRS_MAX = 64 };

struct attrs {
  uint32_t count;
  struct drm_xe_mem_range_attr at[ATTRS_MAX];
};

struct world {
  struct xe_device faulting; /* a mirror of everything, and mappings over it */
  struct xe_device plain;    /* a VM without faults */
  struct xe_device lr;       /* long-running, without faults */
  struct area area;          /* bound in the first */
  struct area batches;       /* bound in the second, private to it */
  struct area lr_area;
  uint32_t *sealed;          /* a READONLY mapping of area's object */
  uint32_t *userptr;
  char *null_at, *advised;
  uint32_t second_queue, banned_queue, bind_queue, orphan_queue;
  uint32_t hole;             /* a VM number that is free */
  struct attrs attrs;
};

static struct attrs attributes(const struct xe_device *xe) {
  struct attrs found = {.count = ATTRS_MAX};
  struct drm_xe_vm_query_mem_range_attr ask = {.vm_id = xe->vm_id,
                                               .num_mem_ranges = ATTRS_MAX,
                                               .range = (uint64_t)1 << xe->va_bits,
                                               .sizeof_mem_range_attr = sizeof found.at[0],
                                               .vector_of_mem_attr = kit_address(found.at)};
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS, &ask);
  KIT_CHECK(error == 0, "QUERY_MEM_RANGE_ATTRS: %s", strerror(error));
  found.count = ask.num_mem_ranges;
  return found;
}

static void same_attributes(const struct attrs *a, const struct attrs *b, const char *where) {
  KIT_CHECK(a->count == b->count && a->count > 6, "%s: %u mappings, %u before the fork", where, b->count, a->count);
  for (uint32_t i = 0; i < a->count; ++i)
    KIT_CHECK(memcmp(&a->at[i], &b->at[i], sizeof a->at[i]) == 0, "%s: mapping %u differs", where, i);
}

static uint32_t bind_queue_create(struct xe_device *xe) {
  struct drm_xe_engine_class_instance engine = {.engine_class = DRM_XE_ENGINE_CLASS_VM_BIND};
  struct drm_xe_exec_queue_create queue = {
      .width = 1, .num_placements = 1, .vm_id = xe->vm_id, .instances = kit_address(&engine)};
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &queue);
  if (error != 0) xe_die("bind queue: %s", strerror(error));
  return queue.exec_queue_id;
}

static void make_world(struct world *w) {
  memset(w, 0, sizeof *w);
  kit_open(&w->faulting, 0, KIT_MIRROR_AUTORESET);
  w->plain = w->lr = w->faulting;
  uint32_t filler = inh_vm_create(w->plain.fd, 0);
  w->plain.vm_id = inh_vm_create(w->plain.fd, DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE);
  w->plain.queue_id = kit_queue_create(&w->plain);
  w->lr.vm_id = inh_vm_create(w->lr.fd, DRM_XE_VM_CREATE_FLAG_LR_MODE);
  w->lr.queue_id = kit_queue_create(&w->lr);
  w->hole = filler;
  KIT_CHECK(inh_vm_destroy(w->plain.fd, filler) == 0, "VM_DESTROY");

  w->area = inh_area(w->faulting.fd, &w->faulting, 0);
  w->batches = inh_area(w->plain.fd, &w->plain, w->plain.vm_id);
  w->lr_area = inh_area(w->lr.fd, &w->lr, 0);
  w->sealed = kit_map_aligned(AREA_BYTES);
  int error = inh_bind(&w->faulting, DRM_XE_VM_BIND_OP_MAP, w->area.handle, w->sealed, AREA_BYTES,
                       DRM_XE_VM_BIND_FLAG_READONLY);
  KIT_CHECK(error == 0, "READONLY: %s", strerror(error));
  w->userptr = kit_map_aligned(XE_PAGE);
  error = inh_bind(&w->faulting, DRM_XE_VM_BIND_OP_MAP_USERPTR, 0, w->userptr, XE_PAGE, 0);
  KIT_CHECK(error == 0, "userptr: %s", strerror(error));
  error = inh_bind(&w->plain, DRM_XE_VM_BIND_OP_MAP_USERPTR, 0, w->userptr, XE_PAGE, 0);
  KIT_CHECK(error == 0, "userptr, no faults: %s", strerror(error));
  w->null_at = kit_map_aligned(XE_BLOCK);
  error = inh_bind(&w->faulting, DRM_XE_VM_BIND_OP_MAP, 0, w->null_at, XE_BLOCK, DRM_XE_VM_BIND_FLAG_NULL);
  KIT_CHECK(error == 0, "null: %s", strerror(error));
  w->advised = kit_map_aligned(2 * XE_BLOCK);
  xe_madvise_atomic(&w->faulting, w->advised, XE_BLOCK, DRM_XE_ATOMIC_DEVICE);
  xe_madvise_preferred(&w->faulting, w->advised + XE_BLOCK, XE_BLOCK,
                       (uint32_t)DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM);

  w->second_queue = kit_queue_create(&w->faulting);
  w->banned_queue = kit_queue_create(&w->faulting);
  w->bind_queue = bind_queue_create(&w->faulting);
  KIT_CHECK(inh_store(&w->faulting, w->banned_queue, &w->area, w->sealed, 1) == EIO, "a store to READONLY");
  KIT_CHECK(kit_queue_banned(&w->faulting, w->banned_queue) == 1, "the queue of that store");
  struct xe_device doomed = w->plain;
  doomed.vm_id = inh_vm_create(doomed.fd, 0);
  w->orphan_queue = kit_queue_create(&doomed);
  KIT_CHECK(inh_vm_destroy(doomed.fd, doomed.vm_id) == 0, "a VM whose queue stays");
  w->attrs = attributes(&w->faulting);
}

/* One store in the VM without faults; the word must say so. */
static void plain_store(struct xe_device *xe, struct area *batches, uint32_t *to, uint32_t value, const char *who) {
  uint32_t done = 0;
  if (drmSyncobjCreate(xe->fd, 0, &done) != 0) xe_die("syncobj: %s", strerror(errno));
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  xe_emit_store32(&batch, to, value);
  int error = inh_submit(xe, xe->queue_id, batches, &batch, done, 0);
  KIT_CHECK(error == 0, "%s: EXEC without faults: %s", who, strerror(error));
  error = inh_wait_point(xe->fd, done, 0, 20000);
  KIT_CHECK(error == 0, "%s: its fence: %s", who, strerror(error));
  KIT_CHECK(*to == value, "%s: %#x, not %#x", who, *to, value);
  xe_batch_free(&batch);
  drmSyncobjDestroy(xe->fd, done);
}

/* Everything that is not a mirror works, in both VMs and on every kind of queue. */
static void uses_what_is_there(struct world *w, uint32_t value, const char *who) {
  uint32_t *data = w->area.cpu + AREA_DATA;
  struct xe_device *xe = &w->faulting;
  KIT_CHECK(inh_store(xe, xe->queue_id, &w->area, data, value) == 0 && *data == value, "%s: object %#x", who, *data);
  KIT_CHECK(inh_store(xe, w->second_queue, &w->area, data + 1, value) == 0 && data[1] == value, "%s: queue 2", who);
  KIT_CHECK(inh_store(xe, xe->queue_id, &w->area, w->userptr, value) == 0, "%s: userptr", who);
  KIT_CHECK(*w->userptr == value, "%s: userptr %#x", who, *w->userptr);
  KIT_CHECK(inh_store(xe, xe->queue_id, &w->area, w->null_at, value) == 0, "%s: null", who);
  plain_store(&w->plain, &w->batches, w->batches.cpu + AREA_DATA, value, who);
  plain_store(&w->plain, &w->batches, w->userptr + 4, value, who);
  KIT_CHECK(inh_store(&w->lr, w->lr.queue_id, &w->lr_area, w->lr_area.cpu + AREA_DATA, value) == 0, "%s: LR", who);
  KIT_CHECK(kit_queue_banned(xe, xe->queue_id) == 0, "%s: a queue was banned", who);
}

static void what_was_wrong_still_is(struct world *w, unsigned faults) {
  struct xe_device *xe = &w->faulting;
  struct xe_vm_fault records[KIT_FAULTS_MAX];
  unsigned count = kit_faults(xe, records);
  KIT_CHECK(count == faults, "%u faults, not %u", count, faults);
  KIT_CHECK(records[0].address == kit_address(w->sealed), "the recorded fault is at %#lx",
            (unsigned long)records[0].address);
  KIT_CHECK(kit_queue_banned(xe, w->banned_queue) == 1, "the banned queue is well");
  KIT_CHECK(inh_store(xe, w->banned_queue, &w->area, w->area.cpu + AREA_DATA, 1) == ECANCELED, "EXEC on it");
  KIT_CHECK(kit_exec(xe, w->orphan_queue, w->area.cpu, NULL) == ECANCELED, "EXEC where the VM is gone");
  uint32_t fresh = kit_queue_create(xe);
  KIT_CHECK(inh_store(xe, fresh, &w->area, w->sealed, 2) == EIO, "READONLY was forgotten");
  KIT_CHECK(kit_queue_destroy(xe, fresh) == 0, "QUEUE_DESTROY");
}

/* The mirror is of the parent's memory, where the attributes are, too; and so is what is mapped over it here. */
static void the_mirror_leads_nowhere(struct world *w) {
  struct xe_device *xe = &w->faulting;
  uint32_t *own = kit_map_aligned(XE_BLOCK);
  *own = 5;
  uint32_t fresh = kit_queue_create(xe);
  KIT_CHECK(inh_store(xe, fresh, &w->area, own, 6) == EIO, "a store through an inherited mirror");
  KIT_CHECK(*own == 5, "and it went somewhere: %u", *own);
  struct xe_vm_fault records[KIT_FAULTS_MAX];
  unsigned count = kit_faults(xe, records);
  KIT_CHECK(count > 0 && records[count - 1].address == kit_address(own), "its fault is not recorded");
  KIT_CHECK(kit_queue_destroy(xe, fresh) == 0, "QUEUE_DESTROY");
  KIT_CHECK(kit_bind_mirror(xe, own, XE_BLOCK, 0) == 0, "a mirror over the mirror");
  fresh = kit_queue_create(xe);
  KIT_CHECK(inh_store(xe, fresh, &w->area, own, 6) == EIO, "a store through that");
  KIT_CHECK(kit_queue_destroy(xe, fresh) == 0, "QUEUE_DESTROY");
  int error = inh_bind(xe, DRM_XE_VM_BIND_OP_PREFETCH, 0, own, XE_BLOCK, 0);
  KIT_CHECK(error == EFAULT, "PREFETCH of it: %s", strerror(error));
  KIT_CHECK(inh_bind(xe, DRM_XE_VM_BIND_OP_UNMAP, 0, own, XE_BLOCK, 0) == 0, "UNMAP of it");
  struct xe_device other = *xe; /* a VM of the child's own mirrors the child */
  other.vm_id = inh_vm_create(xe->fd, DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE);
  KIT_CHECK(other.vm_id == w->hole, "a new VM is %u, not the lowest free number %u", other.vm_id, w->hole);
  KIT_CHECK(kit_bind_mirror(&other, NULL, (uint64_t)1 << other.va_bits, 0) == 0, "its mirror");
  other.queue_id = kit_queue_create(&other);
  kit_store32(&other, own, 7);
  KIT_CHECK(*own == 7, "through its own mirror: %u", *own);
}

/* Bound by an inherited bind queue, cut, unbound, destroyed: all of it here only. */
static void destroys_everything(struct world *w) {
  struct xe_device *xe = &w->faulting;
  struct area mine = inh_area(xe->fd, NULL, 0);
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1, .exec_queue_id = w->bind_queue};
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.obj = mine.handle;
  bind.bind.addr = kit_address(w->null_at);
  bind.bind.range = AREA_BYTES;
  bind.bind.pat_index = xe->pat_index;
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind);
  KIT_CHECK(error == 0, "bind on the inherited bind queue: %s", strerror(error));
  KIT_CHECK(inh_store(xe, xe->queue_id, &w->area, w->null_at, 99) == 0 && mine.cpu[0] == 99, "and its use");
  xe_madvise_atomic(xe, w->advised, 2 * XE_BLOCK, DRM_XE_ATOMIC_GLOBAL);
  KIT_CHECK(inh_bind(&w->plain, DRM_XE_VM_BIND_OP_UNMAP, 0, w->batches.cpu, AREA_BYTES, 0) == 0, "UNMAP");
  memset(w->advised, 1, 2 * XE_BLOCK);
  munmap(w->advised, 2 * XE_BLOCK);
  KIT_CHECK(inh_vm_destroy(w->lr.fd, w->lr.vm_id) == EBUSY, "a long-running VM with a queue");
  uint32_t queues[] = {xe->queue_id, w->second_queue, w->banned_queue, w->bind_queue, w->orphan_queue,
                       w->plain.queue_id, w->lr.queue_id};
  for (unsigned i = 0; i < sizeof queues / sizeof queues[0]; ++i)
    KIT_CHECK(kit_queue_destroy(xe, queues[i]) == 0, "QUEUE_DESTROY %u", i);
  KIT_CHECK(inh_vm_destroy(xe->fd, w->plain.vm_id) == 0 && inh_vm_destroy(xe->fd, xe->vm_id) == 0 &&
                inh_vm_destroy(xe->fd, w->lr.vm_id) == 0, "VM_DESTROY");
  struct drm_gem_close close_bo = {.handle = w->area.handle};
  KIT_CHECK(kit_ioctl(xe->fd, DRM_IOCTL_GEM_CLOSE, &close_bo) == 0, "GEM_CLOSE");
}

static void run_child(struct world *w, uint32_t value, const char *who) {
  struct attrs here = attributes(&w->faulting);
  same_attributes(&w->attrs, &here, who);
  uses_what_is_there(w, value, who);
  what_was_wrong_still_is(w, 1);
}

static void grandchild_of_a_user(struct world *w) {
  pid_t child = fork();
  if (child == 0) {
    uses_what_is_there(w, 0x30, "grandchild");
    what_was_wrong_still_is(w, 2);
    destroys_everything(w);
    _exit(kit_finish("inherited_vm, grandchild"));
  }
  inh_reap(child, "the grandchild");
}

int main(void) {
  struct world w;
  make_world(&w);
  uses_what_is_there(&w, 0x10, "parent");
  kit_store32(&w.faulting, w.advised, 0x11);

  pid_t child = fork();
  if (child == 0) {
    run_child(&w, 0x20, "child");
    grandchild_of_a_user(&w);
    uses_what_is_there(&w, 0x21, "child, after its own");
    the_mirror_leads_nowhere(&w);
    destroys_everything(&w);
    _exit(kit_finish("inherited_vm, child"));
  }
  inh_reap(child, "the child");
  KIT_CHECK(w.area.cpu[AREA_DATA] == 0x21, "the object is shared: %#x", w.area.cpu[AREA_DATA]);
  KIT_CHECK(*w.userptr == 0x10, "the userptr is not: %#x", *w.userptr);

  child = fork(); /* one that uses nothing but has a child of its own */
  if (child == 0) {
    pid_t grandchild = fork();
    if (grandchild == 0) {
      run_child(&w, 0x40, "grandchild of an idle child");
      destroys_everything(&w);
      _exit(kit_finish("inherited_vm, grandchild of an idle child"));
    }
    inh_reap(grandchild, "the grandchild of an idle child");
    _exit(kit_finish("inherited_vm, idle child"));
  }
  inh_reap(child, "the idle child");

  struct attrs now = attributes(&w.faulting);
  same_attributes(&w.attrs, &now, "parent, after its children");
  kit_store32(&w.faulting, w.advised, 0x12);
  KIT_CHECK(*(uint32_t *)(void *)w.advised == 0x12, "the parent's mirror");
  uses_what_is_there(&w, 0x13, "parent, after its children");
  what_was_wrong_still_is(&w, 1);
  xe_close(&w.faulting);
  return kit_finish("inherited_vm");
}
