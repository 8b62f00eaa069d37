#include "drv/gem_bo.h"

#include <unistd.h>

#include <algorithm>

#include "base/step.h"

namespace softxe {

GemBo::GemBo(BoMemory& memory, const BoIdentity& identity, BoBytes::Origin origin, PurgeableState advice)
    : memory_(memory),
      identity_(identity),
      bytes_(identity.size_bytes, origin),
      advice_(advice),
      placement_(*this, memory, identity_, bytes_) {}

Result<std::shared_ptr<GemBo>> GemBo::create(BoMemory& memory, const GemCreateRequest& request,
                                             const void* private_to) {
  const BoIdentity identity{.size_bytes = request.size_bytes,
                            .placement = request.placement,
                            .caching = request.caching,
                            .no_compression = request.no_compression,
                            .private_to = private_to};
  std::uint64_t largest = 0;
  if (identity.allows_system()) largest = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * kPageSize;
  for (unsigned tile = 0; tile < memory.tile_count; ++tile) {
    if (identity.allows_tile(tile)) largest = std::max(largest, memory.tiles[tile].vram->usage().total_bytes);
  }
  if (identity.size_bytes > largest) return fail(ENOSPC, "larger than every allowed region");

  SX_TRY_VOID(SX_STEP("drv.gem.create"));
  std::shared_ptr<GemBo> bo(new GemBo(memory, identity, BoBytes::Origin::kOwn, PurgeableState::kWillNeed));
  SX_TRY_VOID(bo->bytes_.make());
  if (!request.defer_backing) {
    SX_TRY_VOID(bo->make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
    bo->unpin();
  }
  return bo;
}

// The parent's locks may have been held by threads that are not here, so none is taken. The advice on it is counted
// anew by the mappings and dma-bufs that the child makes of the parent's.
Result<std::shared_ptr<GemBo>> GemBo::inherit(BoMemory& memory, const GemBo& parents, const void* private_to) {
  BoIdentity identity = parents.identity_;
  identity.private_to = private_to;
  std::shared_ptr<GemBo> bo(new GemBo(memory, identity, BoBytes::Origin::kParentOfFork, parents.advice_.state()));
  SX_TRY_VOID(bo->bytes_.share(parents.bytes_));
  bo->atomic_.store(parents.atomic_.load());
  return bo;
}

Status GemBo::make_resident(const BoUse& use) {
  const PurgeableState advice = purgeable();
  if (advice != PurgeableState::kWillNeed && !use.accept_purgeable) {
    return fail(EACCES, "buffer object is purgeable");
  }
  if (use.place == BoPlace::kSystem) return placement_.bring_home();
  // A purged object has nothing to place; its mappings become null.
  const auto wanted = advice == PurgeableState::kPurged ? std::nullopt : placement_.wanted_tile(use);
  if (use.place == BoPlace::kTileVram && !wanted) return fail(EINVAL, "buffer object may not live in that VRAM");
  return placement_.place(use, wanted);
}

void GemBo::evicted() {
  if (bytes_.origin() == BoBytes::Origin::kParentOfFork) return;
  if (advice_.purge()) bytes_.discard();
}

Status GemBo::check_atomic(AtomicAccess access) const {
  const bool vram = identity_.allows_vram();
  const bool system = identity_.allows_system();
  switch (access) {
    case AtomicAccess::kUndefined: return {};
    case AtomicAccess::kDevice:
      if (vram || (system && memory_.smem_atomics)) return {};
      return fail(EINVAL, "device atomics need VRAM, or system memory that supports them");
    case AtomicAccess::kGlobal:
      if (vram && system) return {};
      return fail(EINVAL, "global atomics need both placements");
    case AtomicAccess::kCpu:
      if (system) return {};
      return fail(EINVAL, "CPU atomics need system placement");
  }
  return fail(EINVAL, "unknown atomic attribute");
}

}  // namespace softxe
