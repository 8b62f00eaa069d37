// BoVram: what a buffer object owns of VRAM: its block, and the addresses at which engines find its bytes there.
//
// Being "in VRAM" means owning VRAM of a tile's manager: addresses, capacity and eviction order are real, the bytes
// stay where they are (decision 0008).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "drv/bo_bytes.h"
#include "drv/bo_memory.h"

namespace softxe {

/// Owns one block, filled on one tile at a time. No lock: BoPlacement says who may do what; a pinned block stands
/// still.
class BoVram {
 public:
  BoVram(BoMemory& memory, const BoIdentity& identity, const BoBytes& bytes, VramClient& client)
      : memory_(memory), identity_(identity), bytes_(bytes), block_(client) {}

  /// First free VRAM, then VRAM after evicting others (spec/vm.md 2.9). ENOSPC, ENOMEM.
  Status take(unsigned tile, const BoUse& use);
  /// kClaimed: an evictor still looks at the block, block_unclaimed() follows.
  VramManager::ReleaseResult give_back(unsigned tile);
  void pin(unsigned tile) { memory_.tiles[tile].vram->pin(block_); }
  void unpin(unsigned tile) { memory_.tiles[tile].vram->unpin(block_); }
  /// What [offset, offset + bytes) of the object is in the tile's VRAM.
  void append_runs(unsigned tile, std::uint64_t offset, std::uint64_t bytes, std::vector<PteRun>& runs) const;

 private:
  Status find_room(VramManager& vram, const BoUse& use);

  BoMemory& memory_;
  const BoIdentity& identity_;
  const BoBytes& bytes_;
  VramBlock block_;
};

}  // namespace softxe
