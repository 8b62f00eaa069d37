// EuSampler: a SAMPLER_STATE as sample messages see it (spec/eu-images.md 6).
#pragma once

#include <array>
#include <cstdint>

#include "hw/eu/eu_sampling.h"
#include "hw/eu/eu_surface.h"

namespace softxe {

struct EuSampler {
  enum class Mip : std::uint8_t { kNone = 0, kNearest = 1, kLinear = 3 };

  EuFilter mag = EuFilter::kNearest;
  EuFilter min = EuFilter::kNearest;
  Mip mip = Mip::kNone;
  EuScale scale = EuScale::kNormalized;
  std::array<EuWrap, 3> wrap{};  ///< x, y, z
  float lod_min = 0;
  float lod_max = 0;
  std::array<std::uint32_t, 4> border{};  ///< red, green, blue, alpha as bits; read when an axis wants it

  bool has_border() const;
};

/// Where the state is: the pointer of a message's header, or of the thread's r0.3, and an index.
struct EuSamplerPlace {
  std::uint32_t pointer = 0;  ///< bit 0: counted from the Bindless Sampler Base
  std::uint8_t index = 0;
};

/// Reads the call's memory.
tl::expected<EuSampler, EuNoSurface> eu_open_sampler(const EuSendCall& call, const EuSamplerPlace& place);

}  // namespace softxe
