// Bo: what a VM needs to know of a buffer object. The object itself is made by drv/.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "hw/page_table.h"
#include "vm/mem_attr.h"

namespace softxe {

class Vm;

/// Which evictions a validation may cause (spec/vm.md 2.1, 2.9).
enum class VmLocalEviction : std::uint8_t { kForbidden, kAllowed };

/// Where a BO has to be for a use.
enum class BoPlace : std::uint8_t {
  kAllowed,   ///< wherever its placements let it be
  kTileVram,  ///< in the VRAM of BoUse::tile: an atomic that must execute there, or a prefetch into it
  kSystem,    ///< in system memory: a prefetch to region 0
};

/// Why a BO is validated for an access.
struct BoUse {
  const Vm* vm;  ///< on whose behalf
  VmLocalEviction eviction;
  BoPlace place = BoPlace::kAllowed;
  unsigned tile = 0;  ///< whose VRAM: kTileVram
  /// A mapping that exists already keeps its PTEs whatever the advice: no -EACCES (spec/vm.md 5.7).
  bool accept_purgeable = false;
};

/// Who looks at the memory: VRAM is local to one tile of one device and reached by pointer elsewhere.
struct BoViewer {
  const void* device;  ///< identity of the VM's device (VmConfig::device)
  unsigned tile;
};

class Bo {
 public:
  virtual ~Bo() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Makes the BO resident in a placement it allows and pins it there until unpin(). ENOSPC/ENOMEM: no
  /// room. EINVAL: the required placement is not allowed. EBUSY: it is pinned elsewhere. EACCES: purged or not
  /// needed.
  /// Takes the BO's own locks (leaves and VramManager); may evict others.
  virtual Status make_resident(const BoUse& use) = 0;
  virtual void unpin() = 0;
  /// Appends what [offset, offset + bytes) is mapped to, as `viewer` sees it. Resident BOs only.
  virtual void append_runs(std::uint64_t offset, std::uint64_t bytes, const BoViewer& viewer,
                           std::vector<PteRun>& runs) const = 0;
  /// BO-wide atomic attribute: the last ATOMIC madvise through any VMA wins (spec/vm.md 4.4).
  virtual AtomicAccess atomic_access() const = 0;
  virtual void set_atomic_access(AtomicAccess access) = 0;
  /// True when it may live in one place only: system memory, or the VRAM of one tile.
  virtual bool has_one_placement() const = 0;
  /// EINVAL when its placements forbid `access` (spec/vm.md 5.3, BO rejection).
  virtual Status check_atomic(AtomicAccess access) const = 0;
  /// Coherent write-back caching or unknown: PAT "none" is refused on integrated devices (5.1 #20).
  virtual bool needs_coherent_pat() const = 0;
  virtual PurgeableState purgeable() const = 0;
  /// Moves the BO's WILLNEED count as VMAs and advice come and go (spec/vm.md 4.4).
  virtual void vma_added(PurgeableState state) = 0;
  virtual void vma_removed(PurgeableState state) = 0;
  /// The purgeable advice of one of its VMAs changes (willneed_get / willneed_put).
  virtual void vma_advised(PurgeableState from, PurgeableState to) = 0;
};

}  // namespace softxe
