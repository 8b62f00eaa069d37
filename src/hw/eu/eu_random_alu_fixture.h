// Random well-formed instructions and registers, for tests that compare two ways to carry them out.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "base/prng.h"
#include "hw/eu/eu_alu_test_support.h"
#include "hw/eu/eu_check.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe::eu_test {

/// Which types an operation is tried with.
enum class Types : std::uint8_t { kInts, kFloats, kBoth, kMoves, kWords32, kHalves };

struct RandomOp {
  EuOp op;
  unsigned sources;
  Types types;
};

// clang-format off
inline constexpr RandomOp kRandomOps[] = {
    {EuOp::kMov, 1, Types::kMoves},   {EuOp::kMov, 1, Types::kMoves},  {EuOp::kMov, 1, Types::kBoth},
    {EuOp::kAdd, 2, Types::kBoth},    {EuOp::kAdd, 2, Types::kBoth},   {EuOp::kMul, 2, Types::kBoth},
    {EuOp::kMad, 3, Types::kBoth},    {EuOp::kAdd3, 3, Types::kInts},  {EuOp::kAvg, 2, Types::kInts},
    {EuOp::kAnd, 2, Types::kInts},    {EuOp::kOr, 2, Types::kInts},    {EuOp::kXor, 2, Types::kInts},
    {EuOp::kNot, 1, Types::kInts},    {EuOp::kBfn, 3, Types::kInts},   {EuOp::kShl, 2, Types::kInts},
    {EuOp::kShr, 2, Types::kInts},    {EuOp::kAsr, 2, Types::kInts},   {EuOp::kRol, 2, Types::kWords32},
    {EuOp::kRor, 2, Types::kWords32}, {EuOp::kCmp, 2, Types::kBoth},   {EuOp::kCmpn, 2, Types::kBoth},
    {EuOp::kSel, 2, Types::kBoth},    {EuOp::kSel, 2, Types::kBoth},   {EuOp::kCsel, 3, Types::kBoth},
    {EuOp::kBfe, 3, Types::kWords32}, {EuOp::kBfi1, 2, Types::kWords32}, {EuOp::kBfi2, 3, Types::kWords32},
    {EuOp::kBfrev, 1, Types::kWords32}, {EuOp::kCbit, 1, Types::kInts}, {EuOp::kLzd, 1, Types::kWords32},
    {EuOp::kFbl, 1, Types::kWords32}, {EuOp::kFbh, 1, Types::kWords32}, {EuOp::kDp4a, 3, Types::kWords32},
    {EuOp::kMach, 2, Types::kWords32}, {EuOp::kMacl, 2, Types::kWords32}, {EuOp::kAddc, 2, Types::kWords32},
    {EuOp::kSubb, 2, Types::kWords32}, {EuOp::kFrc, 1, Types::kFloats}, {EuOp::kRndd, 1, Types::kFloats},
    {EuOp::kRndu, 1, Types::kFloats}, {EuOp::kRnde, 1, Types::kFloats}, {EuOp::kRndz, 1, Types::kFloats},
    {EuOp::kMath, 1, Types::kFloats}, {EuOp::kMath, 2, Types::kFloats}, {EuOp::kMul, 2, Types::kWords32},
};
// clang-format on

/// Makes instructions that pass eu_check(), and registers full of numbers that are near each other's limits.
class RandomEu {
 public:
  explicit RandomEu(std::uint64_t seed) : prng_(seed) {}

  /// A new state of everything an operation reads. Two threads that are to be compared get copies.
  void fill(EuThread& thread) {
    std::memset(static_cast<void*>(&thread), 0, sizeof thread);
    for (unsigned at = 0; at < sizeof thread.grf; at += 4) word_at(&thread.grf[at]);
    for (unsigned at = 0; at < sizeof thread.acc; at += 4) word_at(&thread.acc[at]);
    for (std::int64_t& wide : thread.acc_wide) wide = static_cast<std::int64_t>(prng_.next());
    for (std::uint32_t& flag : thread.flag) flag = bits();
    for (std::uint16_t& a0 : thread.a0) a0 = static_cast<std::uint16_t>(prng_.below(128 * 64 - 128) & ~7u);
    constexpr std::array<std::uint32_t, 8> kModes = {kCr0,        kCr0,       kCr0 | 0x10,   kCr0 | 0x20,
                                                     kCr0 | 0x30, 0x40000040, kCr0 | 0x1010, 0};
    thread.cr[0] = kModes[prng_.below(kModes.size())];
    thread.mask = prng_.chance(1, 2) ? ~0u : bits();
    thread.call_mask = ~0u;
    thread.simd = 32;
  }

  EuInst next(const EuThread& thread) {
    for (;;) {
      EuInst made = propose();
      if (eu_check(made, thread).ok()) return made;
    }
  }

 private:
  std::uint32_t bits() { return static_cast<std::uint32_t>(prng_.next()); }

  void word_at(std::byte* at) {
    constexpr std::array<std::uint32_t, 20> kSpecial = {0,          1,          0xFFFFFFFF, 0x7FFFFFFF, 0x80000000,
                                                        0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00000,
                                                        0x7F800001, 0x00800000, 0x007FFFFF, 0x4F000000, 0x4F800000,
                                                        0x3C003C00, 0x7C017BFF, 0x3FF00000, 0x7FF00000, 0xFFF80000};
    std::uint32_t value = bits();
    if (prng_.chance(1, 3))
      value = kSpecial[prng_.below(kSpecial.size())];
    else if (prng_.chance(1, 2))
      value = (value & 0x83FFFFFF) | 0x3C000000;  // floats of like size
    std::memcpy(at, &value, 4);
  }

  EuType type_of(Types types, bool is_float) {
    constexpr std::array kInts = {EuType::kUB, EuType::kB, EuType::kUW, EuType::kW,  EuType::kUD,
                                  EuType::kD,  EuType::kD, EuType::kUD, EuType::kUQ, EuType::kQ};
    constexpr std::array kFloats = {EuType::kF, EuType::kF, EuType::kF, EuType::kHF, EuType::kDF, EuType::kBF};
    if (types == Types::kWords32) return prng_.chance(1, 2) ? EuType::kUD : EuType::kD;
    return is_float ? kFloats[prng_.below(kFloats.size())] : kInts[prng_.below(kInts.size())];
  }

  EuRegion region() {
    constexpr std::array<EuRegion, 10> kRegions = {
        {{1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {0, 1, 0}, {0, 1, 0}, {2, 1, 0}, {4, 1, 0}, {8, 8, 1}, {4, 2, 1}, {1, 4, 0}}};
    return kRegions[prng_.below(kRegions.size())];
  }

  EuOperand operand(EuType type) {
    EuOperand made = grf(static_cast<unsigned>(prng_.below(40)), type, region());
    made.subreg = static_cast<std::uint8_t>(prng_.below(64) & ~(eu_type_bytes(type) - 1) & 63);
    if (prng_.chance(1, 2)) made.subreg = 0;
    if (prng_.chance(1, 8)) {
      made.file = EuFile::kArf;
      made.reg = static_cast<std::uint8_t>(static_cast<unsigned>(EuArf::kAcc) << 4 | prng_.below(8));
    } else if (prng_.chance(1, 30)) {
      made.file = EuFile::kArf;
      made.reg = static_cast<std::uint8_t>(static_cast<unsigned>(EuArf::kFlag) << 4 | prng_.below(4));
      made.subreg = 0;
    } else if (prng_.chance(1, 20)) {
      made.indirect = true;
      made.a0 = static_cast<std::uint8_t>(prng_.below(16));
      made.offset = static_cast<std::int16_t>(prng_.below(256) & ~7u);
      if (prng_.chance(1, 2)) made.region = {EuRegion::kVxH, 1, 0};
    }
    return made;
  }

  EuInst propose() {
    const RandomOp& row = kRandomOps[prng_.below(std::size(kRandomOps))];
    const bool is_float = row.types == Types::kFloats || (row.types == Types::kBoth && prng_.chance(1, 2));
    const bool other = row.types == Types::kMoves;
    EuInst made;
    made.op = row.op;
    made.exec_size = static_cast<std::uint8_t>(1u << prng_.below(6));
    if (prng_.chance(1, 2)) made.exec_size = prng_.chance(1, 2) ? 32 : 16;
    made.channel_offset = made.exec_size <= 16 && prng_.chance(1, 4) ? 16 : 0;
    made.no_mask = prng_.chance(1, 3);
    const EuType type = type_of(row.types, is_float);
    for (unsigned i = 0; i < row.sources; ++i) {
      const bool same = is_float || prng_.chance(2, 3);
      made.src[i] = operand(same && !other ? type : type_of(row.types, other ? prng_.chance(1, 2) : is_float));
      if (prng_.chance(1, 10)) made.src[i].neg = true;
      if (prng_.chance(1, 20)) made.src[i].abs = true;
    }
    destination(row, made, prng_.chance(3, 4) ? type : type_of(row.types, other ? prng_.chance(1, 2) : is_float));
    immediate(row, made);
    modifiers(row, made);
    return made;
  }

  void destination(const RandomOp& row, EuInst& made, EuType type) {
    made.dst = operand(type);
    const std::array<std::uint8_t, 6> strides = {1, 1, 1, 1, 2, 4};
    made.dst.region = {0, 1, strides[prng_.below(strides.size())]};
    if (made.dst.file == EuFile::kGrf && prng_.chance(1, 6)) made.dst.reg = made.src[0].reg;
    const bool compares = row.op == EuOp::kCmp || row.op == EuOp::kCmpn;
    if (compares && prng_.chance(2, 3)) {
      made.dst = null(type);
      made.dst.region = {0, 1, 1};
    }
  }

  void immediate(const RandomOp& row, EuInst& made) {
    if (!prng_.chance(1, 4)) return;
    const unsigned source = row.sources - 1;
    const EuType type = made.src[source].type;
    if (eu_type_bytes(type) == 1 || (eu_type_bytes(type) == 8 && row.sources > 1)) return;
    made.src[source] = imm(type);
    if (type == EuType::kW && prng_.chance(1, 3)) made.src[source].type = EuType::kV;
    if (type == EuType::kUW && prng_.chance(1, 3)) made.src[source].type = EuType::kUV;
    made.imm = prng_.next();
    if (prng_.chance(1, 2)) made.imm &= 0x1F;
    const unsigned bytes = made.src[source].type == type ? eu_type_bytes(type) : 4;
    if (bytes < 8) made.imm &= (1ull << (bytes * 8)) - 1;
    if (row.sources == 3 && bytes == 2 && eu_type_bytes(made.src[0].type) == 2 && prng_.chance(1, 2)) {
      made.src[0] = imm(made.src[0].type);
      made.imm = made.imm << 16 | (prng_.next() & 0xFFFF);
    }
  }

  void modifiers(const RandomOp& row, EuInst& made) {
    made.flag = static_cast<std::uint8_t>(prng_.below(4));
    made.flag_sub = made.exec_size + made.channel_offset <= 16 && prng_.chance(1, 2) ? 1 : 0;
    if (prng_.chance(1, 3)) made.pred = static_cast<EuPred>(1 + (prng_.chance(1, 6) ? prng_.below(3) : 0));
    made.pred_inverted = made.pred != EuPred::kNone && prng_.chance(1, 3);
    const bool needs = row.op == EuOp::kCmp || row.op == EuOp::kCmpn || row.op == EuOp::kCsel;
    const bool selects = row.op == EuOp::kSel && made.pred == EuPred::kNone;
    if (needs || selects || prng_.chance(1, 8)) made.cond = static_cast<EuCond>(1 + prng_.below(6));
    if (prng_.chance(1, 12) && !eu_op_info(row.op).ignores.saturate) made.saturate = true;
    if (eu_op_info(row.op).ignores.cond) made.cond = EuCond::kNone;
    if (eu_op_info(row.op).ignores.modifiers) {
      for (EuOperand& source : made.src) source.neg = source.abs = false;
    }
    if (row.op == EuOp::kMath) {
      constexpr std::array<std::uint8_t, 9> kFunctions = {1, 2, 3, 4, 5, 6, 7, 15, 15};
      made.function = row.sources == 2 ? 14 : kFunctions[prng_.below(kFunctions.size())];
      made.cond = EuCond::kNone;
      made.dst.mme = prng_.chance(1, 4) ? 8 : 0;
    }
    if (row.op == EuOp::kBfn) {
      made.function = static_cast<std::uint8_t>(prng_.below(256));
      for (EuOperand& source : made.src) source.neg = source.abs = false;
    }
    if (eu_op_info(row.op).logic) {
      for (EuOperand& source : made.src) source.abs = false;
    }
  }

  Prng prng_;
};

}  // namespace softxe::eu_test
