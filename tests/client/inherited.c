/*
 * What a fork child has of its parent's device: the descriptor, the buffer objects under their handles and
 * fake offsets, dma-bufs. All of them are the parent's bytes, for the CPU and for the child's GPU. VMs and
 * queues of the child's own work beside the inherited ones; what is destroyed here stays in the parent.
 * Inherited VMs, queues and syncobjs: inherited_vm.c, inherited_syncs.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_kit.h"

enum { BO_BYTES = 64 * 1024, WORDS = BO_BYTES / 4, OBJECTS = 3 };

struct object {
  uint32_t handle;
  uint64_t offset;
  uint32_t *cpu;
};

static uint64_t offset_of(int fd, uint32_t handle) {
  struct drm_xe_gem_mmap_offset where = {.handle = handle};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &where);
  KIT_CHECK(error == 0, "GEM_MMAP_OFFSET of %u: %s", handle, strerror(error));
  return where.offset;
}

static uint32_t *map_object(int fd, uint64_t offset) {
  void *at = mmap(NULL, BO_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
  if (at == MAP_FAILED) xe_die("mmap of an object: %s", strerror(errno));
  return at;
}

static struct object make_object(int fd) {
  struct drm_xe_gem_create create = {.size = BO_BYTES, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (error != 0) xe_die("GEM_CREATE: %s", strerror(error));
  struct object object = {.handle = create.handle, .offset = offset_of(fd, create.handle)};
  object.cpu = map_object(fd, object.offset);
  return object;
}

/* Binds the object in the VM at an address that nothing else has, and stores to its first word. */
static void gpu_writes(struct xe_device *xe, uint32_t handle, uint32_t word) {
  void *hole = kit_map_aligned(BO_BYTES);
  kit_unmap(hole, BO_BYTES);
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.obj = handle;
  bind.bind.addr = kit_address(hole);
  bind.bind.range = BO_BYTES;
  bind.bind.pat_index = xe->pat_index;
  int error = kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind);
  KIT_CHECK(error == 0, "VM_BIND of %u: %s", handle, strerror(error));
  if (error == 0) kit_store32(xe, hole, word);
}

static int dma_buf_of(int fd, uint32_t handle) {
  int made = -1;
  if (drmPrimeHandleToFD(fd, handle, DRM_CLOEXEC | DRM_RDWR, &made) != 0) xe_die("dma-buf: %s", strerror(errno));
  return made;
}

/* The copies go, the parent's stay. */
static void destroy_the_parents(const struct xe_device *parents, uint32_t syncobj) {
  struct drm_xe_exec_queue_destroy queue = {.exec_queue_id = parents->queue_id};
  KIT_CHECK(kit_ioctl(parents->fd, DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, &queue) == 0, "the parent's queue");
  struct drm_xe_vm_destroy vm = {.vm_id = parents->vm_id};
  KIT_CHECK(kit_ioctl(parents->fd, DRM_IOCTL_XE_VM_DESTROY, &vm) == 0, "the parent's VM");
  KIT_CHECK(kit_ioctl(parents->fd, DRM_IOCTL_XE_VM_DESTROY, &vm) == ENOENT, "and it is gone");
  KIT_CHECK(drmSyncobjDestroy(parents->fd, syncobj) == 0, "the parent's syncobj: %s", strerror(errno));
  KIT_CHECK(drmSyncobjDestroy(parents->fd, syncobj) != 0 && errno == EINVAL, "and it is gone");
}

/* A VM and a queue of the child in the inherited file. */
static struct xe_device own_vm(const struct xe_device *parents) {
  struct xe_device own = *parents;
  struct drm_xe_vm_create vm = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  int error = kit_ioctl(own.fd, DRM_IOCTL_XE_VM_CREATE, &vm);
  if (error != 0) xe_die("VM_CREATE in the child: %s", strerror(error));
  own.vm_id = vm.vm_id;
  error = kit_bind_mirror(&own, NULL, (uint64_t)1 << own.va_bits, 0);
  if (error != 0) xe_die("VM_BIND in the child: %s", strerror(error));
  own.queue_id = kit_queue_create(&own);
  KIT_CHECK(own.vm_id != parents->vm_id, "VM number %u again", own.vm_id);
  KIT_CHECK(own.queue_id != parents->queue_id, "queue number %u again", own.queue_id);
  return own;
}

static int in_the_child(struct xe_device *parents, struct object *objects, int dma_buf, uint32_t syncobj) {
  for (uint32_t i = 0; i < OBJECTS; ++i) KIT_CHECK(objects[i].cpu[1] == 100 + i, "object %u", i);
  /* The kept offset first: nothing has asked the file for anything yet. */
  uint32_t *again = map_object(parents->fd, objects[1].offset);
  KIT_CHECK(again[1] == 101, "mapped again at its offset: %u", again[1]);
  KIT_CHECK(offset_of(parents->fd, objects[1].handle) == objects[1].offset, "another offset");

  struct xe_device own = own_vm(parents);
  for (uint32_t i = 0; i < OBJECTS; ++i) gpu_writes(&own, objects[i].handle, 200 + i);
  struct object mine = make_object(own.fd);
  for (int i = 0; i < OBJECTS; ++i) {
    KIT_CHECK(mine.handle != objects[i].handle, "a new object has the parent's number %u", mine.handle);
    KIT_CHECK(mine.offset != objects[i].offset, "a new object has the parent's offset");
  }
  gpu_writes(&own, mine.handle, 77);
  KIT_CHECK(mine.cpu[0] == 77 && again[0] == 201, "%u and %u", mine.cpu[0], again[0]);

  uint32_t imported = 0;
  KIT_CHECK(drmPrimeFDToHandle(own.fd, dma_buf, &imported) == 0, "import: %s", strerror(errno));
  KIT_CHECK(imported == objects[2].handle, "imported as %u, not %u", imported, objects[2].handle);
  struct drm_gem_close close_bo = {.handle = objects[2].handle};
  KIT_CHECK(kit_ioctl(own.fd, DRM_IOCTL_GEM_CLOSE, &close_bo) == 0, "GEM_CLOSE");
  KIT_CHECK(drmPrimeFDToHandle(own.fd, dma_buf, &imported) == 0, "import after close: %s", strerror(errno));
  gpu_writes(&own, imported, 302);
  struct xe_device other;
  kit_open(&other, 0, KIT_MIRROR_PLAIN); /* a file of its own: other numbers, the same bytes */
  KIT_CHECK(drmPrimeFDToHandle(other.fd, dma_buf, &imported) == 0, "import there: %s", strerror(errno));
  KIT_CHECK(map_object(other.fd, offset_of(other.fd, imported))[0] == 302, "the bytes there");
  xe_close(&other);
  destroy_the_parents(parents, syncobj);
  return kit_finish("inherited, in the child");
}

int main(void) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  struct object objects[OBJECTS];
  for (uint32_t i = 0; i < OBJECTS; ++i) {
    objects[i] = make_object(xe.fd);
    objects[i].cpu[1] = 100 + i;
    gpu_writes(&xe, objects[i].handle, i);
  }
  int dma_buf = dma_buf_of(xe.fd, objects[2].handle);
  uint32_t syncobj = 0;
  if (drmSyncobjCreate(xe.fd, 0, &syncobj) != 0) xe_die("syncobj: %s", strerror(errno));

  pid_t child = fork();
  if (child < 0) xe_die("fork: %s", strerror(errno));
  if (child == 0) _exit(in_the_child(&xe, objects, dma_buf, syncobj));
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  KIT_CHECK(status == 0, "the child ended with %#x", status);

  static const uint32_t kLeft[OBJECTS] = {200, 201, 302};
  for (int i = 0; i < OBJECTS; ++i)
    KIT_CHECK(objects[i].cpu[0] == kLeft[i], "object %d after the child: %u", i, objects[i].cpu[0]);
  for (uint32_t i = 0; i < OBJECTS; ++i) { /* closing in the child closed nothing here */
    gpu_writes(&xe, objects[i].handle, 400 + i);
    KIT_CHECK(objects[i].cpu[0] == 400 + i, "object %u in the parent", i);
  }
  KIT_CHECK(drmSyncobjDestroy(xe.fd, syncobj) == 0, "the syncobj");
  close(dma_buf);
  xe_close(&xe);
  return kit_finish("inherited");
}
