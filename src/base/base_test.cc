#include <gtest/gtest.h>

#include "base/address.h"
#include "base/lock.h"
#include "base/step.h"

namespace softxe {
namespace {

TEST(Interval, MakeRefusesEmptyAndWrapping) {
  EXPECT_EQ(GpuRange::make(GpuVa(0x1000), 0).error().err, EINVAL);
  EXPECT_EQ(GpuRange::make(GpuVa(~0ull - 10), 4096).error().err, EINVAL);
  auto range = GpuRange::make(GpuVa(0x1000), 0x2000);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->end(), GpuVa(0x3000));
}

TEST(Interval, HalfOpenRelations) {
  auto a = HostRange::of(HostVa(0x1000), 0x1000);
  auto b = HostRange::of(HostVa(0x2000), 0x1000);
  EXPECT_FALSE(a.intersects(b));
  EXPECT_EQ(a.hull(b).size(), 0x2000u);
  EXPECT_FALSE(a.intersection(b).has_value());
  EXPECT_TRUE(HostRange::block_around(HostVa(0x201000), k2M).contains(HostVa(0x3fffff)));
}

TEST(Step, FailsTheNthAndOnlyThat) {
  auto run = [] { return SX_STEP("base.test.step"); };
  EXPECT_TRUE(run());
  FailNth hook("base.test.step", 2, ENOMEM);
  set_step_hook(&hook);
  EXPECT_TRUE(run());
  auto second = run();
  EXPECT_TRUE(run());
  set_step_hook(nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().err, ENOMEM);
}

TEST(LockRankDeathTest, InversionAbortsWithBothNames) {
  Mutex<LockRank::kVm> outer("outer_vm");
  Mutex<LockRank::kLeaf> leaf("some_leaf");
  EXPECT_DEATH(
      {
        Guard hold_leaf(leaf);
        Guard hold_outer(outer);
      },
      "taking outer_vm while holding some_leaf");
}

}  // namespace
}  // namespace softxe
