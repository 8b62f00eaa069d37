// Life, ban, advice and faults of VMs as clients see them: rows B36, B37, B39, B40 of spec/vm.md 10.2, E42 of
// spec/svm.md 10.2, quirks of vm.md section 11, eviction beside jobs (2.7, 2.8).
#include "abi/drm_test_rig.h"
#include "abi/vfs.h"
#include "drv/sim_device_fixture.h"

namespace softxe {
namespace {

constexpr std::uint64_t kAt = 0x100'0000;
constexpr std::uint64_t kBatch = 0x10000;

/// A read that found nothing, in the first VM of a rig.
PageFault fault_at(std::uint64_t va) {
  PageFault fault;
  fault.page = GpuVa(va);
  fault.asid = 1;
  return fault;
}

TEST(VmLife, B36_DestroyWaitsForTheFencesOfTheVm) {
  DrmRig r;
  const auto dma = r.vm(DrmRig::kDmaFence);
  r.batch_at(dma, kBatch, {});
  const auto done = r.syncobj();
  ASSERT_EQ(r.exec(r.queue(dma), kBatch, {r.out(done)}), 0);
  EXPECT_FALSE(r.signalled(done));
  EXPECT_EQ(r.destroy_vm(dma), 0);
  EXPECT_TRUE(r.signalled(done)) << "the job ended first";

  const auto fault = r.vm(DrmRig::kFault);
  const auto data = r.batch_at(fault, kBatch, {r.store(kBatch + 0x800, 7)});
  ASSERT_EQ(r.exec(r.queue(fault), kBatch), 0);
  EXPECT_EQ(r.destroy_vm(fault), 0);
  EXPECT_EQ(r.word(data, 0x800), 0u) << "jobs of a fault-mode VM are not waited for";
}

TEST(VmLife, B36_DestroyWaitsForThePageTableUpdatesOfEveryQueue) {
  DrmRig r;
  for (bool queue_of_its_own : {false, true}) {
    SCOPED_TRACE(queue_of_its_own);
    const auto vm = r.vm(DrmRig::kDmaFence);
    const auto queue = queue_of_its_own ? r.queue(vm, DRM_XE_ENGINE_CLASS_VM_BIND) : 0;
    const auto held = r.blocker();
    const auto done = r.syncobj();
    ASSERT_EQ(r.bind(vm, {r.null(kAt, k2M)}, {r.in(held), r.out(done)}, queue), 0);
    EXPECT_FALSE(r.signalled(done));
    EXPECT_EQ(r.destroy_vm(vm), 0);
    EXPECT_TRUE(r.signalled(done));
  }
}

TEST(VmLife, OnlyPreemptFenceQueuesKeepAVmFromBeingDestroyed) {
  DrmRig r;
  for (auto [flags, answer] : {std::pair{DrmRig::kDmaFence, 0}, {DrmRig::kFault, 0}, {DrmRig::kLr, -EBUSY}}) {
    const auto vm = r.vm(flags);
    const auto queue = r.queue(vm);
    EXPECT_EQ(r.destroy_vm(vm), answer);
    if (answer == 0) {
      EXPECT_EQ(r.exec(queue, kBatch), -ECANCELED);
    }
  }
}

TEST(VmLife, B37_WhatABannedVmStillDoes) {
  struct Case {
    const char* mode;
    std::uint32_t flags;
    int empty_exec;
  };
  for (const Case& c : {Case{"dma-fence", DrmRig::kDmaFence, 0}, Case{"fault", DrmRig::kFault, 0}}) {
    SCOPED_TRACE(c.mode);
    DrmRig r;
    const auto vm = r.vm(c.flags);
    const auto data = r.batch_at(vm, kBatch, {r.store(kBatch + 0x800, 7)});
    const auto queue = r.queue(vm);
    ASSERT_EQ(r.exec(queue, kBatch), 0);
    r.context(1).vm.kill("asked for by the test");
    r.run();
    EXPECT_EQ(r.word(data, 0x800), 7u) << "what runs goes on";
    EXPECT_FALSE(r.banned(queue));
    EXPECT_EQ(r.exec(queue, kBatch), -ECANCELED);
    EXPECT_EQ(r.exec(queue, 0, {}, 0), c.empty_exec);
    EXPECT_EQ(r.bind(vm, {r.null(kAt, k2M)}), -ENOENT);
    EXPECT_EQ(r.advise(vm, kAt, k2M, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 1), -ENOENT);
    EXPECT_EQ(r.queue(vm), 0u);
    EXPECT_EQ(r.last, -ENOENT);
    EXPECT_EQ(r.destroy_vm(vm), 0);
  }
}

// --- eviction beside jobs ----------------------------------------------------------------------------------

/// A preempt-fence VM whose job polls a word, and an object in VRAM that another VM's object pushes out.
struct Pressure {
  Pressure() {
    vm = rig.vm(DrmRig::kLr);
    other = rig.vm(DrmRig::kDmaFence);
    mine = rig.bo(5 * k2M, DrmRig::kVram);
    EXPECT_EQ(rig.bind(vm, {rig.map(mine, kAt, 5 * k2M)}), 0);
    flag = rig.bo(kPageSize, DrmRig::kSystem);
    EXPECT_EQ(rig.bind(vm, {rig.map(flag, kAt / 2, kPageSize)}), 0);
    rig.batch_at(vm, kBatch, {rig.wait_equal(kAt / 2, 1), rig.store(kAt, 7)});
    queue = rig.queue(vm);
  }
  void push_out() { theirs = rig.bo(5 * k2M, DrmRig::kVram, other); }

  DrmRig rig{{.vram_bytes = 8 * k2M}};
  std::uint32_t vm, other, mine, theirs = 0, flag, queue;
};

TEST(RebindWorker, RestoresWhatWasEvictedBesideARunningJob) {
  Pressure p;
  ASSERT_EQ(p.rig.exec(p.queue, kBatch), 0);
  p.rig.run(3);
  p.push_out();
  EXPECT_FALSE(p.rig.object(p.mine).in_vram());
  *reinterpret_cast<std::uint32_t*>(p.rig.object(p.flag).engine_mapping()) = 1;
  p.rig.run();
  EXPECT_FALSE(p.rig.banned(p.queue)) << "the job never met the missing entries";
  EXPECT_EQ(p.rig.word(p.mine), 7u);
  EXPECT_TRUE(p.rig.object(p.mine).in_vram()) << "VRAM only: it came back";
}

TEST(RebindWorker, LeavesAVmWithoutWorkToItsNextExec) {
  Pressure p;
  p.push_out();
  p.rig.run();
  EXPECT_FALSE(p.rig.object(p.mine).in_vram());
  EXPECT_TRUE(p.rig.object(p.theirs).in_vram());
  *reinterpret_cast<std::uint32_t*>(p.rig.object(p.flag).engine_mapping()) = 1;
  ASSERT_EQ(p.rig.exec(p.queue, kBatch), 0);
  EXPECT_TRUE(p.rig.object(p.mine).in_vram());
  p.rig.run();
  EXPECT_EQ(p.rig.word(p.mine), 7u);
}

TEST(RebindWorker, B37_AnObjectThatCannotComeBackBansTheVmAndItsQueues) {
  Pressure p;
  const auto second = p.rig.queue(p.vm);
  ASSERT_EQ(p.rig.exec(p.queue, kBatch), 0);
  p.rig.run(3);
  p.push_out();
  FailNth no_room("drv.gem.place", 1, ENOSPC, FailNth::Repeat::kForever);
  set_step_hook(&no_room);
  p.rig.run();
  set_step_hook(nullptr);
  EXPECT_TRUE(no_room.fired());
  EXPECT_TRUE(p.rig.banned(p.queue));
  EXPECT_TRUE(p.rig.banned(second));
  EXPECT_EQ(p.rig.exec(second, kBatch), -ECANCELED);
  EXPECT_EQ(p.rig.exec(second, 0, {}, 0), -ECANCELED) << "the ban killed its queues";
  EXPECT_EQ(p.rig.bind(p.vm, {p.rig.null(2 * kAt, k2M)}), -ENOENT);
}

// What others have pinned for a moment is no victim; the kernel waits for the locks of such objects.
TEST(RebindWorker, NoRoomForAMomentBansNobody) {
  Pressure p;
  ASSERT_EQ(p.rig.exec(p.queue, kBatch), 0);
  p.rig.run(3);
  p.push_out();
  *reinterpret_cast<std::uint32_t*>(p.rig.object(p.flag).engine_mapping()) = 1;
  // The other object is in a bind of its own VM, which ends after the worker's third look for room.
  ASSERT_TRUE(p.rig.object(p.theirs).make_resident({.vm = nullptr, .eviction = VmLocalEviction::kAllowed}));
  {
    AtStep end_of_bind("drv.gem.place", 3, [&](int left) {
      if (left == 0) p.rig.object(p.theirs).unpin();
    });
    p.rig.run();
    EXPECT_EQ(end_of_bind.left(), 0);
    if (end_of_bind.left() != 0) p.rig.object(p.theirs).unpin();
  }
  EXPECT_FALSE(p.rig.banned(p.queue));
  EXPECT_TRUE(p.rig.object(p.mine).in_vram());
  EXPECT_EQ(p.rig.word(p.mine), 7u);
}

TEST(RebindWorker, TwoBusyVmsDoNotPushEachOtherOutForEver) {
  DrmRig r({.vram_bytes = 8 * k2M});
  std::uint32_t flags[2], objects[2], queues[2];
  for (int i = 0; i < 2; ++i) {
    const auto vm = r.vm(DrmRig::kLr);
    objects[i] = r.bo(5 * k2M, DrmRig::kVram | DrmRig::kSystem);
    ASSERT_EQ(r.bind(vm, {r.map(objects[i], kAt, 5 * k2M)}), 0);
    flags[i] = r.bo(kPageSize, DrmRig::kSystem);
    ASSERT_EQ(r.bind(vm, {r.map(flags[i], kAt / 2, kPageSize)}), 0);
    r.batch_at(vm, kBatch, {r.wait_equal(kAt / 2, 1), r.store(kAt, 7)});
    queues[i] = r.queue(vm);
    ASSERT_EQ(r.exec(queues[i], kBatch), 0);
    r.run(3);
  }
  for (auto flag : flags) *reinterpret_cast<std::uint32_t*>(r.object(flag).engine_mapping()) = 1;
  r.run();
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(r.banned(queues[i]));
    EXPECT_EQ(r.word(objects[i]), 7u);
  }
}

/// A VM with an object in most of the VRAM, and a batch that writes to it.
struct Tight {
  explicit Tight(std::uint32_t mode) {
    vm = rig.vm(mode);
    mine = rig.bo(5 * k2M, DrmRig::kVram);
    EXPECT_EQ(rig.bind(vm, {rig.map(mine, kAt, 5 * k2M)}), 0);
    rig.batch_at(vm, kBatch, {rig.store(kAt, 7)});
    queue = rig.queue(vm);
  }
  void expect_done(const char* when) {
    rig.run();
    EXPECT_FALSE(rig.banned(queue)) << when;
    EXPECT_EQ(rig.word(mine), 7u) << when;
  }

  DrmRig rig{{.vram_bytes = 8 * k2M}};
  std::uint32_t vm, mine, queue;
};

TEST(ExecBesideEviction, AnEvictionBetweenTheCheckAndTheSubmissionIsSeen) {
  for (std::uint32_t mode : {DrmRig::kDmaFence, DrmRig::kLr}) {
    Tight t(mode);
    bool was_out = false;
    {
      AtStep race("drv.exec.validated", 1, [&](int) {
        t.rig.bo(5 * k2M, DrmRig::kVram);
        was_out = !t.rig.object(t.mine).in_vram();
      });
      ASSERT_EQ(t.rig.exec(t.queue, kBatch), 0);
    }
    EXPECT_TRUE(was_out);
    t.expect_done(mode == DrmRig::kLr ? "preempt-fence" : "dma-fence");
  }
}

TEST(ExecBesideEviction, WhoWaitsForAnAnnouncedJobWaitsUntilItIsDone) {
  Tight t(DrmRig::kDmaFence);
  FencePtr seen;
  {
    AtStep before("drv.exec.submit", 1, [&](int) { seen = t.rig.file->jobs_of_vm(t.vm); });
    ASSERT_EQ(t.rig.exec(t.queue, kBatch), 0);
  }
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->signalled()) << "announced before it was submitted, and not done yet";
  t.expect_done("after the announcement");
  EXPECT_TRUE(seen->signalled());
}

TEST(ExecBesideEviction, NoRoomForAMomentIsWaitedFor) {
  for (std::uint32_t mode : {DrmRig::kDmaFence, DrmRig::kLr}) {
    Tight t(mode);
    t.rig.bo(5 * k2M, DrmRig::kVram);
    FailNth busy("drv.gem.place", 1, ENOSPC);
    set_step_hook(&busy);
    EXPECT_EQ(t.rig.exec(t.queue, kBatch), 0);
    set_step_hook(nullptr);
    EXPECT_TRUE(busy.fired());
    t.expect_done("after another try");
  }
}

TEST(ExecBesideEviction, AJobThatIsNotSubmittedIsNotWaitedFor) {
  Tight t(DrmRig::kDmaFence);
  FailNth refused("drv.exec.submit", 1, ENOMEM);
  set_step_hook(&refused);
  EXPECT_EQ(t.rig.exec(t.queue, kBatch), -ENOMEM);
  set_step_hook(nullptr);
  EXPECT_TRUE(t.rig.file->jobs_of_vm(t.vm)->signalled());
}

// One EXEC is inside the restoring, another of the same VM comes: it must not take the PTEs for restored.
TEST(ExecBesideEviction, PtesBeingRestoredAreStillStale) {
  Tight t(DrmRig::kDmaFence);
  t.rig.bo(5 * k2M, DrmRig::kVram);
  ASSERT_FALSE(t.rig.object(t.mine).in_vram());
  softxe::Vm& vm = t.rig.context(1).vm;
  bool stale = false;
  {
    AtStep inside("vm.fault.prepare_ptes", 1, [&](int) { stale = vm.has_stale_ptes(); });
    ASSERT_EQ(t.rig.exec(t.queue, kBatch), 0);
  }
  EXPECT_TRUE(stale);
  EXPECT_FALSE(vm.has_stale_ptes());
  t.expect_done("after the restoring");
}

TEST(RebindWorker, EvictionWaitsForTheJobsOfADmaFenceVm) {
  DrmRig r({.vram_bytes = 8 * k2M});
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto mine = r.bo(5 * k2M, DrmRig::kVram);
  ASSERT_EQ(r.bind(vm, {r.map(mine, kAt, 5 * k2M)}), 0);
  r.batch_at(vm, kBatch, {r.store(kAt, 7)});
  const auto queue = r.queue(vm);
  ASSERT_EQ(r.exec(queue, kBatch), 0);
  const auto theirs = r.bo(5 * k2M, DrmRig::kVram);
  EXPECT_TRUE(r.object(theirs).in_vram());
  EXPECT_EQ(r.word(mine), 7u) << "the job was done before the object went";
  EXPECT_FALSE(r.banned(queue));
}

// --- fdinfo (spec/uapi.md 19) ------------------------------------------------------------------------------

FdinfoRegion region_of(const DrmRig& r, std::string_view name) {
  for (const FdinfoRegion& region : r.file->usage().regions) {
    if (region.name == name) return region;
  }
  return {};
}

TEST(Fdinfo, MemoryIsShownWhereItIs) {
  Tight t(DrmRig::kDmaFence);
  EXPECT_EQ(t.rig.file->usage().regions.size(), 3u) << "system, gtt, vram0";
  EXPECT_EQ(region_of(t.rig, "vram0").total_bytes, 5 * k2M);
  EXPECT_EQ(region_of(t.rig, "gtt").resident_bytes, kPageSize) << "the batch";
  EXPECT_EQ(region_of(t.rig, "system").total_bytes, 0u);
  t.rig.bo(4 * k2M, DrmRig::kVram);
  EXPECT_EQ(region_of(t.rig, "vram0").total_bytes, 4 * k2M);
  EXPECT_EQ(region_of(t.rig, "system").total_bytes, 5 * k2M) << "evicted, with no other place allowed";
}

TEST(Fdinfo, AnObjectIsActiveWhileAJobOfItsVmIsUnfinished) {
  Tight t(DrmRig::kDmaFence);
  t.rig.bo(k2M, DrmRig::kVram);  // not mapped
  EXPECT_EQ(region_of(t.rig, "vram0").active_bytes, 0u);
  ASSERT_EQ(t.rig.exec(t.queue, kBatch), 0);
  EXPECT_EQ(region_of(t.rig, "vram0").active_bytes, 5 * k2M);
  t.rig.run();
  EXPECT_EQ(region_of(t.rig, "vram0").active_bytes, 0u);
}

TEST(Fdinfo, BusyTimeIsThatOfTheClassAndOutlivesTheQueue) {
  DrmRig r;
  const auto cycles = [&r](EngineClass cls) {
    for (const FdinfoEngine& engine : r.file->usage().engines) {
      if (engine.cls == cls) return engine.cycles;
    }
    return std::uint64_t{0};
  };
  const auto vm = r.vm(DrmRig::kDmaFence);
  const auto flag = r.bo(kPageSize, DrmRig::kSystem);
  ASSERT_EQ(r.bind(vm, {r.map(flag, kAt, kPageSize)}), 0);
  r.batch_at(vm, kBatch, {r.wait_equal(kAt, 1)});
  const auto queue = r.queue(vm);
  ASSERT_EQ(r.exec(queue, kBatch), 0);
  EXPECT_EQ(cycles(EngineClass::kCopy), 0u);
  r.run(2);
  r.clock.advance_ns(1'000'000);
  r.run(2);
  const auto used = cycles(EngineClass::kCopy);
  EXPECT_GE(used, 19'200u) << "a millisecond on the engine, at 19.2 MHz";
  EXPECT_EQ(cycles(EngineClass::kRender), 0u);
  drm_xe_exec_queue_destroy destroy{};
  destroy.exec_queue_id = queue;
  ASSERT_EQ(r.call(DRM_IOCTL_XE_EXEC_QUEUE_DESTROY, destroy), 0);
  EXPECT_GE(cycles(EngineClass::kCopy), used);
}

// --- advice ------------------------------------------------------------------------------------------------------

TEST(VmAdvice, B39_AdviceWaitsForJobsEvenWhenNothingChanges) {
  struct Case {
    const char* name;
    std::uint64_t at;
    std::uint32_t type, value;
    bool waits;
  };
  for (const Case& c : {Case{"the same value", kAt, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 0, true},
                        Case{"another value", kAt, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 1, true},
                        Case{"no mapping there", 4 * kAt, DRM_XE_MEM_RANGE_ATTR_ATOMIC, 0, false},
                        Case{"purgeable", kAt, DRM_XE_VMA_ATTR_PURGEABLE_STATE, 0, false}}) {
    SCOPED_TRACE(c.name);
    DrmRig r;
    const auto vm = r.vm(DrmRig::kDmaFence);
    const auto bo = r.bo(k2M, DrmRig::kSystem | DrmRig::kVram);
    ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}), 0);
    r.batch_at(vm, kBatch, {});
    const auto done = r.syncobj();
    ASSERT_EQ(r.exec(r.queue(vm), kBatch, {r.out(done)}), 0);
    const auto zaps = r.count(Counter::madvise_zap_count);
    EXPECT_EQ(r.advise(vm, c.at, k2M, c.type, c.value), 0);
    EXPECT_EQ(r.signalled(done), c.waits);
    EXPECT_EQ(r.count(Counter::madvise_zap_count) - zaps, c.value);
    r.run();
  }
}

TEST(VmAdvice, Q21_AdviceThatIsRefusedLateLeavesTheCutsAndNoAttribute) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, DrmRig::kVram);
  ASSERT_EQ(r.bind(vm, {r.mirror(0, kAt)}), 0);
  ASSERT_EQ(r.bind(vm, {r.map(bo, kAt, k2M)}), 0);
  EXPECT_EQ(r.advise(vm, kAt - k2M, 2 * k2M, DRM_XE_MEM_RANGE_ATTR_ATOMIC, DRM_XE_ATOMIC_CPU), -EINVAL)
      << "the object may not live in system memory";
  EXPECT_EQ(r.vmas(1), "[0x0+0xe00000 mirror][0xe00000+0x200000 mirror][0x1000000+0x200000 bo]");
  softxe::Vm& inner = r.context(1).vm;
  ReadGuard hold(inner.lock);
  EXPECT_EQ(inner.find(GpuVa(kAt - k2M))->attr.atomic, AtomicAccess::kUndefined);
}

TEST(VmAdvice, Q16_AHoleOfOnePageIsNotBridged) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_EQ(r.bind(vm, {r.mirror(kAt + k2M + kPageSize, k2M)}), 0);
  ASSERT_EQ(r.bind(vm, {r.mirror(kAt, k2M)}), 0);
  EXPECT_EQ(r.vmas(1), "[0x1000000+0x200000 mirror][0x1201000+0x200000 mirror]");
  ASSERT_EQ(r.bind(vm, {r.mirror(kAt + k2M, kPageSize)}), 0);
  EXPECT_EQ(r.vmas(1), "[0x1000000+0x401000 mirror]");
}

TEST(VmAdvice, E42_OnlyAFaultModeVmMayPreferAnotherDevice) {
  DrmRig r;
  r.fds.file = r.open();
  for (auto [flags, answer] : {std::pair{DrmRig::kDmaFence, -ENOLINK}, {DrmRig::kFault, 0}}) {
    const auto vm = r.vm(flags);
    ASSERT_EQ(r.bind(vm, {r.null(kAt, k2M)}), 0);
    auto request = r.advice(vm, kAt, k2M, DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC, NumberedFds::kDeviceFd);
    request.preferred_mem_loc.region_instance = 1;
    EXPECT_EQ(r.call(DRM_IOCTL_XE_MADVISE, request), answer);
    request.preferred_mem_loc.region_instance = 9;
    EXPECT_EQ(r.call(DRM_IOCTL_XE_MADVISE, request), -ENOENT);
    request.preferred_mem_loc.devmem_fd = 5;
    EXPECT_EQ(r.call(DRM_IOCTL_XE_MADVISE, request), -ENOENT) << "not a device file";
    EXPECT_EQ(r.vmas(vm), "[0x1000000+0x200000 null]");
  }
}

TEST(VmAdvice, Q13_TheSameNumberForAnotherRegionIsANewAdvice) {
  DrmRig r({.profile = &kProfilePvc});
  r.fds.file = r.open();
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_EQ(r.bind(vm, {r.mirror(0, 1ull << 40)}), 0);
  auto request = r.advice(vm, kAt, k2M, DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC, NumberedFds::kDeviceFd);
  for (auto region : {std::uint16_t{1}, std::uint16_t{2}}) {
    request.preferred_mem_loc.region_instance = region;
    ASSERT_EQ(r.call(DRM_IOCTL_XE_MADVISE, request), 0);
    softxe::Vm& inner = r.context(1).vm;
    ReadGuard hold(inner.lock);
    EXPECT_EQ(inner.find(GpuVa(kAt))->attr.preferred.pagemap->tile(), region - 1u);
  }
}

// --- faults ----------------------------------------------------------------------------------------------------

TEST(VmFaults, B40_AFetchThatFaultsOnAPlainVmIsRecordedOnce) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kDmaFence);
  drm_xe_vm_get_property property{};
  property.vm_id = vm;
  property.property = DRM_XE_VM_GET_PROPERTY_FAULTS;
  ASSERT_EQ(r.call(DRM_IOCTL_XE_VM_GET_PROPERTY, property), 0);
  EXPECT_EQ(property.size, 0u) << "no job yet";

  const auto data = r.batch_at(vm, kBatch, {r.store(kBatch + 0x800, 7)});
  const auto good = r.queue(vm), bad = r.queue(vm, DRM_XE_ENGINE_CLASS_RENDER);
  const auto done = r.syncobj();
  ASSERT_EQ(r.exec(bad, kAt + 0x40, {r.out(done)}), 0);
  ASSERT_EQ(r.exec(good, kBatch), 0);
  r.run();
  EXPECT_TRUE(r.signalled(done));
  EXPECT_TRUE(r.banned(bad));
  EXPECT_FALSE(r.banned(good)) << "other queues are unharmed";
  EXPECT_EQ(r.word(data, 0x800), 7u);

  ASSERT_EQ(r.call(DRM_IOCTL_XE_VM_GET_PROPERTY, property), 0);
  ASSERT_EQ(property.size, sizeof(xe_vm_fault)) << "exactly one record";
  xe_vm_fault record{};
  property.data = reinterpret_cast<std::uint64_t>(&record);
  ASSERT_EQ(r.call(DRM_IOCTL_XE_VM_GET_PROPERTY, property), 0);
  EXPECT_EQ(record.address, kAt);
  EXPECT_EQ(record.access_type, FAULT_ACCESS_TYPE_READ);
  EXPECT_EQ(record.fault_type, FAULT_TYPE_NOT_PRESENT);
}

TEST(VmFaults, E36_QueuesOfAClosedVmAreCanceledAndNothingIsTouched) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  ASSERT_EQ(r.bind(vm, {r.mirror(0, 1ull << 40)}), 0);
  const auto data = r.batch_at(vm, kBatch, {r.store(kBatch + 0x800, 7)});
  const auto queue = r.queue(vm);
  ASSERT_EQ(r.exec(queue, kBatch), 0);
  ASSERT_EQ(r.destroy_vm(vm), 0);
  r.run();
  EXPECT_TRUE(r.banned(queue)) << "its next access was a fault nobody serves";
  EXPECT_EQ(r.word(data, 0x800), 0u);
  EXPECT_EQ(r.exec(queue, kBatch), -ECANCELED);
}

TEST(VmFaults, R24_ANewVmDoesNotInheritTheFaultsOfAnOldOne) {
  DrmRig r;
  const auto old = r.vm(DrmRig::kFault);
  EXPECT_FALSE(r.device().faults().serve(fault_at(kAt)));
  ASSERT_EQ(r.destroy_vm(old), 0);
  const auto fresh = r.vm(DrmRig::kFault);
  EXPECT_EQ(fresh, old) << "the id is used again";
  EXPECT_EQ(r.device().faults().serve(fault_at(kAt)).error().err, EINVAL) << "the ASID is not";
  EXPECT_EQ(r.device().faults().page_fault(fault_at(kAt)), FaultReply::kFail);
  EXPECT_TRUE(r.context(2).vm.fault_records().empty());
}

// Its queue keeps the closed VM in memory; a late fault must not find it by its ASID all the same.
TEST(VmFaults, R24_TheAsidGoesWhenTheVmIsClosedThoughItsQueueHoldsIt) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto queue = r.queue(vm);
  const auto held = r.device().asids().find(1);
  ASSERT_EQ(r.destroy_vm(vm), 0);
  EXPECT_TRUE(held->vm.closed());
  EXPECT_EQ(r.device().asids().find(1), nullptr);
  EXPECT_EQ(r.device().faults().page_fault(fault_at(kAt)), FaultReply::kFail);
  EXPECT_EQ(r.device().faults().serve(fault_at(kAt)).error().err, EINVAL) << "no VM, not a closed one";
  EXPECT_TRUE(held->vm.fault_records().empty());
  EXPECT_EQ(r.exec(queue, kBatch), -ECANCELED);
}

// Whatever the mapping: what a banned VM has left to run ends at its next fault (spec/vm.md 2.6).
TEST(VmFaults, B37_NoFaultOfABannedVmIsServed) {
  DrmRig r;
  const auto vm = r.vm(DrmRig::kFault);
  const auto bo = r.bo(k2M, DrmRig::kSystem);
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_TRUE(r.mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(2 * kAt), .place = MmapRequest::Place::kFixed}));
  ASSERT_EQ(r.bind(vm, {r.mirror(0, 4 * kAt)}), 0);
  ASSERT_EQ(r.bind(vm, {r.map(bo, 4 * kAt, k2M)}), 0);
  ASSERT_EQ(r.bind(vm, {r.userptr(2 * kAt, 5 * kAt, k2M)}), 0);
  ASSERT_EQ(r.bind(vm, {r.null(6 * kAt, k2M)}), 0);
  softxe::Vm& inner = r.context(1).vm;
  const auto pages = r.present_pages(1);
  {
    Guard hold(inner.lock);
    inner.kill("by the test");
    for (const std::uint64_t va : {kAt, 4 * kAt, 5 * kAt, 6 * kAt}) EXPECT_EQ(inner.find(GpuVa(va)), nullptr);
  }
  for (const std::uint64_t va : {kAt, 4 * kAt, 5 * kAt, 6 * kAt}) {
    SCOPED_TRACE(va);
    const Status served = r.device().faults().serve(fault_at(va));
    ASSERT_FALSE(served);
    EXPECT_EQ(served.error().err, EINVAL);
  }
  EXPECT_EQ(r.present_pages(1), pages);
  EXPECT_EQ(r.context(1).svm->range_count(), 0u);
}

}  // namespace
}  // namespace softxe
