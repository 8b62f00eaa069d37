/*
 * Two hundred rounds of creating and destroying everything leave nothing behind: descriptors, threads
 * and mappings of the process are as many as after the first rounds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_kit.h"

enum { WARM_UP = 20, ROUNDS = 200, MAPS_SLACK = 16, BO_BYTES = 64 * 1024 };

/* A buffer object, bound in the VM and mapped in the process. */
static void use_bo(struct xe_device *xe, uint32_t round) {
  struct drm_xe_gem_create bo = {.size = BO_BYTES, .placement = 1, .cpu_caching = DRM_XE_GEM_CPU_CACHING_WB};
  KIT_CHECK(kit_ioctl(xe->fd, DRM_IOCTL_XE_GEM_CREATE, &bo) == 0, "GEM_CREATE");
  struct drm_xe_gem_mmap_offset where = {.handle = bo.handle};
  KIT_CHECK(kit_ioctl(xe->fd, DRM_IOCTL_XE_GEM_MMAP_OFFSET, &where) == 0, "GEM_MMAP_OFFSET");
  uint32_t *cpu = mmap(NULL, BO_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, xe->fd, (off_t)where.offset);
  if (cpu == MAP_FAILED) xe_die("mmap of the object: %s", strerror(errno));

  void *hole = kit_map_aligned(BO_BYTES); /* an address that nothing else has */
  kit_unmap(hole, BO_BYTES);
  struct drm_xe_vm_bind bind = {.vm_id = xe->vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_MAP;
  bind.bind.obj = bo.handle;
  bind.bind.addr = kit_address(hole);
  bind.bind.range = BO_BYTES;
  bind.bind.pat_index = xe->pat_index;
  KIT_CHECK(kit_ioctl(xe->fd, DRM_IOCTL_XE_VM_BIND, &bind) == 0, "VM_BIND");
  kit_store32(xe, hole, round);
  KIT_CHECK(*(volatile uint32_t *)cpu == round, "the object's word is %u in round %u", *cpu, round);
  munmap(cpu, BO_BYTES);
  struct drm_gem_close close_bo = {.handle = bo.handle};
  KIT_CHECK(kit_ioctl(xe->fd, DRM_IOCTL_GEM_CLOSE, &close_bo) == 0, "GEM_CLOSE");
}

static void use_everything(uint32_t round) {
  struct xe_device xe;
  kit_open(&xe, 0, KIT_MIRROR_PLAIN);
  uint32_t *data = kit_map_aligned(XE_BLOCK);
  memset(data, 1, XE_BLOCK);
  kit_store32(&xe, data, round);
  KIT_CHECK(*data == round, "round %u: the word is %u", round, *data);
  kit_store32(&xe, data + 1024, round); /* unmapped while it is in VRAM */
  kit_unmap(data, XE_BLOCK);
  use_bo(&xe, round);
  uint32_t extra = kit_queue_create(&xe);
  if (round % 2 == 0) KIT_CHECK(kit_queue_destroy(&xe, extra) == 0, "destroy");
  if (round % 4 == 0)
    close(xe.fd); /* everything goes with the file */
  else
    xe_close(&xe);
}

int main(void) {
  size_t fds = 0, maps = 0, tasks = 0;
  for (uint32_t round = 1; round <= WARM_UP + ROUNDS; ++round) {
    use_everything(round);
    if (round != WARM_UP) continue;
    fds = kit_proc_entries("fd");
    maps = kit_maps_lines();
    tasks = kit_proc_entries("task");
  }
  size_t fds_now = kit_proc_entries("fd"), maps_now = kit_maps_lines(), tasks_now = kit_proc_entries("task");
  /* A joined thread is listed until the kernel has put it away. */
  for (int tries = 0; tasks_now > tasks && tries < 100000; ++tries) {
    sched_yield();
    tasks_now = kit_proc_entries("task");
  }
  KIT_CHECK(fds_now == fds, "%zu descriptors, then %zu", fds, fds_now);
  KIT_CHECK(tasks_now == tasks, "%zu threads, then %zu", tasks, tasks_now);
  KIT_CHECK(maps_now <= maps + MAPS_SLACK, "%zu mappings, then %zu", maps, maps_now);
  return kit_finish("leaks");
}
