// The operations of the reference interpreter (eu_reference_fixture.h).
#pragma once

#include "hw/eu/eu_math.h"
#include "hw/eu/eu_reference_fixture.h"

namespace softxe::eu_test {

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

/// Index of the first one, from bit 0 or from bit 31; 32 when there is none.
inline unsigned first_one(std::uint32_t v, bool from_top) {
  for (unsigned i = 0; i < 32; ++i) {
    if ((v >> (from_top ? 31 - i : i) & 1) != 0) return i;
  }
  return 32;
}

inline Int128 Reference::sums(const Channel& c) {
  const Int128 a = c.s[0].i, b = c.s[1].i, d = c.s[2].i;
  const auto times = [](Int128 x, Int128 y) { return static_cast<Uint128>(x) * static_cast<Uint128>(y); };
  switch (c.inst.op) {
    case EuOp::kAdd: return a + b;
    case EuOp::kAdd3: return a + b + d;
    case EuOp::kAvg: return (a + b + 1) >> 1;
    case EuOp::kMul: return static_cast<Int128>(times(a, b));
    case EuOp::kMad: return static_cast<Int128>(static_cast<Uint128>(a) + times(b, d));
    case EuOp::kDp4a: break;
    default: return a;
  }
  Int128 r = a;
  for (unsigned i = 0; i < 4; ++i) {
    int x = static_cast<int>(b >> (8 * i) & 255), y = static_cast<int>(d >> (8 * i) & 255);
    if (signed_int(c.inst.src[1].type) && x > 127) x -= 256;
    if (signed_int(c.inst.src[2].type) && y > 127) y -= 256;
    r += x * y;
  }
  return r;
}

inline Int128 Reference::shifts(const Channel& c) {
  const unsigned width = eu_type_bytes(c.inst.src[0].type) * 8;
  const bool wide = width == 64 || eu_type_bytes(c.inst.dst.type) == 8;
  const unsigned count = static_cast<unsigned>(c.s[1].i) & (wide ? 63u : 31u);
  const auto own = static_cast<Uint128>(c.s[0].i) & ((Uint128{1} << width) - 1);
  if (c.inst.op == EuOp::kShl) return static_cast<Int128>(static_cast<Uint128>(c.s[0].i) << count);
  if (c.inst.op == EuOp::kShr) return static_cast<Int128>(own >> count);
  if (c.inst.op == EuOp::kAsr) return c.s[0].i >> count;
  Int128 r = 0;
  for (unsigned i = 0; i < width; ++i) {
    const unsigned by = static_cast<unsigned>(c.s[1].i) % width;
    const unsigned from = (c.inst.op == EuOp::kRol ? i + width - by : i + by) % width;
    r |= static_cast<Int128>(own >> from & 1) << i;
  }
  return r;
}

inline Int128 Reference::fields(const Channel& c) {
  const auto a = static_cast<std::uint32_t>(c.s[0].i), b = static_cast<std::uint32_t>(c.s[1].i),
             d = static_cast<std::uint32_t>(c.s[2].i);
  const unsigned width = a & 31, offset = b & 31;
  Int128 r = 0;
  for (unsigned i = 0; i < 32; ++i) {
    bool bit = false;
    switch (c.inst.op) {
      case EuOp::kBfe: bit = i < width && offset + i < 32 && (d >> (offset + i) & 1) != 0; break;
      case EuOp::kBfi1: bit = i >= offset && i < offset + width; break;
      case EuOp::kBfi2: bit = (a >> i & 1) != 0 ? (b >> (i - first_one(a, false)) & 1) != 0 : (d >> i & 1) != 0; break;
      default: bit = (a >> (31 - i) & 1) != 0; break;
    }
    if (bit) r |= Int128{1} << i;
  }
  const bool extends = c.inst.op == EuOp::kBfe && signed_int(c.inst.src[2].type) && width != 0;
  if (extends && (r >> (width - 1) & 1) != 0) r -= Int128{1} << width;
  return r;
}

inline Int128 Reference::counts(const Channel& c) {
  const auto a = static_cast<std::uint32_t>(c.s[0].i);
  const Int128 none = 0xFFFFFFFF;
  switch (c.inst.op) {
    case EuOp::kLzd: return first_one(a, true);
    case EuOp::kFbl: return a == 0 ? none : Int128{first_one(a, false)};
    case EuOp::kFbh: {
      const std::uint32_t v = signed_int(c.inst.src[0].type) && a >> 31 != 0 ? ~a : a;
      return v == 0 ? none : Int128{first_one(v, true)};
    }
    default: break;
  }
  Int128 r = 0;
  for (unsigned i = 0; i < eu_type_bytes(c.inst.src[0].type) * 8; ++i) r += c.s[0].i >> i & 1;
  return r;
}

inline RefValue Reference::calculate_int(const Channel& c) {
  const Int128 a = c.s[0].i, b = c.s[1].i, d = c.s[2].i;
  Int128 r = 0;
  switch (c.inst.op) {
    case EuOp::kAnd: r = a & b; break;
    case EuOp::kOr: r = a | b; break;
    case EuOp::kXor: r = a ^ b; break;
    case EuOp::kNot: r = -1 - a; break;
    case EuOp::kBfn:
      for (unsigned i = 0; i < 64; ++i) {
        const auto row = static_cast<unsigned>((a >> i & 1) + 2 * (b >> i & 1) + 4 * (d >> i & 1));
        if ((c.inst.function >> row & 1) != 0) r |= Int128{1} << i;
      }
      break;
    case EuOp::kShl:
    case EuOp::kShr:
    case EuOp::kAsr:
    case EuOp::kRol:
    case EuOp::kRor: r = shifts(c); break;
    case EuOp::kBfe:
    case EuOp::kBfi1:
    case EuOp::kBfi2:
    case EuOp::kBfrev: r = fields(c); break;
    case EuOp::kLzd:
    case EuOp::kFbl:
    case EuOp::kFbh:
    case EuOp::kCbit: r = counts(c); break;
    default: r = sums(c); break;
  }
  return {.is_float = false, .i = r, .d = 0};
}

/// Whole numbers keep the sign of what they were made of, zeros too, whatever the host's mode makes of them.
inline double signed_as(double of, double whole) { return std::copysign(whole, of); }

inline double Reference::calculate_f(const Channel& c) const {
  const auto a = static_cast<float>(c.s[0].d), b = static_cast<float>(c.s[1].d), d = static_cast<float>(c.s[2].d);
  switch (c.inst.op) {
    case EuOp::kAdd: return a + b;
    case EuOp::kMul: return a * b;
    case EuOp::kMad: return std::fma(b, d, a);
    case EuOp::kFrc: return a - static_cast<float>(signed_as(c.s[0].d, std::floor(c.s[0].d)));
    case EuOp::kRndd: return signed_as(c.s[0].d, std::floor(c.s[0].d));
    case EuOp::kRndu: return signed_as(c.s[0].d, std::ceil(c.s[0].d));
    case EuOp::kRnde: return signed_as(c.s[0].d, ::roundeven(c.s[0].d));
    case EuOp::kRndz: return signed_as(c.s[0].d, std::trunc(c.s[0].d));
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
  // What remains is only as exact as its author wished (eu_math_test.cc): no second opinion on the bits.
  const auto function = c.inst.function == 15 ? EuMath::kRsqt : static_cast<EuMath>(c.inst.function);
  return eu_math(function, a, 0.0F);
}

inline double Reference::calculate_df(const Channel& c) const {
  const double a = c.s[0].d, b = c.s[1].d, d = c.s[2].d;
  switch (c.inst.op) {
    case EuOp::kAdd: return a + b;
    case EuOp::kMul: return a * b;
    case EuOp::kMad: return std::fma(b, d, a);
    case EuOp::kFrc: return a - signed_as(a, std::floor(a));
    case EuOp::kRndd: return signed_as(a, std::floor(a));
    case EuOp::kRndu: return signed_as(a, std::ceil(a));
    case EuOp::kRnde: return signed_as(a, ::roundeven(a));
    case EuOp::kRndz: return signed_as(a, std::trunc(a));
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

inline Reference::Channel Reference::read(const EuInst& inst, unsigned k) {
  Channel c{inst, k, {}, {}};
  for (unsigned i = 0; i < 3; ++i) {
    if (inst.src[i].file == EuFile::kNone) continue;
    c.raw[i] = fetch(inst, i, k);
    c.s[i] = modified(inst, i, value(c.raw[i], inst.src[i].type));
  }
  return c;
}

inline void Reference::result_of(const Channel& c, bool df, bool halves, bool chosen, Outcome& o) const {
  const EuInst& inst = c.inst;
  const bool nan0 = c.s[0].d != c.s[0].d, nan1 = c.s[1].d != c.s[1].d;
  switch (inst.op) {
    case EuOp::kMov: o.result = moved(c, 0); return;
    case EuOp::kCmp:
    case EuOp::kCmpn:
      o.flag = holds(inst.cond, c.s[0], c.s[1]) || (inst.op == EuOp::kCmpn && (nan0 || nan1));
      o.result = o.flag ? ~std::uint64_t{0} : 0;
      return;
    case EuOp::kSel: {
      const bool smaller = nan1 || (!nan0 && holds(inst.cond, c.s[0], c.s[1]));
      o.result = moved(c, (inst.cond == EuCond::kNone ? chosen : smaller) ? 0 : 1);
      return;
    }
    case EuOp::kCsel:
      o.result = moved(c, holds(inst.cond, c.s[2], {.is_float = c.s[2].is_float, .i = 0, .d = 0}) ? 0 : 1);
      return;
    case EuOp::kMach:
    case EuOp::kMacl:
    case EuOp::kAddc:
    case EuOp::kSubb:
      o.carries = true;
      o.carry = wide(c, o.result);
      return;
    default: break;
  }
  if (inst.op == EuOp::kMad && halves) {
    o.result = half_mad(c);
    if (inst.saturate) o.result = convert(inst, value(o.result, EuType::kHF));
    return;
  }
  const RefValue v = calculate(c, df);
  o.result = convert(inst, v);
  o.exact = static_cast<std::int64_t>(v.i);
}

inline Reference::Outcome Reference::outcome(const Channel& c, bool df, bool halves) const {
  const EuInst& inst = c.inst;
  Outcome o;
  const bool chosen = predicate(inst, c.k);
  o.writes = active(inst, c.k) && (chosen || (inst.op == EuOp::kSel && inst.cond == EuCond::kNone));
  result_of(c, df, halves, chosen, o);
  const unsigned bytes = eu_type_bytes(inst.dst.type);
  if (bytes < 8) o.result &= (std::uint64_t{1} << (bytes * 8)) - 1;
  const RefValue kept = value(o.result, inst.dst.type);
  if (inst.op != EuOp::kCmp && inst.op != EuOp::kCmpn) {
    o.flag = holds(inst.cond, kept, {.is_float = kept.is_float, .i = 0, .d = 0});
  }
  const bool whole = inst.op == EuOp::kMul && !inst.saturate && !floats(inst.src[0].type);
  if (!whole) o.exact = static_cast<std::int64_t>(kept.i);
  return o;
}

/// Flags, then carries, then the destination.
inline void Reference::commit(const EuInst& inst, const Outcome* all) {
  const bool macro = inst.op == EuOp::kMath && inst.function >= 14;
  const bool sets = inst.cond != EuCond::kNone && inst.op != EuOp::kSel && inst.op != EuOp::kCsel;
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if (all[k].writes && (sets || macro)) set_flag(inst, k, macro || all[k].flag);
  }
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if (!all[k].writes || !all[k].carries) continue;
    t_.acc_wide[k] = all[k].carry;
    std::memcpy(&t_.acc[k * 4], &all[k].carry, 4);
  }
  const bool null = inst.dst.file == EuFile::kArf && !inst.dst.indirect && inst.dst.reg >> 4 == 0;
  for (unsigned k = 0; k < inst.exec_size; ++k) {
    if (!all[k].writes || null) continue;
    std::memcpy(element(inst.dst, k, true), &all[k].result, eu_type_bytes(inst.dst.type));
    keep_acc(inst, k, all[k].exact);
  }
}

inline void Reference::step(const EuInst& inst) {
  const unsigned csr = __builtin_ia32_stmxcsr();
  bool df = false;
  bool halves = inst.dst.type == EuType::kHF;
  for (const EuOperand& o : inst.src) {
    if (o.file == EuFile::kNone) continue;
    df |= o.type == EuType::kDF;
    halves &= o.type == EuType::kHF;
  }
  host(df || inst.dst.type == EuType::kDF);
  Outcome all[32];
  for (unsigned k = 0; k < inst.exec_size; ++k) all[k] = outcome(read(inst, k), df, halves);
  commit(inst, all);
  __builtin_ia32_ldmxcsr(csr);
}

}  // namespace softxe::eu_test
