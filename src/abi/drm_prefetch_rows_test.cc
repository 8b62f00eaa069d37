// PREFETCH of mapped objects, as clients see it: where the object stands afterwards (spec/vm.md 2.9, 3.5).
#include <thread>

#include "abi/drm_test_rig.h"
#include "abi/vfs.h"
#include "base/at_step.h"

namespace softxe {
namespace {

constexpr std::uint64_t kAt = 0x100'0000;
constexpr std::uint64_t kBatch = 0x10000;
constexpr std::uint32_t kRam = DrmRig::kSystem, kVram = DrmRig::kVram, kBoth = kRam | kVram;
constexpr std::uint32_t kConsult = static_cast<std::uint32_t>(DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC);

struct Standing {
  bool in_vram;
  std::uint64_t vram_bytes;  ///< by the accounting of the region
  std::uint64_t gtt_bytes, system_bytes;
};

Standing standing(DrmRig& r, std::uint32_t object) {
  Standing now{r.object(object).in_vram(), r.device().vram(0).usage().used_bytes, 0, 0};
  for (const FdinfoRegion& region : r.file->usage().regions) {
    const std::string_view name = region.name;
    if (name == "gtt") now.gtt_bytes = region.resident_bytes;
    if (name == "system") now.system_bytes = region.resident_bytes;
  }
  return now;
}

enum class Before { kFresh, kDeferred, kEvicted, kHome };

struct Row {
  const char* claim;
  std::uint32_t placement;
  Before before;
  std::uint32_t region;
  int answer;
  bool vram_after;
};

const Row kRows[] = {
    {"region 0 takes it out of VRAM", kBoth, Before::kFresh, 0, 0, false},
    {"region 0, when it stands there", kBoth, Before::kHome, 0, 0, false},
    {"region 0, when it never was anywhere", kBoth, Before::kDeferred, 0, 0, false},
    {"region 1 takes it to VRAM again", kBoth, Before::kHome, 1, 0, true},
    {"advice: its first VRAM", kBoth, Before::kHome, kConsult, 0, true},
    {"advice: system memory, when it has no VRAM", kRam, Before::kFresh, kConsult, 0, false},
    {"region 0, with system memory only", kRam, Before::kFresh, 0, 0, false},
    {"region 1, with system memory only", kRam, Before::kFresh, 1, -EINVAL, false},
    {"region 0, with VRAM only", kVram, Before::kFresh, 0, -EINVAL, true},
    {"region 0, with VRAM only, never placed", kVram, Before::kDeferred, 0, -EINVAL, false},
    {"region 0, with VRAM only, evicted: it is there already", kVram, Before::kEvicted, 0, 0, false},
};

class ObjectPrefetch : public testing::TestWithParam<std::uint32_t> {};

TEST_P(ObjectPrefetch, LeavesTheObjectInTheRegionThatWasAsked) {
  for (const Row& row : kRows) {
    // An object without a place gets one where its mapping is bound at once.
    if (row.before == Before::kDeferred && GetParam() != DrmRig::kFault) continue;
    SCOPED_TRACE(row.claim);
    DrmRig r({.vram_bytes = 8 * k2M});
    const auto vm = r.vm(GetParam());
    const auto flags = row.before == Before::kDeferred ? DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING : 0;
    const auto bo = r.bo(5 * k2M, row.placement, 0, flags);
    ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, 5 * k2M)}), 0);
    if (row.before == Before::kHome) {
      ASSERT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0)}), 0);
    }
    std::uint64_t others = 0;
    if (row.before == Before::kEvicted) {
      others = 4 * k2M;
      r.bo(others, kVram);
    }
    // A part names the whole object.
    EXPECT_EQ(r.bind(vm, {r.prefetch(kAt + k2M, kPageSize, row.region)}), row.answer);
    const Standing now = standing(r, bo);
    EXPECT_EQ(now.in_vram, row.vram_after);
    EXPECT_EQ(now.vram_bytes, (row.vram_after ? 5 * k2M : 0) + others);
    EXPECT_EQ(now.gtt_bytes + now.system_bytes, row.vram_after ? 0 : 5 * k2M);
    if (row.answer != 0) continue;
    const WalkResult entry = r.context(1).vm.table(0).walk(GpuVa(kAt));
    ASSERT_TRUE(entry) << "bound without a fault";
    EXPECT_EQ(entry->flags.kind == PteKind::kVram, row.vram_after);
    r.batch_at(vm, kBatch, {r.store(kAt, 7), r.store(kAt + 5 * k2M - 4, 8)});
    ASSERT_EQ(r.exec(r.queue(vm), kBatch), 0);
    r.run();
    EXPECT_EQ(r.word(bo), 7u);
    EXPECT_EQ(r.word(bo, 5 * k2M - 4), 8u);
  }
}

INSTANTIATE_TEST_SUITE_P(EveryVm, ObjectPrefetch, testing::Values(DrmRig::kDmaFence, DrmRig::kLr, DrmRig::kFault));

TEST(ObjectsPrefetched, KeepTheirBytesAndTheOtherMappings) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault), other = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, kBoth);
  for (auto id : {vm, other}) {
    ASSERT_EQ(r.bind(id, {r.map(bo, kAt, k2M, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
  }
  *reinterpret_cast<std::uint32_t*>(r.object(bo).engine_mapping()) = 5;
  ASSERT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0)}), 0);
  EXPECT_EQ(r.word(bo), 5u);
  EXPECT_EQ(r.present_pages(1), k2M / kPageSize);
  EXPECT_EQ(r.present_pages(2), 0u) << "elsewhere the entries to VRAM are gone";
  r.batch_at(other, kBatch, {r.store(kAt, 7)});
  ASSERT_EQ(r.exec(r.queue(other), kBatch), 0);
  r.run();
  EXPECT_EQ(r.word(bo), 7u) << "and a fault finds it again";
}

TEST(ObjectsPrefetched, WaitForTheJobsOfVmsThatCannotFault) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence), other = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, kBoth);
  for (auto id : {vm, other}) ASSERT_EQ(r.bind(id, {r.map(bo, kAt, k2M)}), 0);
  r.batch_at(vm, kBatch, {r.store(kAt, 7)});
  const auto queue = r.queue(vm);
  ASSERT_EQ(r.exec(queue, kBatch), 0);
  ASSERT_EQ(r.bind(other, {r.prefetch(kAt, k2M, 0)}), 0);
  EXPECT_EQ(r.word(bo), 7u) << "the job was done before its entries went";
  EXPECT_FALSE(r.banned(queue));
}

TEST(ObjectsPrefetched, AreBusyWhilePinnedInVram) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, kBoth);
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}), 0);
  ASSERT_TRUE(r.object(bo).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
  EXPECT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0)}), -EBUSY);
  EXPECT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 1)}), 0) << "where it is";
  r.object(bo).unpin();
  EXPECT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0)}), 0);
  EXPECT_FALSE(r.object(bo).in_vram());
}

TEST(ObjectsPrefetched, WaitForAPinThatIsGivenBack) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, kBoth);
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}), 0);
  ASSERT_TRUE(r.object(bo).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
  std::thread other;
  // Who waits holds the object's lock at this step: the other thread gets it in the middle of the wait.
  AtStep meanwhile("drv.bo.wait_for_pins", 1, [&](int) {
    std::atomic<bool> runs{false};
    other = std::thread([&r, &runs, bo] {
      GemBo& object = r.object(bo);
      runs = true;
      object.unpin();
    });
    while (!runs) std::this_thread::yield();
  });
  EXPECT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0)}), 0);
  if (other.joinable()) other.join();
  EXPECT_FALSE(r.object(bo).in_vram());
}

TEST(ObjectsPrefetched, AUserptrIsLookedAtAndStaysWhereItIs) {
  for (const auto kind : {DrmRig::kDmaFence, DrmRig::kFault}) {
    DrmRig r;
    const auto vm = r.vm(kind);
    ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k64K, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
    ASSERT_EQ(r.bind(vm, {r.userptr(kAt, 0x200000, k64K)}), 0);
    EXPECT_EQ(r.bind(vm, {r.prefetch(0x200000, k64K, 1)}), 0);
    {
      FailNth busy("drv.bind.pin_userptr", 1, EBUSY, FailNth::Repeat::kForever);
      set_step_hook(&busy);
      EXPECT_EQ(r.bind(vm, {r.prefetch(0x200000, k64K, 1)}), -EBUSY);
      EXPECT_EQ(r.bind(vm, {r.userptr(kAt, 0x300000, k64K)}), -ENOMEM) << "for a MAP, EBUSY means a user fence";
      set_step_hook(nullptr);
    }
    ASSERT_TRUE(r.mm.cpu_munmap(HostRange::of(HostVa(kAt), k64K)));
    EXPECT_EQ(r.bind(vm, {r.prefetch(0x200000, k64K, 1)}), -EFAULT) << "no memory there any more";
    EXPECT_EQ(r.vmas(1), "[0x200000+0x10000 userptr]");
  }
}

// The mapping that the array makes asks for the object as well, without saying where.
TEST(ObjectsPrefetched, StayThereWhateverTheSameArrayBinds) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, kBoth);
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M), r.map(bo, 2 * kAt, k2M), r.prefetch(kAt, k2M, 0)}), 0);
  EXPECT_FALSE(r.object(bo).in_vram());
  EXPECT_EQ(r.present_pages(1), 2 * k2M / kPageSize);
  ASSERT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 1), r.prefetch(kAt, k2M, 0)}), 0) << "one after the other";
  EXPECT_FALSE(r.object(bo).in_vram());
  ASSERT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 0), r.prefetch(kAt, k2M, 1)}), 0);
  EXPECT_TRUE(r.object(bo).in_vram());
  // Its pins of both places are gone: it can be pushed out.
  r.bo(64ull << 20, kVram);
  EXPECT_FALSE(r.object(bo).in_vram());
}

}  // namespace
}  // namespace softxe
