// Filtering: what the lanes of a sample or load message see at their coordinates, as channels of the image's state.
#pragma once

#include <array>
#include <cstdint>

#include "hw/eu/eu_image.h"
#include "hw/eu/eu_sampler_state.h"
#include "hw/eu/eu_sampling.h"
#include "hw/eu/eu_texels.h"

namespace softxe {

/// Coordinates of lanes: x, y, z; of an array the one behind the position is the layer.
using EuCoordinates = std::array<EuFloats, 3>;
using EuPlaces = std::array<std::array<std::int32_t, kEuChannelsMax>, 3>;

/// Lanes side by side, all on one mip level (counted from the surface's first).
struct EuBatch {
  std::uint32_t level = 0;
  unsigned count = 0;
};

class EuSampling {
 public:
  EuSampling(EuMemory& memory, const EuImage& image, std::uint64_t va_mask)
      : image_(image), texels_(memory, image, va_mask) {}

  /// Elements at whole coordinates; outside there is a border of colour 0.
  EuSendResult load(const EuPlaces& at, const EuBatch& batch);
  EuSendResult sample(const EuSampler& sampler, EuFilter filter, const EuCoordinates& at, const EuBatch& batch);
  /// What the last of them gave: [red, green, blue, alpha][lane].
  const EuComponents& channels() const { return channels_; }
  std::uint64_t texels() const { return texels_loaded_; }

 private:
  /// One or two elements along an axis.
  struct AxisTaps {
    std::array<EuAxis, 2> tap;
    EuFloats weight;  ///< of the second
    unsigned count = 1;
  };
  void place(const EuSampler& sampler, EuFilter filter, const EuCoordinates& at, std::array<AxisTaps, 3>& axes) const;
  void weigh(const std::array<AxisTaps, 3>& axes, unsigned number, EuFloats& weight) const;
  void decode(const EuTap& tap, unsigned number, EuComponents& to) const;
  EuSendResult fetch(std::span<const EuTap> taps);
  void border(std::uint32_t lanes, EuComponents& to) const;
  void select(const EuComponents& components);
  const EuImage::Level& level() const { return image_.level[batch_.level]; }

  const EuImage& image_;
  EuTexels texels_;
  EuBatch batch_;  ///< under way
  std::array<std::uint32_t, 4> border_{};
  EuComponents channels_;
  std::uint64_t texels_loaded_ = 0;
};

}  // namespace softxe
