/* See client_kit.h. */
#define _GNU_SOURCE
#include "client_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint claims, claims_broken; /* threads check as well */

void kit_check(int holds, const char *file, int line, const char *format, ...) {
  ++claims;
  if (holds) return;
  ++claims_broken;
  va_list args;
  va_start(args, format);
  printf("%s:%d: ", file, line);
  vprintf(format, args);
  putchar('\n');
  va_end(args);
  fflush(stdout);
}

int kit_finish(const char *name) {
  printf("%s: %u claims, %u broken\n", name, claims, claims_broken);
  fflush(stdout);
  return claims_broken != 0 || claims == 0;
}

int kit_ioctl(int fd, unsigned long request, void *arg) {
  return drmIoctl(fd, request, arg) == 0 ? 0 : errno;
}

static void must(int error, const char *what) {
  if (error != 0) xe_die("%s: %s", what, strerror(error));
}

static struct drm_xe_engine_class_instance copy_engine(void) {
  return (struct drm_xe_engine_class_instance){.engine_class = DRM_XE_ENGINE_CLASS_COPY};
}

int kit_bind_mirror(struct xe_device *xe, void *start, uint64_t bytes, uint32_t flags) {
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR | flags;
  bind.bind.addr = kit_address(start);
  bind.bind.range = bytes;
  bind.bind.pat_index = xe->pat_index;
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind);
}

int kit_prefetch(struct xe_device *xe, void *start, uint64_t bytes) {
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_PREFETCH;
  bind.bind.addr = kit_address(start);
  bind.bind.range = bytes;
  bind.bind.prefetch_mem_region_instance = 1;
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind);
}

void kit_open(struct xe_device *xe, int device, enum kit_mirror mirror) {
  memset(xe, 0, sizeof *xe);
  char path[32];
  snprintf(path, sizeof path, "/dev/dri/renderD%d", 128 + device);
  xe->fd = open(path, O_RDWR | O_CLOEXEC);
  if (xe->fd < 0) xe_die("%s: %s", path, strerror(errno));

  uint64_t config[1 + 5] = {0};
  struct drm_xe_device_query query = {.query = DRM_XE_DEVICE_QUERY_CONFIG,
                                      .size = sizeof config,
                                      .data = kit_address(config)};
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_DEVICE_QUERY, &query), "DEVICE_QUERY");
  xe->has_vram = (config[1 + DRM_XE_QUERY_CONFIG_FLAGS] & DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM) != 0;
  xe->va_bits = (unsigned)config[1 + DRM_XE_QUERY_CONFIG_VA_BITS];
  xe->pat_index = xe->va_bits == 57 ? 3 : 2; /* write-back of the two generations */

  struct drm_xe_vm_create vm = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE |
                                         DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_CREATE, &vm), "VM_CREATE");
  xe->vm_id = vm.vm_id;
  must(kit_bind_mirror(xe, NULL, (uint64_t)1 << xe->va_bits,
                       mirror == KIT_MIRROR_AUTORESET ? DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET : 0),
       "VM_BIND of the mirror");
  xe->queue_id = kit_queue_create(xe);
}

uint32_t kit_queue_create(struct xe_device *xe) {
  struct drm_xe_engine_class_instance engine = copy_engine();
  struct drm_xe_exec_queue_create queue = {.width = 1,
                                           .num_placements = 1,
                                           .vm_id = xe->vm_id,
                                           .instances = kit_address(&engine)};
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &queue), "EXEC_QUEUE_CREATE");
  return queue.exec_queue_id;
}

int kit_queue_destroy(struct xe_device *xe, uint32_t queue_id) {
  struct drm_xe_exec_queue_destroy destroy = {.exec_queue_id = queue_id};
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, &destroy);
}

uint64_t kit_queue_banned(struct xe_device *xe, uint32_t queue_id) {
  struct drm_xe_exec_queue_get_property ask = {.exec_queue_id = queue_id,
                                               .property = DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN};
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY, &ask), "GET_PROPERTY(ban)");
  return ask.value;
}

int kit_exec(struct xe_device *xe, uint32_t queue_id, const uint32_t *batch, uint64_t *fence) {
  struct drm_xe_sync done = {.type = DRM_XE_SYNC_TYPE_USER_FENCE,
                             .flags = DRM_XE_SYNC_FLAG_SIGNAL,
                             .addr = kit_address(fence),
                             .timeline_value = KIT_FENCE_DONE};
  struct drm_xe_exec exec = {.exec_queue_id = queue_id,
                             .num_syncs = fence != NULL,
                             .syncs = kit_address(&done),
                             .address = kit_address(batch),
                             .num_batch_buffer = 1};
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_EXEC, &exec);
}

int kit_wait(struct xe_device *xe, uint32_t queue_id, const uint64_t *fence) {
  struct drm_xe_wait_user_fence wait = {.addr = kit_address(fence),
                                        .op = DRM_XE_UFENCE_WAIT_OP_EQ,
                                        .value = KIT_FENCE_DONE,
                                        .mask = UINT64_MAX,
                                        .timeout = -1,
                                        .exec_queue_id = queue_id};
  return kit_ioctl(xe->fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait);
}

void kit_store32(struct xe_device *xe, void *to, uint32_t value) {
  struct xe_batch batch;
  xe_batch_init(&batch, 4);
  xe_emit_store32(&batch, to, value);
  xe_run(xe, &batch);
  xe_batch_free(&batch);
}

void kit_copy(struct xe_device *xe, void *to, const void *from, size_t bytes) {
  struct xe_batch batch;
  xe_batch_init(&batch, 10 * (bytes / (1 << 18) + 1));
  xe_emit_copy(&batch, to, from, bytes);
  xe_run(xe, &batch);
  xe_batch_free(&batch);
}

unsigned kit_faults(struct xe_device *xe, struct xe_vm_fault records[KIT_FAULTS_MAX]) {
  struct drm_xe_vm_get_property ask = {.vm_id = xe->vm_id,
                                       .property = DRM_XE_VM_GET_PROPERTY_FAULTS};
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_GET_PROPERTY, &ask), "VM_GET_PROPERTY");
  if (ask.size == 0) return 0;
  ask.data = kit_address(records);
  must(kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_GET_PROPERTY, &ask), "VM_GET_PROPERTY");
  return ask.size / (unsigned)sizeof records[0];
}

void *kit_map_aligned(size_t bytes) {
  char *raw = mmap(NULL, bytes + XE_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) xe_die("mmap: %s", strerror(errno));
  size_t before = (XE_BLOCK - (size_t)((uintptr_t)raw % XE_BLOCK)) % XE_BLOCK;
  if (before != 0) kit_unmap(raw, before);
  if (before != XE_BLOCK) kit_unmap(raw + before + bytes, XE_BLOCK - before);
  return raw + before;
}

void kit_unmap(void *start, size_t bytes) {
  if (munmap(start, bytes) != 0) xe_die("munmap: %s", strerror(errno));
}

size_t kit_pages_present(const void *start, size_t bytes) {
  int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) xe_die("/proc/self/pagemap: %s", strerror(errno));
  size_t present = 0;
  for (size_t page = 0; page < bytes / XE_PAGE; ++page) {
    uint64_t entry = 0;
    off_t at = (off_t)((kit_address(start) / XE_PAGE + page) * sizeof entry);
    if (pread(fd, &entry, sizeof entry, at) != sizeof entry) xe_die("pagemap: %s", strerror(errno));
    present += entry >> 63;
  }
  close(fd);
  return present;
}

size_t kit_proc_entries(const char *directory) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/%s", directory);
  DIR *dir = opendir(path);
  if (dir == NULL) xe_die("%s: %s", path, strerror(errno));
  size_t entries = 0;
  while (readdir(dir) != NULL) ++entries;
  closedir(dir);
  return entries;
}

size_t kit_maps_lines(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) xe_die("/proc/self/maps: %s", strerror(errno));
  size_t lines = 0;
  for (int c; (c = getc(maps)) != EOF;) lines += c == '\n';
  fclose(maps);
  return lines;
}
