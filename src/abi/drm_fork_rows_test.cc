// What a fork child has of an open file (file_image.h): an image of one file, made into a file of another
// process's device. In life the memory in between is a copy; here it is the same, so nothing may be changed.
#include "abi/drm_test_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kAt = 0x100'0000;

/// A parent, and its child from fork() on.
struct Family {
  void fork() {
    image = std::make_unique<FileImage>(parent.file->image(syncs));
    EXPECT_EQ(child.file->inherit(*image), 0u);
  }
  /// The child's view of an object, by the handle it has in both.
  GemBo& bo_of_child(std::uint32_t handle) {
    for (const auto& bo : child.file->objects())
      if (bo->mmap_offset() == parent.object(handle).mmap_offset()) return *bo;
    SX_UNREACHABLE("the child has no such object");
  }
  DrmRig parent, child;
  ForkSyncs syncs;
  std::unique_ptr<FileImage> image;
};

std::string attributes(DrmRig& rig, std::uint32_t vm) {
  drm_xe_mem_range_attr attrs[32] = {};
  drm_xe_vm_query_mem_range_attr query{};
  query.vm_id = vm;
  query.range = 1ull << 47;
  query.num_mem_ranges = std::size(attrs);
  query.sizeof_mem_range_attr = sizeof attrs[0];
  query.vector_of_mem_attr = reinterpret_cast<std::uint64_t>(attrs);
  EXPECT_EQ(rig.call(DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS, query), 0);
  std::string text;
  for (std::uint32_t i = 0; i < query.num_mem_ranges; ++i) {
    const auto& a = attrs[i];
    text += fmt::format("[{:#x}-{:#x} atomic {} pat {} at {} policy {}]", a.start, a.end, a.atomic.val, a.pat_index.val,
                        a.preferred_mem_loc.devmem_fd, a.preferred_mem_loc.migration_policy);
  }
  return text;
}

struct ModeRow {
  const char* name;
  std::uint32_t flags;
  std::uint32_t bind_flags;
};
class EveryVm : public testing::TestWithParam<ModeRow> {};

TEST_P(EveryVm, HasItsMappingsAttributesAndJobs) {
  Family f;
  DrmRig& p = f.parent;
  const bool faults = (GetParam().flags & DRM_XE_VM_CREATE_FLAG_FAULT_MODE) != 0;
  const auto vm = p.vm(GetParam().flags);
  const auto target = p.bo(4 * k2M, DrmRig::kVram | DrmRig::kSystem);
  ASSERT_EQ(p.bind(vm, {p.map(target, kAt, 4 * k2M, GetParam().bind_flags), p.null(kAt + 8 * k2M, k2M)}), 0);
  ASSERT_EQ(p.bind(vm, {p.unmap(kAt + k2M, k2M)}), 0) << "two pieces, the second with an offset";
  if (faults) {
    ASSERT_EQ(p.bind(vm, {p.mirror(1ull << 40, 1ull << 40, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET)}), 0);
    ASSERT_EQ(p.advise(vm, (1ull << 40) + k2M, k2M, DRM_XE_MEM_RANGE_ATTR_ATOMIC, DRM_XE_ATOMIC_DEVICE), 0);
  }
  p.batch_at(vm, 0x10000, {p.store(kAt + 2 * k2M, 0xc0ffee)});
  const auto queue = p.queue(vm);
  const std::string vmas = p.vmas(1), attrs = attributes(p, vm);

  f.fork();
  DrmRig& c = f.child;
  EXPECT_EQ(c.vmas(1), vmas);
  EXPECT_EQ(attributes(c, vm), attrs);
  EXPECT_EQ(c.exec(queue, 0x10000), 0);
  c.run();
  EXPECT_FALSE(c.banned(queue));
  EXPECT_EQ(p.word(target, 2 * k2M), 0xc0ffeeu) << "the parent's bytes, at the piece's offset";
  EXPECT_EQ(c.bind(vm, {c.unmap(kAt, 64 * k2M)}), 0);
  EXPECT_EQ(p.vmas(1), vmas) << "the parent's mappings are not";
}

INSTANTIATE_TEST_SUITE_P(DrmFork, EveryVm,
                         testing::Values(ModeRow{"dma_fence", DrmRig::kDmaFence, 0},
                                         ModeRow{"dma_fence_scratch", DrmRig::kScratch, 0},
                                         ModeRow{"preempt_fence", DrmRig::kLr, 0}, ModeRow{"fault", DrmRig::kFault, 0},
                                         ModeRow{"fault_immediate", DrmRig::kFault, DRM_XE_VM_BIND_FLAG_IMMEDIATE},
                                         ModeRow{"fault_scratch", DrmRig::kFault | DrmRig::kScratch, 0}),
                         [](const auto& row) { return row.param.name; });

TEST(DrmFork, FlagsAndAdviceOfEveryVmaAreThere) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kFault);
  const auto bo = p.bo(k2M, DrmRig::kSystem);
  ASSERT_EQ(p.bind(vm, {p.map(bo, kAt, k2M, DRM_XE_VM_BIND_FLAG_READONLY | DRM_XE_VM_BIND_FLAG_DUMPABLE),
                        p.mirror(1ull << 40, k2M, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET)}),
            0);
  f.fork();
  Vm& vm_object = f.child.context(1).vm;
  ReadGuard hold(vm_object.lock);
  const Vma* object = vm_object.find(GpuVa(kAt));
  const Vma* mirror = vm_object.find(GpuVa(1ull << 40));
  ASSERT_TRUE(object != nullptr && mirror != nullptr);
  EXPECT_EQ(object->flags(), (VmaFlags{.read_only = true, .dumpable = true}));
  EXPECT_EQ(mirror->flags(), (VmaFlags{.autoreset = true}));
  EXPECT_EQ(mirror->attr.default_pat, PatIndex{DrmRig::kPat});
}

TEST(DrmFork, AdviceThatNamesARegionNamesTheChildsOwn) {
  Family f;
  DrmRig& p = f.parent;
  p.fds.file = std::shared_ptr<DrmFile>(p.open());
  const auto vm = p.vm(DrmRig::kFault);
  ASSERT_EQ(p.bind(vm, {p.mirror(1ull << 40, k2M)}), 0);
  auto advice = p.advice(vm, 1ull << 40, k2M, DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC, NumberedFds::kDeviceFd);
  advice.preferred_mem_loc.region_instance = 1;
  ASSERT_EQ(p.call(DRM_IOCTL_XE_MADVISE, advice), 0);
  f.fork();
  Vm& vm_object = f.child.context(1).vm;
  ReadGuard hold(vm_object.lock);
  const Vma* mirror = vm_object.find(GpuVa(1ull << 40));
  ASSERT_NE(mirror, nullptr);
  EXPECT_EQ(mirror->attr.preferred.devmem_fd, NumberedFds::kDeviceFd);
  EXPECT_EQ(mirror->attr.preferred.pagemap, f.child.device().pagemap(0));
}

TEST(DrmFork, NumbersMeanTheSameAndFreeOnesAreFree) {
  Family f;
  DrmRig& p = f.parent;
  const auto first = p.vm(DrmRig::kDmaFence), second = p.vm(DrmRig::kDmaFence);
  const auto gone = p.bo(kPageSize, DrmRig::kSystem), kept = p.bo(kPageSize, DrmRig::kSystem);
  drm_gem_close close{};
  close.handle = gone;
  ASSERT_EQ(p.call(DRM_IOCTL_GEM_CLOSE, close), 0);
  ASSERT_EQ(p.destroy_vm(first), 0);
  f.fork();
  DrmRig& c = f.child;
  EXPECT_EQ(c.vm(DrmRig::kDmaFence), first) << "free in the parent";
  EXPECT_EQ(c.vm(DrmRig::kDmaFence), second + 1);
  EXPECT_EQ(c.bind(second, {c.map(kept, kAt, kPageSize)}), 0);
  EXPECT_EQ(c.destroy_vm(second), 0);
  EXPECT_EQ(c.destroy_vm(second), -ENOENT);
  EXPECT_EQ(p.bind(second, {p.map(kept, kAt, kPageSize)}), 0) << "the parent has it still";
}

TEST(DrmFork, AnObjectOfOneVmIsPrivateToItsCopy) {
  Family f;
  DrmRig& p = f.parent;
  const auto owner = p.vm(DrmRig::kDmaFence), other = p.vm(DrmRig::kDmaFence);
  const auto bo = p.bo(k2M, DrmRig::kVram, owner);
  f.fork();
  EXPECT_EQ(f.bo_of_child(bo).private_to(), &f.child.context(1).vm);
  EXPECT_NE(f.bo_of_child(bo).private_to(), &f.child.context(2).vm) << other;
  drm_prime_handle prime{};
  prime.handle = bo;
  EXPECT_EQ(f.child.call(DRM_IOCTL_PRIME_HANDLE_TO_FD, prime), -EPERM);
}

TEST(DrmFork, ADontneedObjectIsThatAndTheChildLeavesItsBytes) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kFault);
  const auto bo = p.bo(k2M, DrmRig::kVram | DrmRig::kSystem);
  ASSERT_EQ(p.bind(vm, {p.map(bo, kAt, k2M, DRM_XE_VM_BIND_FLAG_IMMEDIATE)}), 0);
  *reinterpret_cast<std::uint32_t*>(p.object(bo).engine_mapping()) = 7;
  f.fork();
  DrmRig& c = f.child;
  EXPECT_EQ(f.bo_of_child(bo).purgeable(), PurgeableState::kWillNeed);
  ASSERT_EQ(c.bind(vm, {c.prefetch(kAt, k2M, 1)}), 0);
  ASSERT_TRUE(f.bo_of_child(bo).in_vram());
  ASSERT_EQ(c.purgeable(vm, kAt, k2M, DRM_XE_VMA_PURGEABLE_STATE_DONTNEED), 1);
  EXPECT_EQ(p.object(bo).purgeable(), PurgeableState::kWillNeed) << "advice is not shared";
  const auto pressure = c.vm(DrmRig::kDmaFence);
  c.bo(64ull << 20, DrmRig::kVram, pressure);
  EXPECT_FALSE(f.bo_of_child(bo).in_vram()) << "evicted";
  EXPECT_EQ(f.bo_of_child(bo).purgeable(), PurgeableState::kDontNeed);
  EXPECT_EQ(p.word(bo), 7u) << "but not purged";
}

TEST(DrmFork, ABannedVmIsBannedAndTheQueueOfAClosedOneStaysOne) {
  Family f;
  DrmRig& p = f.parent;
  const auto banned = p.vm(DrmRig::kDmaFence), closed = p.vm(DrmRig::kDmaFence);
  const auto queue = p.queue(closed);
  ASSERT_EQ(p.destroy_vm(closed), 0);
  p.context(1).vm.kill("for the test");
  f.fork();
  DrmRig& c = f.child;
  const auto bo = c.bo(kPageSize, DrmRig::kSystem);
  EXPECT_EQ(c.bind(banned, {c.map(bo, kAt, kPageSize)}), -ENOENT);
  EXPECT_EQ(c.exec(queue, 0x10000), -ECANCELED);
  EXPECT_FALSE(c.banned(queue));
}

TEST(DrmFork, AQueueIsBannedAsTheParentsWasAtTheFork) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kDmaFence);
  p.batch_at(vm, 0x10000, {{0xffffffff}});
  const auto bad = p.queue(vm), good = p.queue(vm);
  ASSERT_EQ(p.exec(bad, 0x10000), 0);
  p.run();
  ASSERT_TRUE(p.banned(bad));
  f.fork();
  EXPECT_TRUE(f.child.banned(bad));
  EXPECT_FALSE(f.child.banned(good));
  ASSERT_EQ(f.child.exec(good, 0x10000), 0);
  f.child.run();
  EXPECT_TRUE(f.child.banned(good));
  EXPECT_FALSE(p.banned(good));
}

TEST(DrmFork, AJobInFlightRunsOnceAndInTheParent) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kDmaFence);
  const auto result = p.bo(kPageSize, DrmRig::kSystem);
  ASSERT_EQ(p.bind(vm, {p.map(result, kAt, kPageSize)}), 0);
  p.batch_at(vm, 0x10000, {p.store(kAt, 1)});
  const auto queue = p.queue(vm);
  const auto fence = p.syncobj();
  ASSERT_EQ(p.exec(queue, 0x10000, {p.out(fence)}), 0) << "not run before run()";
  f.fork();
  f.child.run();
  EXPECT_EQ(p.word(result), 0u) << "not by the child";
  EXPECT_FALSE(f.child.signalled(fence));
  p.run();
  EXPECT_EQ(p.word(result), 1u);
  f.syncs.pass_on();
  EXPECT_TRUE(f.child.signalled(fence));
}

TEST(DrmFork, ABindThatWaitsStaysTheParents) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kDmaFence);
  const auto bo = p.bo(k2M, DrmRig::kSystem);
  const auto held = p.blocker();
  const auto done = p.syncobj();
  ASSERT_EQ(p.bind(vm, {p.map(bo, kAt, k2M)}, {p.in(held), p.out(done)}), 0);
  f.fork();
  p.run();
  EXPECT_EQ(p.vmas(1), "[0x1000000+0x200000 bo]");
  EXPECT_EQ(f.child.vmas(1), "");
  f.syncs.pass_on();
  EXPECT_TRUE(f.child.signalled(done)) << "its fence tells";
}

TEST(DrmFork, AnInheritedMirrorLeadsNowhere) {
  Family f;
  DrmRig& p = f.parent;
  const auto vm = p.vm(DrmRig::kFault);
  ASSERT_EQ(p.bind(vm, {p.mirror(0, 1ull << 47)}), 0);
  f.fork();
  DrmRig& c = f.child;
  c.batch_at(vm, 0x10000, {c.store(kAt, 1)});
  const auto queue = c.queue(vm);
  ASSERT_EQ(c.exec(queue, 0x10000), 0);
  c.run();
  EXPECT_TRUE(c.banned(queue));
  EXPECT_EQ(c.context(1).vm.fault_records().size(), 1u);
  EXPECT_EQ(c.context(1).svm->range_count(), 0u);
  EXPECT_EQ(c.bind(vm, {c.prefetch(kAt, k2M, 0)}), -EFAULT);
  EXPECT_EQ(c.advise(vm, kAt, k2M, DRM_XE_MEM_RANGE_ATTR_ATOMIC, DRM_XE_ATOMIC_DEVICE), 0);
  EXPECT_EQ(c.bind(vm, {c.unmap(0, 1ull << 47)}), 0);
}

TEST(DrmFork, AnImageOfAnInheritedFileIsAsGood) {
  Family f;
  const auto vm = f.parent.vm(DrmRig::kFault);
  const auto bo = f.parent.bo(k2M, DrmRig::kSystem);
  ASSERT_EQ(f.parent.bind(vm, {f.parent.map(bo, kAt, k2M), f.parent.mirror(1ull << 40, k2M)}), 0);
  f.fork();
  ASSERT_EQ(f.child.bind(vm, {f.child.null(kAt + k2M, k2M)}), 0);
  DrmRig grandchild;
  ForkSyncs syncs;
  const FileImage image = f.child.file->image(syncs);
  EXPECT_EQ(grandchild.file->inherit(image), 0u);
  EXPECT_EQ(grandchild.vmas(1), f.child.vmas(1));
  EXPECT_EQ(grandchild.vmas(1), "[0x1000000+0x200000 bo][0x1200000+0x200000 null][0x10000000000+0x200000 mirror]");
}

}  // namespace
}  // namespace softxe
