#include "hw/eu/eu_math.h"

#include <immintrin.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hw/eu/eu_fused.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_thread.h"

namespace softxe {
namespace {

// Vectors of one: the same source as the fast handlers'.
#define SX_EU_VECTOR_BYTES 16
#include "hw/eu/eu_fast_vector.inc"
// Behind the vectors.
#include "hw/eu/eu_fast_math.inc"

/// Arithmetic on `value` cannot move across this: the compiler knows nothing of MXCSR.
double pinned(double value) {
  asm volatile("" : "+x"(value));
  return value;
}

template <Transcendental function>
float rounded(float x) {
  const Vec<double, 8> value = {static_cast<double>(x)};
  return static_cast<float>(transcendental<function, 8>(value)[0]);
}

/// Whole quarter turns modulo 4, and what is left of one: -0.5 to 0.5.
struct QuarterTurns {
  std::int64_t whole;
  double rest;
};

/// x * 2/pi modulo 4, for 2^20 <= |x| < 2^128. The product of the fraction of x with the bits of 2/pi that matter:
/// those above give whole turns, those below less than the last bit.
QuarterTurns quarter_turns(double x) {
  // Before the point: two words of zeroes.
  static constexpr std::array<std::uint64_t, 7> kTwoOverPi = {
      0, 0, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561, 0};
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::uint64_t fraction = (bits & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1} << 52;
  const int exponent = static_cast<int>(bits >> 52 & 0x7FF) - 1075;
  // The window begins where the product has weight 2, bit 0 of the number being the one before the point.
  const auto start = static_cast<unsigned>(exponent - 2 + 128);
  const auto word = [&](unsigned at) {
    const std::uint64_t high = kTwoOverPi[at / 64];
    return at % 64 == 0 ? high : high << at % 64 | kTwoOverPi[at / 64 + 1] >> (64 - at % 64);
  };
  const EuWideBits window = EuWideBits{word(start)} << 64 | word(start + 64);
  const EuWideBits product = window * fraction;  // modulo 4, with 126 bits behind the point
  const auto top = static_cast<std::uint64_t>(product >> 62);
  const auto left = static_cast<std::int64_t>(top);  // the fraction, as a signed number: above one half it is negative
  auto whole = static_cast<std::int64_t>(product >> 126) + (left < 0 ? 1 : 0);
  double rest = static_cast<double>(left) * 0x1p-64;
  if (x < 0) {
    whole = -whole;
    rest = -rest;
  }
  return {whole, rest};
}

/// Sine of (turns + `quarter`) quarter turns.
double sine_of_turns(const QuarterTurns& turns, std::int64_t quarter) {
  constexpr double kHalfPi = 0x1.921FB54442D18p0;
  const double x = turns.rest * kHalfPi;
  const std::int64_t at = turns.whole + quarter;
  const bool cosine = (at & 1) != 0;
  // Taylor: at pi/4 the first term left out is below 2^-60.
  double term = cosine ? 1 : x;
  double sum = term;
  for (int n = cosine ? 2 : 3; n <= 18; n += 2) {
    term *= -x * x / (n * (n - 1));
    sum += term;
  }
  return (at & 2) != 0 ? -sum : sum;
}

}  // namespace

double eu_sine_of_large(double x, std::int64_t quarter) {
  if (!std::isfinite(x)) return std::bit_cast<double>(kEuNanDf);
  x = pinned(x);
  {
    // The sums below are only right when the host rounds to nearest.
    const HostFloatScope nearest(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
    x = pinned(sine_of_turns(quarter_turns(pinned(x)), quarter));
  }
  return pinned(x);
}

float eu_math(EuMath function, float s0, float s1) {
  switch (function) {
    case EuMath::kInv: return 1.0F / s0;
    case EuMath::kSqt:
    case EuMath::kRsqtm: return square_root<float, 16>(Vec<float, 16>{s0})[0];
    case EuMath::kInvm: return s0 / s1;
    case EuMath::kLog: return rounded<Transcendental::kLog>(s0);
    case EuMath::kExp: return rounded<Transcendental::kExp>(s0);
    case EuMath::kRsqt: return rounded<Transcendental::kRsqt>(s0);
    case EuMath::kSin: return rounded<Transcendental::kSin>(s0);
    case EuMath::kCos: return rounded<Transcendental::kCos>(s0);
  }
  return NAN;
}

double eu_math(EuMath function, double s0, double s1) {
  if (function == EuMath::kInvm) return s0 / s1;
  if (function == EuMath::kRsqtm) return square_root<double, 16>(Vec<double, 16>{s0})[0];
  return NAN;
}

}  // namespace softxe
