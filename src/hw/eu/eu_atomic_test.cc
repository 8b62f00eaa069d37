// What atomic operations make of two values: a table, for every width, and the host's rounding left alone.
#include "hw/eu/eu_atomic.h"

#include <gtest/gtest.h>
#include <xmmintrin.h>

namespace softxe {
namespace {

using Op = EuAtomicOp;

struct Row {
  Op op;
  std::uint8_t bytes;
  std::uint64_t found;
  std::uint64_t operand;
  std::uint64_t result;
  std::uint64_t compare = 0;
};

constexpr std::uint64_t kNan32 = 0x7FC00001;
constexpr Row kRows[] = {
    {Op::kInc, 4, 0xFFFFFFFF, 0, 0},
    {Op::kInc, 2, 0xFFFF, 0, 0},
    {Op::kInc, 8, 0xFFFFFFFF, 0, 0x100000000},
    {Op::kDec, 4, 0, 0, 0xFFFFFFFF},
    {Op::kDec, 2, 0, 0, 0xFFFF},
    {Op::kLoad, 4, 7, 9, 7},
    {Op::kExchange, 4, 7, 9, 9},
    {Op::kAdd, 4, 0xFFFFFFFF, 2, 1},
    {Op::kAdd, 8, 0xFFFFFFFF, 2, 0x100000001},
    {Op::kSub, 4, 1, 2, 0xFFFFFFFF},
    {Op::kSub, 2, 1, 2, 0xFFFF},
    {Op::kSmin, 4, 0xFFFFFFFF, 1, 0xFFFFFFFF},
    {Op::kSmax, 4, 0xFFFFFFFF, 1, 1},
    {Op::kUmin, 4, 0xFFFFFFFF, 1, 1},
    {Op::kUmax, 4, 0xFFFFFFFF, 1, 0xFFFFFFFF},
    {Op::kSmin, 2, 0x8000, 1, 0x8000},
    {Op::kUmin, 2, 0x8000, 1, 1},
    {Op::kSmin, 8, 0x8000000000000000, 1, 0x8000000000000000},
    {Op::kSmax, 8, 0x8000000000000000, 1, 1},
    {Op::kIcas, 4, 5, 9, 9, 5},
    {Op::kIcas, 4, 5, 9, 5, 6},
    {Op::kIcas, 2, 5, 9, 9, 5},
    {Op::kAnd, 4, 0xF0, 0x3C, 0x30},
    {Op::kOr, 8, 0xF000000000, 0x3C, 0xF00000003C},
    {Op::kXor, 2, 0xF0F0, 0xFFFF, 0x0F0F},
    // 1.5 + 0.25, in three widths; 1.5 - 0.25.
    {Op::kFadd, 2, 0x3E00, 0x3400, 0x3F00},
    {Op::kFadd, 4, 0x3FC00000, 0x3E800000, 0x3FE00000},
    {Op::kFadd, 8, 0x3FF8000000000000, 0x3FD0000000000000, 0x3FFC000000000000},
    {Op::kFsub, 2, 0x3E00, 0x3400, 0x3D00},
    {Op::kFsub, 4, 0x3FC00000, 0x3E800000, 0x3FA00000},
    // To nearest even: 2^24 + 1, 2^24 + 3; a half's 2048 + 1 and + 3; the largest half, and just too much.
    {Op::kFadd, 4, 0x4B800000, 0x3F800000, 0x4B800000},
    {Op::kFadd, 4, 0x4B800000, 0x40400000, 0x4B800002},
    {Op::kFadd, 2, 0x6800, 0x3C00, 0x6800},
    {Op::kFadd, 2, 0x6800, 0x4200, 0x6802},
    {Op::kFadd, 2, 0x7BFF, 0x4B00, 0x7BFF},  // 65504 + 14
    {Op::kFadd, 2, 0x7BFF, 0x4C00, 0x7C00},  // 65504 + 16
    // Denormals stay what they are.
    {Op::kFadd, 4, 1, 2, 3},
    {Op::kFadd, 2, 1, 2, 3},
    {Op::kFadd, 2, 0x03FF, 1, 0x0400},
    {Op::kFsub, 2, 0x0400, 1, 0x03FF},
    {Op::kFmin, 4, 1, 2, 1},
    // A NaN loses against a number; two of them leave what is there. Sums keep the first.
    {Op::kFmin, 4, kNan32, 0x3F800000, 0x3F800000},
    {Op::kFmin, 4, 0x3F800000, kNan32, 0x3F800000},
    {Op::kFmax, 4, kNan32, kNan32 + 1, kNan32},
    {Op::kFmax, 2, 0x7E00, 0xBC00, 0xBC00},
    {Op::kFadd, 4, 0x7F800001, kNan32, 0x7FC00001},
    {Op::kFsub, 8, 0x3FF0000000000000, 0x7FF0000000000001, 0x7FF8000000000001},
    {Op::kFmin, 4, 0xBF800000, 0x3F800000, 0xBF800000},
    {Op::kFmax, 8, 0xBFF0000000000000, 0x3FF0000000000000, 0x3FF0000000000000},
    // Compared as numbers: zeros are equal, NaNs are not.
    {Op::kFcas, 4, 0x80000000, 9, 9, 0},
    {Op::kFcas, 4, kNan32, 9, kNan32, kNan32},
    {Op::kFcas, 2, 0x3C00, 9, 9, 0x3C00},
};

TEST(EuAtomic, MakesOfTwoValuesWhatTheTableSays) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(::testing::Message() << "operation " << static_cast<unsigned>(row.op) << ", " << +row.bytes
                                      << " bytes, " << std::hex << row.found << " and " << row.operand);
    const EuAtomic atomic{.op = row.op, .bytes = row.bytes, .operand = row.operand, .compare = row.compare};
    EXPECT_EQ(eu_atomic_result(atomic, row.found), row.result);
    const auto found = static_cast<std::uint32_t>(row.found);
    const auto operand = static_cast<std::uint32_t>(row.operand);
    const auto compare = static_cast<std::uint32_t>(row.compare);
    if (row.bytes == 8) {
      EXPECT_EQ(eu_atomic_fn64(row.op)(row.found, row.operand, row.compare), row.result);
    }
    if (row.bytes == 4) {
      EXPECT_EQ(eu_atomic_fn32(row.op)(found, operand, compare), row.result);
    }
    if (row.bytes != 2) continue;
    // Half of a dword: the other half stays, and the operand's upper half means nothing.
    EXPECT_EQ(eu_atomic_fn16(row.op, EuHalf::kLow)(0xABCD0000 | found, 0x55550000 | operand, compare),
              0xABCD0000 | row.result);
    EXPECT_EQ(eu_atomic_fn16(row.op, EuHalf::kHigh)(found << 16 | 0xABCD, operand, compare), row.result << 16 | 0xABCD);
  }
}

TEST(EuAtomic, TheThreadsRoundingAndDenormalModesMeanNothing) {
  const unsigned before = _mm_getcsr();
  for (const unsigned mode : {0x3F80u, 0x5F80u, 0x7F80u, 0x9FC0u}) {  // down, up, to zero; both flushes
    for (const Row& row : kRows) {
      _mm_setcsr(mode);
      const EuAtomic atomic{.op = row.op, .bytes = row.bytes, .operand = row.operand, .compare = row.compare};
      const std::uint64_t result = eu_atomic_result(atomic, row.found);
      const unsigned after = _mm_getcsr() & 0xFFC0;
      _mm_setcsr(before);
      EXPECT_EQ(result, row.result) << mode << ": " << static_cast<unsigned>(row.op);
      EXPECT_EQ(after, mode & 0xFFC0) << "put back";
    }
  }
}

TEST(EuAtomic, OperandsAreRowsOfTheMessage) {
  static constexpr struct {
    Op op;
    unsigned rows;
  } kCounts[] = {{Op::kInc, 0}, {Op::kDec, 0},  {Op::kLoad, 0}, {Op::kExchange, 1},
                 {Op::kAdd, 1}, {Op::kFmax, 1}, {Op::kIcas, 2}, {Op::kFcas, 2}};
  for (const auto& row : kCounts) EXPECT_EQ(eu_atomic_operands(row.op), row.rows);
}

}  // namespace
}  // namespace softxe
