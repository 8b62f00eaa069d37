/* See xe_example.h. */
#define _GNU_SOURCE
#include "xe_example.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* GPU command words (docs/spec/gpu-commands.md, sections 2 and 7). */
#define MI_BATCH_BUFFER_END 0x05000000u
#define MI_STORE_DATA_IMM32 0x10000002u
#define MI_STORE_DATA_IMM64 0x10200003u
#define MI_ATOMIC_INC32 0x17800501u
#define MEM_COPY_BYTES 0x56800008u

enum {
  MEM_COPY_MAX = 1 << 18,   /* bytes one linear MEM_COPY can move */
  PREFETCH_PAD = XE_PAGE,   /* hardware reads ahead past the end of a batch */
  FENCE_DONE = 0x5eed,
};
static const int64_t kWaitNs = 10ll * 1000 * 1000 * 1000;

void xe_die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("error: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(2);
}

static void xe_ioctl(int fd, unsigned long request, void *arg, const char *name) {
  if (drmIoctl(fd, request, arg) != 0) xe_die("%s: %s", name, strerror(errno));
}

static uint64_t gpu_address(const void *pointer) { return (uint64_t)(uintptr_t)pointer; }

/* DEVICE_QUERY is asked twice: for the size, then for the data. The caller frees. */
static void *query(int fd, uint32_t what, uint32_t *bytes) {
  struct drm_xe_device_query ask = {.query = what};
  xe_ioctl(fd, DRM_IOCTL_XE_DEVICE_QUERY, &ask, "DEVICE_QUERY");
  void *data = calloc(1, ask.size);
  if (data == NULL) xe_die("out of memory");
  ask.data = gpu_address(data);
  xe_ioctl(fd, DRM_IOCTL_XE_DEVICE_QUERY, &ask, "DEVICE_QUERY");
  *bytes = ask.size;
  return data;
}

static int open_xe_node(void) {
  for (int minor = 128; minor < 192; ++minor) {
    char path[32];
    snprintf(path, sizeof path, "/dev/dri/renderD%d", minor);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    char name[16] = "";
    struct drm_version version = {.name = name, .name_len = sizeof name - 1};
    if (drmIoctl(fd, DRM_IOCTL_VERSION, &version) == 0 && strcmp(name, "xe") == 0) return fd;
    close(fd);
  }
  xe_die("no Xe device here: no /dev/dri/renderD* answers to the name \"xe\"");
}

static void read_config(struct xe_device *xe) {
  uint32_t bytes;
  struct drm_xe_query_config *config = query(xe->fd, DRM_XE_DEVICE_QUERY_CONFIG, &bytes);
  uint64_t flags = config->info[DRM_XE_QUERY_CONFIG_FLAGS];
  xe->va_bits = (unsigned)config->info[DRM_XE_QUERY_CONFIG_VA_BITS];
  xe->has_vram = (flags & DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM) != 0;
  free(config);
  if ((flags & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR) == 0)
    xe_die("this device has no shared virtual memory");

  /* The page-attribute index of coherent write-back is fixed per hardware generation: Xe2 and later
   * have it at 2, the Xe-HPC generation (which reports no version) at 3. */
  struct drm_xe_query_gt_list *gts = query(xe->fd, DRM_XE_DEVICE_QUERY_GT_LIST, &bytes);
  xe->pat_index = gts->num_gt > 0 && gts->gt_list[0].ip_ver_major >= 20 ? 2 : 3;
  free(gts);
}

static struct drm_xe_engine_class_instance find_engine(int fd, uint16_t engine_class) {
  uint32_t bytes;
  struct drm_xe_query_engines *engines = query(fd, DRM_XE_DEVICE_QUERY_ENGINES, &bytes);
  for (uint32_t i = 0; i < engines->num_engines; ++i) {
    if (engines->engines[i].instance.engine_class == engine_class) {
      struct drm_xe_engine_class_instance found = engines->engines[i].instance;
      free(engines);
      return found;
    }
  }
  xe_die("this device has no engine of class %u", engine_class);
}

static void wait_fence(struct xe_device *xe, const uint64_t *fence, const char *what) {
  struct drm_xe_wait_user_fence wait = {
      .addr = gpu_address(fence),
      .op = DRM_XE_UFENCE_WAIT_OP_EQ,
      .value = FENCE_DONE,
      .mask = UINT64_MAX,
      .timeout = kWaitNs,
      .exec_queue_id = xe->queue_id,
  };
  if (drmIoctl(xe->fd, DRM_IOCTL_XE_WAIT_USER_FENCE, &wait) != 0)
    xe_die("waiting for %s: %s%s", what, strerror(errno),
           errno == EIO ? " (the GPU stopped the queue: it met an address it cannot reach)" : "");
}

/* The whole address space of the process becomes the GPU's: no buffer is ever bound. */
static void mirror_process(struct xe_device *xe, enum xe_advice_life life) {
  uint64_t fence = 0;
  struct drm_xe_sync done = {
      .type = DRM_XE_SYNC_TYPE_USER_FENCE,
      .flags = DRM_XE_SYNC_FLAG_SIGNAL,
      .addr = gpu_address(&fence),
      .timeline_value = FENCE_DONE,
  };
  struct drm_xe_vm_bind bind = {
      .vm_id = xe->vm_id,
      .num_binds = 1,
      .num_syncs = 1,
      .syncs = gpu_address(&done),
  };
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR;
  if (life == XE_ADVICE_RESETS) bind.bind.flags |= DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET;
  bind.bind.addr = 0;
  bind.bind.range = (uint64_t)1 << xe->va_bits;
  bind.bind.pat_index = xe->pat_index;
  xe_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind, "VM_BIND of the mirror");
  wait_fence(xe, &fence, "the mirror's bind");
}

static void open_with(struct xe_device *xe, enum xe_advice_life life, uint16_t engine_class) {
  memset(xe, 0, sizeof *xe);
  xe->fd = open_xe_node();
  read_config(xe);

  struct drm_xe_vm_create vm = {.flags = DRM_XE_VM_CREATE_FLAG_LR_MODE |
                                         DRM_XE_VM_CREATE_FLAG_FAULT_MODE};
  xe_ioctl(xe->fd, DRM_IOCTL_XE_VM_CREATE, &vm, "VM_CREATE");
  xe->vm_id = vm.vm_id;
  mirror_process(xe, life);

  struct drm_xe_engine_class_instance engine = find_engine(xe->fd, engine_class);
  struct drm_xe_exec_queue_create queue = {
      .width = 1,
      .num_placements = 1,
      .vm_id = xe->vm_id,
      .instances = gpu_address(&engine),
  };
  xe_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &queue, "EXEC_QUEUE_CREATE");
  xe->queue_id = queue.exec_queue_id;
}

void xe_open(struct xe_device *xe, enum xe_advice_life life) {
  open_with(xe, life, DRM_XE_ENGINE_CLASS_COPY);
}

void xe_open_compute(struct xe_device *xe, enum xe_advice_life life) {
  open_with(xe, life, DRM_XE_ENGINE_CLASS_COMPUTE);
}

void xe_close(struct xe_device *xe) {
  struct drm_xe_exec_queue_destroy queue = {.exec_queue_id = xe->queue_id};
  xe_ioctl(xe->fd, DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, &queue, "EXEC_QUEUE_DESTROY");
  struct drm_xe_vm_destroy vm = {.vm_id = xe->vm_id};
  xe_ioctl(xe->fd, DRM_IOCTL_XE_VM_DESTROY, &vm, "VM_DESTROY");
  close(xe->fd);
}

void xe_batch_init(struct xe_batch *batch, size_t words_max) {
  size_t bytes = (words_max + 1) * sizeof(uint32_t) + PREFETCH_PAD;
  bytes = (bytes + XE_PAGE - 1) / XE_PAGE * XE_PAGE;
  batch->words = aligned_alloc(XE_PAGE, bytes);
  if (batch->words == NULL) xe_die("out of memory");
  memset(batch->words, 0, bytes);
  batch->count = 0;
  batch->capacity = words_max;
}

void xe_batch_free(struct xe_batch *batch) {
  free(batch->words);
  batch->words = NULL;
}

void xe_batch_reset(struct xe_batch *batch) { batch->count = 0; }

static void emit(struct xe_batch *batch, uint32_t word) {
  if (batch->count == batch->capacity) xe_die("batch is full at %zu words", batch->capacity);
  batch->words[batch->count++] = word;
}

static void emit_address(struct xe_batch *batch, const void *pointer) {
  emit(batch, (uint32_t)gpu_address(pointer));
  emit(batch, (uint32_t)(gpu_address(pointer) >> 32));
}

void xe_emit_store32(struct xe_batch *batch, void *to, uint32_t value) {
  emit(batch, MI_STORE_DATA_IMM32);
  emit_address(batch, to);
  emit(batch, value);
}

void xe_emit_store64(struct xe_batch *batch, void *to, uint64_t value) {
  emit(batch, MI_STORE_DATA_IMM64);
  emit_address(batch, to);
  emit(batch, (uint32_t)value);
  emit(batch, (uint32_t)(value >> 32));
}

void xe_emit_atomic_increment(struct xe_batch *batch, void *counter) {
  emit(batch, MI_ATOMIC_INC32);
  emit_address(batch, counter);
}

void xe_emit_copy(struct xe_batch *batch, void *to, const void *from, size_t bytes) {
  while (bytes > 0) {
    uint32_t part = bytes < MEM_COPY_MAX ? (uint32_t)bytes : MEM_COPY_MAX;
    emit(batch, MEM_COPY_BYTES);
    emit(batch, part - 1);
    emit(batch, 0); /* height and pitches: not used by a linear copy */
    emit(batch, 0);
    emit(batch, 0);
    emit_address(batch, from);
    emit_address(batch, to);
    emit(batch, 0); /* caching: the default of the address */
    to = (char *)to + part;
    from = (const char *)from + part;
    bytes -= part;
  }
}

void xe_emit_words(struct xe_batch *batch, const uint32_t *words, size_t count) {
  for (size_t i = 0; i < count; ++i) emit(batch, words[i]);
}

void xe_run(struct xe_device *xe, struct xe_batch *batch) {
  /* In memory of its own: the GPU writes here, so the page moves to where the GPU wants it. */
  uint64_t *fence = aligned_alloc(64, 64);
  if (fence == NULL) xe_die("out of memory");
  *fence = 0;
  batch->words[batch->count] = MI_BATCH_BUFFER_END; /* xe_batch_init() left room */

  struct drm_xe_sync done = {
      .type = DRM_XE_SYNC_TYPE_USER_FENCE,
      .flags = DRM_XE_SYNC_FLAG_SIGNAL,
      .addr = gpu_address(fence),
      .timeline_value = FENCE_DONE,
  };
  struct drm_xe_exec exec = {
      .exec_queue_id = xe->queue_id,
      .num_syncs = 1,
      .syncs = gpu_address(&done),
      .address = gpu_address(batch->words),
      .num_batch_buffer = 1,
  };
  xe_ioctl(xe->fd, DRM_IOCTL_XE_EXEC, &exec, "EXEC");
  wait_fence(xe, fence, "the batch");
  free(fence);
}

void xe_madvise_atomic(struct xe_device *xe, void *start, size_t bytes, uint32_t mode) {
  struct drm_xe_madvise advice = {
      .vm_id = xe->vm_id,
      .start = gpu_address(start),
      .range = bytes,
      .type = DRM_XE_MEM_RANGE_ATTR_ATOMIC,
  };
  advice.atomic.val = mode;
  xe_ioctl(xe->fd, DRM_IOCTL_XE_MADVISE, &advice, "MADVISE(atomic)");
}

void xe_madvise_preferred(struct xe_device *xe, void *start, size_t bytes, uint32_t location) {
  struct drm_xe_madvise advice = {
      .vm_id = xe->vm_id,
      .start = gpu_address(start),
      .range = bytes,
      .type = DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC,
  };
  advice.preferred_mem_loc.devmem_fd = location;
  xe_ioctl(xe->fd, DRM_IOCTL_XE_MADVISE, &advice, "MADVISE(preferred location)");
}

/* Asks for the number of ranges, then for the ranges. The caller frees. */
static struct drm_xe_mem_range_attr *attributes(struct xe_device *xe, const void *start,
                                                size_t bytes, uint32_t *count) {
  struct drm_xe_vm_query_mem_range_attr ask = {
      .vm_id = xe->vm_id,
      .start = gpu_address(start),
      .range = bytes,
  };
  xe_ioctl(xe->fd, DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS, &ask, "VM_QUERY_MEM_RANGE_ATTRS");
  *count = ask.num_mem_ranges;
  if (ask.num_mem_ranges == 0) return NULL;
  struct drm_xe_mem_range_attr *ranges = calloc(ask.num_mem_ranges, sizeof *ranges);
  if (ranges == NULL) xe_die("out of memory");
  ask.vector_of_mem_attr = gpu_address(ranges);
  xe_ioctl(xe->fd, DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS, &ask, "VM_QUERY_MEM_RANGE_ATTRS");
  *count = ask.num_mem_ranges;
  return ranges;
}

struct drm_xe_mem_range_attr xe_attributes_at(struct xe_device *xe, const void *address) {
  uint32_t count;
  struct drm_xe_mem_range_attr *ranges = attributes(xe, address, XE_PAGE, &count);
  if (count != 1 || ranges[0].start > gpu_address(address) || ranges[0].end <= gpu_address(address))
    xe_die("%u ranges for the page at %p", count, address);
  struct drm_xe_mem_range_attr found = ranges[0];
  free(ranges);
  return found;
}

unsigned xe_attribute_ranges(struct xe_device *xe, const void *start, size_t bytes) {
  uint32_t count;
  free(attributes(xe, start, bytes, &count));
  return count;
}
