#include "hw/eu/eu_fused.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

namespace softxe {
namespace {

/// Numbers of all sizes that meet: exponents near each other more often than not, so that sums cancel.
template <typename T, typename Bits>
T draw(std::mt19937_64& random, unsigned fraction_bits, unsigned exponent_max) {
  const auto fraction = static_cast<Bits>(random() & ((std::uint64_t{1} << fraction_bits) - 1));
  const auto near = static_cast<Bits>(exponent_max / 2 + random() % 64 - 32);
  const auto any = static_cast<Bits>(random() % exponent_max);
  const Bits few = random() % 3 == 0 ? static_cast<Bits>(fraction & ~Bits{0} << (fraction_bits / 2)) : fraction;
  const Bits exponent = random() % 4 == 0 ? any : near;
  const auto sign = static_cast<Bits>(random() & 1);
  return std::bit_cast<T>(static_cast<Bits>(sign << (sizeof(T) * 8 - 1) | exponent << fraction_bits | few));
}

template <typename T, typename Bits>
void agrees(unsigned fraction_bits, unsigned exponent_max) {
  if (!__builtin_cpu_supports("fma")) GTEST_FAIL() << "this host has no FMA to compare with";
  std::mt19937_64 random(7);
  const unsigned before = _mm_getcsr();
  for (unsigned mode = 0; mode < 4; ++mode) {
    for (int i = 0; i < 100000; ++i) {
      const T a = draw<T, Bits>(random, fraction_bits, exponent_max);
      const T b = draw<T, Bits>(random, fraction_bits, exponent_max);
      const T c = i % 5 == 0 ? -(a * b) : draw<T, Bits>(random, fraction_bits, exponent_max);
      _mm_setcsr((before & ~(3U << 13)) | mode << 13);
      const T by_host = eu_fused(a, b, c);
      const T by_hand = eu_fused_in_integers(a, b, c);
      _mm_setcsr(before);
      ASSERT_EQ(std::bit_cast<Bits>(by_host), std::bit_cast<Bits>(by_hand))
          << "mode " << mode << ": " << a << " * " << b << " + " << c << " is " << by_host << ", not " << by_hand;
    }
  }
}

TEST(EuFused, FloatsInIntegersAgreeWithTheHost) { agrees<float, std::uint32_t>(23, 255); }
TEST(EuFused, DoublesInIntegersAgreeWithTheHost) { agrees<double, std::uint64_t>(52, 2047); }

}  // namespace
}  // namespace softxe
