// VM_BIND as clients see it: rows B8-B10, B20, B22, B31-B35, B41 of spec/vm.md 10.2 and quirks of section 11.
#include "abi/drm_test_rig.h"
#include "base/at_step.h"

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>

namespace softxe {
namespace {

using Op = DrmRig::Op;
constexpr std::uint64_t kAt = 0x100'0000;

// --- user fences (3.5, 3.8) -----------------------------------------------------------------------------

TEST(BindFences, B9_AMirrorWithAFenceDoesNotBlockLaterBinds) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  std::uint64_t word = 0;
  const auto busy = r.blocker();
  ASSERT_EQ(r.bind(vm, {}, {r.in(busy)}), 0) << "the queue is busy from here on";
  ASSERT_EQ(r.bind(vm, {r.mirror(0, 1ull << 47)}, {r.user_fence(word)}), 0);
  EXPECT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}), 0);
  r.run();
  EXPECT_EQ(word, 1u);
  EXPECT_EQ(r.vmas(1), "[0x0+0x1000000 mirror][0x1000000+0x200000 bo][0x1200000+0x7ffffee00000 mirror]");
}

TEST(BindFences, B10_WhoSawTheFenceMayUnmapAtOnce) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    std::uint64_t word = 0;
    const auto fence = i % 2 != 0 ? r.blocker() : 0;
    std::vector<DrmRig::Sync> syncs{r.user_fence(word, i)};
    if (fence != 0) syncs.push_back(r.in(fence));
    ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}, syncs), 0);
    for (int steps = 0; word != i; ++steps) {
      ASSERT_LT(steps, 100);
      r.run(1);
    }
    ASSERT_EQ(r.bind(vm, {r.unmap(kAt, k2M)}), 0) << "round " << i;
  }
}

/// The memory of this process, and where it was written.
class CountedMemory final : public UserMemory {
 public:
  Status read(HostVa from, std::span<std::byte> to) override { return process_.read(from, to); }
  Status write(HostVa to, std::span<const std::byte> from) override {
    written.push_back(to);
    return process_.write(to, from);
  }
  bool wrote(const std::uint64_t& word) const {
    return std::ranges::count(written, HostVa(reinterpret_cast<std::uint64_t>(&word))) == 1;
  }
  std::vector<HostVa> written;

 private:
  ProcessUserMemory process_;
};

TEST(BindFences, AFenceIsWrittenThroughTheMemoryOfTheClientAtOnceAndLate) {
  const auto memory = std::make_shared<CountedMemory>();
  DrmRig r({.memory = memory});
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  std::uint64_t now = 0, late = 0;
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}, {r.user_fence(now)}), 0);
  EXPECT_TRUE(memory->wrote(now));
  ASSERT_EQ(r.bind(vm, {r.map(bo, 2 * kAt, k2M)}, {r.in(r.blocker()), r.user_fence(late)}), 0);
  r.run();
  EXPECT_EQ(now, 1u);
  EXPECT_EQ(late, 1u);
  EXPECT_TRUE(memory->wrote(late));
}

TEST(BindFences, AMappingIsBusyUntilTheFenceOfItsBindHasSignalled) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  std::uint64_t word = 0;
  const auto held = r.blocker();
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}, {r.in(held), r.user_fence(word)}), 0);
  EXPECT_EQ(r.bind(vm, {r.unmap(kAt, kPageSize)}), -EBUSY);
  EXPECT_EQ(r.bind(vm, {r.null(kAt + kPageSize, kPageSize)}), -EBUSY) << "a MAP over it removes it, too";
  EXPECT_EQ(r.bind(vm, {r.unmap(kAt + k2M, k2M)}), 0) << "the neighbourhood is free";
  r.run();
  EXPECT_EQ(word, 1u);
  EXPECT_EQ(r.bind(vm, {r.unmap(kAt, k2M)}), 0);
  EXPECT_EQ(r.vmas(1), "");
}

TEST(BindFences, B31_ATreeOnlyBindWithBothFencesIsNotStuck) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  for (bool already_signalled : {false, true}) {
    SCOPED_TRACE(already_signalled);
    std::uint64_t word = 0;
    const auto held = r.blocker();
    if (already_signalled) r.run();
    ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}, {r.in(held), r.user_fence(word)}), 0) << "Q8, Q25 fixed";
    EXPECT_EQ(r.bind(vm, {r.unmap(kAt, k2M)}), already_signalled ? 0 : -EBUSY);
    r.run();
    EXPECT_EQ(word, 1u);
    EXPECT_EQ(r.bind(vm, {r.unmap(kAt, k2M)}), 0) << "no -EBUSY after the in-fence has signalled";
    EXPECT_EQ(r.vmas(1), "");
  }
}

TEST(BindFences, B31_ACallerThatRepeatsOnEbusyEndsWithTheInFence) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  std::uint64_t word = 0;
  const auto held = r.blocker();
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}, {r.in(held), r.user_fence(word)}), 0);
  int answer = -EBUSY;
  for (int tries = 0; answer == -EBUSY && tries < 100; ++tries) {
    answer = r.bind(vm, {r.unmap(kAt, k2M)});
    r.run(1);
  }
  EXPECT_EQ(answer, 0);
  r.run();
  EXPECT_EQ(r.vmas(1), "");
}

TEST(BindFences, B34_AMirrorBehindAnInFenceWaitsForIt) {
  for (std::uint32_t immediate : {0u, DRM_XE_VM_BIND_FLAG_IMMEDIATE}) {
    DrmRig r;
    const auto vm = r.vm(DrmRig::kFault | DrmRig::kScratch);
    std::uint64_t word = 0;
    const auto held = r.blocker();
    ASSERT_EQ(r.bind(vm, {r.mirror(0, 1ull << 47, immediate)}, {r.in(held), r.user_fence(word)}), 0);
    EXPECT_EQ(word, 0u) << "Q27 is fixed";
    EXPECT_FALSE(r.signalled(held));
    r.run();
    EXPECT_EQ(word, 1u);
    EXPECT_EQ(r.vmas(1), "[0x0+0x800000000000 mirror]");
  }
}

TEST(BindFences, Q8_ABindWithoutPageTableWorkWaitsForItsInFence) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  for (bool hole : {true, false}) {
    const auto held = r.blocker();
    const auto done = r.syncobj();
    const std::vector<Op> ops = hole ? std::vector<Op>{r.unmap(kAt, k2M)} : std::vector<Op>{};
    ASSERT_EQ(r.bind(vm, ops, {r.in(held), r.out(done)}), 0) << "Linux: -EOPNOTSUPP";
    EXPECT_FALSE(r.signalled(done));
    r.run();
    EXPECT_TRUE(r.signalled(done));
  }
}

// --- binds behind a fence: checked now, done later ----------------------------------------------------------

TEST(BindBehindAFence, TheCheckLeavesTheTreeAsItWas) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto a = r.bo(k2M, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.map(a, kAt, k2M)}), 0);
  const std::string before = r.vmas(1);
  const auto pages = r.present_pages(1);
  const auto held = r.blocker();
  ASSERT_EQ(r.bind(vm, {r.unmap(kAt, k64K), r.null(kAt + k2M, k2M)}, {r.in(held)}), 0);
  EXPECT_EQ(r.vmas(1), before);
  EXPECT_EQ(r.present_pages(1), pages);
  r.run();
  EXPECT_EQ(r.vmas(1), "[0x1010000+0x1f0000 bo][0x1200000+0x200000 null]");
}

TEST(BindBehindAFence, AMistakeIsReportedAtOnceAndNothingWaits) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto held = r.blocker();
  const auto done = r.syncobj();
  EXPECT_EQ(r.bind(vm, {r.null(kAt, k2M), r.userptr(0x7000'0000, kAt + k2M, k2M)}, {r.in(held), r.out(done)}), -EFAULT);
  r.run();
  EXPECT_EQ(r.vmas(1), "");
}

// One queue's bind waits for a job; what does a bind of another queue do?
TEST(BindBehindAFence, OverlappingUpdatesOfOtherQueuesKeepTheirOrder) {
  struct Case {
    const char* name;
    std::uint64_t first, second;
    bool waits;
  };
  constexpr std::uint64_t kAway = kAt + 4 * k2M;
  for (const Case& c : {Case{"pages of one table that exists", kAt + kPageSize, kAt + 2 * kPageSize, false},
                        Case{"pages of one table that is made", kAway, kAway + kPageSize, true},
                        Case{"tables that are made, side by side", kAway, kAway + k2M, false},
                        Case{"the same page", kAt + kPageSize, kAt + kPageSize, true}}) {
    SCOPED_TRACE(c.name);
    DrmRig r;
    const auto vm = r.vm(DrmRig::kDmaFence);
    const auto one = r.bo(kPageSize, DrmRig::kSystem);
    const auto two = r.bo(kPageSize, DrmRig::kSystem);
    ASSERT_EQ(r.bind(vm, {r.map(one, kAt, kPageSize)}), 0);
    const auto held = r.blocker();
    const auto done = r.syncobj();
    ASSERT_EQ(r.bind(vm, {r.map(one, c.first, kPageSize)}, {r.in(held)}, r.queue(vm, DRM_XE_ENGINE_CLASS_VM_BIND)), 0);
    ASSERT_EQ(r.bind(vm, {r.map(two, c.second, kPageSize)}, {r.out(done)}, r.queue(vm, DRM_XE_ENGINE_CLASS_VM_BIND)),
              0);
    EXPECT_EQ(r.signalled(done), !c.waits);
    r.run();
    EXPECT_TRUE(r.signalled(done));
    softxe::Vm& inner = r.context(1).vm;
    ReadGuard hold(inner.lock);
    Vma* last = inner.find(GpuVa(c.second));
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(last->bo().get(), &r.object(two)) << "the later bind is on top";
  }
}

TEST(BindBehindAFence, B32_TooManyOperationsAreEnobufs) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto bo = r.bo(kPageSize, DrmRig::kSystem);
  for (std::size_t count : {1024u, 512u}) {
    std::vector<Op> ops;
    for (std::size_t i = 0; i < count; ++i) ops.push_back(r.map(bo, kAt + i * k2M, kPageSize));
    const auto held = r.blocker();
    EXPECT_EQ(r.bind(vm, ops, {r.in(held)}), -ENOBUFS);
    EXPECT_EQ(r.vmas(1), "") << "the tree is as before";
    ops.resize(count / 4);
    EXPECT_EQ(r.bind(vm, ops), 0) << "a quarter, nothing to wait for";
    EXPECT_EQ(r.bind(vm, {r.unmap(kAt, count / 4 * k2M)}), 0);
    r.run();
  }
  std::vector<Op> most;
  for (std::size_t i = 0; i < 511; ++i) most.push_back(r.map(bo, kAt + i * k2M, kPageSize));
  EXPECT_EQ(r.bind(vm, most, {r.in(r.blocker())}), 0) << "one less";
  r.run();
  EXPECT_EQ(r.present_pages(1), 511u);
}

// --- arrays: all or nothing ----------------------------------------------------------------------------------

struct Failing {
  const char* name;
  Op last;
  int error;
};

TEST(BindArrays, B8_AFailingLastOperationRestoresTheTree) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto big = r.bo(16 * k2M, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.map(big, 0, 16 * k2M), r.null(16 * k2M, k2M)}), 0);
  const std::string before = r.vmas(1);
  const auto pages = r.present_pages(1);
  for (const Failing& c : {Failing{"a userptr of nothing", r.userptr(0x7000'0000, 0x4000'0000, k2M), -EFAULT},
                           Failing{"an unknown handle", r.map(99, 0x4000'0000, k2M), -ENOENT}}) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(r.bind(vm, {r.null(4 * k2M, 2 * k2M), r.unmap(8 * k2M, k2M), r.unmap(16 * k2M, k2M), c.last}), c.error);
    EXPECT_EQ(r.vmas(1), before);
    EXPECT_EQ(r.present_pages(1), pages);
  }
  for (std::uint64_t nth = 1;; ++nth) {
    FailNth fail_it("vm.bind.prepare_ptes", nth, ENOMEM);
    set_step_hook(&fail_it);
    const int done = r.bind(vm, {r.null(4 * k2M, 2 * k2M), r.unmap(8 * k2M, k2M)});
    set_step_hook(nullptr);
    if (!fail_it.fired()) break;
    EXPECT_EQ(done, -ENOMEM);
    EXPECT_EQ(r.vmas(1), before);
    EXPECT_EQ(r.present_pages(1), pages);
  }
}

TEST(BindArrays, WhatIsLeftOfAMappingMadeInTheSameArrayIsBound) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto a = r.bo(k2M, DrmRig::kSystem), b = r.bo(k64K, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.map(a, kAt, k2M), r.map(b, kAt + k64K, k64K), r.unmap(kAt + 4 * k64K, k64K)}), 0);
  EXPECT_EQ(r.vmas(1),
            "[0x1000000+0x10000 bo][0x1010000+0x10000 bo][0x1020000+0x20000 bo]"
            "[0x1050000+0x1b0000 bo]");
  EXPECT_EQ(r.present_pages(1), (k2M - k64K) / kPageSize);
}

TEST(BindArrays, Q6_WhetherRangesMayStayIsDecidedPerOperation) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_EQ(r.bind(vm, {r.mirror(0, 1ull << 40)}), 0);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_EQ(r.bind(vm, {r.prefetch(kAt, k2M, 1)}), 0);
  const std::string before = r.vmas(1);
  EXPECT_EQ(r.bind(vm, {r.mirror(1ull << 41, k2M), r.unmap(0, 1ull << 40)}), -EBUSY) << "Linux: 0";
  EXPECT_EQ(r.bind(vm, {r.unmap(0, 1ull << 40), r.mirror(1ull << 41, k2M)}), -EBUSY);
  EXPECT_EQ(r.vmas(1), before);
  EXPECT_EQ(r.context(1).svm->range_count(), 1u);
}

TEST(BindArrays, B33_APrefetchThatFailsTakesTheArrayBack) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto old = r.bo(k2M, DrmRig::kSystem);
  const auto fresh = r.bo(k2M, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.mirror(0, kAt)}), 0);
  ASSERT_EQ(r.bind(vm, {r.map(old, kAt, k2M, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(k2M), .place = MmapRequest::Place::kFixed}));
  ASSERT_TRUE(r.mm.cpu_mmap(
      {.size_bytes = k2M, .at = HostVa(2 * k2M), .place = MmapRequest::Place::kFixed, .prot = Prot::kRead}));
  const std::string before = r.vmas(1);
  const auto pages = r.present_pages(1);
  const std::vector<Op> replace{r.unmap(kAt, k2M), r.map(fresh, kAt, k2M, DRM_XE_VM_BIND_FLAG_IMMEDIATE)};

  auto with = [&](const Op& op) {
    std::vector<Op> ops = replace;
    ops.push_back(op);
    return ops;
  };
  EXPECT_EQ(r.bind(vm, with(r.prefetch(k2M, 2 * k2M, 1))), -EPERM) << "the second half is read-only";
  EXPECT_EQ(r.vmas(1), before);
  EXPECT_EQ(r.present_pages(1), pages);
  EXPECT_EQ(r.bind(vm, with(r.prefetch(kAt, k2M, 1))), -EINVAL) << "the object may not live in VRAM";
  EXPECT_EQ(r.vmas(1), before);

  FailNth no_memory("svm.pages.collect", 1, ENOMEM);
  set_step_hook(&no_memory);
  EXPECT_EQ(r.bind(vm, with(r.prefetch(k2M, k2M, 1))), -ENOMEM);
  set_step_hook(nullptr);
  EXPECT_TRUE(no_memory.fired());
  EXPECT_EQ(r.vmas(1), before);

  EXPECT_EQ(r.bind(vm, {r.mirror(1ull << 40, k2M), r.prefetch(k2M, 2 * k2M, 1)}), -EPERM);
  EXPECT_EQ(r.vmas(1), before) << "no range is left under the mirror that was taken back";

  std::byte home{};  // the array that failed has moved it
  ASSERT_TRUE(r.mm.cpu_read(HostVa(k2M), std::span(&home, 1)));
  FailNth no_vram("svm.migrate.alloc", 1, ENOMEM);
  set_step_hook(&no_vram);
  EXPECT_EQ(r.bind(vm, with(r.prefetch(k2M, k2M, 1))), 0) << "what cannot move is no error";
  set_step_hook(nullptr);
  EXPECT_TRUE(no_vram.fired());
  EXPECT_EQ(r.vmas(1), before);
  r.bos[old].reset();
}

TEST(BindArrays, Q9_RangesUnderAMirrorThatIsTakenBackGoWithIt) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  FailNth no_memory("svm.pages.collect", 1, ENOMEM);
  set_step_hook(&no_memory);
  EXPECT_EQ(r.bind(vm, {r.mirror(0, 1ull << 40), r.prefetch(kAt, k2M, 1), r.prefetch(kAt, k2M, 0)}), -ENOMEM);
  set_step_hook(nullptr);
  EXPECT_EQ(r.vmas(1), "");
  EXPECT_EQ(r.context(1).svm->range_count(), 0u);
}

// --- who may evict whom (2.1, 2.9) ----------------------------------------------------------------------------

struct Overcommit {
  const char* name;
  std::uint32_t flags;
  bool external, array;
  int answer;  ///< of the bind that exceeds VRAM; 0: it evicted the first object
};

TEST(BindEviction, B20_B35_OneVmExceedsVram) {
  const Overcommit cases[] = {
      {"dma-fence, single bind, private", DrmRig::kDmaFence, false, false, 0},
      {"dma-fence, array, private", DrmRig::kDmaFence, false, true, -ENOSPC},
      {"dma-fence, array, external", DrmRig::kDmaFence, true, true, -ENOSPC},
      {"preempt-fence, single bind, private", DrmRig::kLr, false, false, -ENOSPC},
      {"preempt-fence, single bind, external", DrmRig::kLr, true, false, -ENOSPC},
      {"fault, single immediate bind, external", DrmRig::kFault, true, false, 0},
      {"fault, no overcommit, private", DrmRig::kFault | DrmRig::kNoOvercommit, false, false, -ENOSPC},
      {"fault, no overcommit, external", DrmRig::kFault | DrmRig::kNoOvercommit, true, false, -ENOSPC},
  };
  for (const Overcommit& c : cases) {
    SCOPED_TRACE(c.name);
    DrmRig r({.vram_bytes = 8 * k2M});
    const auto vm = r.vm(c.flags);
    const std::uint32_t of = c.external ? 0 : vm;
    const auto first = r.bo(5 * k2M, DrmRig::kVram, of, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
    const auto second = r.bo(5 * k2M, DrmRig::kVram, of, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
    const auto now = DRM_XE_VM_BIND_FLAG_IMMEDIATE;
    if (c.array) {
      EXPECT_EQ(r.bind(vm, {r.map(first, kAt, 5 * k2M, now), r.map(second, 2 * kAt, 5 * k2M, now)}), c.answer);
      EXPECT_EQ(r.vmas(1), "") << "the tree is as before";
      continue;
    }
    ASSERT_EQ(r.bind(vm, {r.map(first, kAt, 5 * k2M, now)}), 0);
    EXPECT_EQ(r.bind(vm, {r.map(second, 2 * kAt, 5 * k2M, now)}), c.answer);
    EXPECT_EQ(r.object(first).in_vram(), c.answer != 0) << "victim set";
    EXPECT_EQ(r.object(second).in_vram(), c.answer == 0);
  }
}

TEST(BindEviction, ObjectsOfOtherVmsMayAlwaysBeEvicted) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto vm = r.vm(DrmRig::kLr);
  const auto other = r.vm(DrmRig::kDmaFence);
  const auto theirs = r.bo(5 * k2M, DrmRig::kVram, other);
  ASSERT_EQ(r.bind(other, {r.map(theirs, kAt, 5 * k2M)}), 0);
  const auto mine = r.bo(5 * k2M, DrmRig::kVram, vm, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
  EXPECT_EQ(r.bind(vm, {r.map(mine, kAt, 5 * k2M)}), 0);
  EXPECT_FALSE(r.object(theirs).in_vram());
}

TEST(BindEviction, B20_AnArrayDoesNotEvictWhatItsOwnVmMappedBefore) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto first = r.bo(5 * k2M, DrmRig::kVram, vm, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
  const auto second = r.bo(5 * k2M, DrmRig::kVram, vm, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
  ASSERT_EQ(r.bind(vm, {r.map(first, kAt, 5 * k2M)}), 0);
  const std::string before = r.vmas(1);
  EXPECT_EQ(r.bind(vm, {r.map(second, 2 * kAt, 5 * k2M), r.null(4 * kAt, k2M)}), -ENOSPC);
  EXPECT_TRUE(r.object(first).in_vram());
  EXPECT_EQ(r.vmas(1), before);
  EXPECT_EQ(r.bind(vm, {r.map(second, 2 * kAt, 5 * k2M)}), 0) << "a single bind may";
  EXPECT_FALSE(r.object(first).in_vram());
}

TEST(BindEviction, B35_PrivateObjectsAreProtectedThoughTheirVmDoesNotMapThem) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto vm = r.vm(DrmRig::kLr);
  const auto idle = r.bo(5 * k2M, DrmRig::kVram, vm);
  const auto wanted = r.bo(5 * k2M, DrmRig::kVram, vm, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
  EXPECT_EQ(r.bind(vm, {r.map(wanted, kAt, 5 * k2M)}), -ENOSPC);
  EXPECT_TRUE(r.object(idle).in_vram());
  const auto other = r.vm(DrmRig::kLr);
  const auto theirs = r.bo(5 * k2M, DrmRig::kVram, other, DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING);
  EXPECT_EQ(r.bind(other, {r.map(theirs, kAt, 5 * k2M)}), 0) << "not from another VM";
  EXPECT_FALSE(r.object(idle).in_vram());
}

TEST(BindEviction, B35_AnExecDoesNotEvictPrivateObjectsOfItsVm) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto vm = r.vm(DrmRig::kDmaFence);
  r.batch_at(vm, 0x10000, {});
  const auto mapped = r.bo(5 * k2M, DrmRig::kVram, vm);
  ASSERT_EQ(r.bind(vm, {r.map(mapped, kAt, 5 * k2M)}), 0);
  const auto idle = r.bo(5 * k2M, DrmRig::kVram, vm);
  ASSERT_FALSE(r.object(mapped).in_vram()) << "GEM_CREATE evicts whatever is oldest";
  EXPECT_EQ(r.exec(r.queue(vm), 0x10000), -ENOSPC);
  EXPECT_TRUE(r.object(idle).in_vram());
}

// A pin is a bind or a fault under way: its entries are about to be written.
TEST(BindEviction, APinnedObjectIsNotEvenAsked) {
  for (const std::uint32_t flags : {0u, static_cast<std::uint32_t>(DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING)}) {
    SCOPED_TRACE(flags == 0 ? "in VRAM already" : "on its way into VRAM");
    DrmRig r({.vram_bytes = 8 * k2M});
    const auto pinned = r.bo(5 * k2M, DrmRig::kVram, 0, flags);
    ASSERT_TRUE(r.object(pinned).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
    ASSERT_TRUE(r.object(pinned).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
    r.object(pinned).unpin();  // one of two
    {
      AtStep asked("vm.vram.evict", 1, [](int) {});
      r.bo(5 * k2M, DrmRig::kVram);
      EXPECT_EQ(r.last, -ENOSPC);
      EXPECT_EQ(asked.left(), 1);
    }
    EXPECT_TRUE(r.object(pinned).in_vram());
    r.object(pinned).unpin();
    r.bo(5 * k2M, DrmRig::kVram);
    EXPECT_EQ(r.last, 0);
    EXPECT_FALSE(r.object(pinned).in_vram());
  }
}

TEST(BindEviction, AnObjectPinnedAfterItWasChosenStaysAndTheNextOneGoes) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto oldest = r.bo(3 * k2M, DrmRig::kVram);
  const auto next = r.bo(3 * k2M, DrmRig::kVram);
  {
    AtStep chosen("vm.vram.evict", 1, [&](int) {
      ASSERT_TRUE(r.object(oldest).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
    });
    r.bo(3 * k2M, DrmRig::kVram);
    EXPECT_EQ(r.last, 0);
    ASSERT_EQ(chosen.left(), 0);
  }
  EXPECT_TRUE(r.object(oldest).in_vram());
  EXPECT_FALSE(r.object(next).in_vram());
  r.object(oldest).unpin();
}

// --- userptr ----------------------------------------------------------------------------------------------------

// An evictor has emptied the block and not yet let it go: another tile's manager must not fill it until then.
TEST(BindEviction, AnObjectEntersAnotherTileWhenItsEvictorHasLetItGo) {
  DrmRig r({.profile = &kProfilePvc});
  constexpr std::uint32_t kSecondTile = 4;
  GemBo& object = r.object(r.bo(k2M, DrmRig::kSystem | DrmRig::kVram | kSecondTile));
  ASSERT_TRUE(object.make_resident(
      {.vm = nullptr, .eviction = VmLocalEviction::kAllowed, .place = BoPlace::kTileVram, .tile = 0}));
  object.unpin();
  struct Mover final : StepHook {
    explicit Mover(GemBo& of) : object(of) {}
    Status on_step(StepSite& site, bool) override {
      const std::string_view name(site.name);
      if (name == "drv.bo.wait_settled") waits.store(true);
      if (name != "vm.vram.evicted" || begun.exchange(true)) return {};
      thread = std::thread([this] {
        EXPECT_TRUE(object.make_resident(
            {.vm = nullptr, .eviction = VmLocalEviction::kAllowed, .place = BoPlace::kTileVram, .tile = 1}));
        moved.store(true);
      });
      while (!waits.load() && !moved.load()) std::this_thread::yield();
      moved_under_the_claim = moved.load();
      return {};
    }
    GemBo& object;
    std::thread thread;
    std::atomic<bool> begun{false}, waits{false}, moved{false};
    bool moved_under_the_claim = false;
  } mover(object);
  set_step_hook(&mover);
  EXPECT_TRUE(r.device().vram(0).evict_all({}));
  mover.thread.join();
  set_step_hook(nullptr);
  EXPECT_FALSE(mover.moved_under_the_claim);
  EXPECT_TRUE(object.in_vram());
  EXPECT_EQ(r.device().vram(1).usage().used_bytes, k2M);
  object.unpin();
}

TEST(BindUserptr, Q2_AdviceInsideAUserptrCarriesTheCpuAddressOn) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k64K, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_EQ(r.bind(vm, {r.userptr(kAt, 0x200000, k64K)}), 0);
  EXPECT_EQ(r.advise(vm, 0x204000, 0x4000, DRM_XE_MEM_RANGE_ATTR_PAT, 3), 0) << "Linux: -EFAULT";
  EXPECT_EQ(r.vmas(1), "[0x200000+0x4000 userptr][0x204000+0x4000 userptr][0x208000+0x8000 userptr]");
  softxe::Vm& inner = r.context(1).vm;
  ReadGuard hold(inner.lock);
  EXPECT_EQ(inner.find(GpuVa(0x204000))->userptr_start().value(), kAt + 0x4000);
}

TEST(BindUserptr, Q23_APartialUnmapDoesNotNeedTheRestToBeThere) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k64K, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_EQ(r.bind(vm, {r.userptr(kAt, 0x200000, k64K)}), 0);
  ASSERT_TRUE(r.mm.cpu_munmap(HostRange::of(HostVa(kAt), k64K)));
  EXPECT_EQ(r.bind(vm, {r.unmap(0x204000, 0x4000)}), 0) << "Linux: -EFAULT";
  EXPECT_EQ(r.vmas(1), "[0x200000+0x4000 userptr][0x208000+0x8000 userptr]");
  EXPECT_EQ(r.bind(vm, {r.userptr(kAt, 0x300000, k64K)}), -EFAULT) << "a new one is still pinned";
}

TEST(BindUserptr, Q22_PiecesOfANullMappingKeepTheirEntries) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  ASSERT_EQ(r.bind(vm, {r.null(kAt, k2M)}), 0);
  const auto pages = r.present_pages(1);
  ASSERT_EQ(r.advise(vm, kAt + k64K, k64K, DRM_XE_MEM_RANGE_ATTR_PAT, 3), 0);
  EXPECT_EQ(r.present_pages(1), pages);
  ASSERT_EQ(r.bind(vm, {r.unmap(kAt, k2M)}), 0);
  EXPECT_EQ(r.present_pages(1), 0u) << "no entry outlives its VMA";
}

TEST(BindUserptr, Q15_AdviceInAVmWithoutFaultsIsFollowedByARebind) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k64K, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  const auto bo = r.bo(k64K, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.userptr(kAt, 0x200000, k64K), r.map(bo, 0x300000, k64K)}), 0);
  r.batch_at(vm, 0x10000, {});
  const auto pages = r.present_pages(1);
  ASSERT_EQ(r.advise(vm, 0x200000, 0x110000, DRM_XE_MEM_RANGE_ATTR_PAT, 3), 0);
  EXPECT_LT(r.present_pages(1), pages) << "zapped";
  ASSERT_EQ(r.exec(r.queue(vm), 0x10000), 0);
  EXPECT_EQ(r.present_pages(1), pages);
  r.run();
}

TEST(BindUserptr, B15_B16_B41_MemoryThatWasReplacedIsUsedAtItsAddress) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k64K, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_EQ(r.bind(vm, {r.userptr(kAt, 0x200000, k64K)}), 0);
  ASSERT_EQ(r.bind(vm, {r.unmap(0x204000, 0x4000)}), 0) << "two sides are left";
  r.batch_at(vm, 0x10000, {});
  const auto queue = r.queue(vm);
  ASSERT_EQ(r.exec(queue, 0x10000), 0);
  r.run();
  ASSERT_TRUE(r.mm.cpu_munmap(HostRange::of(HostVa(kAt), k64K)));
  ASSERT_EQ(r.exec(queue, 0x10000), 0) << "a userptr whose memory is gone does not stop EXEC";
  r.run();
  EXPECT_FALSE(r.banned(queue));
  EXPECT_EQ(r.bind(vm, {r.unmap(0x200000, k64K)}), 0);
  EXPECT_EQ(r.vmas(1), "[0x10000+0x1000 bo]");
}

}  // namespace
}  // namespace softxe
