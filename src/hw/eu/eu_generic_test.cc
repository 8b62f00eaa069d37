// Operations, one line per case. Sources stand in r10, r20, r30, the result in r50; numbers are bits.
#include "hw/eu/eu_generic.h"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <vector>

#include "hw/eu/eu_alu_test_support.h"
#include "hw/eu/eu_check.h"

namespace softxe {
namespace {

using namespace eu_test;
using enum EuOp;
using enum EuType;
using enum EuCond;

struct Case {
  const char* claim;
  EuOp op;
  EuType dst;
  std::vector<EuType> types;
  std::vector<std::uint64_t> values;
  std::uint64_t expected;
  EuCond cond = EuCond::kNone;
  bool saturate = false;
  std::uint8_t function = 0;
  std::uint32_t cr0 = kCr0;
  std::uint32_t neg = 0;  ///< bit per source
  std::uint32_t abs = 0;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.claim; }

EuInst inst_of(const Case& c) {
  EuInst made = inst(c.op, 1, to(50, c.dst), {});
  for (unsigned i = 0; i < c.types.size(); ++i) {
    made.src[i] = scalar(10 + 10 * i, c.types[i]);
    made.src[i].neg = (c.neg >> i & 1) != 0;
    made.src[i].abs = (c.abs >> i & 1) != 0;
  }
  made.cond = c.cond;
  made.saturate = c.saturate;
  made.function = c.function;
  return made;
}

class EuOperation : public testing::TestWithParam<Case> {};

TEST_P(EuOperation, GivesTheBits) {
  const Case& c = GetParam();
  const auto thread = make_thread();
  thread->cr[0] = c.cr0;
  for (unsigned i = 0; i < c.types.size(); ++i) put(*thread, 10 + 10 * i, c.types[i], c.values[i]);
  const EuInst made = inst_of(c);
  const EuCheck check = eu_check(made, *thread);
  ASSERT_TRUE(check.ok()) << c.claim << ": " << check.reason;
  eu_generic(*thread, made);
  EXPECT_EQ(get(*thread, 50, c.dst), c.expected) << c.claim << std::hex << ": " << get(*thread, 50, c.dst);
}

constexpr std::uint32_t kUp = kCr0 | 0x10;
constexpr std::uint32_t kDown = kCr0 | 0x20;
constexpr std::uint32_t kZero = kCr0 | 0x30;
constexpr std::uint32_t kFlush = 0x40000040;  // -cl-denorms-are-zero: df keeps its own

// clang-format off
INSTANTIATE_TEST_SUITE_P(Integers, EuOperation, testing::Values(
    Case{"add wraps", kAdd, kD, {kD, kD}, {0x7FFFFFFF, 1}, 0x80000000},
    Case{"add saturates", kAdd, kD, {kD, kD}, {0x7FFFFFFF, 1}, 0x7FFFFFFF, kNone, true},
    Case{"add saturates to unsigned", kAdd, kUW, {kD, kD}, {0xFFFFFFFF, 0}, 0, kNone, true},
    Case{"sources extend by their own types", kAdd, kQ, {kQ, kW}, {10, 0xFFFF}, 9},
    Case{"unsigned word extends with zeros", kAdd, kQ, {kQ, kUW}, {10, 0xFFFF}, 0x10009},
    Case{"negation of unsigned is negative", kAdd, kD, {kD, kUD}, {5, 7}, 0xFFFFFFFE, kNone, false, 0, kCr0, 2},
    Case{"abs before neg", kAdd, kD, {kD, kD}, {0xFFFFFFFB, 1}, 0xFFFFFFFC, kNone, false, 0, kCr0, 1, 1},
    Case{"add3", kAdd3, kD, {kD, kW, kD}, {1, 0xFFFE, 3}, 2},
    Case{"mul keeps the low bits", kMul, kUD, {kUD, kUD}, {0xFFFFFFFF, 0xFFFFFFFF}, 1},
    Case{"mul of 64 bits", kMul, kUQ, {kUQ, kUQ}, {0x1'0000'0001, 0x1'0000'0001}, 0x2'0000'0001},
    Case{"mad adds its first source", kMad, kD, {kD, kW, kW}, {100, 7, 6}, 142},
    Case{"avg rounds up", kAvg, kD, {kD, kD}, {3, 4}, 4},
    Case{"and not", kAnd, kUD, {kUD, kUD}, {0xFF, 0x0F}, 0xF0, kNone, false, 0, kCr0, 2},
    Case{"xor of a word", kXor, kUD, {kUD, kUW}, {0xFFFF0000, 0xFFFF}, 0xFFFFFFFF},
    Case{"not", kNot, kUD, {kUD}, {0xF0F0F0F0}, 0x0F0F0F0F},
    Case{"bfn majority", kBfn, kUD, {kUD, kUD, kUD}, {0xFF00, 0xF0F0, 0xCCCC}, 0xFCC0, kNone, false, 0xE8},
    Case{"shift count has five bits", kShl, kD, {kD, kD}, {1, 33}, 2},
    Case{"shift count has six bits with a wide destination", kShl, kQ, {kD, kD}, {1, 33}, 1ull << 33},
    Case{"shr is logical", kShr, kUD, {kUD, kUW}, {0x80000000, 31}, 1},
    Case{"shr of signed is logical", kShr, kD, {kD, kUW}, {0x80000000, 31}, 1},
    Case{"asr is arithmetic", kAsr, kD, {kD, kUW}, {0x80000000, 31}, 0xFFFFFFFF},
    Case{"rol", kRol, kUD, {kUD, kUD}, {0x80000001, 4}, 0x18},
    Case{"ror by nothing", kRor, kUD, {kUD, kUD}, {0x80000001, 0}, 0x80000001},
    Case{"rol of 64 bits", kRol, kUQ, {kUQ, kUD}, {0x8000000000000001, 4}, 0x18},
    Case{"bfe sign extends", kBfe, kD, {kD, kD, kD}, {4, 4, 0xF0}, 0xFFFFFFFF},
    Case{"bfe unsigned", kBfe, kUD, {kUD, kUD, kUD}, {4, 4, 0xF0}, 0xF},
    Case{"bfe of no width", kBfe, kUD, {kUD, kUD, kUD}, {32, 4, 0xF0}, 0},
    Case{"bfi1", kBfi1, kUD, {kUD, kUD}, {3, 4}, 0x70},
    Case{"bfi2", kBfi2, kUD, {kUD, kUD, kUD}, {0x70, 5, 0xFFFF}, 0xFFDF},
    Case{"bfrev", kBfrev, kUD, {kUD}, {1}, 0x80000000},
    Case{"cbit", kCbit, kUD, {kUD}, {0xF0F0}, 8},
    Case{"lzd of zero", kLzd, kUD, {kUD}, {0}, 32},
    Case{"lzd", kLzd, kUD, {kUD}, {0x10}, 27},
    Case{"fbl of zero", kFbl, kUD, {kUD}, {0}, 0xFFFFFFFF},
    Case{"fbl", kFbl, kUD, {kUD}, {0x10}, 4},
    Case{"fbh of unsigned zero", kFbh, kUD, {kUD}, {0}, 0xFFFFFFFF},
    Case{"fbh of minus one", kFbh, kUD, {kD}, {0xFFFFFFFF}, 0xFFFFFFFF},
    Case{"fbh of a negative number", kFbh, kUD, {kD}, {0xFFFFFF00}, 24},
    Case{"dp4a signed by unsigned", kDp4a, kD, {kD, kD, kUD}, {10, 0x0000FF02, 0x000003FF}, 517},
    Case{"dp4a saturates", kDp4a, kD, {kD, kUD, kUD}, {0x7FFFFFF0, 0xFF, 0xFF}, 0x7FFFFFFF, kNone, true}));

INSTANTIATE_TEST_SUITE_P(Floats, EuOperation, testing::Values(
    Case{"add", kAdd, kF, {kF, kF}, {0x3F800000, 0x40000000}, 0x40400000},
    Case{"add rounds up", kAdd, kF, {kF, kF}, {0x3F800000, 0x30000000}, 0x3F800001, kNone, false, 0, kUp},
    Case{"add rounds down", kAdd, kF, {kF, kF}, {0x3F800000, 0xB0000000}, 0x3F7FFFFF, kNone, false, 0, kDown},
    Case{"add cuts off", kAdd, kF, {kF, kF}, {0xBF800000, 0xB0000000}, 0xBF800000, kNone, false, 0, kZero},
    Case{"every NaN result is the same", kAdd, kF, {kF, kF}, {0xFFC12345, 0x3F800000}, 0x7FC00000},
    Case{"mad is fused", kMad, kF, {kF, kF, kF}, {0xBF800000, 0x3F800001, 0x3F7FFFFF}, 0x337FFFFE},
    Case{"saturate of NaN is zero", kAdd, kF, {kF, kF}, {0x7FC00000, 0}, 0, kNone, true},
    Case{"saturate to one", kMul, kF, {kF, kF}, {0x40000000, 0x40000000}, 0x3F800000, kNone, true},
    Case{"denormals live", kMul, kF, {kF, kF}, {1, 0x40000000}, 2},
    Case{"denormals flush", kMul, kF, {kF, kF}, {0x400000, 0x40000000}, 0, kNone, false, 0, kFlush},
    Case{"denormal results flush", kMul, kF, {kF, kF}, {0x00800000, 0x3F000000}, 0, kNone, false, 0, kFlush},
    Case{"df keeps its denormals beside", kMul, kDF, {kDF, kDF}, {1, 0x4000000000000000}, 2, kNone, false, 0, kFlush},
    Case{"df add", kAdd, kDF, {kDF, kDF}, {0x3FF0000000000000, 0x3FF0000000000000}, 0x4000000000000000},
    Case{"hf add", kAdd, kHF, {kHF, kHF}, {0x3C00, 0x3C00}, 0x4000},
    Case{"hf mad rounds once", kMad, kHF, {kHF, kHF, kHF}, {0x7800, 0x1400, 0x1001}, 0x7800},
    Case{"hf mad of a tie sees the smallest addend", kMad, kHF, {kHF, kHF, kHF}, {1, 0x4200, 0x6156}, 0x6801},
    Case{"hf mad sees the smallest addend", kMad, kHF, {kHF, kHF, kHF}, {1, 0x7801, 0x2400}, 0x6001, kNone, false, 0, kCr0},
    Case{"hf denormals flush", kAdd, kHF, {kHF, kHF}, {0x0200, 0}, 0, kNone, false, 0, kFlush & ~0x400u},
    Case{"bf by f", kMul, kF, {kBF, kF}, {0x4000, 0x40400000}, 0x40C00000},
    Case{"frc", kFrc, kF, {kF}, {0xBFA00000}, 0x3F400000},
    Case{"rndd", kRndd, kF, {kF}, {0xBFA00000}, 0xC0000000},
    Case{"rndu", kRndu, kF, {kF}, {0xBFA00000}, 0xBF800000},
    Case{"rnde of a tie", kRnde, kF, {kF}, {0x40200000}, 0x40000000},
    Case{"rnde keeps the sign of zero", kRnde, kF, {kF}, {0xBE800000}, 0x80000000},
    Case{"rndd to zero while sums round down", kRndd, kF, {kF}, {0x3E800000}, 0, kNone, false, 0, kDown},
    Case{"rndz", kRndz, kF, {kF}, {0xBFE00000}, 0xBF800000},
    Case{"neg then abs", kAdd, kF, {kF, kF}, {0x3F800000, 0x40000000}, 0xBF800000, kNone, false, 0, kCr0, 2, 2}));

INSTANTIATE_TEST_SUITE_P(Conversions, EuOperation, testing::Values(
    Case{"raw move keeps a signalling NaN", kMov, kF, {kF}, {0x7F800001}, 0x7F800001},
    Case{"raw move of hf", kMov, kHF, {kHF}, {0xFFFF}, 0xFFFF},
    Case{"raw move keeps a denormal in any mode", kMov, kF, {kF}, {1}, 1, kNone, false, 0, kFlush},
    Case{"NaN to integer is zero", kMov, kD, {kF}, {0x7FC00000}, 0},
    Case{"float to integer clamps", kMov, kD, {kF}, {0x4F000000}, 0x7FFFFFFF},
    Case{"float to integer clamps below", kMov, kD, {kF}, {0xFF800000}, 0x80000000},
    Case{"float to unsigned clamps", kMov, kUD, {kF}, {0xBF800000}, 0},
    Case{"float to byte clamps", kMov, kB, {kF}, {0x43960000}, 0x7F},
    Case{"float to integer truncates", kMov, kD, {kF}, {0xBFE00000}, 0xFFFFFFFF},
    Case{"float to integer rounds with bit 12", kMov, kD, {kF}, {0xBFE00000}, 0xFFFFFFFE, kNone, false, 0, kCr0 | 0x1000},
    Case{"float to integer rounds up with bit 12", kMov, kD, {kF}, {0x3F900000}, 2, kNone, false, 0, kUp | 0x1000},
    Case{"df to q", kMov, kQ, {kDF}, {0xC3E0000000000000}, 0x8000000000000000},
    Case{"df to uq", kMov, kUQ, {kDF}, {0x43E0000000000000}, 0x8000000000000000},
    Case{"df to uq clamps", kMov, kUQ, {kDF}, {0x43F0000000000000}, 0xFFFFFFFFFFFFFFFF},
    Case{"integer to float rounds to even", kMov, kF, {kD}, {0x01000001}, 0x4B800000},
    Case{"integer to float rounds up", kMov, kF, {kD}, {0x01000001}, 0x4B800001, kNone, false, 0, kUp},
    Case{"uq to f", kMov, kF, {kUQ}, {0xFFFFFFFFFFFFFFFF}, 0x5F800000},
    Case{"uq to f cut off", kMov, kF, {kUQ}, {0xFFFFFFFFFFFFFFFF}, 0x5F7FFFFF, kNone, false, 0, kZero},
    Case{"uq to df", kMov, kDF, {kUQ}, {0x8000000000000000}, 0x43E0000000000000},
    Case{"f to hf rounds to even", kMov, kHF, {kF}, {0x3F801000}, 0x3C00},
    Case{"f to hf rounds up", kMov, kHF, {kF}, {0x3F801000}, 0x3C01, kNone, false, 0, kUp},
    Case{"f to hf overflows", kMov, kHF, {kF}, {0x477FF000}, 0x7C00},
    Case{"f to hf stops at the largest", kMov, kHF, {kF}, {0x477FF000}, 0x7BFF, kNone, false, 0, kZero},
    Case{"f to hf denormal", kMov, kHF, {kF}, {0x33800000}, 1},
    Case{"f to hf NaN keeps its payload", kMov, kHF, {kF}, {0xFF802000}, 0xFE01},
    Case{"hf denormal to f", kMov, kF, {kHF}, {1}, 0x33800000},
    Case{"hf to f infinity", kMov, kF, {kHF}, {0xFC00}, 0xFF800000},
    Case{"hf to d", kMov, kD, {kHF}, {0xC500}, 0xFFFFFFFB},
    Case{"d to hf", kMov, kHF, {kD}, {65504}, 0x7BFF},
    Case{"f to bf", kMov, kBF, {kF}, {0x3F808000}, 0x3F80},
    Case{"f to bf rounds away from the even half", kMov, kBF, {kF}, {0x3F818000}, 0x3F82},
    Case{"bf to f", kMov, kF, {kBF}, {0xC040}, 0xC0400000},
    Case{"f to tf32", kMov, kTF32, {kF}, {0x3F801001}, 0x3F802000},
    Case{"hf to bf8", kMov, kBF8, {kHF}, {0x3C80}, 0x3C},
    Case{"bf8 to hf", kMov, kHF, {kBF8}, {0x3D}, 0x3D00},
    Case{"df to f", kMov, kF, {kDF}, {0x3FF0000010000000}, 0x3F800000},
    Case{"d to w wraps", kMov, kW, {kD}, {0x12345678}, 0x5678},
    Case{"d to w saturates", kMov, kW, {kD}, {0x12345678}, 0x7FFF, kNone, true},
    Case{"f to f saturates", kMov, kF, {kF}, {0xBF800000}, 0, kNone, true},
    Case{"srnd up", kSrnd, kHF, {kF, kUD}, {0x3F800001, 0x1FFF}, 0x3C01},
    Case{"srnd down", kSrnd, kHF, {kF, kUD}, {0x3F801FFF, 0}, 0x3C00}));

INSTANTIATE_TEST_SUITE_P(Comparisons, EuOperation, testing::Values(
    Case{"cmp writes ones", kCmp, kD, {kD, kUD}, {0xFFFFFFFF, 1}, 0xFFFFFFFF, kLt},
    Case{"cmp of f writes raw ones", kCmp, kF, {kF, kF}, {0x3F800000, 0x3F800000}, 0xFFFFFFFF, kEq},
    Case{"cmp of hf writes a word", kCmp, kHF, {kHF, kHF}, {0x3C00, 0x4000}, 0xFFFF, kLt},
    Case{"NaN is not equal", kCmp, kD, {kF, kF}, {0x7FC00000, 0x7FC00000}, 0xFFFFFFFF, kNe},
    Case{"NaN is not less", kCmp, kD, {kF, kF}, {0x7FC00000, 0}, 0, kLt},
    Case{"cmpn of NaN holds", kCmpn, kD, {kF, kF}, {0x7FC00000, 0}, 0xFFFFFFFF, kLt},
    Case{"minus zero equals zero", kCmp, kD, {kF, kF}, {0x80000000, 0}, 0xFFFFFFFF, kEq},
    Case{"minimum", kSel, kD, {kD, kD}, {0xFFFFFFFF, 1}, 0xFFFFFFFF, kLt},
    Case{"maximum of unsigned", kSel, kUD, {kUD, kUD}, {0xFFFFFFFF, 1}, 0xFFFFFFFF, kGe},
    Case{"minimum without the NaN", kSel, kF, {kF, kF}, {0x7FC00000, 0x3F800000}, 0x3F800000, kLt},
    Case{"maximum without the NaN", kSel, kF, {kF, kF}, {0x3F800000, 0x7FC00000}, 0x3F800000, kGe},
    Case{"csel", kCsel, kF, {kF, kF, kF}, {0x3F800000, 0x40000000, 0xBF800000}, 0x3F800000, kLt},
    Case{"csel other", kCsel, kF, {kF, kF, kF}, {0x3F800000, 0x40000000, 0x3F800000}, 0x40000000, kLt}));

INSTANTIATE_TEST_SUITE_P(Math, EuOperation, testing::Values(
    Case{"inv", kMath, kF, {kF}, {0x40000000}, 0x3F000000, kNone, false, 1},
    Case{"inv of minus zero", kMath, kF, {kF}, {0x80000000}, 0xFF800000, kNone, false, 1},
    Case{"log of zero", kMath, kF, {kF}, {0}, 0xFF800000, kNone, false, 2},
    Case{"log of eight", kMath, kF, {kF}, {0x41000000}, 0x40400000, kNone, false, 2},
    Case{"log of a negative number", kMath, kF, {kF}, {0xBF800000}, 0x7FC00000, kNone, false, 2},
    Case{"exp", kMath, kF, {kF}, {0x40400000}, 0x41000000, kNone, false, 3},
    Case{"sqt", kMath, kF, {kF}, {0x40800000}, 0x40000000, kNone, false, 4},
    Case{"rsqt of zero", kMath, kF, {kF}, {0}, 0x7F800000, kNone, false, 5},
    Case{"rsqt", kMath, kF, {kF}, {0x40800000}, 0x3F000000, kNone, false, 5},
    Case{"sin of zero", kMath, kF, {kF}, {0}, 0, kNone, false, 6},
    Case{"cos of zero", kMath, kF, {kF}, {0}, 0x3F800000, kNone, false, 7},
    Case{"inv of hf", kMath, kHF, {kHF}, {0x4000}, 0x3800, kNone, false, 1},
    Case{"invm divides", kMath, kF, {kF, kF}, {0x3F800000, 0x40400000}, 0x3EAAAAAB, kNone, false, 14},
    Case{"invm of df", kMath, kDF, {kDF, kDF}, {0x3FF0000000000000, 0x4008000000000000}, 0x3FD5555555555555, kNone, false, 14}));
// clang-format on

}  // namespace
}  // namespace softxe
