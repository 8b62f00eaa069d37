// Numbers of an execution unit: the types of registers as values, and the way back.
//
// Integers are exact (EuWide holds every sum and product of two 64-bit values but the largest unsigned ones, which
// wrap), floats are the host's f and df; the smaller formats go through one rounding routine. Everything here obeys
// the mode it is given; where the host rounds, MXCSR must have been set from the same mode.
#pragma once

#include <bit>
#include <cstdint>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

__extension__ using EuWide = __int128;
__extension__ using EuWideBits = unsigned __int128;

enum class EuClass : std::uint8_t { kSigned, kUnsigned, kFloat };

constexpr EuClass eu_class(EuType type) {
  switch (type) {
    case EuType::kB:
    case EuType::kW:
    case EuType::kD:
    case EuType::kQ:
    case EuType::kV:
    case EuType::kS4:
    case EuType::kS2: return EuClass::kSigned;
    case EuType::kBF8:
    case EuType::kHF:
    case EuType::kF:
    case EuType::kDF:
    case EuType::kBF:
    case EuType::kTF32:
    case EuType::kVF: return EuClass::kFloat;
    default: return EuClass::kUnsigned;
  }
}
constexpr bool eu_is_float(EuType type) { return eu_class(type) == EuClass::kFloat; }

/// The quiet NaN that every operation returns: hosts differ in which operand's NaN survives.
inline constexpr std::uint32_t kEuNanF = 0x7FC00000;
inline constexpr std::uint64_t kEuNanDf = 0x7FF8000000000000;

inline float eu_f(std::uint64_t raw) { return std::bit_cast<float>(static_cast<std::uint32_t>(raw)); }
inline double eu_df(std::uint64_t raw) { return std::bit_cast<double>(raw); }
inline std::uint64_t eu_raw(float value) { return std::bit_cast<std::uint32_t>(value); }
inline std::uint64_t eu_raw(double value) { return std::bit_cast<std::uint64_t>(value); }

/// A format: sign, `exponent_bits`, `fraction_bits`, IEEE infinities and NaNs.
struct EuFloatFormat {
  unsigned exponent_bits;
  unsigned fraction_bits;
  unsigned shift = 0;  ///< unused low bits of the register type
  constexpr int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
inline constexpr EuFloatFormat kEuFormatDf{11, 52};
inline constexpr EuFloatFormat kEuFormatF{8, 23};
inline constexpr EuFloatFormat kEuFormatHf{5, 10};
inline constexpr EuFloatFormat kEuFormatBf{8, 7};
inline constexpr EuFloatFormat kEuFormatBf8{5, 2};
inline constexpr EuFloatFormat kEuFormatTf32{8, 10, 13};

/// (-1)^negative * magnitude * 2^exponent, exact; magnitude 0 is a zero of that sign.
struct EuExact {
  bool negative = false;
  EuWideBits magnitude = 0;
  int exponent = 0;

  static EuExact of(double finite);
  static EuExact of(EuWide integer);
};

/// Exact; -1022 <= exponent <= 1023.
constexpr double eu_power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

struct EuRounder {
  EuRounding rounding = EuRounding::kNearestEven;
  EuDenormals denormals = EuDenormals::kKeep;
  /// srnd: added to the bits that are dropped, which are then cut off.
  bool stochastic = false;
  std::uint64_t random = 0;
};

/// The bits of `value` in `format`, rounded once.
std::uint64_t eu_round(const EuExact& value, EuFloatFormat format, const EuRounder& rounder);
/// The same for any double: infinities and NaNs keep sign and what fits of the payload, NaNs become quiet.
std::uint64_t eu_round(double value, EuFloatFormat format, const EuRounder& rounder);
/// Exact. For 8- and 16-bit formats and tf32.
float eu_widen(std::uint64_t raw, EuFloatFormat format);

/// What a source of a float type is worth, hf, bf, bf8, tf32 and f; df is not among them.
float eu_float_value(std::uint64_t raw, EuType type);
EuWide eu_int_value(std::uint64_t raw, EuType type);

/// Element `index` of a packed vector immediate, as bits of w, uw or f.
std::uint64_t eu_vector_immediate(std::uint32_t packed, EuType type, unsigned index);
/// What the elements of a packed vector immediate are; any other type is itself.
constexpr EuType eu_element_type(EuType type) {
  switch (type) {
    case EuType::kV: return EuType::kW;
    case EuType::kUV: return EuType::kUW;
    case EuType::kVF: return EuType::kF;
    default: return type;
  }
}

/// To a whole number; keeps the sign of zero. Does not depend on MXCSR.
double eu_round_to_whole(double value, EuRounding rounding);

enum class EuSaturate : std::uint8_t { kNo, kYes };

/// Conversion to a destination's type, as bits. Floats that become integers clamp; integers wrap or saturate.
struct EuConvert {
  EuType to = EuType::kUD;
  EuSaturate saturate = EuSaturate::kNo;
  EuFloatMode mode{};

  std::uint64_t from(EuWide value) const;
  std::uint64_t from(float value) const;
  std::uint64_t from(double value) const;

 private:
  double host_double(EuWide value) const;
  float host_float(EuWide value) const;
  std::uint64_t to_int(double value) const;
  std::uint64_t to_small_float(double value) const;
};

constexpr std::uint64_t eu_low_bits(std::uint64_t raw, unsigned bytes) {
  return bytes >= 8 ? raw : raw & ((std::uint64_t{1} << (bytes * 8)) - 1);
}

}  // namespace softxe
