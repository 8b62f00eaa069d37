// Pagemap: one VRAM region of one tile as a home for pages of a process (kernel: drm_pagemap).
//
// It turns VRAM blocks into DevmemAllocations and takes them back. Who may map its pages in place is
// decided by its OwnerGroup (spec/svm.md 8.1). Attributes that name a device hold a counted reference.
// Implemented in drv/ on a VramManager; tests use a small fake.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/devmem.h"

namespace softxe {

/// How hard an allocation may try.
enum class VramEffort : std::uint8_t {
  kFreeOnly,  ///< take free blocks only
  kMayEvict,  ///< evict least recently used blocks, of this VM too (a page fault may: spec/vm.md 2.1)
};

class Pagemap : public DevmemHeap {
 public:
  /// An empty allocation of exactly `bytes` (4K, 64K or 2M), naturally aligned and contiguous.
  /// May evict others: the caller holds no lock of rank >= kHostMm. ENOSPC / ENOMEM: no room.
  virtual Result<DevmemAllocation*> allocate(std::uint64_t bytes, VramEffort effort) = 0;
  /// The whole region.
  virtual std::uint64_t size_bytes() const = 0;
  /// Which tile of its device; PTEs of that tile carry the DM bit, others map it as a peer.
  virtual unsigned tile() const = 0;
};

}  // namespace softxe
