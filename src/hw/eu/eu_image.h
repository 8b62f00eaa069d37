// EuImage: a RENDER_SURFACE_STATE as messages to images see it: its formats, its sizes, where its elements are.
//
// One mip level is one rectangle (or box) of a surface: levels differ in size and in where they begin. Nothing is
// cached: states are rewritten by the host between walkers without any command. Read next: eu_texels.h (elements),
// eu_typed_block2d.cc (rectangles of bytes).
#pragma once

#include <cstdint>

#include "hw/eu/eu_format.h"
#include "hw/eu/eu_surface.h"
#include "hw/surface.h"

namespace softxe {

struct EuImage {
  /// One mip level. Sizes in elements; `depth` is slices, or layers of an array.
  struct Level {
    std::uint64_t x_bytes = 0;  ///< where it begins in a slice
    std::uint64_t y = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 1;
    std::uint32_t depth = 1;
  };
  static constexpr unsigned kLevelsMax = 15;

  const EuFormat* format = nullptr;  ///< null: a null surface
  Surface memory{};
  EuSurfaceType type = EuSurfaceType::kNull;
  std::uint8_t coordinates = 2;         ///< of a position, without the layer: 1, 2, 3
  bool array = false;                   ///< the next coordinate is a layer
  std::array<EuChannel, 4> selected{};  ///< channels after the state's channel select; reads only
  std::uint32_t first_layer = 0;
  std::uint32_t first_level = 0;
  std::uint32_t levels = 1;
  std::array<Level, kLevelsMax> level{};  ///< from the first of the surface
  std::uint64_t colours_x_bytes = 0;      ///< where the second plane of a planar format begins, from the first
  std::uint64_t colours_y = 0;

  bool null() const { return format == nullptr; }
};

/// kUnsupported names what softxe does not have (cubes, samples, formats); kIllegal: a state that breaks a rule.
tl::expected<EuImage, EuNoSurface> eu_image_of(const EuSurfaceState& state, std::uint64_t va_mask);

/// The image that an address names. Reads the call's memory.
tl::expected<EuImage, EuNoSurface> eu_open_image(const EuSendCall& call, const EuAddressing& address);

}  // namespace softxe
