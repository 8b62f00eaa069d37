/*
 * Advice on memory that the GPU used and the client unmapped: does it go back to the default? The
 * first argument is the answer expected, "resets" or "stays"; the second how the mirror was bound,
 * "flag" or "plain" (docs/spec/vm.md section 7).
 */
#include <string.h>

#include "client_kit.h"

int main(int argc, char **argv) {
  if (argc != 3) xe_die("usage: autoreset resets|stays flag|plain");
  int resets = strcmp(argv[1], "resets") == 0;
  struct xe_device xe;
  kit_open(&xe, 0, strcmp(argv[2], "flag") == 0 ? KIT_MIRROR_AUTORESET : KIT_MIRROR_PLAIN);

  char *data = kit_map_aligned(2 * XE_BLOCK);
  memset(data, 1, 2 * XE_BLOCK);
  xe_madvise_atomic(&xe, data, XE_BLOCK, DRM_XE_ATOMIC_DEVICE);
  KIT_CHECK(xe_attributes_at(&xe, data).atomic.val == DRM_XE_ATOMIC_DEVICE, "the advice is not there");
  KIT_CHECK(xe_attribute_ranges(&xe, data, 2 * XE_BLOCK) == 2, "the advice has no border");
  KIT_CHECK(xe_attributes_at(&xe, data + XE_BLOCK).atomic.val == DRM_XE_ATOMIC_UNDEFINED, "too wide");
  kit_store32(&xe, data, 7);
  kit_store32(&xe, data + XE_BLOCK, 8);
  kit_unmap(data, XE_BLOCK);

  struct drm_xe_mem_range_attr there = xe_attributes_at(&xe, data);
  KIT_CHECK(there.atomic.val == (uint32_t)(resets ? DRM_XE_ATOMIC_UNDEFINED : DRM_XE_ATOMIC_DEVICE),
            "atomic advice after munmap is %u", there.atomic.val);
  KIT_CHECK(xe_attribute_ranges(&xe, data, 2 * XE_BLOCK) == (resets ? 1u : 2u), "%u ranges after munmap",
            xe_attribute_ranges(&xe, data, 2 * XE_BLOCK));
  if (resets)
    KIT_CHECK(there.start == 0 && there.end == (uint64_t)1 << xe.va_bits, "not merged: [%#llx, %#llx)",
              (unsigned long long)there.start, (unsigned long long)there.end);
  KIT_CHECK(data[XE_BLOCK] == 8 && data[XE_BLOCK + 4] == 1, "the block beside it");
  kit_unmap(data + XE_BLOCK, XE_BLOCK);
  xe_close(&xe);
  return kit_finish("autoreset");
}
