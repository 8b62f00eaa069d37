#include "hw/eu/eu_sampling.h"

#include <algorithm>
#include <cmath>

namespace softxe {

namespace {

/// Beyond any image, and still a number of 32 bits after a step to the neighbour.
constexpr float kFar = 1 << 30;

float tame(float value) { return value != value ? 0.0f : std::clamp(value, -kFar, kFar); }

/// The place in elements. Repeating and mirroring normalized coordinates are first brought into one period.
float place_of(const EuAxisRule& rule, float size, float u) {
  if (rule.scale == EuScale::kElements) return tame(u);
  if (rule.wrap == EuWrap::kRepeat) return tame((u - std::floor(u)) * size);
  if (rule.wrap == EuWrap::kMirror) return tame(std::fabs(u - 2.0f * std::rint(0.5f * u)) * size);
  return tame(u * size);
}

std::int32_t modulo(std::int32_t i, std::int32_t size) {
  const std::int32_t rest = i % size;
  return rest < 0 ? rest + size : rest;
}

std::int32_t wrapped(EuWrap wrap, std::int32_t i, std::int32_t size) {
  switch (wrap) {
    case EuWrap::kRepeat: return modulo(i, size);
    case EuWrap::kMirror: {
      const std::int32_t place = modulo(i, 2 * size);
      return place < size ? place : 2 * size - 1 - place;
    }
    case EuWrap::kClamp: return std::clamp(i, 0, size - 1);
    case EuWrap::kBorder: break;
  }
  return i;
}

}  // namespace

void eu_find_indices(const EuAxisRule& rule, std::uint32_t size, const float* coordinate, unsigned count,
                     EuIndices& to) {
  const auto elements = static_cast<std::int32_t>(size);
  const auto whole = static_cast<float>(size);
  EuFloats place;
  for (unsigned n = 0; n < count; ++n) place[n] = place_of(rule, whole, coordinate[n]);
  if (rule.filter == EuFilter::kNearest) {
    for (unsigned n = 0; n < count; ++n) {
      to.at[0][n] = wrapped(rule.wrap, static_cast<std::int32_t>(std::floor(place[n])), elements);
    }
    return;
  }
  for (unsigned n = 0; n < count; ++n) {
    const float middle = place[n] - 0.5f;
    const float below = std::floor(middle);
    const auto first = static_cast<std::int32_t>(below);
    to.weight[n] = middle - below;
    to.at[0][n] = wrapped(rule.wrap, first, elements);
    to.at[1][n] = wrapped(rule.wrap, first + 1, elements);
  }
}

void eu_find_layers(std::uint32_t layers, const float* coordinate, unsigned count, std::int32_t* to) {
  const auto last = static_cast<float>(layers - 1);
  for (unsigned n = 0; n < count; ++n) {
    to[n] = static_cast<std::int32_t>(std::clamp(std::rint(tame(coordinate[n])), 0.0f, last));
  }
}

}  // namespace softxe
