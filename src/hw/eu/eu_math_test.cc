// Functions of the math unit against the host's library: never more than the last bit away, exact where that is easy.
#include "hw/eu/eu_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/prng.h"

namespace softxe {
namespace {

struct Row {
  const char* name;
  EuMath function;
  double (*library)(double);
  float low;  ///< arguments are drawn between
  float high;
};

double reciprocal_root(double x) { return 1.0 / std::sqrt(x); }

const Row kRows[] = {
    {"exp", EuMath::kExp, std::exp2, -150.0F, 129.0F},     {"exp near 0", EuMath::kExp, std::exp2, -1.0F, 1.0F},
    {"log", EuMath::kLog, std::log2, 0.0F, 1e30F},         {"log near 1", EuMath::kLog, std::log2, 0.9F, 1.1F},
    {"rsqt", EuMath::kRsqt, reciprocal_root, 0.0F, 1e30F}, {"sin", EuMath::kSin, std::sin, -10.0F, 10.0F},
    {"sin of large", EuMath::kSin, std::sin, -3e6F, 3e6F}, {"cos", EuMath::kCos, std::cos, -10.0F, 10.0F},
    {"cos of large", EuMath::kCos, std::cos, -3e6F, 3e6F},
};

std::int64_t ordered(float value) {
  const auto bits = std::bit_cast<std::int32_t>(value);
  return bits < 0 ? std::int64_t{INT32_MIN} - bits : std::int64_t{bits};
}

class EuMathFunction : public testing::TestWithParam<Row> {};

TEST_P(EuMathFunction, IsAtMostTheLastBitAway) {
  const Row& row = GetParam();
  Prng prng(7);
  for (unsigned i = 0; i < 20000; ++i) {
    const float part = static_cast<float>(prng.below(1u << 24)) * 0x1p-24F;
    const float x = row.low + (row.high - row.low) * part;
    const auto expected = static_cast<float>(row.library(static_cast<double>(x)));
    const float actual = eu_math(row.function, x, 0.0F);
    ASSERT_LE(std::abs(ordered(actual) - ordered(expected)), 1) << row.name << " of " << x << ": " << actual;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, EuMathFunction, testing::ValuesIn(kRows));

TEST(EuMathFunctions, PowersOfTwoAreExact) {
  for (int n = -149; n < 128; ++n) {
    EXPECT_EQ(eu_math(EuMath::kExp, static_cast<float>(n), 0.0F), std::ldexp(1.0F, n)) << n;
    EXPECT_EQ(eu_math(EuMath::kLog, std::ldexp(1.0F, n), 0.0F), static_cast<float>(n)) << n;
  }
}

TEST(EuMathFunctions, SpecialArguments) {
  const float infinite = INFINITY;
  EXPECT_EQ(eu_math(EuMath::kExp, infinite, 0.0F), infinite);
  EXPECT_EQ(eu_math(EuMath::kExp, -infinite, 0.0F), 0.0F);
  EXPECT_EQ(eu_math(EuMath::kExp, 1000.0F, 0.0F), infinite);
  EXPECT_EQ(eu_math(EuMath::kExp, -1000.0F, 0.0F), 0.0F);
  EXPECT_EQ(eu_math(EuMath::kLog, infinite, 0.0F), infinite);
  EXPECT_EQ(eu_math(EuMath::kLog, -0.0F, 0.0F), -infinite);
  EXPECT_TRUE(std::isnan(eu_math(EuMath::kLog, -infinite, 0.0F)));
  EXPECT_EQ(eu_math(EuMath::kRsqt, infinite, 0.0F), 0.0F);
  EXPECT_TRUE(std::signbit(eu_math(EuMath::kSin, -0.0F, 0.0F)));
  for (const EuMath f : {EuMath::kExp, EuMath::kLog, EuMath::kRsqt, EuMath::kSin, EuMath::kCos}) {
    EXPECT_TRUE(std::isnan(eu_math(f, NAN, 0.0F)));
  }
  EXPECT_TRUE(std::isnan(eu_math(EuMath::kSin, infinite, 0.0F)));
}

}  // namespace
}  // namespace softxe
