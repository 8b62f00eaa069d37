// Page reclaim lists, ioctl by ioctl: which binds make one, and of what (spec/multi-queue.md 5). How leaves are
// counted: vm/page_reclaim_test.cc.
#include "abi/drm_test_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kAt = 0x4000'0000;

struct Counts {
  std::uint64_t leaves_4k, leaves_64k, leaves_2m, issued, aborted;
  friend bool operator==(const Counts&, const Counts&) = default;
};
Counts counts(DrmRig& r) {
  return {r.count(Counter::prl_4k_entry_count), r.count(Counter::prl_64k_entry_count),
          r.count(Counter::prl_2m_entry_count), r.count(Counter::prl_issued_count),
          r.count(Counter::prl_aborted_count)};
}
void PrintTo(const Counts& c, std::ostream* out) {
  *out << fmt::format("4K {} 64K {} 2M {} issued {} aborted {}", c.leaves_4k, c.leaves_64k, c.leaves_2m, c.issued,
                      c.aborted);
}

struct ReclaimRig : DrmRig {
  explicit ReclaimRig(const DeviceProfile& profile = kProfileNvlp, std::uint32_t flags = kDmaFence)
      : DrmRig({.profile = &profile}), vm_id(vm(flags)), object(bo(2 * k2M, kSystem)) {}
  Op mapped(std::uint64_t at, std::uint64_t bytes) const { return map(object, at, bytes); }
  std::uint32_t vm_id;
  std::uint32_t object;
};

TEST(PageReclaimRows, OnlyWhatGoesAway) {
  ReclaimRig r;
  ASSERT_EQ(r.bind(r.vm_id, {r.mapped(kAt, 2 * k2M)}), 0);
  EXPECT_EQ(counts(r), (Counts{0, 0, 0, 0, 0})) << "a bind over nothing";
  ASSERT_EQ(r.bind(r.vm_id, {r.unmap(kAt + k64K, k64K)}), 0);
  EXPECT_EQ(counts(r), (Counts{0, 1, 0, 1, 0})) << "the pieces beside it stay";
  ASSERT_EQ(r.bind(r.vm_id, {r.map(r.bo(kPageSize, r.kSystem), kAt, kPageSize)}), 0);
  EXPECT_EQ(counts(r), (Counts{1, 1, 0, 2, 0})) << "replaced by a MAP";
  ASSERT_EQ(r.bind(r.vm_id, {r.unmap(kAt + 8 * k2M, k2M)}), 0);
  EXPECT_EQ(counts(r), (Counts{1, 1, 0, 2, 0})) << "a hole";
}

TEST(PageReclaimRows, OneListForEachCall) {
  ReclaimRig r;
  ASSERT_EQ(r.bind(r.vm_id, {r.mapped(kAt, kPageSize), r.mapped(kAt + k2M, k2M)}), 0);
  ASSERT_EQ(r.bind(r.vm_id, {r.unmap(kAt, kPageSize), r.unmap(kAt + k2M, k2M)}), 0);
  EXPECT_EQ(counts(r), (Counts{1, 0, 1, 1, 0}));
}

TEST(PageReclaimRows, WhatIsNeverCached) {
  constexpr std::uint16_t kTransientDisplay = 6;  // not coherent: for objects that the CPU does not cache
  ReclaimRig r;
  drm_xe_gem_create uncached{};
  uncached.size = kPageSize;
  uncached.placement = DrmRig::kSystem;
  uncached.cpu_caching = DRM_XE_GEM_CPU_CACHING_WC;
  ASSERT_EQ(r.call(DRM_IOCTL_XE_GEM_CREATE, uncached), 0);
  auto display = r.map(uncached.handle, kAt, kPageSize);
  display.pat_index = kTransientDisplay;
  ASSERT_EQ(r.bind(r.vm_id, {display, r.null(kAt + k2M, 512ull << 30)}), 0);
  ASSERT_EQ(r.bind(r.vm_id, {r.unmap(kAt, 1024ull << 30)}), 0);
  EXPECT_EQ(counts(r), (Counts{0, 0, 0, 1, 0})) << "an empty list is issued";
}

TEST(PageReclaimRows, WhatHasNoEntriesIsNoUnbind) {
  ReclaimRig r(kProfileNvlp, DrmRig::kFault);
  ASSERT_EQ(r.bind(r.vm_id, {r.mirror(0, 1ull << 40)}), 0);
  ASSERT_EQ(r.bind(r.vm_id, {r.mapped(1ull << 41, k2M)}), 0);
  ASSERT_EQ(r.bind(r.vm_id, {r.unmap(0, 1ull << 40), r.unmap(1ull << 41, k2M)}), 0);
  EXPECT_EQ(counts(r), (Counts{0, 0, 0, 0, 0})) << "a mirror, and an object that was not touched";
}

TEST(PageReclaimRows, AFailedCallAndADeviceWithoutCountNothing) {
  ReclaimRig r;
  ASSERT_EQ(r.bind(r.vm_id, {r.mapped(kAt, k2M)}), 0);
  {
    FailNth failure("vm.bind.reserve", 2, ENOMEM);
    set_step_hook(&failure);
    EXPECT_EQ(r.bind(r.vm_id, {r.unmap(kAt, k2M), r.mapped(kAt, k2M)}), -ENOMEM);
    set_step_hook(nullptr);
  }
  EXPECT_EQ(counts(r), (Counts{0, 0, 0, 0, 0}));
  ReclaimRig lnl(kProfileLnl);
  ASSERT_EQ(lnl.bind(lnl.vm_id, {lnl.mapped(kAt, k2M)}), 0);
  ASSERT_EQ(lnl.bind(lnl.vm_id, {lnl.unmap(kAt, k2M)}), 0);
  EXPECT_EQ(counts(lnl), (Counts{0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace softxe
