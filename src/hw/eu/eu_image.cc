#include "hw/eu/eu_image.h"

#include <algorithm>

namespace softxe {

namespace {

tl::unexpected<EuNoSurface> unsupported(const char* reason) {
  return tl::make_unexpected(EuNoSurface{EuNoSurface::Kind::kUnsupported, reason});
}
tl::unexpected<EuNoSurface> illegal(const char* reason) {
  return tl::make_unexpected(EuNoSurface{EuNoSurface::Kind::kIllegal, reason});
}

constexpr std::uint32_t bits(std::uint32_t word, unsigned high, unsigned low) {
  return word >> low & ((2u << (high - low)) - 1);
}

Tiling tiling_of(const EuSurfaceState& state) {
  constexpr std::array<Tiling, 4> kOf{Tiling::kLinear, Tiling::kTile64, Tiling::kX, Tiling::kTile4};
  return kOf[bits(state.words[0], 13, 12)];
}

/// Of the state's channel select: the format's channel, or a constant.
EuChannel select(const EuFormat& format, std::uint32_t code) {
  if (code == 1) return EuChannel::kOne;
  return code < 4 ? EuChannel::kZero : format.channels[code - 4];
}

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

/// Where levels begin: level 1 below level 0, level 2 right of level 1, the others below level 2. Those of the tail
/// share the tile at which the first of them would begin. In 1D each stands right of the one before.
class LevelPlaces {
 public:
  LevelPlaces(const EuSurfaceState& state, const EuImage& image) : image_(image) {
    constexpr std::array<std::uint8_t, 4> kRows{4, 4, 8, 16};
    constexpr std::array<std::uint8_t, 4> kBytes{16, 32, 64, 128};
    const TileLayout* tiles = image.memory.tiles;
    const bool whole_tiles = tiles != nullptr && tiles->bytes_log2 == 16;
    width_ = whole_tiles ? 1u << tiles->width_log2 : kBytes[bits(state.words[0], 15, 14)];
    height_ = whole_tiles ? 1u << tiles->height_log2 : kRows[bits(state.words[0], 17, 16)];
    tail_ = whole_tiles ? bits(state.words[5], 11, 8) : EuImage::kLevelsMax;
  }

  void place(unsigned number, EuImage::Level& level) {
    if (number <= tail_) next_place(number);
    level.x_bytes = x_;
    level.y = y_;
    if (number >= tail_) place_in_tail(number - tail_, level);
    before_ = level;
  }

 private:
  void next_place(unsigned number) {
    const std::uint64_t width = round_up(std::uint64_t{before_.width} * image_.format->bytes, width_);
    const std::uint64_t height = round_up(before_.height, height_);
    if (number == 0) return;
    if (number == 2 || image_.coordinates == 1) {
      x_ += width;
    } else {
      y_ += height;
    }
  }
  /// Each level of the tail has the half of the room that the one before left: right half, lower half, right half ...
  void place_in_tail(unsigned number, EuImage::Level& level) const {
    std::uint64_t width = width_;
    std::uint64_t height = height_;
    for (unsigned i = 0; i < number; ++i) ((i & 1) == 0 ? width : height) /= 2;
    ((number & 1) == 0 ? level.x_bytes : level.y) += ((number & 1) == 0 ? width : height) / 2;
  }

  const EuImage& image_;
  std::uint64_t width_ = 1;   ///< what levels are rounded up to, bytes; in the tail: the tile
  std::uint64_t height_ = 1;  ///< rows
  unsigned tail_ = 0;         ///< first level of the tail
  std::uint64_t x_ = 0;
  std::uint64_t y_ = 0;
  EuImage::Level before_{};
};

void find_levels(const EuSurfaceState& state, EuImage& image) {
  LevelPlaces places(state, image);
  const EuImage::Level whole = image.level[0];
  for (unsigned number = 0; number < image.levels; ++number) {
    EuImage::Level& level = image.level[number];
    level = whole;
    const auto halved = [number](std::uint32_t size) { return std::max(size >> number, 1u); };
    level.width = halved(whole.width);
    if (image.coordinates >= 2) level.height = halved(whole.height);
    if (image.coordinates == 3) level.depth = halved(whole.depth);
    places.place(number, level);
  }
}

/// Entries side by side: the pitch is that of elements.
tl::expected<EuImage, EuNoSurface> buffer_of(const EuSurfaceState& state, std::uint64_t va_mask, EuImage image) {
  if (image.format->yuv != EuYuv::kNone) return unsupported("image message to a YUV buffer");
  if (state.pitch_bytes() != image.format->bytes) return unsupported("image message to a buffer of structures");
  if (tiling_of(state) != Tiling::kLinear) return illegal("image message to a tiled buffer");
  image.coordinates = 1;
  image.memory = {.base = state.base(va_mask)};
  image.level[0].width = static_cast<std::uint32_t>(std::min<std::uint64_t>(state.entries(), 0xFFFF'FFFF));
  return image;
}

}  // namespace

tl::expected<EuImage, EuNoSurface> eu_image_of(const EuSurfaceState& state, std::uint64_t va_mask) {
  const auto& words = state.words;
  EuImage image;
  image.type = state.type();
  if (image.type == EuSurfaceType::kNull) return image;
  if (image.type > EuSurfaceType::k3d && image.type != EuSurfaceType::kBuffer) {
    return unsupported("image message to a surface that is no image");
  }
  image.format = eu_find_format(state.format());
  if (image.format == nullptr) return unsupported("image message to an image of this format");
  if (bits(words[4], 5, 3) != 0) return unsupported("image message to a multisampled image");
  for (unsigned c = 0; c < 4; ++c) image.selected[c] = select(*image.format, bits(words[7], 27 - 3 * c, 25 - 3 * c));
  if (image.type == EuSurfaceType::kBuffer) return buffer_of(state, va_mask, image);

  if (image.format->yuv != EuYuv::kNone && (image.type != EuSurfaceType::k2d || bits(words[5], 3, 0) != 0)) {
    return unsupported("image message to a YUV image that is not 2D, or has mip levels");
  }
  image.coordinates = static_cast<std::uint8_t>(static_cast<unsigned>(image.type) + 1);
  image.array = bits(words[0], 28, 28) != 0 && image.type != EuSurfaceType::k3d;
  image.first_layer = image.array ? bits(words[4], 28, 18) : 0;
  image.levels = bits(words[5], 3, 0) + 1;
  image.first_level = bits(words[1], 23, 19) + bits(words[5], 7, 4);
  if (image.levels > EuImage::kLevelsMax || image.first_level >= image.levels) {
    return illegal("image message to a mip level that its image does not have");
  }
  const auto shape = static_cast<SurfaceShape>(image.type);
  const auto memory = Surface::make({.base = state.base(va_mask),
                                     .pitch_bytes = state.pitch_bytes(),
                                     .tiling = tiling_of(state),
                                     .shape = shape,
                                     .element_bytes = image.format->bytes,
                                     .slice_rows = std::uint64_t{bits(words[1], 14, 0)} * 4});
  if (!memory) return illegal(memory.error().why);
  image.memory = *memory;
  image.level[0].width = bits(words[2], 13, 0) + 1;
  if (image.coordinates >= 2) image.level[0].height = bits(words[2], 29, 16) + 1;
  if (image.coordinates == 3 || image.array) image.level[0].depth = bits(words[3], 31, 21) + 1;
  find_levels(state, image);
  if (image.format->yuv == EuYuv::kPlanar) {
    image.colours_y = bits(words[6], 13, 0);
    image.colours_x_bytes = bits(words[6], 29, 16);
  }
  // A view into a larger surface begins in the middle of a tile.
  for (unsigned number = 0; number < image.levels; ++number) {
    image.level[number].x_bytes += std::uint64_t{bits(words[5], 31, 25)} * 4 * image.format->bytes;
    image.level[number].y += std::uint64_t{bits(words[5], 23, 21)} * 4;
  }
  return image;
}

tl::expected<EuImage, EuNoSurface> eu_open_image(const EuSendCall& call, const EuAddressing& address) {
  const auto state = eu_read_surface(call, address);
  if (!state) return tl::make_unexpected(state.error());
  return eu_image_of(*state, eu_va_mask(call));
}

}  // namespace softxe
