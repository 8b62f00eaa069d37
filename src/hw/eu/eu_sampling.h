// What a sampler does with a coordinate: which elements along an axis it means, and how much of each (OpenCL 3.0, 8.2).
//
// Pure; floats are worked out with the host's rounding mode, so callers hold a HostFloatScope.
#pragma once

#include <array>
#include <cstdint>

#include "hw/eu/eu_thread.h"

namespace softxe {

/// Numbered as in SAMPLER_STATE.
enum class EuWrap : std::uint8_t { kRepeat = 0, kMirror = 1, kClamp = 2, kBorder = 4 };
enum class EuFilter : std::uint8_t { kNearest = 0, kLinear = 1 };
enum class EuScale : std::uint8_t { kElements, kNormalized };

struct EuAxisRule {
  EuWrap wrap = EuWrap::kClamp;
  EuFilter filter = EuFilter::kNearest;
  EuScale scale = EuScale::kElements;
};

using EuFloats = std::array<float, kEuChannelsMax>;

/// Of up to 32 lanes. Indices outside (kBorder only) are left as they are or -1.
struct EuIndices {
  std::array<std::array<std::int32_t, kEuChannelsMax>, 2> at;  ///< the second of linear filters only
  EuFloats weight;                                             ///< of the second
};

/// `size` is at least 1.
void eu_find_indices(const EuAxisRule& rule, std::uint32_t size, const float* coordinate, unsigned count,
                     EuIndices& to);

/// The nearest layer of an array; ties go to even ones.
void eu_find_layers(std::uint32_t layers, const float* coordinate, unsigned count, std::int32_t* to);

}  // namespace softxe
