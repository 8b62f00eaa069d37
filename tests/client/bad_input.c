/*
 * Requests no driver may accept, and the errno each must give: one line per case, read from
 * docs/spec/uapi.md (section numbers in the groups below) and docs/spec/vm.md 3.1, 5.1, 6.
 * After all of them the client still works, and nothing of them is left behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client_kit.h"

struct bad {
  const char *name;
  unsigned long request;
  void *arg;
  int want; /* errno, or 0 */
};

/* What the cases refer to: good ids, and addresses with well-known faults. */
static struct xe_device xe;
static uint32_t bind_queue, system_bo, plain_vm, other_queue, syncobj;
static char *hole;     /* an unmapped page */
static char *page_end; /* the last 64 bytes of a page that is followed by a hole */
static char *page;     /* a mapped page */

#define NO_ID 0xfffffu
#define ARG(type, ...) (&(struct type){__VA_ARGS__})
#define A(...) kit_address(__VA_ARGS__)

static void run_cases(const struct bad *cases, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    int got = kit_ioctl(xe.fd, cases[i].request, cases[i].arg);
    KIT_CHECK(got == cases[i].want, "%s: %s (%d) instead of %s (%d)", cases[i].name, strerror(got), got,
              strerror(cases[i].want), cases[i].want);
  }
}
#define RUN(cases) run_cases(cases, sizeof(cases) / sizeof((cases)[0]))

/* uapi.md 1: numbers, sizes, pointers. */
static void dispatch(void) {
  struct drm_xe_device_query *tail = (struct drm_xe_device_query *)(page_end + 64 - sizeof *tail);
  memset(tail, 0, sizeof *tail);
  struct wide { struct drm_xe_device_query query; char more[24]; };
  const struct bad cases[] = {
      {"type byte is not 'd'", _IOWR('e', 0x40, struct drm_xe_device_query), ARG(drm_xe_device_query, 0), ENOTTY},
      {"driver number past the last", _IOWR('d', 0x50, struct drm_xe_device_query), ARG(drm_xe_device_query, 0), EINVAL},
      {"last driver number", _IOWR('d', 0x9f, struct drm_xe_device_query), ARG(drm_xe_device_query, 0), EINVAL},
      {"core number past the table", _IOWR('d', 0xff, struct drm_version), ARG(drm_version, 0), EINVAL},
      {"core number without a handler", _IOWR('d', 0x13, struct drm_version), ARG(drm_version, 0), EINVAL},
      {"null argument", DRM_IOCTL_XE_DEVICE_QUERY, NULL, EFAULT},
      {"unmapped argument", DRM_IOCTL_XE_DEVICE_QUERY, hole, EFAULT},
      {"argument in the kernel's half", DRM_IOCTL_XE_DEVICE_QUERY, (void *)0xffff800000000000ul, EFAULT},
      {"argument that is not canonical", DRM_IOCTL_XE_DEVICE_QUERY, (void *)0x1234567800000000ul, EFAULT},
      {"argument half in a hole", DRM_IOCTL_XE_DEVICE_QUERY, page_end + 48, EFAULT},
      {"longer struct, readable tail", _IOWR('d', 0x40, struct wide), page, 0},
      {"longer struct, unreadable tail", _IOWR('d', 0x40, struct wide), tail, EFAULT},
      {"the same struct, no tail", DRM_IOCTL_XE_DEVICE_QUERY, tail, 0},
      {"write-only, longer, unreadable tail", _IOC(_IOC_WRITE, 'd', 0x44, sizeof(struct drm_xe_vm_destroy) + 64), page_end + 32, EFAULT},
  };
  memset(page, 0, XE_PAGE);
  RUN(cases);

  /* A short struct reads as zero beyond its size, and only that much is copied back. */
  struct drm_xe_device_query part = {.query = DRM_XE_DEVICE_QUERY_CONFIG, .data = 1, .reserved = {1, 1}};
  KIT_CHECK(kit_ioctl(xe.fd, _IOWR('d', 0x40, char[16]), &part) == 0, "short struct");
  KIT_CHECK(part.size == 48 && part.data == 1 && part.reserved[0] == 1, "short struct: size %u", part.size);
  /* Without the direction bits the input is zero and nothing comes back. */
  struct drm_xe_device_query mute = {.query = 99, .size = 7};
  KIT_CHECK(kit_ioctl(xe.fd, _IOC(_IOC_NONE, 'd', 0x40, sizeof mute), &mute) == 0, "no direction bits");
  KIT_CHECK(mute.query == 99 && mute.size == 7, "no direction bits: something came back");
}

/* uapi.md 3, 5, 6. */
static void queries_and_objects(void) {
  char room[48];
  memset(room, 0, sizeof room);
#define Q(...) DRM_IOCTL_XE_DEVICE_QUERY, ARG(drm_xe_device_query, __VA_ARGS__)
#define G(...) DRM_IOCTL_XE_GEM_CREATE, ARG(drm_xe_gem_create, __VA_ARGS__)
#define M(...) DRM_IOCTL_XE_GEM_MMAP_OFFSET, ARG(drm_xe_gem_mmap_offset, __VA_ARGS__)
  const struct bad cases[] = {
      {"query: extensions", Q(.extensions = 1), EINVAL},
      {"query: reserved", Q(.reserved = {0, 1}), EINVAL},
      {"query: unknown number", Q(.query = 11), EINVAL},
      {"query: size too small", Q(.query = DRM_XE_DEVICE_QUERY_CONFIG, .size = 40, .data = A(room)), EINVAL},
      {"query: size too large", Q(.query = DRM_XE_DEVICE_QUERY_CONFIG, .size = 56, .data = A(page)), EINVAL},
      {"query: unwritable data", Q(.query = DRM_XE_DEVICE_QUERY_CONFIG, .size = 48, .data = A(hole)), EFAULT},
      {"query: unwritable regions are ENOSPC", Q(.query = DRM_XE_DEVICE_QUERY_MEM_REGIONS, .size = 184, .data = A(hole)), ENOSPC},
      {"query: PXP", Q(.query = DRM_XE_DEVICE_QUERY_PXP_STATUS, .size = 8, .data = A(page)), ENODEV},
      {"query: EU stall", Q(.query = DRM_XE_DEVICE_QUERY_EU_STALL), ENODEV},
      {"query: engine cycles, bad clock", Q(.query = DRM_XE_DEVICE_QUERY_ENGINE_CYCLES, .size = 40, .data = A(&(struct drm_xe_query_engine_cycles){.eci = {.engine_class = 1}, .clockid = 77})), EINVAL},
      {"create: pad", G(.size = 4096, .placement = 1, .cpu_caching = 1, .pad = {1}), EINVAL},
      {"create: reserved", G(.size = 4096, .placement = 1, .cpu_caching = 1, .reserved = {1}), EINVAL},
      {"create: no placement", G(.size = 4096, .cpu_caching = 1), EINVAL},
      {"create: unknown region", G(.size = 4096, .placement = 1u << 7, .cpu_caching = 1), EINVAL},
      {"create: unknown flag", G(.size = 4096, .placement = 1, .flags = 16, .cpu_caching = 1), EINVAL},
      {"create: handle given", G(.size = 4096, .placement = 1, .handle = 1, .cpu_caching = 1), EINVAL},
      {"create: size 0", G(.placement = 1, .cpu_caching = 1), EINVAL},
      {"create: size not of pages", G(.size = 4097, .placement = 1, .cpu_caching = 1), EINVAL},
      {"create: visible VRAM without VRAM", G(.size = 4096, .placement = 1, .flags = 4, .cpu_caching = 1), EINVAL},
      {"create: no caching", G(.size = 4096, .placement = 1), EINVAL},
      {"create: caching 3", G(.size = 4096, .placement = 1, .cpu_caching = 3), EINVAL},
      {"create: write-back VRAM", G(.size = 65536, .placement = 2, .cpu_caching = 1), EINVAL},
      {"create: write-back scanout", G(.size = 4096, .placement = 1, .flags = 2, .cpu_caching = 1), EINVAL},
      {"create: unknown VM", G(.size = 4096, .placement = 1, .vm_id = NO_ID, .cpu_caching = 1), ENOENT},
      {"create: no room in VRAM", G(.size = 0xffffffff00000000u, .placement = 2, .cpu_caching = 2), ENOSPC},
      {"create: no room in memory", G(.size = 0xffffffff00000000u, .placement = 1, .cpu_caching = 1), ENOSPC},
      {"create: unreadable extension", G(.extensions = A(hole), .size = 4096, .placement = 1, .cpu_caching = 1), EFAULT},
      {"create: unknown extension", G(.extensions = A(&(struct drm_xe_ext_set_property){.base = {.name = 5}}), .size = 4096, .placement = 1, .cpu_caching = 1), EINVAL},
      {"create: PXP type 1", G(.extensions = A(&(struct drm_xe_ext_set_property){.value = 1}), .size = 4096, .placement = 1, .cpu_caching = 1), ENODEV},
      {"mmap offset: extensions", M(.extensions = 1, .handle = system_bo), EINVAL},
      {"mmap offset: unknown flag", M(.handle = system_bo, .flags = 2), EINVAL},
      {"mmap offset: unknown handle", M(.handle = NO_ID), ENOENT},
      {"mmap offset: barrier with a handle", M(.handle = system_bo, .flags = 1), EINVAL},
      {"gem close: unknown handle", DRM_IOCTL_GEM_CLOSE, ARG(drm_gem_close, .handle = NO_ID), EINVAL},
      {"gem close: handle 0", DRM_IOCTL_GEM_CLOSE, ARG(drm_gem_close, 0), EINVAL},
  };
#undef Q
#undef G
#undef M
  RUN(cases);
}

/* uapi.md 7, 14; vm.md 2.2, 2.4, 5.1, 6. */
static void address_spaces(void) {
  static uint32_t nonzero = 9;
#define C(...) DRM_IOCTL_XE_VM_CREATE, ARG(drm_xe_vm_create, __VA_ARGS__)
#define D(...) DRM_IOCTL_XE_VM_DESTROY, ARG(drm_xe_vm_destroy, __VA_ARGS__)
#define P(...) DRM_IOCTL_XE_VM_GET_PROPERTY, ARG(drm_xe_vm_get_property, __VA_ARGS__)
#define R(...) DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS, ARG(drm_xe_vm_query_mem_range_attr, __VA_ARGS__)
#define V(...) DRM_IOCTL_XE_MADVISE, ARG(drm_xe_madvise, .vm_id = xe.vm_id, .start = 0x200000, .range = 0x1000, __VA_ARGS__)
  const struct bad cases[] = {
      {"vm: extensions", C(.extensions = 1), EINVAL},
      {"vm: reserved", C(.reserved = {0, 1}), EINVAL},
      {"vm: unknown flag", C(.flags = 16), EINVAL},
      {"vm: fault without LR", C(.flags = 4), EINVAL},
      {"vm: no-overcommit without fault", C(.flags = 2 | 8), EINVAL},
      {"vm destroy: pad", D(.vm_id = xe.vm_id, .pad = 1), EINVAL},
      {"vm destroy: reserved", D(.vm_id = xe.vm_id, .reserved = {1}), EINVAL},
      {"vm destroy: unknown", D(.vm_id = NO_ID), ENOENT},
      {"vm destroy: id 0", D(0), ENOENT},
      {"property: extensions", P(.extensions = 1, .vm_id = xe.vm_id), EINVAL},
      {"property: pad", P(.vm_id = xe.vm_id, .pad = 1), EINVAL},
      {"property: unknown VM", P(.vm_id = NO_ID), ENOENT},
      {"property: unknown property", P(.vm_id = xe.vm_id, .property = 1), EINVAL},
      {"property: more than there is", P(.vm_id = xe.vm_id, .size = 48, .data = A(page)), EINVAL},
      {"attributes: unknown VM", R(.vm_id = NO_ID, .range = 0x1000), EINVAL},
      {"attributes: count without size", R(.vm_id = xe.vm_id, .num_mem_ranges = 1, .range = 0x1000, .vector_of_mem_attr = A(page)), EINVAL},
      {"attributes: wrong element size", R(.vm_id = xe.vm_id, .num_mem_ranges = 1, .sizeof_mem_range_attr = 56, .range = 0x1000, .vector_of_mem_attr = A(page)), EINVAL},
      {"attributes: unwritable vector", R(.vm_id = xe.vm_id, .num_mem_ranges = 1, .sizeof_mem_range_attr = 64, .range = 0x1000, .vector_of_mem_attr = A(hole)), EFAULT},
      {"advice: unknown VM", DRM_IOCTL_XE_MADVISE, ARG(drm_xe_madvise, .vm_id = NO_ID, .range = 0x1000), EINVAL},
      {"advice: start not of pages", DRM_IOCTL_XE_MADVISE, ARG(drm_xe_madvise, .vm_id = xe.vm_id, .start = 8, .range = 0x1000), EINVAL},
      {"advice: range 0", DRM_IOCTL_XE_MADVISE, ARG(drm_xe_madvise, .vm_id = xe.vm_id, .start = 0x1000), EINVAL},
      {"advice: type 4", V(.type = 4), EINVAL},
      {"advice: reserved", V(.type = 1, .reserved = {1}), EINVAL},
      {"advice: location -2", V(.type = 0, .preferred_mem_loc = {.devmem_fd = (uint32_t)-2}), EINVAL},
      {"advice: policy 2", V(.type = 0, .preferred_mem_loc = {.migration_policy = 2}), EINVAL},
      {"advice: instance without a file", V(.type = 0, .preferred_mem_loc = {.region_instance = 1}), EINVAL},
      {"advice: file that is none", V(.type = 0, .preferred_mem_loc = {.devmem_fd = 9999, .region_instance = 1}), ENOENT},
      {"advice: file of another kind", V(.type = 0, .preferred_mem_loc = {.devmem_fd = 1, .region_instance = 1}), ENOENT},
      {"advice: instance 0 of a device", V(.type = 0, .preferred_mem_loc = {.devmem_fd = (uint32_t)xe.fd, .region_instance = 0}), ENOENT},
      {"advice: atomic 4", V(.type = 1, .atomic = {.val = 4}), EINVAL},
      {"advice: atomic pad", V(.type = 1, .atomic = {.pad = 1}), EINVAL},
      {"advice: PAT past the table", V(.type = 2, .pat_index = {.val = 28}), EINVAL},
      {"advice: PAT 2^32 - 1", V(.type = 2, .pat_index = {.val = 0xffffffffu}), EINVAL},
      {"advice: reserved PAT", V(.type = 2, .pat_index = {.val = 16}), EINVAL},
      {"advice: purgeable 2", V(.type = 3, .purge_state_val = {.val = 2}), EINVAL},
      {"advice: retained pointer unreadable", V(.type = 3, .purge_state_val = {.val = 1, .retained_ptr = A(hole)}), EFAULT},
      {"advice: retained value not 0", V(.type = 3, .purge_state_val = {.val = 1, .retained_ptr = A(&nonzero)}), EINVAL},
  };
#undef C
#undef D
#undef P
#undef R
#undef V
  RUN(cases);
}

/* uapi.md 8, 9; vm.md 3.1. */
static void binds(void) {
  struct drm_xe_sync in_fence = {.type = DRM_XE_SYNC_TYPE_USER_FENCE, .addr = A(page)};
  struct drm_xe_sync odd_fence = {.type = DRM_XE_SYNC_TYPE_USER_FENCE, .flags = 1, .addr = A(page) + 4};
  struct drm_xe_sync lost_fence = {.type = DRM_XE_SYNC_TYPE_USER_FENCE, .flags = 1, .addr = A(hole)};
  struct drm_xe_sync out_object = {.flags = 1, .handle = syncobj};
  struct drm_xe_sync no_object = {.handle = NO_ID}, empty_object = {.handle = syncobj};
  struct drm_xe_sync no_type = {.type = 3}, no_flag = {.flags = 2, .handle = syncobj};
#define B(...) DRM_IOCTL_XE_VM_BIND, ARG(drm_xe_vm_bind, .vm_id = xe.vm_id, .num_binds = 1, __VA_ARGS__)
#define OP(...) .bind = {.pat_index = 2, .addr = 0x7000000, .range = 0x1000, __VA_ARGS__}
#define MIRROR(...) OP(.flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR, __VA_ARGS__)
#define SYNC(sync) .num_syncs = 1, .syncs = A(&(sync))
  const struct bad cases[] = {
      {"bind: unknown VM", DRM_IOCTL_XE_VM_BIND, ARG(drm_xe_vm_bind, .vm_id = NO_ID, .num_binds = 1), EINVAL},
      {"bind: pad", B(.pad = 1, MIRROR(.op = 0)), EINVAL},
      {"bind: pad2", B(.pad2 = 1, MIRROR(.op = 0)), EINVAL},
      {"bind: reserved", B(.reserved = {1}, MIRROR(.op = 0)), EINVAL},
      {"bind: extensions", B(.extensions = 1, MIRROR(.op = 0)), EINVAL},
      {"bind: 1025 syncs", B(.num_syncs = 1025, MIRROR(.op = 0)), EINVAL},
      {"bind: unreadable array", DRM_IOCTL_XE_VM_BIND, ARG(drm_xe_vm_bind, .vm_id = xe.vm_id, .num_binds = 2, .vector_of_binds = A(hole)), EFAULT},
      {"bind: mirror in a plain VM", DRM_IOCTL_XE_VM_BIND, ARG(drm_xe_vm_bind, .vm_id = plain_vm, .num_binds = 1, MIRROR(.op = 0)), EINVAL},
      {"bind: PAT past the table", B(.bind = {.pat_index = 28, .addr = 0x7000000, .range = 0x1000, .op = 1}), EINVAL},
      {"bind: reserved PAT", B(.bind = {.pat_index = 17, .addr = 0x7000000, .range = 0x1000, .op = 1}), EINVAL},
      {"bind: operation 5", B(OP(.op = 5)), EINVAL},
      {"bind: unknown flag", B(OP(.flags = 1u << 30)), EINVAL},
      {"bind: mirror with an object", B(MIRROR(.obj = system_bo)), EINVAL},
      {"bind: mirror with an offset", B(MIRROR(.obj_offset = 0x1000)), EINVAL},
      {"bind: mirror of an unmap", B(MIRROR(.op = 1)), EINVAL},
      {"bind: map of nothing", B(OP(.op = 0)), EINVAL},
      {"bind: unmap-all without an object", B(.bind = {.pat_index = 2, .op = 3}), EINVAL},
      {"bind: unmap-all with an interval", B(OP(.op = 3, .obj = system_bo)), EINVAL},
      {"bind: userptr with an object", B(OP(.op = 2, .obj = system_bo)), EINVAL},
      {"bind: userptr, non-coherent PAT", B(.bind = {.pat_index = 3, .addr = 0x7000000, .range = 0x1000, .op = 2, .userptr = A(page)}), EINVAL},
      {"bind: prefetch with an object", B(OP(.op = 4, .obj = system_bo)), EINVAL},
      {"bind: unmap with an object", B(OP(.op = 1, .obj = system_bo)), EINVAL},
      {"bind: region on a map", B(MIRROR(.prefetch_mem_region_instance = 1)), EINVAL},
      {"bind: prefetch to region 32", B(OP(.op = 4, .prefetch_mem_region_instance = 32)), EINVAL},
      {"bind: prefetch to region 64", B(OP(.op = 4, .prefetch_mem_region_instance = 64)), EINVAL},
      {"bind: autoreset without a mirror", B(OP(.flags = DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET, .obj = system_bo)), EINVAL},
      {"bind: address not of pages", B(.bind = {.pat_index = 2, .flags = 32, .addr = 0x7000008, .range = 0x1000}), EINVAL},
      {"bind: range not of pages", B(.bind = {.pat_index = 2, .flags = 32, .addr = 0x7000000, .range = 0x1008}), EINVAL},
      {"bind: range 0", B(.bind = {.pat_index = 2, .flags = 32, .addr = 0x7000000}), EINVAL},
      {"bind: past the address space", B(.bind = {.pat_index = 2, .flags = 32, .addr = (1ull << 48) - 0x1000, .range = 0x2000}), EINVAL},
      {"bind: sign-extended address", B(.bind = {.pat_index = 2, .flags = 32, .addr = 0xffff800000000000u, .range = 0x1000}), EINVAL},
      {"bind: unknown queue", B(.exec_queue_id = NO_ID, MIRROR(.op = 0)), ENOENT},
      {"bind: queue of an engine", B(.exec_queue_id = xe.queue_id, MIRROR(.op = 0)), EINVAL},
      {"bind: unknown object", B(OP(.obj = NO_ID)), ENOENT},
      {"bind: object too small", B(.bind = {.obj = system_bo, .pat_index = 2, .addr = 0x7000000, .range = 0x1000000}), EINVAL},
      {"bind: offset outside the object", B(OP(.obj = system_bo, .obj_offset = 0x1000000)), EINVAL},
      {"bind: write-back object, non-coherent PAT", B(.bind = {.obj = system_bo, .pat_index = 3, .addr = 0x7000000, .range = 0x1000}), EINVAL},
      {"bind: unreadable syncs", B(.num_syncs = 1, .syncs = A(hole), MIRROR(.op = 0)), EFAULT},
      {"bind: unknown sync type", B(SYNC(no_type), MIRROR(.op = 0)), EINVAL},
      {"bind: unknown sync flag", B(SYNC(no_flag), MIRROR(.op = 0)), EINVAL},
      {"bind: wait for a user fence", B(SYNC(in_fence), MIRROR(.op = 0)), EOPNOTSUPP},
      {"bind: crooked user fence", B(SYNC(odd_fence), MIRROR(.op = 0)), EINVAL},
      {"bind: unreadable user fence", B(SYNC(lost_fence), MIRROR(.op = 0)), EFAULT},
      {"bind: out-fence of a long-running VM", B(SYNC(out_object), MIRROR(.op = 0)), EOPNOTSUPP},
      {"bind: unknown syncobj", B(SYNC(no_object), MIRROR(.op = 0)), ENOENT},
      {"bind: empty syncobj", B(SYNC(empty_object), MIRROR(.op = 0)), EINVAL},
      {"bind: userptr to a hole", B(.bind = {.pat_index = 2, .flags = 2, .addr = 0x7000000, .range = 0x1000, .op = 2, .userptr = A(hole)}), EFAULT},
  };
#undef B
#undef OP
#undef MIRROR
#undef SYNC
  RUN(cases);
}

/* uapi.md 10, 11, 12, 15, 17. */
static void queues_and_jobs(void) {
  struct drm_xe_engine_class_instance copy = {.engine_class = 1}, none = {.engine_class = 1, .engine_instance = 9};
  struct drm_xe_engine_class_instance no_gt = {.engine_class = 1, .gt_id = 9}, binder = {.engine_class = 5, .engine_instance = 1};
  struct drm_xe_engine_class_instance two[2] = {{.engine_class = 1}, {.engine_class = 4}};
  struct drm_xe_ext_set_property far_priority = {.value = 3}, no_property = {.property = 7};
  struct drm_xe_ext_set_property circle = {.base = {.next_extension = A(&circle)}, .value = 1};
#define C(...) DRM_IOCTL_XE_EXEC_QUEUE_CREATE, ARG(drm_xe_exec_queue_create, .width = 1, .num_placements = 1, .vm_id = xe.vm_id, __VA_ARGS__)
#define D(...) DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, ARG(drm_xe_exec_queue_destroy, __VA_ARGS__)
#define P(...) DRM_IOCTL_XE_EXEC_QUEUE_GET_PROPERTY, ARG(drm_xe_exec_queue_get_property, __VA_ARGS__)
#define S(...) DRM_IOCTL_XE_EXEC_QUEUE_SET_PROPERTY, ARG(drm_xe_exec_queue_set_property, __VA_ARGS__)
#define E(...) DRM_IOCTL_XE_EXEC, ARG(drm_xe_exec, __VA_ARGS__)
#define W(...) DRM_IOCTL_XE_WAIT_USER_FENCE, ARG(drm_xe_wait_user_fence, __VA_ARGS__)
  const struct bad cases[] = {
      {"queue: unknown flag", C(.flags = 2, .instances = A(&copy)), EINVAL},
      {"queue: reserved", C(.reserved = {1}, .instances = A(&copy)), EINVAL},
      {"queue: width 0", DRM_IOCTL_XE_EXEC_QUEUE_CREATE, ARG(drm_xe_exec_queue_create, .num_placements = 1, .vm_id = xe.vm_id, .instances = A(&copy)), EINVAL},
      {"queue: ten engines", DRM_IOCTL_XE_EXEC_QUEUE_CREATE, ARG(drm_xe_exec_queue_create, .width = 5, .num_placements = 2, .vm_id = xe.vm_id, .instances = A(page)), EINVAL},
      {"queue: unreadable engines", C(.instances = A(hole)), EFAULT},
      {"queue: unknown GT", C(.instances = A(&no_gt)), EINVAL},
      {"queue: unknown engine", C(.instances = A(&none)), EINVAL},
      {"queue: two classes", DRM_IOCTL_XE_EXEC_QUEUE_CREATE, ARG(drm_xe_exec_queue_create, .width = 1, .num_placements = 2, .vm_id = xe.vm_id, .instances = A(two)), EINVAL},
      {"queue: second bind engine", C(.instances = A(&binder)), EINVAL},
      {"queue: unknown VM", DRM_IOCTL_XE_EXEC_QUEUE_CREATE, ARG(drm_xe_exec_queue_create, .width = 1, .num_placements = 1, .vm_id = NO_ID, .instances = A(&copy)), ENOENT},
      {"queue: priority 3", C(.extensions = A(&far_priority), .instances = A(&copy)), EINVAL},
      {"queue: unknown property", C(.extensions = A(&no_property), .instances = A(&copy)), EINVAL},
      {"queue: unreadable extension", C(.extensions = A(hole), .instances = A(&copy)), EFAULT},
      {"queue: endless extensions", C(.extensions = A(&circle), .instances = A(&copy)), E2BIG},
      {"queue destroy: pad", D(.exec_queue_id = xe.queue_id, .pad = 1), EINVAL},
      {"queue destroy: unknown", D(.exec_queue_id = NO_ID), ENOENT},
      {"queue property: reserved", P(.exec_queue_id = xe.queue_id, .reserved = {1}), EINVAL},
      {"queue property: unknown queue", P(.exec_queue_id = NO_ID), ENOENT},
      {"queue property: unknown property", P(.exec_queue_id = xe.queue_id, .property = 1), EINVAL},
      {"queue set: wrong property", S(.exec_queue_id = xe.queue_id, .property = 0), EINVAL},
      {"queue set: unknown queue", S(.exec_queue_id = NO_ID, .property = 5), ENOENT},
      {"queue set: not in a group", S(.exec_queue_id = xe.queue_id, .property = 5), EINVAL},
      {"exec: extensions", E(.extensions = 1, .exec_queue_id = xe.queue_id), EINVAL},
      {"exec: pad", E(.exec_queue_id = xe.queue_id, .pad = {0, 0, 1}), EINVAL},
      {"exec: reserved", E(.exec_queue_id = xe.queue_id, .reserved = {1}), EINVAL},
      {"exec: 1025 syncs", E(.exec_queue_id = xe.queue_id, .num_syncs = 1025), EINVAL},
      {"exec: unknown queue", E(.exec_queue_id = NO_ID), ENOENT},
      {"exec: bind queue", E(.exec_queue_id = bind_queue), EINVAL},
      {"exec: two batches, width 1", E(.exec_queue_id = xe.queue_id, .num_batch_buffer = 2), EINVAL},
      {"exec: unreadable syncs", E(.exec_queue_id = xe.queue_id, .num_syncs = 1, .syncs = A(hole), .num_batch_buffer = 1), EFAULT},
      {"wait: extensions", W(.extensions = 1, .addr = A(page)), EINVAL},
      {"wait: unknown flag", W(.addr = A(page), .flags = 2), EINVAL},
      {"wait: operation 6", W(.addr = A(page), .op = 6), EINVAL},
      {"wait: crooked address", W(.addr = A(page) + 4), EINVAL},
      {"wait: unknown queue", W(.addr = A(page), .exec_queue_id = NO_ID), ENOENT},
      {"wait: unreadable", W(.addr = A(hole), .mask = ~0ull), EFAULT},
      {"wait: not true, no time", W(.addr = A(page), .op = 1, .value = 0, .mask = ~0ull, .timeout = 0), ETIME},
      {"observation: unknown type", DRM_IOCTL_XE_OBSERVATION, ARG(drm_xe_observation_param, .observation_type = 2), EINVAL},
      {"observation: no OA", DRM_IOCTL_XE_OBSERVATION, ARG(drm_xe_observation_param, .param = A(page)), ENODEV},
      {"syncobj destroy: unknown", DRM_IOCTL_SYNCOBJ_DESTROY, ARG(drm_syncobj_destroy, .handle = NO_ID), EINVAL},
      {"syncobj create: unknown flag", DRM_IOCTL_SYNCOBJ_CREATE, ARG(drm_syncobj_create, .flags = 2), EINVAL},
      {"syncobj reset: no handle", DRM_IOCTL_SYNCOBJ_RESET, ARG(drm_syncobj_array, .handles = A(page)), EINVAL},
      {"prime: unknown handle", DRM_IOCTL_PRIME_HANDLE_TO_FD, ARG(drm_prime_handle, .handle = NO_ID), ENOENT},
      {"prime: no file", DRM_IOCTL_PRIME_FD_TO_HANDLE, ARG(drm_prime_handle, .fd = 9999), EBADF},
  };
#undef C
#undef D
#undef P
#undef S
#undef E
#undef W
  memset(page, 0, XE_PAGE);
  RUN(cases);
}

static void must(const char *what, unsigned long request, void *arg) {
  int error = kit_ioctl(xe.fd, request, arg);
  if (error != 0) xe_die("%s: %s", what, strerror(error));
}

static void set_up(void) {
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  page = kit_map_aligned(2 * XE_PAGE);
  hole = page + XE_PAGE;
  page_end = page + XE_PAGE - 64;
  kit_unmap(hole, XE_PAGE);

  struct drm_xe_vm_create vm = {0};
  must("VM_CREATE", DRM_IOCTL_XE_VM_CREATE, &vm);
  plain_vm = vm.vm_id;
  struct drm_xe_engine_class_instance binder = {.engine_class = DRM_XE_ENGINE_CLASS_VM_BIND};
  struct drm_xe_exec_queue_create queue = {.width = 1, .num_placements = 1, .vm_id = xe.vm_id, .instances = A(&binder)};
  must("bind queue", DRM_IOCTL_XE_EXEC_QUEUE_CREATE, &queue);
  bind_queue = queue.exec_queue_id;
  other_queue = kit_queue_create(&xe);
  struct drm_xe_gem_create bo = {.size = 65536, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  must("GEM_CREATE", DRM_IOCTL_XE_GEM_CREATE, &bo);
  system_bo = bo.handle;
  struct drm_syncobj_create object = {0};
  must("SYNCOBJ_CREATE", DRM_IOCTL_SYNCOBJ_CREATE, &object);
  syncobj = object.handle;
}

int main(void) {
  set_up();
  dispatch();
  queries_and_objects();
  address_spaces();
  binds();
  queues_and_jobs();

  /* Ids are the lowest free ones: a failed create that left something behind would shift them. */
  uint32_t next = kit_queue_create(&xe);
  KIT_CHECK(next == other_queue + 1, "the next queue is %u", next);
  struct drm_xe_gem_create bo = {.size = 4096, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  must("GEM_CREATE", DRM_IOCTL_XE_GEM_CREATE, &bo);
  KIT_CHECK(bo.handle == system_bo + 1, "the next handle is %u", bo.handle);
  KIT_CHECK(xe_attribute_ranges(&xe, NULL, (size_t)1 << 47) == 1, "a refused bind left a border");
  static uint32_t word;
  kit_store32(&xe, &word, 5);
  KIT_CHECK(word == 5, "the client goes on");
  xe_close(&xe);
  return kit_finish("bad_input");
}
