/* See inherited_kit.h. */
#define _GNU_SOURCE
#include "inherited_kit.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint32_t inh_vm_create(int fd, uint32_t flags) {
  struct drm_xe_vm_create vm = {.flags = flags};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_VM_CREATE, &vm);
  if (error != 0) xe_die("VM_CREATE: %s", strerror(error));
  return vm.vm_id;
}

int inh_vm_destroy(int fd, uint32_t vm_id) {
  struct drm_xe_vm_destroy destroy = {.vm_id = vm_id};
  return kit_ioctl(fd, DRM_IOCTL_XE_VM_DESTROY, &destroy);
}

int inh_bind(const struct xe_device *xe, uint32_t op, uint32_t object, const void *at, uint64_t bytes,
             uint32_t flags) {
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.op = op;
  bind.bind.obj = object;
  bind.bind.flags = flags;
  bind.bind.addr = kit_address(at);
  bind.bind.range = bytes;
  bind.bind.pat_index = xe->pat_index;
  if (op == DRM_XE_VM_BIND_OP_MAP_USERPTR) bind.bind.userptr = kit_address(at);
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind);
}

struct area inh_area(int fd, const struct xe_device *xe, uint32_t private_to) {
  struct drm_xe_gem_create create = {.size = AREA_BYTES,
                                     .placement = 1,
                                     .vm_id = private_to,
                                     .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  int error = kit_ioctl(fd, DRM_IOCTL_XE_GEM_CREATE, &create);
  if (error != 0) xe_die("GEM_CREATE: %s", strerror(error));
  struct drm_xe_gem_mmap_offset where = {.handle = create.handle};
  error = kit_ioctl(fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &where);
  if (error != 0) xe_die("GEM_MMAP_OFFSET: %s", strerror(error));
  struct area area = {.handle = create.handle, .offset = where.offset};
  area.cpu = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)where.offset);
  if (area.cpu == MAP_FAILED) xe_die("mmap of an object: %s", strerror(errno));
  if (xe == NULL) return area;
  error = inh_bind(xe, DRM_XE_VM_BIND_OP_MAP, area.handle, area.cpu, AREA_BYTES, 0);
  if (error != 0) xe_die("VM_BIND of an object: %s", strerror(error));
  return area;
}

static void put_batch(struct area *area, const struct xe_batch *batch) {
  memcpy(area->cpu, batch->words, batch->count * sizeof batch->words[0]);
  area->cpu[batch->count] = KIT_MI_BATCH_BUFFER_END;
}

int inh_store(struct xe_device *xe, uint32_t queue_id, struct area *area, void *to, uint32_t value) {
  struct xe_batch batch;
  xe_batch_init(&batch, 8);
  xe_emit_store32(&batch, to, value);
  put_batch(area, &batch);
  xe_batch_free(&batch);
  uint64_t *fence = (uint64_t *)(void *)(area->cpu + AREA_FENCE);
  *fence = 0;
  int error = kit_exec(xe, queue_id, area->cpu, fence);
  return error != 0 ? error : kit_wait(xe, queue_id, fence);
}

int inh_submit(struct xe_device *xe, uint32_t queue_id, struct area *area, const struct xe_batch *batch,
               uint32_t syncobj, uint64_t point) {
  put_batch(area, batch);
  struct drm_xe_sync out = {.type = point != 0 ? DRM_XE_SYNC_TYPE_TIMELINE_SYNCOBJ : DRM_XE_SYNC_TYPE_SYNCOBJ,
                            .flags = DRM_XE_SYNC_FLAG_SIGNAL,
                            .handle = syncobj,
                            .timeline_value = point};
  struct drm_xe_exec exec = {.exec_queue_id = queue_id,
                             .num_syncs = 1,
                             .syncs = kit_address(&out),
                             .address = kit_address(area->cpu),
                             .num_batch_buffer = 1};
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC, &exec);
}

void inh_gated_count(struct xe_batch *batch, uint32_t *gate, uint32_t *counter) {
  batch->words[batch->count++] = KIT_MI_SEMAPHORE_WAIT_EQ;
  batch->words[batch->count++] = 1;
  batch->words[batch->count++] = (uint32_t)kit_address(gate);
  batch->words[batch->count++] = (uint32_t)(kit_address(gate) >> 32);
  xe_emit_atomic_increment(batch, counter);
}

int64_t inh_soon(int64_t ms) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + ms * 1000000;
}

int inh_wait_point(int fd, uint32_t syncobj, uint64_t point, int64_t ms) {
  if (point == 0) return drmSyncobjWait(fd, &syncobj, 1, inh_soon(ms), 0, NULL) == 0 ? 0 : errno;
  return drmSyncobjTimelineWait(fd, &syncobj, &point, 1, inh_soon(ms), 0, NULL) == 0 ? 0 : errno;
}

void inh_reap(pid_t child, const char *name) {
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  KIT_CHECK(status == 0, "%s ended with %#x", name, status);
}
