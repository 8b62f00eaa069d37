// Seeded batches of random commands: nothing may abort, and every run ends within its budget.
#include <gtest/gtest.h>

#include <array>

#include "base/prng.h"
#include "hw/cs_fuzz_body.h"

namespace softxe {
namespace {

/// Headers that decode, so that random batches get past their first dword.
constexpr std::uint32_t kHeaders[] = {
    0x00000000, 0x02800000, 0x05000000, 0x0D000003, 0x0E008002, 0x10000002, 0x10200003, 0x11080001,
    0x12080002, 0x13004003, 0x14880002, 0x150C0001, 0x17000003, 0x17800501, 0x17842E09, 0x18800001,
    0x18C00001, 0x1B200002, 0x56800008, 0x56820008, 0x56880008, 0x56C00005, 0x56C20005, 0x50800008,
    0x50802008, 0x50A00008, 0x5040000A, 0x5100000E, 0x7A000004, 0x61010000, 0x72000000,
};

std::vector<std::uint8_t> random_batch(Prng& prng) {
  std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(prng.next())};
  const std::uint64_t dwords = 1 + prng.below(200);
  for (std::uint64_t i = 0; i < dwords; ++i) {
    std::uint32_t word = static_cast<std::uint32_t>(prng.next());
    if (prng.chance(1, 3)) word = kHeaders[prng.below(std::size(kHeaders))];
    else if (prng.chance(1, 2)) word = static_cast<std::uint32_t>(prng.below(0x20000)) & ~3u;
    else if (prng.chance(2, 3)) word &= 0x1f;
    for (unsigned byte = 0; byte < 4; ++byte)
      bytes.push_back(static_cast<std::uint8_t>(word >> 8 * byte));
  }
  return bytes;
}

TEST(CsRandom, AnyBatchEnds) {
  Prng prng(20'26);
  std::array<int, 8> ends{};
  for (int i = 0; i < 3000; ++i) ++ends[static_cast<std::size_t>(run_fuzz_batch(random_batch(prng)))];
  // The generator reaches every end that a batch can have without a kill.
  EXPECT_EQ(ends[static_cast<std::size_t>(RunEnd::kKilled)], 0);
  EXPECT_GT(ends[static_cast<std::size_t>(RunEnd::kBatchDone)], 0);
  EXPECT_GT(ends[static_cast<std::size_t>(RunEnd::kYield)], 0);
  EXPECT_GT(ends[static_cast<std::size_t>(RunEnd::kPageFault)], 0);
  EXPECT_GT(ends[static_cast<std::size_t>(RunEnd::kBadCommand)], 0);
}

TEST(CsRandom, NoBytesAtAll) { EXPECT_EQ(run_fuzz_batch({}), RunEnd::kBudget); }

}  // namespace
}  // namespace softxe
