// Purgeable buffer objects: rows B21-B24, B38 of spec/vm.md 10.2, section 5.7, quirk Q12.
#include <sys/mman.h>

#include "abi/drm_test_rig.h"
#include "base/prng.h"

namespace softxe {
namespace {

constexpr std::uint64_t kAt = 0x100'0000;
constexpr std::uint32_t kWillNeed = DRM_XE_VMA_PURGEABLE_STATE_WILLNEED;
constexpr std::uint32_t kDontNeed = DRM_XE_VMA_PURGEABLE_STATE_DONTNEED;

/// A client's mapping of an object, looked at without dying.
struct CpuView {
  explicit CpuView(GemBo& bo)
      : bytes(mmap(nullptr, bo.size_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, bo.memfd(), 0)),
        size(bo.size_bytes()) {}
  ~CpuView() { munmap(bytes, size); }
  bool readable(std::uint64_t offset) const {
    std::uint32_t value = 0;
    return guarded_load32(static_cast<std::byte*>(bytes) + offset, value);
  }
  void* bytes;
  std::uint64_t size;
};

struct Purged {
  explicit Purged(std::uint32_t flags) {
    vm = rig.vm(flags);
    bo = rig.bo(5 * k2M, DrmRig::kVram | DrmRig::kSystem);
    EXPECT_EQ(rig.bind(vm, {rig.map(bo, kAt, 5 * k2M, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
  }
  int advise(std::uint32_t state) { return rig.purgeable(vm, kAt, kPageSize, state); }
  /// VRAM pressure by somebody else.
  void purge() {
    const auto other = rig.vm(DrmRig::kDmaFence);
    const auto big = rig.bo(7 * k2M, DrmRig::kVram, other);
    EXPECT_TRUE(rig.object(big).in_vram());
    EXPECT_EQ(rig.object(bo).purgeable(), PurgeableState::kPurged);
  }
  DrmRig rig{{.vram_bytes = 8 * k2M}};
  std::uint32_t vm, bo;
};

TEST(Purge, B38_CpuMappingsWorkUntilThePurgeAndGetSigbusAfterIt) {
  Purged p(DrmRig::kDmaFence);
  CpuView view(p.rig.object(p.bo));
  ASSERT_TRUE(view.readable(0));
  ASSERT_EQ(p.advise(kDontNeed), 1);
  EXPECT_TRUE(view.readable(0)) << "faulted in before";
  EXPECT_TRUE(view.readable(k2M)) << "not yet faulted in: Linux gives SIGBUS already";
  p.purge();
  EXPECT_FALSE(view.readable(0));
  EXPECT_FALSE(view.readable(k2M));
}

TEST(Purge, AnEngineThatIsStillUnderWayMeetsZeroes) {
  Purged p(DrmRig::kDmaFence);
  auto* bytes = reinterpret_cast<volatile std::uint32_t*>(p.rig.object(p.bo).engine_mapping());
  bytes[0] = 5;
  ASSERT_EQ(p.advise(kDontNeed), 1);
  p.purge();
  EXPECT_EQ(bytes[0], 0u);
  bytes[k2M / 4] = 6;
  EXPECT_EQ(bytes[k2M / 4], 6u) << "and may store";
}

// The process has all the mappings it may have: no zeroes can be put in the place of the bytes.
TEST(Purge, WithoutAMappingForTheZeroesTheEnginesStillHaveMemory) {
  Purged p(DrmRig::kDmaFence);
  CpuView view(p.rig.object(p.bo));
  auto* bytes = reinterpret_cast<volatile std::uint32_t*>(p.rig.object(p.bo).engine_mapping());
  *bytes = 7;
  ASSERT_EQ(p.advise(kDontNeed), 1);
  FailNth hook("drv.gem.purge.map", 1, ENOMEM);
  set_step_hook(&hook);
  p.purge();
  set_step_hook(nullptr);
  std::uint32_t seen = 7;
  EXPECT_TRUE(guarded_load32(const_cast<std::uint32_t*>(bytes), seen));
  EXPECT_EQ(seen, 0u) << "the memory went all the same";
}

TEST(Purge, WhatADontneedAndAPurgedObjectRefuse) {
  Purged p(DrmRig::kDmaFence);
  DrmRig& r = p.rig;
  for (int error : {-EBUSY, -EINVAL}) {
    SCOPED_TRACE(error);
    if (error == -EBUSY) {
      ASSERT_EQ(p.advise(kDontNeed), 1);
    } else {
      p.purge();
    }
    EXPECT_EQ(r.bind(p.vm, {r.map(p.bo, 4 * kAt, k2M)}), error);
    EXPECT_EQ(r.bind(p.vm, {r.prefetch(kAt, k2M, 1)}), error);
    drm_prime_handle prime{};
    prime.handle = p.bo;
    EXPECT_EQ(r.call(DRM_IOCTL_PRIME_HANDLE_TO_FD, prime), error);
    EXPECT_EQ(r.file->mmap_target(r.object(p.bo).mmap_offset(), kPageSize, DrmFile::MapSharing::kShared).error().err,
              -error);
    drm_xe_gem_mmap_offset offset{};
    offset.handle = p.bo;
    EXPECT_EQ(r.call(DRM_IOCTL_XE_GEM_MMAP_OFFSET, offset), 0);
  }
  EXPECT_EQ(p.advise(kWillNeed), 0) << "purged is final";
  EXPECT_EQ(r.object(p.bo).purgeable(), PurgeableState::kPurged);
  EXPECT_EQ(r.bind(p.vm, {r.unmap(kAt + k2M, k2M)}), 0);
  EXPECT_EQ(r.object(p.bo).purgeable(), PurgeableState::kPurged) << "whatever becomes of its mappings";
}

TEST(Purge, WillneedBringsADontneedObjectBack) {
  Purged p(DrmRig::kDmaFence);
  ASSERT_EQ(p.advise(kDontNeed), 1);
  EXPECT_EQ(p.advise(kWillNeed), 1);
  const auto other = p.rig.vm(DrmRig::kDmaFence);
  p.rig.bo(7 * k2M, DrmRig::kVram, other);
  EXPECT_EQ(p.rig.object(p.bo).purgeable(), PurgeableState::kWillNeed) << "evicted, not purged";
}

TEST(Purge, B22_PartsOfADontneedObjectCanBeUnmapped) {
  Purged p(DrmRig::kDmaFence);
  ASSERT_EQ(p.advise(kDontNeed), 1);
  EXPECT_EQ(p.rig.bind(p.vm, {p.rig.unmap(kAt + k2M, k2M)}), 0);
  EXPECT_EQ(p.rig.vmas(1), "[0x1000000+0x200000 bo][0x1400000+0x600000 bo]");
  softxe::Vm& inner = p.rig.context(1).vm;
  ReadGuard hold(inner.lock);
  for (Vma* vma : inner.vmas_in(inner.space().managed())) {
    EXPECT_EQ(vma->attr.purgeable, PurgeableState::kDontNeed);
  }
}

TEST(Purge, B23_DontneedZapsNothing) {
  for (std::uint32_t flags : {DrmRig::kDmaFence, DrmRig::kFault}) {
    Purged p(flags);
    const auto pages = p.rig.present_pages(1);
    const auto invalidations = p.rig.count(Counter::tlb_inval_count);
    ASSERT_EQ(p.advise(kDontNeed), 1);
    EXPECT_EQ(p.rig.present_pages(1), pages);
    EXPECT_EQ(p.rig.count(Counter::madvise_zap_count), 0u);
    EXPECT_EQ(p.rig.count(Counter::tlb_inval_count), invalidations);
  }
}

TEST(Purge, B24_AfterThePurgeEntriesAreGoneOrNull) {
  struct Case {
    const char* name;
    std::uint32_t flags;
    bool banned;
  };
  for (const Case& c :
       {Case{"dma-fence", DrmRig::kDmaFence, true},
        Case{"dma-fence with scratch", DrmRig::kDmaFence | DrmRig::kScratch, false},
        Case{"fault", DrmRig::kFault, true}, Case{"fault with scratch", DrmRig::kFault | DrmRig::kScratch, false}}) {
    SCOPED_TRACE(c.name);
    Purged p(c.flags);
    DrmRig& r = p.rig;
    r.batch_at(p.vm, 0x10000, {r.store(kAt, 7)});
    ASSERT_EQ(p.advise(kDontNeed), 1);
    p.purge();
    const auto queue = r.queue(p.vm);
    EXPECT_EQ(r.exec(queue, 0x10000), 0) << "EXEC itself succeeds";
    r.run();
    EXPECT_EQ(r.banned(queue), c.banned) << "non-present, or a store into nothing";
    EXPECT_EQ(r.word(p.bo), 0u);
  }
}

TEST(Purge, Q12_AnObjectWhoseLastMappingWasDontneedStaysSo) {
  Purged p(DrmRig::kDmaFence);
  ASSERT_EQ(p.advise(kDontNeed), 1);
  ASSERT_EQ(p.rig.bind(p.vm, {p.rig.unmap(kAt, 5 * k2M)}), 0);
  EXPECT_EQ(p.rig.object(p.bo).purgeable(), PurgeableState::kDontNeed);
  EXPECT_EQ(p.rig.bind(p.vm, {p.rig.map(p.bo, kAt, 5 * k2M)}), -EBUSY);
  EXPECT_EQ(p.advise(kWillNeed), 1) << "no mapping there: nothing is reached";
  EXPECT_EQ(p.rig.object(p.bo).purgeable(), PurgeableState::kDontNeed);
}

/// What section 4.4 says, counted naively: one attribute per mapping, and the exports.
struct PurgeModel {
  bool mapped[2] = {};
  bool needed[2] = {};
  int exports = 0;
  bool dontneed = false;

  int willneed() const { return exports + (mapped[0] && needed[0]) + (mapped[1] && needed[1]); }
  void settle(int before) {
    const int after = willneed();
    if (before == 0 && after == 1) dontneed = false;
    if (before == 1 && after == 0 && (mapped[0] || mapped[1])) dontneed = true;
  }
};

TEST(Purge, B21_TwoVmsInAllOrdersAgreeWithTheModel) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    DrmRig r;
    Prng random(seed);
    PurgeModel model;
    const std::uint32_t vms[2] = {r.vm(DrmRig::kDmaFence), r.vm(DrmRig::kFault)};
    const auto bo = r.bo(k2M, DrmRig::kSystem);
    for (int step = 0; step < 200; ++step) {
      const unsigned i = static_cast<unsigned>(random.below(2));
      const int before = model.willneed();
      switch (random.below(5)) {
        case 0: {
          if (model.mapped[i]) break;
          ASSERT_EQ(r.bind(vms[i], {r.map(bo, kAt, k2M)}), model.dontneed ? -EBUSY : 0);
          model.mapped[i] = model.needed[i] = !model.dontneed;
          break;
        }
        case 1:
          ASSERT_EQ(r.bind(vms[i], {r.unmap(kAt, k2M)}), 0);
          model.mapped[i] = false;
          break;
        case 2:
        case 3: {
          const bool need = random.below(2) != 0;
          ASSERT_EQ(r.purgeable(vms[i], kAt, k2M, need ? kWillNeed : kDontNeed), 1);
          model.needed[i] = need;
          break;
        }
        case 4:
          if (model.exports > 0) {
            --model.exports;
            r.object(bo).unexported();
          } else if (!model.dontneed) {
            ++model.exports;
            r.object(bo).exported();
          }
          break;
      }
      model.settle(before);
      ASSERT_EQ(r.object(bo).purgeable() == PurgeableState::kDontNeed, model.dontneed)
          << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace softxe
