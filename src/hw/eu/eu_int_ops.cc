#include "hw/eu/eu_int_ops.h"

namespace softxe {
namespace {

using Args = const EuIntArgs&;
using Inst = const EuInst&;

EuWide product(EuWide a, EuWide b) {
  // Two 64-bit unsigned values may need 128 bits: wrap instead of overflowing.
  return static_cast<EuWide>(static_cast<EuWideBits>(a) * static_cast<EuWideBits>(b));
}
std::uint32_t low(EuWide value) { return static_cast<std::uint32_t>(value); }

EuWide add(Args a, Inst) { return a.s0 + a.s1; }
EuWide add3(Args a, Inst) { return a.s0 + a.s1 + a.s2; }
EuWide mul(Args a, Inst) { return product(a.s0, a.s1); }
EuWide mad(Args a, Inst) {
  return static_cast<EuWide>(static_cast<EuWideBits>(a.s0) + static_cast<EuWideBits>(product(a.s1, a.s2)));
}
EuWide average(Args a, Inst) { return (a.s0 + a.s1 + 1) >> 1; }

EuWide bit_and(Args a, Inst) { return a.s0 & a.s1; }
EuWide bit_or(Args a, Inst) { return a.s0 | a.s1; }
EuWide bit_xor(Args a, Inst) { return a.s0 ^ a.s1; }
EuWide same(Args a, Inst) { return a.s0; }
EuWide bit_not(Args a, Inst) { return ~a.s0; }

EuWide bfn(Args a, Inst inst) {
  std::uint64_t result = 0;
  for (unsigned row = 0; row < 8; ++row) {
    if ((inst.function >> row & 1) == 0) continue;
    const EuWide s0 = (row & 1) != 0 ? a.s0 : ~a.s0;
    const EuWide s1 = (row & 2) != 0 ? a.s1 : ~a.s1;
    const EuWide s2 = (row & 4) != 0 ? a.s2 : ~a.s2;
    result |= static_cast<std::uint64_t>(s0 & s1 & s2);
  }
  return static_cast<EuWide>(static_cast<std::int64_t>(result));
}

unsigned shift_count(Args a, Inst inst) {
  const bool wide = eu_type_bytes(inst.dst.type) == 8 || eu_type_bytes(inst.src[0].type) == 8;
  return low(a.s1) & (wide ? 63 : 31);
}
unsigned source_bits(Inst inst) { return eu_type_bytes(inst.src[0].type) * 8; }

EuWide shl(Args a, Inst inst) { return static_cast<EuWide>(static_cast<EuWideBits>(a.s0) << shift_count(a, inst)); }
EuWide shr(Args a, Inst inst) {
  const std::uint64_t bits = eu_low_bits(static_cast<std::uint64_t>(a.s0), source_bits(inst) / 8);
  return static_cast<EuWide>(bits >> shift_count(a, inst));
}
EuWide asr(Args a, Inst inst) { return a.s0 >> shift_count(a, inst); }

std::uint64_t rotate_left(std::uint64_t bits, unsigned count, unsigned width) {
  bits = eu_low_bits(bits, width / 8);
  count %= width;
  if (count == 0) return bits;
  return eu_low_bits(bits << count | bits >> (width - count), width / 8);
}
EuWide rol(Args a, Inst inst) {
  const unsigned width = source_bits(inst);
  return static_cast<EuWide>(rotate_left(static_cast<std::uint64_t>(a.s0), low(a.s1) % width, width));
}
EuWide ror(Args a, Inst inst) {
  const unsigned width = source_bits(inst);
  return static_cast<EuWide>(rotate_left(static_cast<std::uint64_t>(a.s0), width - low(a.s1) % width, width));
}

EuWide bfe(Args a, Inst inst) {
  const unsigned width = low(a.s0) & 31;
  const unsigned offset = low(a.s1) & 31;
  if (width == 0) return 0;
  const std::uint32_t field = (low(a.s2) >> offset) & ((1u << width) - 1);
  if (eu_class(inst.src[2].type) != EuClass::kSigned) return field;
  const auto top = static_cast<std::int32_t>(field << (32 - width));
  return top >> (32 - width);
}
EuWide bfi1(Args a, Inst) { return static_cast<std::uint32_t>(((1u << (low(a.s0) & 31)) - 1) << (low(a.s1) & 31)); }
EuWide bfi2(Args a, Inst) {
  const std::uint32_t mask = low(a.s0);
  if (mask == 0) return low(a.s2);
  return (low(a.s1) << std::countr_zero(mask) & mask) | (low(a.s2) & ~mask);
}

EuWide bfrev(Args a, Inst) {
  std::uint32_t bits = low(a.s0);
  std::uint32_t result = 0;
  for (unsigned i = 0; i < 32; ++i) result |= (bits >> i & 1) << (31 - i);
  return result;
}
EuWide cbit(Args a, Inst inst) {
  return std::popcount(eu_low_bits(static_cast<std::uint64_t>(a.s0), source_bits(inst) / 8));
}
EuWide lzd(Args a, Inst) { return std::countl_zero(low(a.s0)); }
EuWide fbl(Args a, Inst) { return low(a.s0) == 0 ? EuWide{0xFFFFFFFF} : std::countr_zero(low(a.s0)); }
EuWide fbh(Args a, Inst inst) {
  std::uint32_t bits = low(a.s0);
  const bool is_signed = eu_class(inst.src[0].type) == EuClass::kSigned;
  if (is_signed && (bits >> 31) != 0) bits = ~bits;
  return bits == 0 ? EuWide{0xFFFFFFFF} : std::countl_zero(bits);
}

std::int32_t byte_of(std::uint32_t value, unsigned index, EuType type) {
  const std::uint32_t byte = value >> (index * 8) & 0xFF;
  return eu_class(type) == EuClass::kSigned ? static_cast<std::int8_t>(byte) : static_cast<std::int32_t>(byte);
}
EuWide dp4a(Args a, Inst inst) {
  EuWide sum = a.s0;
  for (unsigned i = 0; i < 4; ++i) {
    sum += byte_of(low(a.s1), i, inst.src[1].type) * byte_of(low(a.s2), i, inst.src[2].type);
  }
  return sum;
}

struct Row {
  EuOp op;
  EuIntOp apply;
};
// clang-format off
constexpr Row kRows[] = {
    {EuOp::kAdd, add},     {EuOp::kAdd3, add3},   {EuOp::kMul, mul},     {EuOp::kMad, mad},
    {EuOp::kAvg, average}, {EuOp::kAnd, bit_and}, {EuOp::kOr, bit_or},   {EuOp::kXor, bit_xor},
    {EuOp::kNot, bit_not}, {EuOp::kBfn, bfn},     {EuOp::kShl, shl},     {EuOp::kShr, shr},
    {EuOp::kAsr, asr},     {EuOp::kRol, rol},     {EuOp::kRor, ror},     {EuOp::kBfe, bfe},
    {EuOp::kBfi1, bfi1},   {EuOp::kBfi2, bfi2},   {EuOp::kBfrev, bfrev}, {EuOp::kCbit, cbit},
    {EuOp::kLzd, lzd},     {EuOp::kFbl, fbl},     {EuOp::kFbh, fbh},     {EuOp::kDp4a, dp4a},
    {EuOp::kMov, same},    {EuOp::kMovi, same},
};
// clang-format on

}  // namespace

EuIntOp eu_int_op(EuOp op) {
  for (const Row& row : kRows) {
    if (row.op == op) return row.apply;
  }
  return nullptr;
}

}  // namespace softxe
