/*
 * What a device does with the memory. TWIN_DEVICE=1 says that there is one (softxe run); without, the CPU does what the
 * program must see: a send moves nothing it could notice, a GPU store is a store.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "client_kit.h"
#include "player.h"

static struct xe_device xe;
static int have_device;

void gpu_start(void) {
  const char* wanted = getenv("TWIN_DEVICE");
  if (wanted == NULL || *wanted != '1') return;
  kit_open(&xe, 0, KIT_MIRROR_AUTORESET);
  have_device = 1;
}

void send_away(int64_t page, int64_t pages) {
  if (!have_device) return;
  struct drm_xe_vm_bind bind = {.vm_id = xe.vm_id, .num_binds = 1};
  bind.bind.op = DRM_XE_VM_BIND_OP_PREFETCH;
  bind.bind.addr = (uint64_t)(uintptr_t)at_page(page);
  bind.bind.range = (uint64_t)pages * kPage;
  bind.bind.prefetch_mem_region_instance = 1;
  kit_ioctl(xe.fd, DRM_IOCTL_XE_VM_BIND, &bind);
}

/* page pages: to VRAM; any answer is fine */
static void do_send(const struct op* op) { send_away(op->n[0], op->n[1]); }

/* page value: only where the CPU may store, too */
static void do_gpu_store(const struct op* op) {
  unsigned char byte = 0;
  unsigned char* to = at_page(op->n[0]) + 1024;
  if (guarded_load(to, &byte) != 0 || guarded_store(to, byte) != 0) return say(" refused");
  if (have_device)
    kit_store32(&xe, to, (uint32_t)op->n[1]);
  else
    *(volatile uint32_t*)to = (uint32_t)op->n[1];
}

/* to from: half a page. The mirror is writable, so the GPU reads what it may write (spec/svm.md 4). */
static void do_gpu_copy(const struct op* op) {
  unsigned char byte = 0;
  unsigned char* to = at_page(op->n[0]);
  unsigned char* from = at_page(op->n[1]) + 2048;
  if (guarded_load(from, &byte) != 0 || guarded_store(from, byte) != 0 || guarded_load(to, &byte) != 0 ||
      guarded_store(to, byte) != 0)
    return say(" refused");
  if (have_device)
    kit_copy(&xe, to, from, 2048);
  else
    memmove(to, from, 2048);
}

/* page pages preferred(-1 system, 0 device) */
static void do_advise(const struct op* op) {
  if (!have_device) return;
  struct drm_xe_madvise advice = {.vm_id = xe.vm_id,
                                  .start = (uint64_t)(uintptr_t)at_page(op->n[0]),
                                  .range = (uint64_t)op->n[1] * kPage,
                                  .type = DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC};
  advice.preferred_mem_loc.devmem_fd =
      op->n[2] < 0 ? DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM : DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE;
  kit_ioctl(xe.fd, DRM_IOCTL_XE_MADVISE, &advice);
}

const struct named_operation gpu_operations[] = {
    {"send", do_send}, {"gpu_store", do_gpu_store}, {"gpu_copy", do_gpu_copy}, {"advise", do_advise}, {NULL, NULL},
};
