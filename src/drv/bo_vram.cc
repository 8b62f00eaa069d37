#include "drv/bo_vram.h"

#include <algorithm>
#include <set>

#include "base/step.h"
#include "drv/gem_bo.h"
#include "vm/vm.h"

namespace softxe {

Status BoVram::find_room(VramManager& vram, const BoUse& use) {
  AllocPolicy policy;
  policy.shape = AllocPolicy::Shape::kScattered;
  policy.vm_tag = identity_.private_to;
  const std::uint64_t bytes = identity_.size_bytes;
  if (use.eviction == VmLocalEviction::kAllowed || (use.vm == nullptr && !identity_.allows_system()))
    return vram.allocate(block_, bytes, policy);
  policy.evict = AllocPolicy::Evict::kNo;
  const Status free_room = vram.allocate(block_, bytes, policy);
  // Many VMs may ask for more than there is, each for all of its objects. Who can live in system memory
  // does, or they would push each other out for ever.
  if (identity_.allows_system() || free_room || free_room.error().err != ENOSPC) return free_room;
  // Which objects the VM maps is asked only now: an EXEC gets back all of its objects, one after the other.
  std::set<const VramClient*> mapped;
  for (const Bo* bo : use.vm->mapped_objects()) mapped.insert(&static_cast<const GemBo*>(bo)->vram_client());
  policy.evict = AllocPolicy::Evict::kYes;
  policy.may_evict = [vm = static_cast<const void*>(use.vm), mapped = std::move(mapped)](const VramBlock& victim) {
    return victim.vm_tag() != vm && !mapped.contains(&victim.client());
  };
  return vram.allocate(block_, bytes, policy);
}

Status BoVram::take(unsigned tile, const BoUse& use) {
  SX_TRY_VOID(SX_STEP("drv.gem.place"));
  const BoMemory::Tile& place = memory_.tiles[tile];
  SX_TRY_VOID(find_room(*place.vram, use));
  std::uint64_t offset = 0;
  place.vram->for_each_extent(block_, [&](DevRange extent) {
    place.map->set_override(extent, bytes_.data() + offset);
    offset += extent.size();
  });
  return {};
}

VramManager::ReleaseResult BoVram::give_back(unsigned tile) {
  const BoMemory::Tile& place = memory_.tiles[tile];
  place.vram->for_each_extent(block_, [&](DevRange extent) { place.map->clear_override(extent); });
  return place.vram->release(block_);
}

void BoVram::append_runs(unsigned tile, std::uint64_t offset, std::uint64_t bytes, std::vector<PteRun>& runs) const {
  std::uint64_t at = 0;
  memory_.tiles[tile].vram->for_each_extent(block_, [&](DevRange extent) {
    const std::uint64_t first = std::max(at, offset);
    const std::uint64_t last = std::min(at + extent.size(), offset + bytes);
    if (first < last) {
      runs.push_back({.kind = PteKind::kVram, .address = extent.start().value() + (first - at), .bytes = last - first});
    }
    at += extent.size();
  });
}

}  // namespace softxe
