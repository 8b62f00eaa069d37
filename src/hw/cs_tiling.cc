#include "hw/cs_tiling.h"

namespace softxe {
namespace {

constexpr std::uint64_t kTileBytes = 4096;

/// `count` bits of `value` from bit `from` on, moved to bit `to`.
constexpr std::uint64_t move_bits(std::uint64_t value, unsigned from, unsigned count, unsigned to) {
  return (value >> from & ((std::uint64_t{1} << count) - 1)) << to;
}

/// Tile4: blocks of 16 bytes x 4 rows; four blocks across, two such rows, then the right half of the
/// tile, then the next eight rows down.
constexpr std::uint64_t tile4_offset(std::uint64_t x, std::uint64_t y) {
  return move_bits(x, 0, 4, 0) | move_bits(y, 0, 2, 4) | move_bits(x, 4, 2, 6) |
         move_bits(y, 2, 1, 8) | move_bits(x, 6, 1, 9) | move_bits(y, 3, 2, 10);
}

}  // namespace

SurfaceOffset surface_offset(Tiling tiling, std::uint64_t pitch_bytes, SurfacePoint point) {
  if (tiling == Tiling::kLinear)
    return {point.row * pitch_bytes + point.x_bytes, ~std::uint64_t{0}};
  const std::uint64_t width = tile_width_bytes(tiling);
  const std::uint64_t height = kTileBytes / width;
  const std::uint64_t x = point.x_bytes % width;
  const std::uint64_t y = point.row % height;
  const std::uint64_t tile =
      point.row / height * (pitch_bytes / width) + point.x_bytes / width;
  if (tiling == Tiling::kX) return {tile * kTileBytes + y * width + x, width - x};
  constexpr std::uint64_t kBlock = 16;
  return {tile * kTileBytes + tile4_offset(x, y), kBlock - x % kBlock};
}

}  // namespace softxe
