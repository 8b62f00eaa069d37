// Requests that the device does not offer, as clients see them: docs/DEVIATIONS.md sections 3 and 4.
#include "abi/drm_test_rig.h"
#include "abi/uapi_drm.h"

namespace softxe {
namespace {

TEST(Refused, ThePciBarrierPage) {
  DrmRig r;
  drm_xe_gem_mmap_offset request{};
  request.flags = DRM_XE_MMAP_OFFSET_FLAG_PCI_BARRIER;
  EXPECT_EQ(r.call(DRM_IOCTL_XE_GEM_MMAP_OFFSET, request), -EINVAL) << "Linux: offset 0x50000";
  const auto page = r.file->mmap_target(0x50000, kPageSize, DrmFile::MapSharing::kShared);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().err, EINVAL) << "and nothing stands there";
}

TEST(Refused, DumbBuffersAndTheUniqueNameOnTheCardNode) {
  DrmRig r;
  r.file = std::make_unique<DrmFile>(*r.process, 0, DrmNode::kCard);
  drm_mode_create_dumb create{};
  create.width = create.height = 64;
  create.bpp = 32;
  EXPECT_EQ(r.call(DRM_IOCTL_MODE_CREATE_DUMB, create), -EOPNOTSUPP);
  drm_mode_map_dumb map{};
  EXPECT_EQ(r.call(DRM_IOCTL_MODE_MAP_DUMB, map), -EOPNOTSUPP);
  drm_mode_destroy_dumb destroy{};
  EXPECT_EQ(r.call(DRM_IOCTL_MODE_DESTROY_DUMB, destroy), -EOPNOTSUPP);
  drm_unique unique{};
  EXPECT_EQ(r.call(DRM_IOCTL_GET_UNIQUE, unique), -EOPNOTSUPP);
  drm_get_cap cap{};
  cap.capability = DRM_CAP_DUMB_BUFFER;
  EXPECT_EQ(r.call(DRM_IOCTL_GET_CAP, cap), -EOPNOTSUPP) << "who asks first knows";
}

TEST(Refused, DmaBufsOfOthers) {
  DrmRig r;
  drm_prime_handle request{};
  request.fd = 1;
  EXPECT_EQ(r.call(DRM_IOCTL_PRIME_FD_TO_HANDLE, request), -EINVAL) << "an open file that nobody exported here";
  request.handle = r.bo(k64K, DrmRig::kSystem);
  ASSERT_EQ(r.call(DRM_IOCTL_PRIME_HANDLE_TO_FD, request), 0);
  EXPECT_EQ(r.call(DRM_IOCTL_PRIME_FD_TO_HANDLE, request), 0) << "its own";
}

// Linux counts a message for every GT that has to hear of it.
TEST(TlbCount, IsOnePerInvalidationHoweverManyTilesThereAre) {
  for (const DeviceProfile* profile : {&kProfileBmg, &kProfilePvc}) {
    SCOPED_TRACE(profile->name);
    DrmRig r({.profile = profile});
    const auto vm = r.vm(DrmRig::kFault);
    auto map = r.null(0x100'0000, k2M), unmap = r.unmap(0x100'0000, k2M);
    map.flags |= DRM_XE_VM_BIND_FLAG_IMMEDIATE;
    map.pat_index = unmap.pat_index = 3;
    ASSERT_EQ(r.bind(vm, {map}), 0);
    ASSERT_EQ(r.present_pages(1), k2M / kPageSize);
    const auto before = r.count(Counter::tlb_inval_count);
    ASSERT_EQ(r.bind(vm, {unmap}), 0);
    EXPECT_EQ(r.count(Counter::tlb_inval_count), before + 1);
  }
}

}  // namespace
}  // namespace softxe
