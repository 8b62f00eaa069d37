#include "hw/eu/eu_sampling.h"

#include <algorithm>
#include <cmath>

namespace softxe {

namespace {

/// Beyond any image, and still a number of 32 bits after a step to the neighbour.
constexpr float kFar = 1 << 30;

float tame(float value) { return value != value ? 0.0f : std::clamp(value, -kFar, kFar); }

/// Of tame numbers: processors of the baseline have no instruction for it, and libraries are slow.
std::int32_t floor_of(float value) {
  const auto cut = static_cast<std::int32_t>(value);
  return cut - static_cast<std::int32_t>(static_cast<float>(cut) > value);
}

/// A wrap mode: the place in elements, and an index as the mode has it. Repeating and mirroring normalized coordinates
/// are first brought into one period.
template <EuWrap kWrap>
struct Axis {
  float size;
  std::int32_t elements;

  float place(EuScale scale, float u) const {
    if (scale == EuScale::kElements) return tame(u);
    if constexpr (kWrap == EuWrap::kRepeat) return tame((u - std::floor(u)) * size);
    if constexpr (kWrap == EuWrap::kMirror) return tame(std::fabs(u - 2.0f * std::rint(0.5f * u)) * size);
    return tame(u * size);
  }
  std::int32_t wrapped(std::int32_t i) const {
    if constexpr (kWrap == EuWrap::kRepeat) return modulo(i, elements);
    if constexpr (kWrap == EuWrap::kMirror) {
      const std::int32_t at = modulo(i, 2 * elements);
      return at < elements ? at : 2 * elements - 1 - at;
    }
    if constexpr (kWrap == EuWrap::kClamp) return std::clamp(i, 0, elements - 1);
    return i;
  }

 private:
  /// Most coordinates are in the first period.
  static std::int32_t modulo(std::int32_t i, std::int32_t size) {
    if (static_cast<std::uint32_t>(i) < static_cast<std::uint32_t>(size)) return i;
    const std::int32_t rest = i % size;
    return rest < 0 ? rest + size : rest;
  }
};

template <EuWrap kWrap>
void find(const EuAxisRule& rule, const Axis<kWrap>& axis, const float* coordinate, unsigned count, EuIndices& to) {
  if (rule.filter == EuFilter::kNearest) {
    for (unsigned n = 0; n < count; ++n) to.at[0][n] = axis.wrapped(floor_of(axis.place(rule.scale, coordinate[n])));
    return;
  }
  for (unsigned n = 0; n < count; ++n) {
    const float middle = axis.place(rule.scale, coordinate[n]) - 0.5f;
    const std::int32_t below = floor_of(middle);
    to.weight[n] = middle - static_cast<float>(below);
    to.at[0][n] = axis.wrapped(below);
    to.at[1][n] = axis.wrapped(below + 1);
  }
}

}  // namespace

void eu_find_indices(const EuAxisRule& rule, std::uint32_t size, const float* coordinate, unsigned count,
                     EuIndices& to) {
  const auto with = [&]<EuWrap kWrap>() {
    find(rule, Axis<kWrap>{static_cast<float>(size), static_cast<std::int32_t>(size)}, coordinate, count, to);
  };
  switch (rule.wrap) {
    case EuWrap::kRepeat: return with.operator()<EuWrap::kRepeat>();
    case EuWrap::kMirror: return with.operator()<EuWrap::kMirror>();
    case EuWrap::kClamp: return with.operator()<EuWrap::kClamp>();
    case EuWrap::kBorder: return with.operator()<EuWrap::kBorder>();
  }
}

void eu_find_layers(std::uint32_t layers, const float* coordinate, unsigned count, std::int32_t* to) {
  const auto last = static_cast<float>(layers - 1);
  for (unsigned n = 0; n < count; ++n) {
    to[n] = static_cast<std::int32_t>(std::clamp(std::rint(tame(coordinate[n])), 0.0f, last));
  }
}

}  // namespace softxe
