#include "hw/surface.h"

#include <string_view>

namespace softxe {
namespace {

/// `letters` are the bits of an offset, the highest first: each takes the next bit of its coordinate.
constexpr TileLayout layout_of(std::string_view letters) {
  TileLayout tile{};
  std::array<std::uint8_t, 16> x_bits{}, y_bits{}, z_bits{};
  unsigned width = 0, height = 0, depth = 0;
  for (unsigned bit = 0; bit < letters.size(); ++bit) {
    switch (letters[letters.size() - 1 - bit]) {
      case 'X': x_bits[width++] = static_cast<std::uint8_t>(bit); break;
      case 'Y': y_bits[height++] = static_cast<std::uint8_t>(bit); break;
      default: z_bits[depth++] = static_cast<std::uint8_t>(bit); break;
    }
  }
  const auto scattered = [](unsigned value, const std::array<std::uint8_t, 16>& bits) {
    unsigned offset = 0;
    for (unsigned bit = 0; value >> bit != 0; ++bit) offset |= (value >> bit & 1) << bits[bit];
    return static_cast<std::uint16_t>(offset);
  };
  for (unsigned x = 0; x < 1u << width; x += 1u << TileLayout::kRunLog2) {
    tile.x[x >> TileLayout::kRunLog2] = scattered(x, x_bits);
  }
  for (unsigned y = 0; y < 1u << height; ++y) tile.y[y] = scattered(y, y_bits);
  for (unsigned z = 0; z < 1u << depth; ++z) tile.z[z] = scattered(z, z_bits);
  unsigned run = 0;
  while (run < width && x_bits[run] == run) ++run;
  tile.width_log2 = static_cast<std::uint8_t>(width);
  tile.height_log2 = static_cast<std::uint8_t>(height);
  tile.depth_log2 = static_cast<std::uint8_t>(depth);
  tile.bytes_log2 = static_cast<std::uint8_t>(letters.size());
  tile.run_bytes = static_cast<std::uint16_t>(1u << run);
  return tile;
}

constexpr TileLayout kTileX = layout_of("YYYXXXXXXXXX");
constexpr TileLayout kTile4 = layout_of("YYXYXXYYXXXX");

/// By the logarithm of an element's size.
constexpr std::array<TileLayout, 5> kTile64In2d{
    layout_of("YYYXYYXYXXYYXXXX"), layout_of("YYXXYYXYXXYYXXXX"), layout_of("YYXXYYXYXXYYXXXX"),
    layout_of("YXXXYYXYXXYYXXXX"), layout_of("YXXXYYXYXXYYXXXX"),
};
constexpr std::array<TileLayout, 5> kTile64In3d{
    layout_of("ZZZYYYZZXXYYXXXX"), layout_of("ZZZYYYZZXXYYXXXX"), layout_of("ZZYXYYZZXXYYXXXX"),
    layout_of("ZZYXXYZZXXYYXXXX"), layout_of("ZZYXXYZZXXYYXXXX"),
};

/// Null: there are none.
const TileLayout* tiles_of(const Surface::Spec& spec) {
  switch (spec.tiling) {
    case Tiling::kX: return &kTileX;
    case Tiling::kTile4: return &kTile4;
    case Tiling::kLinear:
    case Tiling::kTile64: break;
  }
  const auto& tiles = spec.shape == SurfaceShape::k3d ? kTile64In3d : kTile64In2d;
  for (unsigned log2 = 0; log2 < tiles.size(); ++log2) {
    if (spec.element_bytes == 1u << log2) return &tiles[log2];
  }
  return nullptr;
}

}  // namespace

Result<Surface> Surface::make(const Spec& spec) {
  Surface surface{.base = spec.base, .pitch_bytes = spec.pitch_bytes};
  const std::uint64_t row = spec.shape == SurfaceShape::k1d ? spec.element_bytes : spec.pitch_bytes;
  surface.slice_bytes = spec.slice_rows * row;
  if (spec.tiling == Tiling::kLinear) return surface;
  surface.tiles = tiles_of(spec);
  if (surface.tiles == nullptr) return fail(EINVAL, "a tiled surface has no elements of this size");
  const TileLayout& tile = *surface.tiles;
  const std::uint64_t width = std::uint64_t{1} << tile.width_log2;
  if (spec.pitch_bytes == 0 || spec.pitch_bytes % width != 0) {
    return fail(EINVAL, "the pitch of a tiled surface is not a number of tiles");
  }
  surface.tile_row_bytes = spec.pitch_bytes << tile.height_log2 << tile.depth_log2;
  if (tile.depth_log2 != 0) {
    const std::uint64_t height = std::uint64_t{1} << tile.height_log2;
    surface.slice_bytes = (spec.slice_rows + height - 1) / height * surface.tile_row_bytes;
  }
  return surface;
}

}  // namespace softxe
