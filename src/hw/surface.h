// Surface: where the bytes of an image are. One class for blits, image messages and samplers.
//
//   linear   row after row at the pitch, slice after slice
//   X        4 KiB tiles of 512 bytes x 8 rows, row-major inside
//   tile4    4 KiB tiles of 128 bytes x 32 rows
//   tile64   64 KiB tiles; how many bytes, rows and slices they have goes by the size of an element, and in 3D other
//            ones than in 2D
//
// Coordinates are bytes across, rows down, slices (of 3D surfaces) or layers (of arrays) deep. Layouts are those of
// Xe2 (spec/eu-images.md 5). Each coordinate adds its own part to an address, so that parts can be worked out apart.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/result.h"

namespace softxe {

enum class Tiling : std::uint8_t { kLinear = 0, kX = 1, kTile4 = 2, kTile64 = 3 };
enum class SurfaceShape : std::uint8_t { k1d, k2d, k3d };

/// Inside of one tile. The offset of a byte is the sum of one entry of each table and the low bits of x.
struct TileLayout {
  static constexpr unsigned kRunLog2 = 4;  ///< bytes that every tiling keeps together

  std::uint8_t width_log2 = 0;   ///< bytes
  std::uint8_t height_log2 = 0;  ///< rows
  std::uint8_t depth_log2 = 0;   ///< slices; 0 but for tile64 in 3D
  std::uint8_t bytes_log2 = 0;
  std::uint16_t run_bytes = 1u << kRunLog2;  ///< contiguous, from a multiple of them
  std::array<std::uint16_t, 64> x{};         ///< by x / 16
  std::array<std::uint16_t, 256> y{};
  std::array<std::uint16_t, 32> z{};
};

/// A value, never changes: no lock; made by make() only, but for linear ones.
struct Surface {
  std::uint64_t base = 0;
  std::uint64_t pitch_bytes = 0;
  std::uint64_t slice_bytes = 0;      ///< from a slice or layer to the next; of 3D tiles: from tile to tile in z
  const TileLayout* tiles = nullptr;  ///< null: linear
  std::uint64_t tile_row_bytes = 0;   ///< of a whole row of tiles

  struct Point {
    std::uint64_t x_bytes;
    std::uint64_t y;
    std::uint64_t z = 0;
  };
  struct Spec {
    std::uint64_t base = 0;
    std::uint64_t pitch_bytes = 0;
    Tiling tiling = Tiling::kLinear;
    SurfaceShape shape = SurfaceShape::k2d;
    std::uint32_t element_bytes = 1;
    std::uint64_t slice_rows = 0;  ///< QPitch; of 1D surfaces in elements
  };
  /// EINVAL: the pitch of a tiled surface is no number of tiles, or there are no tiles for such elements.
  static Result<Surface> make(const Spec& spec);

  std::uint64_t x_part(std::uint64_t x_bytes) const {
    if (tiles == nullptr) return x_bytes;
    const std::uint64_t in_tile = x_bytes & ((1u << tiles->width_log2) - 1);
    return (x_bytes >> tiles->width_log2 << tiles->bytes_log2) + tiles->x[in_tile >> TileLayout::kRunLog2] +
           (in_tile & ((1u << TileLayout::kRunLog2) - 1));
  }
  std::uint64_t y_part(std::uint64_t y) const {
    if (tiles == nullptr) return y * pitch_bytes;
    return (y >> tiles->height_log2) * tile_row_bytes + tiles->y[y & ((1u << tiles->height_log2) - 1)];
  }
  std::uint64_t z_part(std::uint64_t z) const {
    if (tiles == nullptr) return z * slice_bytes;
    return (z >> tiles->depth_log2) * slice_bytes + tiles->z[z & ((1u << tiles->depth_log2) - 1)];
  }
  std::uint64_t address_of(const Point& p) const { return base + x_part(p.x_bytes) + y_part(p.y) + z_part(p.z); }

  /// The bytes from `p` to the right that are contiguous in memory, `limit` at most.
  std::uint64_t run_bytes(const Point& p, std::uint64_t limit) const {
    if (tiles == nullptr) return limit;
    return std::min(limit, tiles->run_bytes - p.x_bytes % tiles->run_bytes);
  }
};

}  // namespace softxe
