// Products of small matrices: every type against a loop over whole numbers, generic way and levels.
#include "hw/eu/eu_dpas.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/prng.h"
#include "hw/eu/eu_alu_test_support.h"
#include "hw/eu/eu_check.h"
#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_generic.h"
#include "hw/eu/eu_number.h"
#include "hw/eu/eu_predecode.h"

namespace softxe {
namespace {

using namespace eu_test;
using enum EuType;

struct Row {
  const char* name;
  EuType dst, c, b, a;
  unsigned repeat;
};

const Row kRows[] = {
    {"hf", kF, kF, kHF, kHF, 8},         {"bf", kF, kF, kBF, kBF, 8},
    {"tf32", kF, kF, kTF32, kTF32, 8},   {"hf to hf", kHF, kHF, kHF, kHF, 4},
    {"bf to bf", kBF, kBF, kBF, kBF, 8}, {"one row", kF, kF, kHF, kHF, 1},
    {"bytes", kD, kD, kB, kB, 8},        {"unsigned bytes", kUD, kUD, kUB, kUB, 8},
    {"b by ub", kD, kD, kUB, kB, 4},     {"ub by b", kD, kD, kB, kUB, 8},
    {"4 bits", kD, kD, kS4, kU4, 8},     {"4 by 8 bits", kD, kD, kS4, kB, 8},
    {"2 bits", kD, kD, kU2, kS2, 8},
};

bool is_signed(EuType type) { return eu_class(type) == EuClass::kSigned; }

/// A whole number that the type holds, small.
int draw(Prng& prng, EuType type) {
  const unsigned bits = eu_dpas_bits(type);
  const int range = eu_is_float(type) ? 16 : 1 << std::min(bits, 6u);
  const int value = static_cast<int>(prng.below(static_cast<std::uint64_t>(range)));
  return eu_is_float(type) || is_signed(type) ? value - range / 2 : value;
}

std::uint64_t bits_of(int value, EuType type) {
  if (type == kF) return eu_raw(static_cast<float>(value));
  if (eu_is_float(type)) return EuConvert{.to = type}.from(static_cast<double>(value));
  return static_cast<std::uint64_t>(value) & ((std::uint64_t{1} << eu_dpas_bits(type)) - 1);
}

/// Element `index` of a packed row of elements that begins at register `reg`.
void put_bits(EuThread& thread, unsigned reg, std::uint64_t index, EuType type, int value) {
  const unsigned bits = eu_dpas_bits(type);
  const std::uint64_t bit = index * bits;
  std::uint64_t word = 0;
  std::byte* const at = &thread.grf[reg * 64 + bit / 32 * 4];
  std::memcpy(&word, at, 4);
  word |= bits_of(value, type) << (bit % 32);
  std::memcpy(at, &word, 4);
}

class EuDpas : public testing::TestWithParam<Row> {};

TEST_P(EuDpas, IsTheSumOfProducts) {
  const Row& row = GetParam();
  Prng prng(3);
  EuInst made = inst(EuOp::kDpas, 16, to(100, row.dst), {grf(10, row.c), grf(20, row.b), grf(40, row.a)});
  made.dpas = {.depth = 8, .repeat = static_cast<std::uint8_t>(row.repeat)};
  const unsigned steps = 8 * eu_dpas_ops(made);
  const auto thread = make_thread();
  ASSERT_TRUE(eu_check(made, *thread).ok()) << eu_check(made, *thread).reason;
  std::vector<int> expected(row.repeat * 16);
  std::vector<int> a(row.repeat * steps);
  std::vector<int> b(steps * 16);
  for (unsigned i = 0; i < a.size(); ++i) put_bits(*thread, 40, i, row.a, a[i] = draw(prng, row.a));
  for (unsigned k = 0; k < steps; ++k) {
    for (unsigned n = 0; n < 16; ++n) {
      // In register m, dword n: the consecutive steps of column n.
      const unsigned in_dword = 32 / eu_dpas_bits(row.b);
      const unsigned index = (k / in_dword * 16 + n) * in_dword + k % in_dword;
      put_bits(*thread, 20, index, row.b, b[k * 16 + n] = draw(prng, row.b));
    }
  }
  for (unsigned r = 0; r < row.repeat; ++r) {
    for (unsigned n = 0; n < 16; ++n) {
      int sum = static_cast<int>(prng.below(100));
      put(*thread, 10, row.c, bits_of(sum, row.c), r * 16 + n);
      for (unsigned k = 0; k < steps; ++k) sum += a[r * steps + k] * b[k * 16 + n];
      expected[r * 16 + n] = sum;
    }
  }
  for (const EuLevel level : {EuLevel::kGeneric, EuLevel::kPlain, EuLevel::kAvx2, EuLevel::kAvx512}) {
    if (level > eu_host_level()) continue;
    const auto copy = std::make_unique<EuThread>(*thread);
    const auto record = std::make_unique<EuRecord>();
    eu_predecode(made, 0, level, *record);
    const HostFloatScope scope(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
    record->run(*copy, *record);
    for (unsigned i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(get(*copy, 100, row.dst, i), bits_of(expected[i], row.dst))
          << row.name << ", level " << static_cast<int>(level) << ", element " << i << ", " << expected[i];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, EuDpas, testing::ValuesIn(kRows));

TEST(EuDpasLevels, AgreeOnFloatsOfAnySize) {
  Prng prng(5);
  EuInst made = inst(EuOp::kDpas, 16, to(100, kF), {grf(10, kF), grf(20, kBF), grf(40, kBF)});
  const auto thread = make_thread();
  for (unsigned i = 0; i < 100 * 16; ++i) put(*thread, 0, kUD, prng.next(), i);
  const auto generic = std::make_unique<EuThread>(*thread);
  eu_generic(*generic, made);
  for (const EuLevel level : {EuLevel::kPlain, EuLevel::kAvx2, EuLevel::kAvx512}) {
    if (level > eu_host_level()) continue;
    const auto copy = std::make_unique<EuThread>(*thread);
    const auto record = std::make_unique<EuRecord>();
    eu_predecode(made, 0, level, *record);
    const HostFloatScope scope(host_float_control(EuRounding::kNearestEven, EuDenormals::kKeep));
    record->run(*copy, *record);
    EXPECT_EQ(std::memcmp(copy.get(), generic.get(), sizeof(EuThread)), 0) << static_cast<int>(level);
  }
}

}  // namespace
}  // namespace softxe
