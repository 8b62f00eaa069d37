// A card that does not serve: wedged by a job that takes too long or by a reset that fails, or its driver unbound.
#include "abi/drm_test_rig.h"

namespace softxe {
namespace {

using Binding = DrmDevice::Binding;

DrmDevice& card(DrmRig& r) { return r.file->device(); }
int query_version(DrmRig& r) {
  drm_version version{};
  return r.call(DRM_IOCTL_VERSION, version);
}

/// A job that waits for ever; its out-fence.
std::uint32_t endless_job(DrmRig& r, std::uint32_t queue) {
  const std::uint32_t fence = r.syncobj();
  EXPECT_EQ(r.exec(queue, 0x10000, {DrmRig::out(fence)}), 0);
  return fence;
}
void let_it_time_out(DrmRig& r) {
  for (int i = 0; i < 4; ++i) {
    r.run(50);
    r.clock.advance_ns(6'000'000'000);
  }
  r.run(50);
}

TEST(Wedged, ByAJobThatTakesTooLongInModeTwoOnly) {
  for (const std::uint32_t mode : {0u, 1u, 2u}) {
    SCOPED_TRACE(mode);
    DrmRig r;
    card(r).wedged_mode().store(mode);
    const std::uint32_t vm = r.vm(DrmRig::kDmaFence);
    r.batch_at(vm, 0x10000, {DrmRig::wait_equal(0x10800, 1)});
    const std::uint32_t hangs = r.queue(vm), other = r.queue(vm);
    endless_job(r, hangs);
    let_it_time_out(r);
    if (mode == 2) {
      EXPECT_EQ(r.exec(other, 0x10000), -ECANCELED);
      EXPECT_EQ(query_version(r), -ECANCELED) << "requests of the DRM core too";
      EXPECT_EQ(r.file->ioctl(DRM_IOCTL_BASE, nullptr), -ECANCELED) << "and what is no request";
    } else {
      EXPECT_TRUE(r.banned(hangs));
      EXPECT_FALSE(r.banned(other));
      EXPECT_EQ(query_version(r), 0);
    }
  }
}

TEST(Wedged, ByAJobThatIsEndedForWhatItDidInModeTwoOnly) {
  for (const std::uint32_t mode : {0u, 1u, 2u}) {
    SCOPED_TRACE(mode);
    DrmRig r;
    card(r).wedged_mode().store(mode);
    const std::uint32_t vm = r.vm(DrmRig::kDmaFence), queue = r.queue(vm);
    ASSERT_EQ(r.exec(queue, 0x7f0000), 0) << "there is no batch";
    r.run();
    EXPECT_EQ(query_version(r), mode == 2 ? -ECANCELED : 0);
  }
}

TEST(Wedged, ByAResetThatFailsUnlessTheModeIsZero) {
  for (const std::uint32_t mode : {0u, 1u, 2u}) {
    SCOPED_TRACE(mode);
    DrmRig r;
    card(r).wedged_mode().store(mode);
    ASSERT_TRUE(card(r).reset_faults().write(FaultAttribute::kProbability, "100"));
    EXPECT_FALSE(card(r).reset_gt(0));
    EXPECT_EQ(query_version(r), mode == 0 ? 0 : -ECANCELED);
    EXPECT_EQ(card(r).reset_gt(0).has_value(), true) << "it was to fail once";
  }
}

TEST(Unbound, OldFilesAreRefusedForGoodAndNewOnesServed) {
  DrmRig r;
  const std::uint32_t vm = r.vm(DrmRig::kDmaFence);
  r.batch_at(vm, 0x10000, {DrmRig::wait_equal(0x10800, 1)});
  endless_job(r, r.queue(vm));
  card(r).wedged_mode().store(2);
  EXPECT_EQ(card(r).bind().error().err, EBUSY);
  ASSERT_TRUE(card(r).unbind());
  EXPECT_EQ(card(r).unbind().error().err, ENODEV);
  EXPECT_EQ(query_version(r), -ENODEV);
  ASSERT_TRUE(card(r).bind());
  EXPECT_EQ(query_version(r), -ENODEV) << "a file of the time before";
  EXPECT_EQ(r.file->mmap_target(1ull << 32, kPageSize, DrmFile::MapSharing::kShared).error().err, ENODEV);
  EXPECT_EQ(card(r).wedged_mode().load(), 1u) << "the driver begins anew";
  r.file = r.open();
  const std::uint32_t again = r.vm(DrmRig::kDmaFence);
  r.batch_at(again, 0x10000, {});
  const std::uint32_t fence = r.syncobj();
  EXPECT_EQ(r.exec(r.queue(again), 0x10000, {DrmRig::out(fence)}), 0);
  r.run();
  EXPECT_TRUE(r.signalled(fence));
}

TEST(Unbound, BindingCuresAWedgedCard) {
  DrmRig r;
  card(r).declare_wedged();
  EXPECT_EQ(query_version(r), -ECANCELED);
  ASSERT_TRUE(card(r).unbind());
  ASSERT_TRUE(card(r).bind());
  r.file = r.open();
  EXPECT_EQ(query_version(r), 0);
}

}  // namespace
}  // namespace softxe
