#include "hw/eu/eu_launch.h"

#include <gtest/gtest.h>

#include <functional>

namespace softxe {
namespace {

struct ShapeRow {
  const char* name;
  std::uint32_t items, lanes;
  std::uint32_t threads, last_mask;
};
constexpr ShapeRow kShapes[] = {
    {"one thread", 16, 16, 1, 0xFFFF},
    {"one work-item", 1, 16, 1, 1},
    {"a rest", 20, 16, 2, 0xF},
    {"32 lanes", 64, 32, 2, 0xFFFFFFFF},
    {"32 lanes and a rest", 33, 32, 2, 1},
    {"the largest group", 1024, 16, 64, 0xFFFF},
};

TEST(EuLaunch, AGroupIsAsManyThreadsAsItsWorkItemsNeed) {
  for (const ShapeRow& row : kShapes) {
    SCOPED_TRACE(row.name);
    const auto walker = eu_walker_of({.code = GpuVa(0x1000), .group_items = row.items, .lanes = row.lanes}, 48);
    ASSERT_TRUE(walker);
    EXPECT_EQ(walker->threads, row.threads);
    EXPECT_EQ(walker->last_mask, row.last_mask);
    EXPECT_EQ(walker->simd, row.lanes);
    EXPECT_EQ(walker->local_ids.size[0], row.items);
  }
}

TEST(EuLaunch, WhatNoWalkerCanSayIsRefused) {
  const EuLaunch good{.code = GpuVa(0x1000)};
  ASSERT_TRUE(eu_walker_of(good, 48));
  const std::function<void(EuLaunch&)> mistakes[] = {
      [](EuLaunch& l) { l.lanes = 8; },
      [](EuLaunch& l) { l.group_items = 0; },
      [](EuLaunch& l) { l.group_items = 1025; },
      [](EuLaunch& l) { l.slm_bytes = kEuSlmBytesMax + 1; },
      [](EuLaunch& l) { l.code = GpuVa(0x1004); },
  };
  for (const auto& make : mistakes) {
    EuLaunch launch = good;
    make(launch);
    const auto walker = eu_walker_of(launch, 48);
    ASSERT_FALSE(walker);
    EXPECT_EQ(walker.error().err, EINVAL);
  }
}

}  // namespace
}  // namespace softxe
