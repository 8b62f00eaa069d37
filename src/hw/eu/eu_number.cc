#include "hw/eu/eu_number.h"

#include <algorithm>
#include <cmath>

namespace softxe {
namespace {

int bit_width(EuWideBits value) {
  const auto high = static_cast<std::uint64_t>(value >> 64);
  return high != 0 ? 64 + static_cast<int>(std::bit_width(high))
                   : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value)));
}

/// magnitude >> shift, rounded.
EuWideBits shift_right(const EuExact& value, int shift, const EuRounder& rounder) {
  if (shift <= 0) return value.magnitude << -shift;
  if (rounder.stochastic) {
    if (shift >= 100) return 0;
    const EuWideBits dropped = (EuWideBits{1} << shift) - 1;
    return (value.magnitude + (rounder.random & dropped)) >> shift;
  }
  const bool all = shift >= 127;
  const EuWideBits kept = all ? 0 : value.magnitude >> shift;
  const EuWideBits rest = all ? value.magnitude : value.magnitude & ((EuWideBits{1} << shift) - 1);
  if (rest == 0) return kept;
  switch (rounder.rounding) {
    case EuRounding::kZero: return kept;
    case EuRounding::kUp: return kept + (value.negative ? 0 : 1);
    case EuRounding::kDown: return kept + (value.negative ? 1 : 0);
    case EuRounding::kNearestEven: break;
  }
  if (all) return kept;
  const EuWideBits half = EuWideBits{1} << (shift - 1);
  return kept + (rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0);
}

/// What is too large: infinity, or the largest finite number where the mode rounds towards zero.
std::uint64_t overflow(bool negative, EuFloatFormat format, const EuRounder& rounder) {
  const std::uint64_t infinity = ((std::uint64_t{1} << format.exponent_bits) - 1) << format.fraction_bits;
  const bool to_zero = rounder.stochastic || rounder.rounding == EuRounding::kZero ||
                       rounder.rounding == (negative ? EuRounding::kUp : EuRounding::kDown);
  return to_zero ? infinity - 1 : infinity;
}

EuFloatFormat format_of(EuType type) {
  switch (type) {
    case EuType::kHF: return kEuFormatHf;
    case EuType::kBF: return kEuFormatBf;
    case EuType::kBF8: return kEuFormatBf8;
    default: return kEuFormatTf32;
  }
}

}  // namespace

EuExact EuExact::of(double finite) {
  const auto bits = std::bit_cast<std::uint64_t>(finite);
  const int exponent = static_cast<int>(bits >> 52 & 0x7FF);
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
  return {.negative = bits >> 63 != 0,
          .magnitude = exponent == 0 ? fraction : fraction | std::uint64_t{1} << 52,
          .exponent = std::max(exponent, 1) - 1075};
}

EuExact EuExact::of(EuWide integer) {
  const auto bits = static_cast<EuWideBits>(integer);
  return {.negative = integer < 0, .magnitude = integer < 0 ? 0 - bits : bits, .exponent = 0};
}

std::uint64_t eu_round(const EuExact& value, EuFloatFormat format, const EuRounder& rounder) {
  const std::uint64_t sign = std::uint64_t{value.negative} << (format.exponent_bits + format.fraction_bits);
  if (value.magnitude == 0) return sign << format.shift;
  const int fraction = static_cast<int>(format.fraction_bits);
  const int smallest = 1 - format.bias() - fraction;  // exponent of the last bit of a denormal
  const int last = std::max(bit_width(value.magnitude) + value.exponent - 1 - fraction, smallest);
  const auto kept = static_cast<std::uint64_t>(shift_right(value, last - value.exponent, rounder));
  // Rounding up to the next power of two carries into the exponent by itself.
  std::uint64_t bits = kept;
  if (kept >> fraction != 0) {
    bits = (static_cast<std::uint64_t>(last - smallest) << fraction) + kept;
    const std::uint64_t infinity = ((std::uint64_t{1} << format.exponent_bits) - 1) << fraction;
    if (bits >= infinity) bits = overflow(value.negative, format, rounder);
  } else if (rounder.denormals == EuDenormals::kFlush) {
    bits = 0;
  }
  return (bits | sign) << format.shift;
}

std::uint64_t eu_round(double value, EuFloatFormat format, const EuRounder& rounder) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const std::uint64_t fraction = bits & ((std::uint64_t{1} << 52) - 1);
  if ((bits >> 52 & 0x7FF) != 0x7FF) return eu_round(EuExact::of(value), format, rounder);
  std::uint64_t result = ((std::uint64_t{1} << format.exponent_bits) - 1) << format.fraction_bits;
  if (fraction != 0) {
    result |= fraction >> (52 - format.fraction_bits) | std::uint64_t{1} << (format.fraction_bits - 1);
  }
  return (result | (bits >> 63) << (format.exponent_bits + format.fraction_bits)) << format.shift;
}

float eu_widen(std::uint64_t raw, EuFloatFormat format) {
  raw >>= format.shift;
  const auto fraction = static_cast<std::uint32_t>(raw & ((1u << format.fraction_bits) - 1));
  const auto exponent = static_cast<int>(raw >> format.fraction_bits & ((1u << format.exponent_bits) - 1));
  const auto sign = static_cast<std::uint32_t>(raw >> (format.exponent_bits + format.fraction_bits) & 1) << 31;
  const unsigned shift = 23 - format.fraction_bits;
  if (exponent == (1 << format.exponent_bits) - 1) {
    const std::uint32_t quiet = fraction != 0 ? 0x400000u : 0;
    return std::bit_cast<float>(sign | 0x7F800000u | fraction << shift | quiet);
  }
  if (exponent == 0 && format.bias() < 127 && fraction != 0) {
    // A denormal of a format with fewer exponents is normal in f.
    const int top = static_cast<int>(std::bit_width(fraction)) - 1;
    const int scale = top + 1 - format.bias() - static_cast<int>(format.fraction_bits);
    const std::uint32_t rest = (fraction ^ 1u << top) << (23 - top);
    return std::bit_cast<float>(sign | static_cast<std::uint32_t>(scale + 127) << 23 | rest);
  }
  const int biased = exponent == 0 ? 0 : exponent - format.bias() + 127;
  return std::bit_cast<float>(sign | static_cast<std::uint32_t>(biased) << 23 | fraction << shift);
}

float eu_float_value(std::uint64_t raw, EuType type) {
  return type == EuType::kF ? eu_f(raw) : eu_widen(raw, format_of(type));
}

EuWide eu_int_value(std::uint64_t raw, EuType type) {
  const unsigned bits = eu_type_bytes(type) * 8;
  if (eu_class(type) != EuClass::kSigned) return static_cast<EuWide>(eu_low_bits(raw, bits / 8));
  return static_cast<EuWide>(static_cast<std::int64_t>(raw << (64 - bits)) >> (64 - bits));
}

double eu_round_to_whole(double value, EuRounding rounding) {
  // The sign is set each time: what a compiler makes of floor() turns zeros round when MXCSR rounds down.
  switch (rounding) {
    case EuRounding::kUp: return std::copysign(std::ceil(value), value);
    case EuRounding::kDown: return std::copysign(std::floor(value), value);
    case EuRounding::kZero: return std::copysign(std::trunc(value), value);
    case EuRounding::kNearestEven: break;
  }
  // Not nearbyint(): it obeys MXCSR, which may hold another mode.
  const double low = std::floor(value);
  const double rest = value - low;
  const bool odd = low * 0.5 != std::floor(low * 0.5);
  const bool up = rest > 0.5 || (rest == 0.5 && odd);
  return std::copysign(up ? low + 1 : low, value);
}

std::uint64_t eu_vector_immediate(std::uint32_t packed, EuType type, unsigned index) {
  if (type == EuType::kVF) {
    const std::uint32_t byte = packed >> (index % 4 * 8) & 0xFF;
    if ((byte & 0x7F) == 0) return byte << 24;
    return (byte & 0x80) << 24 | ((byte >> 4 & 7) + 127 - 3) << 23 | (byte & 0xF) << 19;
  }
  const std::uint32_t nibble = packed >> (index % 8 * 4) & 0xF;
  return type == EuType::kV && (nibble & 8) != 0 ? nibble | 0xFFF0 : nibble;
}

/// Sums and negations of 64-bit values have 65 bits: those the host does not convert.
float EuConvert::host_float(EuWide value) const {
  if (value >= INT64_MIN && value <= INT64_MAX) return static_cast<float>(static_cast<std::int64_t>(value));
  if (value > 0 && value <= EuWide{UINT64_MAX}) return static_cast<float>(static_cast<std::uint64_t>(value));
  return eu_f(eu_round(EuExact::of(value), kEuFormatF, {.rounding = mode.rounding}));
}
double EuConvert::host_double(EuWide value) const {
  if (value >= INT64_MIN && value <= INT64_MAX) return static_cast<double>(static_cast<std::int64_t>(value));
  if (value > 0 && value <= EuWide{UINT64_MAX}) return static_cast<double>(static_cast<std::uint64_t>(value));
  return eu_df(eu_round(EuExact::of(value), kEuFormatDf, {.rounding = mode.rounding}));
}

std::uint64_t EuConvert::from(EuWide value) const {
  if (to == EuType::kF) return from(host_float(value));
  if (to == EuType::kDF) return from(host_double(value));
  if (eu_is_float(to)) {
    const std::uint64_t raw = eu_round(EuExact::of(value), format_of(to), {.rounding = mode.rounding});
    return saturate == EuSaturate::kYes ? from(eu_widen(raw, format_of(to))) : raw;
  }
  const unsigned bits = eu_type_bytes(to) * 8;
  if (saturate == EuSaturate::kYes) {
    const bool is_signed = eu_class(to) == EuClass::kSigned;
    const EuWide top = (EuWide{1} << (is_signed ? bits - 1 : bits)) - 1;
    value = std::clamp(value, is_signed ? -top - 1 : EuWide{0}, top);
  }
  return eu_low_bits(static_cast<std::uint64_t>(value), bits / 8);
}

std::uint64_t EuConvert::from(float value) const {
  if (to == EuType::kF) {
    if (saturate == EuSaturate::kYes) return eu_raw(value > 0 ? std::min(value, 1.0F) : 0.0F);
    return eu_raw(value);
  }
  return from(static_cast<double>(value));
}

std::uint64_t EuConvert::from(double value) const {
  if (!eu_is_float(to)) return to_int(value);
  if (saturate == EuSaturate::kYes) value = value > 0 ? std::min(value, 1.0) : 0.0;
  if (to == EuType::kDF) return eu_raw(value);
  if (to == EuType::kF) return eu_raw(static_cast<float>(value));
  return to_small_float(value);
}

std::uint64_t EuConvert::to_int(double value) const {
  if (value != value) return 0;
  const unsigned bits = eu_type_bytes(to) * 8;
  const bool is_signed = eu_class(to) == EuClass::kSigned;
  const double limit = eu_power_of_two(static_cast<int>(is_signed ? bits - 1 : bits));
  const std::uint64_t top = is_signed ? (std::uint64_t{1} << (bits - 1)) - 1 : eu_low_bits(~std::uint64_t{0}, bits / 8);
  const double whole = eu_round_to_whole(value, mode.to_int);
  if (whole >= limit) return top;
  if (is_signed) {
    if (whole < -limit) return eu_low_bits(~top, bits / 8);
    return eu_low_bits(static_cast<std::uint64_t>(static_cast<std::int64_t>(whole)), bits / 8);
  }
  return whole <= 0 ? 0 : static_cast<std::uint64_t>(whole);
}

std::uint64_t EuConvert::to_small_float(double value) const {
  return eu_round(value, format_of(to),
                  {.rounding = mode.rounding, .denormals = to == EuType::kHF ? mode.hf : mode.bf});
}

}  // namespace softxe
