// What a buffer object is made of and where it may live: facts that never change.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "base/counters.h"
#include "drv/requests.h"
#include "hw/vram_map.h"
#include "vm/bo.h"
#include "vm/vram_manager.h"

namespace softxe {

inline constexpr unsigned kTilesMax = 2;

/// The VRAM of a device as BOs see it.
struct BoMemory {
  struct Tile {
    VramManager* vram = nullptr;
    VramMap* map = nullptr;
  };
  std::array<Tile, kTilesMax> tiles{};
  unsigned tile_count = 0;  ///< tiles with VRAM; 0 on integrated devices
  bool smem_atomics = true;
  CounterSet* counters = nullptr;
  /// Zaps every mapping of a BO in every VM of the device; called without the BO's lock.
  std::function<void(const Bo&)> zap_everywhere;
};

/// What an object was created as.
struct BoIdentity {
  std::uint64_t size_bytes;
  std::uint32_t placement;  ///< bit 0: system memory; then one per tile with VRAM
  CpuCaching caching;
  bool no_compression;
  const void* private_to;  ///< the VM it was created private to (identity only), or null

  bool allows_system() const { return (placement & 1) != 0; }
  bool allows_vram() const { return (placement & ~1u) != 0; }
  bool allows_tile(unsigned tile) const { return (placement & (2u << tile)) != 0; }
};

}  // namespace softxe
