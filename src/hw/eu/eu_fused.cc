#include "hw/eu/eu_fused.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "hw/eu/eu_number.h"

namespace softxe {
namespace {

__attribute__((target("fma"))) float fused_by_host(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
__attribute__((target("fma"))) double fused_by_host(double a, double b, double c) { return __builtin_fma(a, b, c); }

bool host_has_fma() {
  static const bool has = __builtin_cpu_supports("fma") != 0;
  return has;
}

/// The host's modes, as the rounder knows them.
EuRounder host_rounder() {
  static constexpr EuRounding kModes[] = {EuRounding::kNearestEven, EuRounding::kDown, EuRounding::kUp,
                                          EuRounding::kZero};
  const unsigned control = _mm_getcsr();
  return {.rounding = kModes[control >> 13 & 3],
          .denormals = (control & _MM_FLUSH_ZERO_ON) != 0 ? EuDenormals::kFlush : EuDenormals::kKeep};
}

unsigned width_of(EuWideBits v) {
  const auto high = static_cast<std::uint64_t>(v >> 64);
  return high != 0 ? 128 - static_cast<unsigned>(std::countl_zero(high))
                   : 64 - static_cast<unsigned>(std::countl_zero(static_cast<std::uint64_t>(v)));
}

/// To `exponent`, downwards with a sticky last bit: what is cut off still decides between halves.
EuWideBits at_exponent(const EuExact& value, int exponent) {
  if (value.exponent >= exponent) return value.magnitude << (value.exponent - exponent);
  const int cut = exponent - value.exponent;
  if (cut >= 128) return 1;
  const EuWideBits rest = value.magnitude & ((EuWideBits{1} << cut) - 1);
  return value.magnitude >> cut | (rest != 0 ? 1 : 0);
}

/// Neither is zero. The larger one is moved to the top of 126 bits, the other one to its exponent: bits are lost only
/// where the two are far apart, and then far below the last bit of the result.
EuExact sum_of(const EuExact& a, const EuExact& b) {
  constexpr int kTop = 126;
  const auto lowest = [](const EuExact& v) { return v.exponent + static_cast<int>(width_of(v.magnitude)) - kTop; };
  const int exponent = std::max(lowest(a), lowest(b));
  const EuWideBits x = at_exponent(a, exponent);
  const EuWideBits y = at_exponent(b, exponent);
  EuExact sum{.negative = a.negative, .magnitude = x + y, .exponent = exponent};
  if (a.negative != b.negative) {
    sum.negative = x >= y ? a.negative : b.negative;
    sum.magnitude = x >= y ? x - y : y - x;
  }
  return sum;
}

template <typename T, typename Bits>
T in_integers(T a, T b, T c, EuFloatFormat format) {
  // Where the product is exact or the sum is, the host rounds once, too.
  if (!std::isfinite(a) || !std::isfinite(b) || a == 0 || b == 0) return a * b + c;
  if (!std::isfinite(c)) return c + c;
  if (c == 0) return a * b;
  const EuExact x = EuExact::of(static_cast<double>(a));
  const EuExact y = EuExact::of(static_cast<double>(b));
  const EuExact product{.negative = x.negative != y.negative,
                        .magnitude = x.magnitude * y.magnitude,
                        .exponent = x.exponent + y.exponent};
  const EuExact sum = sum_of(product, EuExact::of(static_cast<double>(c)));
  const EuRounder rounder = host_rounder();
  if (sum.magnitude == 0) return rounder.rounding == EuRounding::kDown ? T(-0.0) : T(0.0);
  return std::bit_cast<T>(static_cast<Bits>(eu_round(sum, format, rounder)));
}

}  // namespace

float eu_fused_in_integers(float a, float b, float c) { return in_integers<float, std::uint32_t>(a, b, c, kEuFormatF); }
double eu_fused_in_integers(double a, double b, double c) {
  return in_integers<double, std::uint64_t>(a, b, c, kEuFormatDf);
}

float eu_fused(float a, float b, float c) {
  return host_has_fma() ? fused_by_host(a, b, c) : eu_fused_in_integers(a, b, c);
}
double eu_fused(double a, double b, double c) {
  return host_has_fma() ? fused_by_host(a, b, c) : eu_fused_in_integers(a, b, c);
}

}  // namespace softxe
