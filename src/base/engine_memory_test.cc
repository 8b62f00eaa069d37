#include "base/engine_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>

namespace softxe {
namespace {

constexpr std::uint64_t kBytes = 64ULL << 20;

TEST(EngineMemory, IsUsableAsFarAsItHasGrown) {
  auto mapping = EngineMapping::reserve({.bytes = kBytes});
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(is_engine_memory(mapping->range()));
  ASSERT_TRUE(mapping->grow(kPageSize));
  std::byte* at = mapping->data();
  at[0] = std::byte{1};
  EXPECT_EQ(mincore(at, kBytes, std::vector<unsigned char>(kBytes / kPageSize).data()), 0) << "all of it is reserved";
  ASSERT_TRUE(mapping->grow(kBytes));
  at[kBytes - 1] = std::byte{2};
  EXPECT_EQ(at[0], std::byte{1});
  EXPECT_EQ(mapping->grow(kBytes + 1).error().err, ENOMEM);
}

TEST(EngineMemoryDeathTest, TheReservedPartIsNobodys) {
  auto mapping = EngineMapping::reserve({.bytes = kBytes});
  ASSERT_TRUE(mapping);
  const auto store = [&] {
    std::signal(SIGSEGV, SIG_DFL);  // a sanitizer has its own handler
    mapping->data()[kBytes / 2] = std::byte{1};
  };
  EXPECT_EXIT(store(), ::testing::KilledBySignal(SIGSEGV), "");
}

TEST(EngineMemory, IsAlignedAndKeptApart) {
  auto first = EngineMapping::reserve({.bytes = kBytes, .alignment = k2M});
  auto second = EngineMapping::reserve({.bytes = kBytes, .alignment = k2M});
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->range().start().is_aligned(k2M));
  EXPECT_FALSE(first->range().intersects(second->range()));
  EXPECT_NE(first->range().end(), second->range().start());
}

TEST(EngineMemory, ComesBack) {
  HostRange before = HostRange::of(HostVa(0), kPageSize);
  for (int i = 0; i < 3000; ++i) {  // more than the table has rows
    auto mapping = EngineMapping::reserve({.bytes = kBytes});
    ASSERT_TRUE(mapping) << i;
    if (i == 0) before = mapping->range();
    EXPECT_EQ(mapping->range(), before);
  }
  EXPECT_FALSE(is_engine_memory(before));
}

TEST(EngineMemory, CutsWhatLiesBesideIt) {
  const auto mine = HostRange::of(HostVa(0x10000), 0x2000);
  ASSERT_TRUE(note_engine_memory(mine));
  const auto reach = HostRange::of(HostVa(0x8000), 0x10000);
  const struct {
    std::uint64_t at;
    std::optional<HostRange> part;
  } rows[] = {
      {0x8000, HostRange::between(reach.start(), mine.start())},
      {0xffff, HostRange::between(reach.start(), mine.start())},
      {0x10000, std::nullopt},
      {0x11fff, std::nullopt},
      {0x12000, HostRange::between(mine.end(), reach.end())},
  };
  for (const auto& row : rows) EXPECT_EQ(client_part(HostVa(row.at), reach), row.part) << std::hex << row.at;
  EXPECT_TRUE(is_engine_memory(HostRange::of(HostVa(0xf000), 0x1001)));
  EXPECT_FALSE(is_engine_memory(HostRange::of(HostVa(0xf000), 0x1000)));
  forget_engine_memory(mine);
  EXPECT_EQ(client_part(HostVa(0x10000), reach), reach);
}

}  // namespace
}  // namespace softxe
