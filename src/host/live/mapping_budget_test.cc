#include "host/live/mapping_budget.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/raw_syscall.h"

namespace softxe::live {
namespace {

TEST(MappingBudget, EndsAtASixteenthOfWhatTheKernelAllows) {
  const ProcMaps maps = *ProcMaps::open(MapsSource::kBest);
  MappingBudget budget;
  budget.init();
  EXPECT_TRUE(budget.allows(0, maps));
  EXPECT_FALSE(budget.allows(1ULL << 40, maps));
}

// What the client has counts as well, however few parts there are of ours.
TEST(MappingBudget, EndsWhereTheProcessHasHalfOfThem) {
  constexpr std::uint64_t kPages = 40'000;
  const ProcMaps maps = *ProcMaps::open(MapsSource::kBest);
  MappingBudget budget;
  budget.init(MappingBudget::kDefaultMax);
  constexpr std::size_t kParts = MappingBudget::kDefaultMax / 64;
  EXPECT_TRUE(budget.allows(kParts, maps));
  void* room = mmap(nullptr, kPages * kPageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(room, MAP_FAILED);
  for (std::uint64_t i = 0; i < kPages; i += 2) {
    ASSERT_EQ(mprotect(static_cast<char*>(room) + i * kPageSize, kPageSize, PROT_NONE), 0);
  }
  EXPECT_GT(maps.count(), kPages - 1);
  bool allowed = true;
  for (int i = 0; i < 1000 && allowed; ++i) allowed = budget.allows(kParts, maps);
  EXPECT_FALSE(allowed);
  munmap(room, kPages * kPageSize);
}

}  // namespace
}  // namespace softxe::live
