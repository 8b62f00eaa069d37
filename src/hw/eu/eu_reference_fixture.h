// A second execution unit, for tests only: one channel after the other, as plain as possible.
//
// Written from spec/eu-isa.md sections 3 to 6 and shares nothing with the product but EuInst and the layout of
// EuThread: it has its own idea of where an element lies, of rounding (exact values in 113 bits, cut to the format)
// and of every operation. f and df themselves are the host's, under an MXCSR that it sets itself.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe::eu_test {

__extension__ using Quad = __float128;
__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

/// What an element is worth: an integer, or a float with its bits.
struct RefValue {
  bool is_float = false;
  Int128 i = 0;
  double d = 0;  ///< every float type fits in
};

struct RefFormat {
  int precision;  ///< bits with the hidden one
  int exponent_min;
  int exponent_max;
};

class Reference {
 public:
  explicit Reference(EuThread& thread) : t_(thread) {}

  /// One instruction that is neither flow nor message nor dpas.
  void step(const EuInst& inst);

 private:
  struct Channel {
    const EuInst& inst;
    unsigned k;
    RefValue s[3];
    std::uint64_t raw[3];
  };

  // -- modes
  unsigned rounding() const { return t_.cr[0] >> 4 & 3; }
  bool keeps(EuType type) const {
    const unsigned bit = type == EuType::kDF ? 6 : type == EuType::kF ? 7 : type == EuType::kHF ? 10 : 30;
    return (t_.cr[0] >> bit & 1) != 0;
  }
  static bool floats(EuType type) {
    return type == EuType::kHF || type == EuType::kF || type == EuType::kDF || type == EuType::kBF ||
           type == EuType::kBF8 || type == EuType::kTF32;
  }
  static bool signed_int(EuType type) {
    return type == EuType::kB || type == EuType::kW || type == EuType::kV || type == EuType::kD || type == EuType::kQ;
  }
  static RefFormat format(EuType type) {
    switch (type) {
      case EuType::kHF: return {11, -14, 15};
      case EuType::kBF: return {8, -126, 127};
      case EuType::kBF8: return {3, -14, 15};
      case EuType::kTF32: return {11, -126, 127};
      case EuType::kF: return {24, -126, 127};
      default: return {53, -1022, 1023};
    }
  }
  void host(bool df) const {
    const unsigned to_host[4] = {0, 2, 1, 3};
    unsigned csr = 0x1F80 | to_host[rounding()] << 13;
    if (!keeps(df ? EuType::kDF : EuType::kF)) csr |= 0x8040;
    __builtin_ia32_ldmxcsr(csr);
  }

  // -- registers
  std::byte* element(const EuOperand& o, unsigned k, bool destination);
  std::uint64_t fetch(const EuInst& inst, unsigned source, unsigned k);
  RefValue value(std::uint64_t raw, EuType type) const;
  RefValue modified(const EuInst& inst, unsigned source, RefValue v) const;

  // -- conversions
  std::uint64_t pack(Quad value, bool negative, EuType type) const;
  std::uint64_t from_double(double value, EuType type) const;
  std::uint64_t convert(const EuInst& inst, RefValue v) const;

  // -- operations
  bool predicate(const EuInst& inst, unsigned channel) const;
  bool active(const EuInst& inst, unsigned k) const {
    return inst.no_mask || (t_.mask >> (inst.channel_offset + k) & 1) != 0;
  }
  static bool holds(EuCond cond, const RefValue& a, const RefValue& b);
  RefValue calculate(const Channel& c, bool df) const;
  static RefValue calculate_int(const Channel& c);
  static Int128 sums(const Channel& c);
  static Int128 shifts(const Channel& c);
  static Int128 fields(const Channel& c);
  static Int128 counts(const Channel& c);
  double calculate_f(const Channel& c) const;
  double calculate_df(const Channel& c) const;
  std::uint64_t half_mad(const Channel& c) const;
  std::uint64_t moved(const Channel& c, unsigned source) const;
  std::int64_t wide(const Channel& c, std::uint64_t& result) const;
  /// What one channel gives, before anything is written.
  struct Outcome {
    bool writes = false;
    bool flag = false;
    bool carries = false;
    std::uint64_t result = 0;
    std::int64_t exact = 0;
    std::int64_t carry = 0;
  };
  Channel read(const EuInst& inst, unsigned k);
  Outcome outcome(const Channel& c, bool df, bool halves) const;
  void result_of(const Channel& c, bool df, bool halves, bool chosen, Outcome& o) const;
  void commit(const EuInst& inst, const Outcome* all);
  void keep_acc(const EuInst& inst, unsigned k, std::int64_t value);
  void set_flag(const EuInst& inst, unsigned k, bool on);

  EuThread& t_;
};

// ---- registers

inline std::byte* Reference::element(const EuOperand& o, unsigned k, bool destination) {
  const unsigned size = eu_type_bytes(o.type);
  const EuRegion& r = o.region;
  if (o.indirect) {
    const unsigned registers = t_.large_grf ? 256 : 128;
    unsigned a0 = o.a0;
    unsigned step = 0;
    if (destination) {
      step = k * r.horizontal;
    } else if (r.vertical == EuRegion::kVxH) {
      a0 += k / r.width;
      step = k % r.width * r.horizontal;
    } else {
      step = (k / r.width) * r.vertical + (k % r.width) * r.horizontal;
    }
    unsigned address = static_cast<unsigned>(int{t_.a0[a0 % 16]} + o.offset) + step * size;
    address %= registers * 64;
    return &t_.grf[address / size * size];
  }
  const unsigned step = destination ? k * r.horizontal : (k / r.width) * r.vertical + (k % r.width) * r.horizontal;
  const unsigned byte = o.subreg + step * size;
  if (o.file == EuFile::kGrf) return &t_.grf[o.reg * 64u + byte];
  const unsigned number = o.reg & 15u;
  auto* const words = [&]() -> std::byte* {
    switch (o.reg >> 4) {
      case 1: return reinterpret_cast<std::byte*>(t_.a0.data());
      case 2: return t_.acc.data() + number * 64;
      case 3: return reinterpret_cast<std::byte*>(t_.flag.data() + number);
      case 4: return reinterpret_cast<std::byte*>(t_.ce.data());
      case 7: return reinterpret_cast<std::byte*>(t_.sr.data());
      default: return reinterpret_cast<std::byte*>(t_.cr.data());
    }
  }();
  return words + byte;
}

inline std::uint64_t Reference::fetch(const EuInst& inst, unsigned source, unsigned k) {
  const EuOperand& o = inst.src[source];
  if (o.file == EuFile::kNone || (o.file == EuFile::kArf && !o.indirect && o.reg >> 4 == 0)) return 0;
  std::uint64_t raw = 0;
  if (o.file == EuFile::kImm && (o.type == EuType::kV || o.type == EuType::kUV)) {
    const auto digit = static_cast<unsigned>(inst.imm >> (k % 8 * 4)) & 15u;
    raw = o.type == EuType::kV && digit > 7 ? digit + 0xFFF0u : digit;
  } else if (o.file == EuFile::kImm) {
    // Of two immediates, both of 16 bits, the last source's is the upper half.
    const bool upper = source == 2 && inst.src[0].file == EuFile::kImm;
    raw = upper ? inst.imm >> 16 & 0xFFFF : inst.imm;
    if (eu_type_bytes(o.type) < 8) raw &= (1ull << (8 * eu_type_bytes(o.type))) - 1;
  } else {
    std::memcpy(&raw, element(o, k, false), eu_type_bytes(o.type));
  }
  return raw;
}

inline RefValue Reference::value(std::uint64_t raw, EuType type) const {
  RefValue v;
  v.is_float = floats(type);
  const unsigned bits = eu_type_bytes(type) * 8;
  if (!v.is_float) {
    v.i = static_cast<Int128>(raw);
    if (signed_int(type) && (raw >> (bits - 1) & 1) != 0) v.i -= Int128{1} << bits;
    return v;
  }
  if (type == EuType::kDF) {
    v.d = std::bit_cast<double>(raw);
    return v;
  }
  if (type == EuType::kF) {
    v.d = std::bit_cast<float>(static_cast<std::uint32_t>(raw));
    return v;
  }
  const RefFormat f = format(type);
  if (type == EuType::kTF32) raw >>= 13;
  const int fraction_bits = f.precision - 1;
  const unsigned width = type == EuType::kTF32 ? 19 : bits;
  const bool negative = (raw >> (width - 1) & 1) != 0;
  const auto fraction = static_cast<double>(raw & ((1u << fraction_bits) - 1));
  const auto exponent = static_cast<int>((raw >> fraction_bits) & ((1u << (width - 1 - fraction_bits)) - 1));
  const int top = f.exponent_max - f.exponent_min + 2;
  if (exponent == top) {
    v.d = std::numeric_limits<double>::infinity();
    if (fraction != 0) {
      // The payload moves along: it is wanted where a NaN is only converted.
      const std::uint64_t payload = (raw & ((1u << fraction_bits) - 1)) << (52 - fraction_bits);
      v.d = std::bit_cast<double>(0x7FF8000000000000u | payload);
    }
  } else if (exponent == 0) {
    // bf and tf32 are calculated with as f, whose mode holds, too.
    const bool like_f = type == EuType::kBF || type == EuType::kTF32;
    v.d = keeps(type) && (!like_f || keeps(EuType::kF)) ? std::ldexp(fraction, f.exponent_min - fraction_bits) : 0;
  } else {
    v.d = std::ldexp(fraction + std::ldexp(1.0, fraction_bits), exponent - 1 + f.exponent_min - fraction_bits);
  }
  if (negative) v.d = -v.d;
  return v;
}

inline RefValue Reference::modified(const EuInst& inst, unsigned source, RefValue v) const {
  const EuOperand& o = inst.src[source];
  switch (inst.op) {
    case EuOp::kAnd:
    case EuOp::kOr:
    case EuOp::kXor:
    case EuOp::kNot:
      if (o.neg) v.i = -1 - v.i;
      return v;
    default: break;
  }
  if (v.is_float) {
    if (o.abs) v.d = std::copysign(v.d, 1.0);
    if (o.neg) v.d = std::copysign(v.d, std::signbit(v.d) ? 1.0 : -1.0);
    return v;
  }
  if (o.abs && v.i < 0) v.i = -v.i;
  if (o.neg) v.i = -v.i;
  return v;
}

// ---- conversions

/// A finite value that is exact, rounded by cr0 to a format below f.
inline std::uint64_t Reference::pack(Quad exact, bool negative, EuType type) const {
  const RefFormat f = format(type);
  const int fraction_bits = f.precision - 1;
  const unsigned sign_at = type == EuType::kBF8 ? 7 : type == EuType::kTF32 ? 18 : 15;
  Quad magnitude = negative ? -exact : exact;
  int exponent = f.exponent_min;
  Quad unit = 1;
  for (int i = 0; i < -(f.exponent_min - fraction_bits); ++i) unit /= 2;
  while (magnitude >= unit * (Quad{2} * static_cast<Quad>(1u << fraction_bits))) {
    unit *= 2;
    ++exponent;
  }
  auto count = static_cast<std::uint64_t>(magnitude / unit);
  const Quad rest = magnitude - static_cast<Quad>(count) * unit;
  bool up = false;
  if (rounding() == 0) up = rest * 2 > unit || (rest * 2 == unit && count % 2 == 1);
  if (rounding() == 1) up = rest > 0 && !negative;
  if (rounding() == 2) up = rest > 0 && negative;
  if (up) ++count;
  if (count == std::uint64_t{2} << fraction_bits) {
    count /= 2;
    ++exponent;
  }
  const std::uint64_t hidden = std::uint64_t{1} << fraction_bits;
  const auto infinity = static_cast<std::uint64_t>(f.exponent_max - f.exponent_min + 2) << fraction_bits;
  std::uint64_t bits = 0;
  if (exponent > f.exponent_max) {
    const bool largest = rounding() == 3 || rounding() == (negative ? 1u : 2u);
    bits = largest ? infinity - 1 : infinity;
  } else if (count < hidden) {
    bits = keeps(type) ? count : 0;
  } else {
    bits = (static_cast<std::uint64_t>(exponent - f.exponent_min + 1) << fraction_bits) + (count - hidden);
  }
  bits |= std::uint64_t{negative} << sign_at;
  return type == EuType::kTF32 ? bits << 13 : bits;
}

inline std::uint64_t Reference::from_double(double v, EuType type) const {
  if (type == EuType::kDF) return std::bit_cast<std::uint64_t>(v);
  if (type == EuType::kF) return std::bit_cast<std::uint32_t>(static_cast<float>(v));
  const RefFormat f = format(type);
  const int fraction_bits = f.precision - 1;
  if (std::isfinite(v)) return pack(static_cast<Quad>(v), std::signbit(v), type);
  std::uint64_t bits = static_cast<std::uint64_t>(f.exponent_max - f.exponent_min + 2) << fraction_bits;
  if (v != v) {
    const auto raw = std::bit_cast<std::uint64_t>(v);
    bits |= (raw & 0xFFFFFFFFFFFFFu) >> (52 - fraction_bits) | std::uint64_t{1} << (fraction_bits - 1);
  }
  const unsigned sign_at = type == EuType::kBF8 ? 7 : type == EuType::kTF32 ? 18 : 15;
  bits |= std::uint64_t{std::signbit(v)} << sign_at;
  return type == EuType::kTF32 ? bits << 13 : bits;
}

inline std::uint64_t Reference::convert(const EuInst& inst, RefValue v) const {
  const EuType to = inst.dst.type;
  const unsigned bits = eu_type_bytes(to) * 8;
  if (floats(to)) {
    if (!v.is_float) {
      const auto exact = static_cast<Quad>(v.i);
      if (to == EuType::kF) v.d = static_cast<double>(static_cast<float>(exact));
      if (to == EuType::kDF) v.d = static_cast<double>(exact);
      if (to != EuType::kF && to != EuType::kDF) {
        const std::uint64_t small = pack(exact, v.i < 0, to);
        if (!inst.saturate) return small;
        v.d = value(small, to).d;
      }
    }
    if (inst.saturate) v.d = v.d > 0 ? (v.d < 1 ? v.d : 1.0) : 0.0;
    return from_double(v.d, to);
  }
  const bool is_signed = signed_int(to);
  const Int128 low = is_signed ? -(Int128{1} << (bits - 1)) : 0;
  const Int128 high = (Int128{1} << (is_signed ? bits - 1 : bits)) - 1;
  if (v.is_float) {
    if (v.d != v.d) return 0;
    const unsigned mode = (t_.cr[0] >> 12 & 1) != 0 ? rounding() : 3;
    double whole = std::trunc(v.d);
    if (mode == 1) whole = std::ceil(v.d);
    if (mode == 2) whole = std::floor(v.d);
    if (mode == 0) whole = ::roundeven(v.d);
    if (whole >= 0x1p100)
      v.i = high;
    else if (whole <= -0x1p100)
      v.i = low;
    else
      v.i = static_cast<Int128>(whole);
  }
  if (v.is_float || inst.saturate) {
    if (v.i < low) v.i = low;
    if (v.i > high) v.i = high;
  }
  return static_cast<std::uint64_t>(v.i);
}

}  // namespace softxe::eu_test
