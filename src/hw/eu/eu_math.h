// Functions of the math unit (spec/eu-isa.md 5.1): better than hardware promises, and the same on every host thread.
#pragma once

#include <cstdint>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// Of one argument (two for invm), rounded by MXCSR, which holds `mode`. NaN results have any bits.
float eu_math(EuMath function, float s0, float s1);
/// invm and rsqtm only; anything else is NaN.
double eu_math(EuMath function, double s0, double s1);

/// Sine (`quarter` 0) or cosine (1) where a quick reduction of the argument is not good enough.
double eu_sine_of_large(double x, std::int64_t quarter);

constexpr bool eu_math_exists(std::uint8_t function) {
  return (function >= 1 && function <= 7) || function == 14 || function == 15;
}
constexpr bool eu_math_has_macro(std::uint8_t function) { return function == 14 || function == 15; }

}  // namespace softxe
