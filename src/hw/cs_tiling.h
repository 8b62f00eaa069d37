// Where a byte of a two-dimensional surface lies: linear, X tiles and Tile4 (spec/gpu-commands.md 7).
#pragma once

#include <cstdint>

#include "base/address.h"

namespace softxe {

enum class Tiling : std::uint8_t { kLinear, kX, kTile4 };

/// A position in a surface: bytes across, rows down.
struct SurfacePoint {
  std::uint64_t x_bytes = 0;
  std::uint64_t row = 0;
};

/// The offset from the surface's base, and how many bytes to the right are contiguous with it.
struct SurfaceOffset {
  std::uint64_t offset = 0;
  std::uint64_t contiguous_bytes = 0;
};

/// Bytes across one tile; a tiled pitch is a multiple of it. 1 for linear surfaces.
constexpr std::uint64_t tile_width_bytes(Tiling tiling) {
  switch (tiling) {
    case Tiling::kLinear: return 1;
    case Tiling::kX: return 512;
    case Tiling::kTile4: return 128;
  }
  return 1;
}

/// `pitch_bytes` is a multiple of tile_width_bytes(). Both tilings have tiles of 4 KiB, in row order.
SurfaceOffset surface_offset(Tiling tiling, std::uint64_t pitch_bytes, SurfacePoint point);

}  // namespace softxe
