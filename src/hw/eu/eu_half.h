// Half floats as bits. Needs the host to keep denormals and round to nearest even.
#pragma once

#include <bit>
#include <cstdint>

namespace softxe {

/// Keeps a value on its side of a change of mode: the compiler does not see that arithmetic depends on it.
template <typename F>
F eu_pinned(F value) {
  asm volatile("" : "+x"(value));
  return value;
}

inline float eu_float_of_half(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t rest = half & 0x7FFFu;
  if (rest >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
  // A denormal half is a small integer times 2^-24.
  if (rest < 0x400u)
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(static_cast<float>(rest) * 0x1p-24f) | sign);
  return std::bit_cast<float>(sign | ((rest << 13) + ((127u - 15u) << 23)));
}

/// To nearest even; NaNs lose their payload.
inline std::uint16_t eu_half_of_float(float value) {
  const std::uint32_t word = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(word >> 16 & 0x8000u);
  const std::uint32_t magnitude = word & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return sign | 0x7E00u;
  if (magnitude >= 0x477FF000u) return sign | 0x7C00u;  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {                        // below 2^-14: the sum leaves the half in the low bits
    const float sum = eu_pinned(std::bit_cast<float>(magnitude) + 0.5f);
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3F000000u));
  }
  const std::uint32_t odd = magnitude >> 13 & 1;
  const std::uint32_t rounded = magnitude - ((127u - 15u) << 23) + 0xFFFu + odd;
  return static_cast<std::uint16_t>(sign | rounded >> 13);
}

}  // namespace softxe
