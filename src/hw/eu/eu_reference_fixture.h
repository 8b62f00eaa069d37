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
    return type == EuType::kB || type == EuType::kW || type == EuType::kD || type == EuType::kQ;
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
  RefValue calculate_int(const Channel& c) const;
  double calculate_f(const Channel& c) const;
  double calculate_df(const Channel& c) const;
  std::uint64_t half_mad(const Channel& c) const;
  std::uint64_t moved(const Channel& c, unsigned source) const;
  std::int64_t wide(const Channel& c, std::uint64_t& result) const;
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
  if (o.file == EuFile::kImm) {
    std::memcpy(&raw, &inst.imm, eu_type_bytes(o.type));
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

// ---- operations

inline bool Reference::predicate(const EuInst& inst, unsigned k) const {
  const unsigned first = inst.flag_sub * 16u + inst.channel_offset;
  const auto bit = [&](unsigned i) { return (t_.flag[inst.flag] >> (first + i) & 1) != 0; };
  if (inst.pred == EuPred::kNone) return true;
  bool on = bit(k);
  if (inst.pred != EuPred::kChannel) {
    unsigned count = 0;
    for (unsigned i = 0; i < inst.exec_size; ++i) count += bit(i) ? 1 : 0;
    on = inst.pred == EuPred::kAny ? count > 0 : count == inst.exec_size;
  }
  return on != inst.pred_inverted;
}

inline bool Reference::holds(EuCond cond, const RefValue& a, const RefValue& b) {
  const bool is_float = a.is_float || b.is_float;
  const bool unordered = is_float && (a.d != a.d || b.d != b.d);
  const bool less = is_float ? a.d < b.d : a.i < b.i;
  const bool equal = is_float ? a.d == b.d : a.i == b.i;
  switch (cond) {
    case EuCond::kEq: return !unordered && equal;
    case EuCond::kNe: return unordered || !equal;
    case EuCond::kGt: return !unordered && !less && !equal;
    case EuCond::kGe: return !unordered && !less;
    case EuCond::kLt: return !unordered && less;
    case EuCond::kLe: return !unordered && (less || equal);
    default: return unordered;
  }
}

inline RefValue Reference::calculate_int(const Channel& c) const {
  const EuInst& inst = c.inst;
  const Int128 a = c.s[0].i, b = c.s[1].i, d = c.s[2].i;
  const auto ua = static_cast<std::uint32_t>(a), ub = static_cast<std::uint32_t>(b), ud = static_cast<std::uint32_t>(d);
  const unsigned width = eu_type_bytes(inst.src[0].type) * 8;
  const bool wide = width == 64 || eu_type_bytes(inst.dst.type) == 8;
  const unsigned count = static_cast<unsigned>(b) & (wide ? 63u : 31u);
  const auto own = static_cast<std::uint64_t>(width == 64 ? a : a & ((Int128{1} << width) - 1));
  Int128 r = 0;
  const auto first_one = [](std::uint32_t v, bool from_top) {
    for (unsigned i = 0; i < 32; ++i) {
      if ((v >> (from_top ? 31 - i : i) & 1) != 0) return i;
    }
    return 32u;
  };
  switch (inst.op) {
    case EuOp::kMov: r = a; break;
    case EuOp::kAdd: r = a + b; break;
    case EuOp::kAdd3: r = a + b + d; break;
    case EuOp::kAvg: r = (a + b + 1) >> 1; break;
    case EuOp::kMul: r = static_cast<Int128>(static_cast<Uint128>(a) * static_cast<Uint128>(b)); break;
    case EuOp::kMad:
      r = static_cast<Int128>(static_cast<Uint128>(a) + static_cast<Uint128>(b) * static_cast<Uint128>(d));
      break;
    case EuOp::kAnd: r = a & b; break;
    case EuOp::kOr: r = a | b; break;
    case EuOp::kXor: r = a ^ b; break;
    case EuOp::kNot: r = -1 - a; break;
    case EuOp::kBfn:
      for (unsigned i = 0; i < 64; ++i) {
        const unsigned row = static_cast<unsigned>(a >> i & 1) + 2 * static_cast<unsigned>(b >> i & 1) +
                             4 * static_cast<unsigned>(d >> i & 1);
        if ((inst.function >> row & 1) != 0) r |= Int128{1} << i;
      }
      break;
    case EuOp::kShl: r = static_cast<Int128>(static_cast<Uint128>(a) << count); break;
    case EuOp::kShr: r = own >> count; break;
    case EuOp::kAsr: r = a >> count; break;
    case EuOp::kRol:
    case EuOp::kRor:
      for (unsigned i = 0; i < width; ++i) {
        const unsigned by = static_cast<unsigned>(b) % width;
        const unsigned from = (inst.op == EuOp::kRol ? i + width - by : i + by) % width;
        if ((own >> from & 1) != 0) r |= Int128{1} << i;
      }
      break;
    case EuOp::kBfe:
      for (unsigned i = 0; i < (ua & 31); ++i) {
        if ((ub & 31) + i < 32 && (ud >> ((ub & 31) + i) & 1) != 0) r |= Int128{1} << i;
      }
      if (signed_int(inst.src[2].type) && (ua & 31) != 0 && (r >> ((ua & 31) - 1) & 1) != 0)
        r -= Int128{1} << (ua & 31);
      break;
    case EuOp::kBfi1:
      for (unsigned i = 0; i < (ua & 31) && i + (ub & 31) < 32; ++i) r |= Int128{1} << (i + (ub & 31));
      break;
    case EuOp::kBfi2:
      for (unsigned i = 0; i < 32; ++i) {
        const bool take = (ua >> i & 1) != 0;
        const bool bit = take ? (ub >> (i - first_one(ua, false)) & 1) != 0 : (ud >> i & 1) != 0;
        if (bit) r |= Int128{1} << i;
      }
      break;
    case EuOp::kBfrev:
      for (unsigned i = 0; i < 32; ++i) r |= Int128{ua >> i & 1} << (31 - i);
      break;
    case EuOp::kCbit:
      for (unsigned i = 0; i < width; ++i) r += static_cast<Int128>(own >> i & 1);
      break;
    case EuOp::kLzd: r = first_one(ua, true); break;
    case EuOp::kFbl: r = ua == 0 ? Int128{0xFFFFFFFF} : Int128{first_one(ua, false)}; break;
    case EuOp::kFbh: {
      const bool flip = signed_int(inst.src[0].type) && ua >> 31 != 0;
      const std::uint32_t v = flip ? ~ua : ua;
      r = v == 0 ? Int128{0xFFFFFFFF} : Int128{first_one(v, true)};
      break;
    }
    case EuOp::kDp4a:
      r = a;
      for (unsigned i = 0; i < 4; ++i) {
        int x = static_cast<int>(ub >> (8 * i) & 255), y = static_cast<int>(ud >> (8 * i) & 255);
        if (signed_int(inst.src[1].type) && x > 127) x -= 256;
        if (signed_int(inst.src[2].type) && y > 127) y -= 256;
        r += x * y;
      }
      break;
    default: break;
  }
  return {.is_float = false, .i = r, .d = 0};
}

inline double Reference::calculate_f(const Channel& c) const {
  const auto a = static_cast<float>(c.s[0].d), b = static_cast<float>(c.s[1].d), d = static_cast<float>(c.s[2].d);
  switch (c.inst.op) {
    case EuOp::kAdd: return a + b;
    case EuOp::kMul: return a * b;
    case EuOp::kMad: return std::fma(b, d, a);
    case EuOp::kFrc: return a - static_cast<float>(std::floor(c.s[0].d));
    case EuOp::kRndd: return std::floor(c.s[0].d);
    case EuOp::kRndu: return std::ceil(c.s[0].d);
    case EuOp::kRnde: return ::roundeven(c.s[0].d);
    case EuOp::kRndz: return std::trunc(c.s[0].d);
    case EuOp::kMath: break;
    default: return a;
  }
  switch (c.inst.function) {
    case 1: return 1.0F / a;
    case 4: return std::sqrt(a);
    case 14: return a / b;
    case 15:
      if (c.inst.dst.mme != 8) return std::sqrt(a);
      break;
    default: break;
  }
  // What remains is only as exact as a library: in double, to nearest.
  const unsigned csr = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1F80);
  volatile double r = 0;
  const volatile double x = static_cast<double>(a);
  switch (c.inst.function) {
    case 2: r = std::log2(x); break;
    case 3: r = std::exp2(x); break;
    case 6: r = std::sin(x); break;
    case 7: r = std::cos(x); break;
    default: r = 1.0 / std::sqrt(x); break;
  }
  __builtin_ia32_ldmxcsr(csr);
  return static_cast<float>(r);
}

inline double Reference::calculate_df(const Channel& c) const {
  const double a = c.s[0].d, b = c.s[1].d, d = c.s[2].d;
  switch (c.inst.op) {
    case EuOp::kAdd: return a + b;
    case EuOp::kMul: return a * b;
    case EuOp::kMad: return std::fma(b, d, a);
    case EuOp::kFrc: return a - std::floor(a);
    case EuOp::kRndd: return std::floor(a);
    case EuOp::kRndu: return std::ceil(a);
    case EuOp::kRnde: return ::roundeven(a);
    case EuOp::kRndz: return std::trunc(a);
    case EuOp::kMath:
      if (c.inst.function == 14) return a / b;
      return c.inst.dst.mme != 8 ? std::sqrt(a) : 1.0 / std::sqrt(a);
    default: return a;
  }
}

inline RefValue Reference::calculate(const Channel& c, bool df) const {
  if (!c.s[0].is_float) return calculate_int(c);
  RefValue r{.is_float = true, .i = 0, .d = df ? calculate_df(c) : calculate_f(c)};
  if (r.d != r.d) r.d = std::bit_cast<double>(std::uint64_t{0x7FF8000000000000});
  return r;
}

/// One rounding, from the exact sum.
inline std::uint64_t Reference::half_mad(const Channel& c) const {
  const double a = c.s[0].d, b = c.s[1].d, d = c.s[2].d;
  const double about = b * d + a;
  if (!std::isfinite(about))
    return from_double(about != about ? std::bit_cast<double>(std::uint64_t{0x7FF8000000000000}) : about, EuType::kHF);
  const Quad exact = static_cast<Quad>(b) * static_cast<Quad>(d) + static_cast<Quad>(a);
  return pack(exact, exact == 0 ? std::signbit(about) : exact < 0, EuType::kHF);
}

/// mov and the like: bits stay bits when nothing changes them.
inline std::uint64_t Reference::moved(const Channel& c, unsigned source) const {
  const EuOperand& o = c.inst.src[source];
  if (o.type == c.inst.dst.type && !o.neg && !o.abs && !c.inst.saturate) return c.raw[source];
  if (o.type == c.inst.dst.type && floats(o.type) && !c.inst.saturate) {
    const std::uint64_t sign = std::uint64_t{1} << (eu_type_bytes(o.type) * 8 - 1);
    const std::uint64_t positive = o.abs ? c.raw[source] & ~sign : c.raw[source];
    return o.neg ? positive ^ sign : positive;
  }
  return convert(c.inst, c.s[source]);
}

inline void Reference::keep_acc(const EuInst& inst, unsigned k, std::int64_t v) {
  const EuOperand& o = inst.dst;
  const unsigned size = eu_type_bytes(o.type);
  if (o.indirect || o.file != EuFile::kArf || o.reg >> 4 != 2 || floats(o.type) || size < 4) return;
  t_.acc_wide[((o.reg & 15u) * 64 + o.subreg + k * o.region.horizontal * size) / 4] = v;
}

/// The accumulator's new value.
inline std::int64_t Reference::wide(const Channel& c, std::uint64_t& result) const {
  const auto a = static_cast<std::uint32_t>(c.s[0].i), b = static_cast<std::uint32_t>(c.s[1].i);
  std::int64_t acc = 0;
  if (c.inst.op == EuOp::kAddc) {
    result = a + std::uint64_t{b};
    acc = static_cast<std::int64_t>(result >> 32);
  } else if (c.inst.op == EuOp::kSubb) {
    result = std::uint64_t{a} - b;
    acc = a < b;
  } else {
    const Int128 t = static_cast<Int128>(t_.acc_wide[c.k]) + ((c.s[0].i * (c.s[1].i >> 16)) << 16);
    acc = static_cast<std::int64_t>(t);
    result = static_cast<std::uint64_t>(c.inst.op == EuOp::kMach ? acc >> 32 : acc);
  }
  return acc;
}

inline void Reference::set_flag(const EuInst& inst, unsigned k, bool on) {
  const unsigned at = inst.flag_sub * 16u + inst.channel_offset + k;
  t_.flag[inst.flag] = (t_.flag[inst.flag] & ~(1u << at)) | static_cast<std::uint32_t>(on) << at;
}

inline void Reference::step(const EuInst& inst) {
  const unsigned csr = __builtin_ia32_stmxcsr();
  bool df = inst.dst.type == EuType::kDF;
  bool df_sources = false;
  bool halves = inst.dst.type == EuType::kHF;
  for (const EuOperand& o : inst.src) {
    if (o.file == EuFile::kNone) continue;
    df_sources |= o.type == EuType::kDF;
    halves &= o.type == EuType::kHF;
  }
  host(df || df_sources);
  std::uint64_t results[32];
  bool writes[32];
  bool flags[32];
  bool selects = inst.op == EuOp::kSel && inst.cond == EuCond::kNone;
  std::int64_t exact[32];
  std::int64_t carry[32];
  bool carries = false;
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    Channel c{inst, k, {}, {}};
    for (unsigned i = 0; i < 3; ++i) {
      if (inst.src[i].file == EuFile::kNone) continue;
      c.raw[i] = fetch(inst, i, k);
      c.s[i] = modified(inst, i, value(c.raw[i], inst.src[i].type));
    }
    const bool chosen = predicate(inst, k);
    writes[k] = active(inst, k) && (selects || chosen);
    std::uint64_t r = 0;
    bool flag = false;
    switch (inst.op) {
      case EuOp::kMov: r = moved(c, 0); break;
      case EuOp::kCmp:
      case EuOp::kCmpn:
        flag = holds(inst.cond, c.s[0], c.s[1]);
        if (inst.op == EuOp::kCmpn && c.s[0].is_float && (c.s[0].d != c.s[0].d || c.s[1].d != c.s[1].d)) flag = true;
        r = flag ? ~std::uint64_t{0} : 0;
        break;
      case EuOp::kSel: {
        bool first = chosen;
        if (!selects) {
          const bool nan0 = c.s[0].d != c.s[0].d, nan1 = c.s[1].d != c.s[1].d;
          first = nan1 || (!nan0 && holds(inst.cond, c.s[0], c.s[1]));
        }
        r = moved(c, first ? 0 : 1);
        break;
      }
      case EuOp::kCsel: {
        const RefValue zero{.is_float = c.s[2].is_float, .i = 0, .d = 0};
        r = moved(c, holds(inst.cond, c.s[2], zero) ? 0 : 1);
        break;
      }
      case EuOp::kMach:
      case EuOp::kMacl:
      case EuOp::kAddc:
      case EuOp::kSubb:
        carries = true;
        carry[k] = wide(c, r);
        break;
      case EuOp::kMad:
        if (halves) {
          r = half_mad(c);
          if (inst.saturate) r = convert(inst, value(r, EuType::kHF));
          break;
        }
        [[fallthrough]];
      default: {
        const RefValue v = calculate(c, df_sources);
        r = convert(inst, v);
        exact[k] = static_cast<std::int64_t>(v.i);
        break;
      }
    }
    if (eu_type_bytes(inst.dst.type) < 8) r &= (std::uint64_t{1} << (eu_type_bytes(inst.dst.type) * 8)) - 1;
    results[k] = r;
    const bool compares = inst.op == EuOp::kCmp || inst.op == EuOp::kCmpn;
    if (!compares) flag = holds(inst.cond, value(r, inst.dst.type), {.is_float = floats(inst.dst.type)});
    flags[k] = flag;
  }
  const bool macro = inst.op == EuOp::kMath && inst.function >= 14;
  const bool sets = inst.cond != EuCond::kNone && inst.op != EuOp::kSel && inst.op != EuOp::kCsel;
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if (writes[k] && (sets || macro)) set_flag(inst, k, macro || flags[k]);
  }
  for (unsigned k = 0; carries && k < inst.exec_size; ++k) {
    if (!writes[k]) continue;
    t_.acc_wide[k] = carry[k];
    std::memcpy(&t_.acc[k * 4], &carry[k], 4);
  }
  const bool null = inst.dst.file == EuFile::kArf && !inst.dst.indirect && inst.dst.reg >> 4 == 0;
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if (!writes[k] || null) continue;
    std::memcpy(element(inst.dst, k, true), &results[k], eu_type_bytes(inst.dst.type));
    const bool whole = inst.op == EuOp::kMul && !inst.saturate && !floats(inst.src[0].type);
    keep_acc(inst, k, whole ? exact[k] : static_cast<std::int64_t>(value(results[k], inst.dst.type).i));
  }
  __builtin_ia32_ldmxcsr(csr);
}

}  // namespace softxe::eu_test
