// TiledSurface: where the bytes of a blitter surface are. Coordinates are bytes across, rows down.
//
//   linear   row after row at the pitch
//   X        4 KiB tiles of 512 bytes x 8 rows, row-major inside
//   tile4    4 KiB tiles of 128 bytes x 32 rows of 64-byte blocks (16 bytes x 4 rows); of a block's
//            coordinates (bx, by) the address takes, upwards: bx0 bx1 by0 bx2 by1 by2. The specification
//            leaves this order open; it has not been checked against a real part
//   tile64   64 KiB tiles of 512 bytes x 128 rows: 4 x 4 tile4 tiles, row-major. Invertible and the
//   same
//            for every pixel size, which is all a round trip needs (spec/gpu-commands.md 7); it is
//            not the layout of the real part.
#pragma once

#include <algorithm>
#include <cstdint>

namespace softxe {

enum class Tiling : std::uint8_t { kLinear = 0, kX = 1, kTile4 = 2, kTile64 = 3 };

/// A value. Invariant for tiled surfaces: `pitch_bytes` is a multiple of the tile's width.
struct TiledSurface {
  std::uint64_t base = 0;
  std::uint64_t pitch_bytes = 0;
  Tiling tiling = Tiling::kLinear;

  struct Point {
    std::uint64_t x_bytes;
    std::uint64_t y;
  };

  static constexpr std::uint64_t tile_width_bytes(Tiling tiling) {
    switch (tiling) {
      case Tiling::kLinear: return 1;
      case Tiling::kX: return 512;
      case Tiling::kTile4: return 128;
      case Tiling::kTile64: return 512;
    }
    return 1;
  }
  bool pitch_is_sound() const {
    return tiling == Tiling::kLinear || (pitch_bytes != 0 && pitch_bytes % tile_width_bytes(tiling) == 0);
  }

  /// The bytes from `p` to the right that are contiguous in memory, `limit` at most.
  std::uint64_t run_bytes(const Point& p, std::uint64_t limit) const {
    switch (tiling) {
      case Tiling::kLinear: return limit;
      case Tiling::kX: return std::min(limit, 512 - p.x_bytes % 512);
      case Tiling::kTile4:
      case Tiling::kTile64: return std::min(limit, 16 - p.x_bytes % 16);
    }
    return limit;
  }

  std::uint64_t address_of(const Point& p) const {
    const std::uint64_t x = p.x_bytes;
    const std::uint64_t y = p.y;
    switch (tiling) {
      case Tiling::kLinear: return base + y * pitch_bytes + x;
      case Tiling::kX: return base + (y / 8) * 8 * pitch_bytes + (x / 512) * 4096 + (y % 8) * 512 + x % 512;
      case Tiling::kTile4: return base + (y / 32) * 32 * pitch_bytes + (x / 128) * 4096 + in_tile4({x % 128, y % 32});
      case Tiling::kTile64: {
        const std::uint64_t small = ((y % 128) / 32) * 4 + (x % 512) / 128;
        return base + (y / 128) * 128 * pitch_bytes + (x / 512) * 65536 + small * 4096 + in_tile4({x % 128, y % 32});
      }
    }
    return base;
  }

 private:
  static std::uint64_t in_tile4(const Point& p) {
    const std::uint64_t bx = p.x_bytes / 16;
    const std::uint64_t by = p.y / 4;
    const std::uint64_t block = (bx & 3) | (by & 1) << 2 | (bx >> 2 & 1) << 3 | (by >> 1) << 4;
    return block * 64 + (p.y % 4) * 16 + p.x_bytes % 16;
  }
};

}  // namespace softxe
