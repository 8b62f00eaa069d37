// Rows of spec/svm.md 10 and spec/vm.md 10.2 that need a look inside or a step of the engine, on the simulated
// process. Those that a scenario file can say are in tests/scenarios/rows.
#include "drv/sim_device_fixture.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "vm/vm_transaction.h"

namespace softxe {
namespace {

constexpr std::uint64_t kBase = 0x10000000;

PageFault fault_at(SimDevice& d, std::uint64_t at, AccessType access = AccessType::kRead) {
  PageFault fault;
  fault.page = GpuVa(at);
  fault.asid = d.vm->vm.config().asid;
  fault.access = access;
  return fault;
}

Status bind_bo(SimDevice& d, VmContext& vm, const std::shared_ptr<GemBo>& bo, std::uint64_t at) {
  ResolvedBind op{.op = {.range = {GpuVa(at), bo->size_bytes()},
                         .pat_index = 2,
                         .immediate = true,
                         .what = BindMap{.backing = BindBo{.handle = GemHandle{1}}}},
                  .range = GpuRange::of(GpuVa(at), bo->size_bytes()),
                  .bo = bo};
  return vm_bind(*d.device, vm, std::span(&op, 1), BindRun::kExecute);
}

std::shared_ptr<GemBo> make_bo(SimDevice& d, std::uint64_t bytes) {
  GemCreateRequest request;
  request.size_bytes = bytes;
  request.placement = 2 | 1;
  return *GemBo::create(d.device->bo_memory(), request, nullptr);
}

/// The fence of a bind that is done and has not said so yet.
struct Unsignalled final : UserFence {
  bool signalled() const override { return now; }
  bool now = false;
};

// --- faults ----------------------------------------------------------------------------------------------

TEST(SvmRows, E9_AFaultOnAValidRangeChangesNothing) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  const auto valid = d.count(Counter::svm_2M_valid_pagefault_count);
  const auto bound = d.vm->vm.table(0).present_pages();
  const auto moved = d.count(Counter::svm_migrate_to_vram_count);
  EXPECT_TRUE(d.device->faults().serve(fault_at(d, kBase + k64K)));
  EXPECT_EQ(d.count(Counter::svm_2M_valid_pagefault_count), valid + 1);
  EXPECT_EQ(d.vm->vm.table(0).present_pages(), bound);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_vram_count), moved);
}

TEST(SvmRows, B43_Q26_APrefetchReadOfAReadOnlyVmaIsServedLikeARead) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(0, 1ull << 40, AutoReset::kOff, true));
  d.map_at(kBase, k2M);
  PageFault fault = fault_at(d, kBase);
  fault.origin = FaultOrigin::kPrefetch;
  EXPECT_TRUE(d.device->faults().serve(fault)) << "Linux: -EPERM";
  EXPECT_EQ(d.count(Counter::invalid_prefetch_pagefault_count), 0u);
  fault.page = GpuVa(kBase + 16 * k2M);
  EXPECT_EQ(d.device->faults().page_fault(fault), FaultReply::kFail);
  EXPECT_EQ(d.count(Counter::invalid_prefetch_pagefault_count), 1u);
  EXPECT_TRUE(d.vm->vm.fault_records().empty()) << "the engine drops it, and nobody is told";
  fault.origin = FaultOrigin::kDemand;
  EXPECT_EQ(d.device->faults().page_fault(fault), FaultReply::kFail);
  EXPECT_EQ(d.vm->vm.fault_records().size(), 1u);
}

TEST(SvmRows, Q20_APageCollectionThatNeverSucceedsFailsTheFaultAfterThreeRounds) {
  for (int error : {EBUSY, ENOMEM}) {
    SimDevice d;
    ASSERT_TRUE(d.bind_everything());
    d.map_at(kBase, k2M);
    const auto retries = d.count(Counter::svm_fault_retry_count);
    FailNth hook("svm.pages.collect", 1, error, FailNth::Repeat::kForever);
    set_step_hook(&hook);
    EXPECT_EQ(d.device->faults().serve(fault_at(d, kBase)).error().err, error);
    set_step_hook(nullptr);
    EXPECT_EQ(d.count(Counter::svm_fault_retry_count), retries + 2);
    EXPECT_TRUE(d.gpu_write(kBase, 1)) << "the next fault starts anew";
  }
}

TEST(SvmRows, I4_FirstAccessReadsZeroOnEveryPath) {
  SimDevice d({.vram_bytes = 2 * k2M});
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 8 * k2M);
  for (std::uint64_t i = 0; i < 4; ++i) {  // used VRAM goes from hand to hand, full of other data
    for (std::uint64_t at = 0; at < k2M; at += kPageSize) {
      ASSERT_TRUE(d.gpu_write(kBase + i * k2M + at, 0xdeadbeef));
    }
  }
  ASSERT_EQ(d.cpu_read(kBase + 4 * k2M).value(), 0u) << "zero page";
  for (std::uint64_t i = 4; i < 8; ++i) {
    for (std::uint64_t at = 0; at < k2M; at += kPageSize) {
      ASSERT_EQ(d.gpu_read(kBase + i * k2M + at).value(), 0u);
    }
  }
  ASSERT_TRUE(d.mm.cpu_madvise(HostRange::of(HostVa(kBase), k2M), CpuAdvice::kDontNeed));
  EXPECT_EQ(d.gpu_read(kBase).value(), 0u);
}

TEST(SvmRows, R33_APrefetchToSystemMemoryWaitsForTheResidencyDeadline) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_add(kBase, 5));
  const std::uint64_t before = d.clock.now_ns();
  ASSERT_TRUE(d.prefetch(kBase, k2M, 0u));
  EXPECT_FALSE(d.in_vram(kBase));
  EXPECT_GE(d.clock.now_ns() - before, kAtomicTimesliceDefaultNs);
}

// --- binds -----------------------------------------------------------------------------------------------

TEST(SvmRows, B9_AnUnsignalledFenceHoldsAMappingOfItsOwnAndNoMirror) {
  SimDevice d;
  auto fence = std::make_shared<Unsignalled>();
  const auto run = [&](BindOp op, std::shared_ptr<UserFence> with) {
    op.pat_index = 2;
    const ResolvedBind bind{.op = op, .range = GpuRange::of(op.range.start, op.range.size_bytes), .bo = {}};
    const Status done = vm_bind(*d.device, *d.vm, std::span(&bind, 1), BindRun::kExecute, std::move(with));
    return done ? 0 : done.error().err;
  };
  const UncheckedRange at{GpuVa(kBase), k2M};
  const BindOp null{.range = at, .what = BindMap{.backing = BindNull{}}};
  const BindOp unmap{.range = at, .what = BindUnmap{}};
  ASSERT_EQ(run({.range = at, .what = BindMap{.backing = BindMirror{}}}, fence), 0);
  EXPECT_EQ(run(null, fence), 0) << "over the mirror";
  EXPECT_EQ(run(unmap, nullptr), EBUSY);
  EXPECT_EQ(run(null, nullptr), EBUSY);
  fence->now = true;
  EXPECT_EQ(run(unmap, nullptr), 0);
}

TEST(SvmRows, V24_EntriesCarryThePatThatWasAdvised) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(bind_bo(d, *d.vm, make_bo(d, k2M), 4 * kBase));
  for (std::uint64_t at : {kBase, 4 * kBase}) {
    ASSERT_TRUE(d.gpu_write(at, 1));
    EXPECT_EQ(d.vm->vm.table(0).walk(GpuVa(at))->flags.pat_index, 2);
    ASSERT_TRUE(d.advise(at, k2M, SetPat{.pat = PatIndex{3}, .coherent = false}));
    ASSERT_TRUE(d.gpu_write(at, 1));
    EXPECT_EQ(d.vm->vm.table(0).walk(GpuVa(at))->flags.pat_index, 3);
  }
}

// --- attribute reset ---------------------------------------------------------------------------------------

TEST(SvmRows, G8_AResetDropsTheReferenceToThePeersPagemap) {
  // In place, or by a VMA that takes in the neighbours.
  for (std::uint64_t mirror_bytes : {k2M, 8 * k2M}) {
    SimDevice d;
    ASSERT_TRUE(d.bind_mirror(kBase, mirror_bytes));
    d.map_at(kBase, k2M);
    const std::weak_ptr<Pagemap> watched = d.device->pagemap(0);
    const auto references = watched.use_count();
    const SetPreferred advice{{.devmem_fd = 5, .policy = MigrationPolicy::kAllPages, .pagemap = d.device->pagemap(0)}};
    {
      SetPreferred given = advice;
      ASSERT_TRUE(d.advise(kBase, k2M, given));
    }
    EXPECT_EQ(watched.use_count(), references + 2) << "the advice of this test, and one VMA";
    ASSERT_TRUE(d.gpu_write(kBase, 1));
    ASSERT_TRUE(d.unmap(kBase, k2M));
    d.device->flush_collector(*d.vm);
    EXPECT_EQ(d.vmas(), fmt::format("[0x10000000+{:#x} default]", mirror_bytes));
    EXPECT_EQ(watched.use_count(), references + 1);
  }
}

TEST(SvmRows, G10_B2_AVmaMergedAwayUnderItsFaultIsNotUsedAgain) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 16 * k2M));
  d.map_at(kBase, 16 * k2M);
  ASSERT_TRUE(d.advise_atomic(kBase + k2M, k2M, AtomicAccess::kDevice));
  ASSERT_TRUE(d.gpu_write(kBase + k2M, 1));
  AtStep merge("svm.fault.before_pages", 1, [&](int) {
    // The advised memory goes: the next round merges it with its neighbours, the faulting VMA among them.
    ASSERT_TRUE(d.unmap(kBase + k2M, k2M));
    ASSERT_TRUE(d.unmap(kBase, k2M));
    d.map_at(kBase, k2M);
  });
  EXPECT_TRUE(d.gpu_write(kBase, 7));
  EXPECT_EQ(d.vmas(), "[0x10000000+0x2000000 default]");
  EXPECT_TRUE(d.gpu_write(kBase + 8, 8)) << "the same place again";
  ASSERT_TRUE(d.mm.cpu_madvise(HostRange::of(HostVa(kBase), k2M), CpuAdvice::kDontNeed));
  EXPECT_TRUE(d.gpu_write(kBase, 9));
  EXPECT_EQ(d.cpu_read(kBase).value(), 9u);
}

TEST(SvmRows, B6_AResetThatMeetsAnotherKindOfVmaLeavesItAlone) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, k2M));
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kDevice));
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  {
    // No request can do this: the mirror is replaced although a dead range stands in it.
    Guard hold(d.vm->vm.lock);
    VmTransaction change(d.vm->vm);
    VmaTemplate null{.kind = VmaKind::kNull, .attr = MemAttr::defaults(PatIndex{3})};
    null.attr.atomic = AtomicAccess::kGlobal;
    ASSERT_TRUE(change.map(GpuRange::of(GpuVa(kBase), k2M), null, SvmRanges::kMayStay));
    ASSERT_TRUE(change.prepare_ptes(VmLocalEviction::kForbidden));
    change.commit();
  }
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.ranges(), 0u);
  EXPECT_EQ(d.vmas(), "[0x10000000+0x200000 atomic=global]");
  EXPECT_FALSE(d.vm->vm.banned());
}

TEST(SvmRows, B7_AdviceThatCutsADeadRangeTakesItOffTheCollectorsListAndLeavesItsReset) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 8 * k2M));
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  ASSERT_TRUE(d.vm->svm->garbage_pending());
  // Straight to the operation: the request would have flushed the collector first.
  ASSERT_TRUE(madvise(*d.vm, GpuRange::of(GpuVa(kBase), k64K), SetAtomic{AtomicAccess::kDevice}));
  EXPECT_EQ(d.ranges(), 0u);
  EXPECT_TRUE(d.vm->svm->garbage_pending());
  const auto collected = d.count(Counter::svm_range_collected_count);
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.count(Counter::svm_range_collected_count), collected) << "no second removal";
  EXPECT_FALSE(d.vm->svm->garbage_pending());
  EXPECT_EQ(d.vmas(), "[0x10000000+0x1000000 default]");
}

TEST(SvmRows, ExactModeGrowsTheLastIntervalWhenItsListIsFull) {
  SimDevice d({.reset = ResetMode::kExact});
  const std::uint64_t pages = 5000;
  ASSERT_TRUE(d.bind_mirror(kBase, 8 * k2M * 4, AutoReset::kOn));
  d.map_at(kBase, 2 * pages * kPageSize);
  ASSERT_TRUE(d.advise_atomic(kBase, 2 * pages * kPageSize, AtomicAccess::kDevice));
  for (std::uint64_t i = 0; i < pages; ++i) ASSERT_TRUE(d.unmap(kBase + 2 * i * kPageSize, kPageSize));
  d.device->flush_collector(*d.vm);
  EXPECT_FALSE(d.vm->vm.banned());
  ReadGuard hold(d.vm->vm.lock);
  auto atomic_at = [&](std::uint64_t page) {
    d.vm->vm.lock.assert_held_shared();
    return d.vm->vm.find(GpuVa(kBase + page * kPageSize))->attr.atomic;
  };
  EXPECT_EQ(atomic_at(0), AtomicAccess::kUndefined);
  EXPECT_EQ(atomic_at(1), AtomicAccess::kDevice) << "told apart while there was room";
  EXPECT_EQ(atomic_at(2ull * 4999), AtomicAccess::kUndefined);
  EXPECT_EQ(atomic_at(2ull * 4998 + 1), AtomicAccess::kUndefined) << "inside the hull of the last ones";
}

TEST(SvmRows, AQueryOfAttributesSeesAFinishedMunmap) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M));
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kDevice));
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  const auto seen = query_mem_range_attrs(*d.device, *d.vm, {GpuVa(kBase), 4 * k2M});
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].atomic, AtomicAccess::kUndefined);
}

// --- races ---------------------------------------------------------------------------------------------------

// The last moment at which an munmap can find the range: it dies and is queued. The queue must not keep what is gone,
// and the reset must not go with it.
TEST(SvmRows, R36_MunmapBetweenTheUnbindAndTheRemovalQueuesNothingThatIsGone) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 8 * k2M));
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  AtStep race("svm.range.before_remove", 1, [&](int) { ASSERT_TRUE(d.unmap(kBase, k2M)); });
  ASSERT_TRUE(d.advise_atomic(kBase, k64K, AtomicAccess::kDevice));
  EXPECT_EQ(race.left(), 0);
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.ranges(), 0u);
  EXPECT_FALSE(d.vm->svm->garbage_pending());
  EXPECT_EQ(d.vmas(), "[0x10000000+0x1000000 default]");
}

TEST(SvmRows, R7_AdviceBetweenTheChoiceOfAVictimAndItsEviction) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 8 * k2M));
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  AtStep race("vm.vram.evict", 1, [&](int) { ASSERT_TRUE(d.advise_atomic(kBase, k64K, AtomicAccess::kDevice)); });
  static_cast<void>(d.device->vram(0).evict_all({}));
  EXPECT_EQ(race.left(), 0);
  EXPECT_FALSE(d.in_vram(kBase));
  EXPECT_EQ(d.gpu_read(kBase).value(), 7u);
}

TEST(SvmRows, R23_AVmClosedInsideAnEvictionOfItsPages) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  auto second =
      *d.device->create_vm({.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
  AtStep race("vm.vram.evict", 1, [&](int) { d.device->close_vm(second); });
  ASSERT_TRUE(d.device->vram(0).evict_all({}));
  EXPECT_EQ(race.left(), 0);
  EXPECT_EQ(d.cpu_read(kBase).value(), 7u);
}

// spec/vm.md 2.5: behind its first step, events still drop the pages and give the collector nothing to do.
TEST(SvmRows, B19_AnUnmapWhileTheVmClosesQueuesNothing) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  d.vm->vm.close();
  ASSERT_TRUE(d.unmap(kBase, k2M));
  EXPECT_FALSE(d.vm->svm->garbage_pending());
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u);
}

TEST(SvmRows, B18_AVmClosesWhileAnotherEvictsTheObjectTheyShare) {
  SimDevice d;
  auto second =
      *d.device->create_vm({.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
  auto bo = make_bo(d, k2M);
  ASSERT_TRUE(bind_bo(d, *d.vm, bo, kBase));
  ASSERT_TRUE(bind_bo(d, *second, bo, 2 * kBase));
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  ASSERT_TRUE(bo->in_vram());
  AtStep race("vm.vram.evict", 1, [&](int) { d.device->close_vm(second); });
  ASSERT_TRUE(d.device->vram(0).evict_all({}));
  EXPECT_EQ(race.left(), 0);
  EXPECT_FALSE(bo->in_vram());
  EXPECT_EQ(d.gpu_read(kBase).value(), 7u) << "the other mapping comes back by a fault";
}

TEST(SvmRows, B44_MunmapBesideAMoveOfAnObjectOfTheSameVmDoesNotWaitForIt) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  auto bo = make_bo(d, k2M);
  ASSERT_TRUE(bind_bo(d, *d.vm, bo, 4 * kBase));
  AtStep race("vm.vram.evict", 2, [&](int) {
    static_cast<void>(d.unmap(kBase, k2M));
    EXPECT_FALSE(d.vm->vm.table(0).walk(GpuVa(kBase))) << "gone on return";
  });
  static_cast<void>(d.device->vram(0).evict_all({}));
  EXPECT_EQ(race.left(), 0);
  EXPECT_FALSE(bo->in_vram());
}

TEST(SvmRows, R32_WhenVramGoesAwayItsPagesGoHome) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 4 * k2M);
  for (std::uint32_t i = 0; i < 4; ++i) ASSERT_TRUE(d.gpu_write(kBase + i * k2M, 100 + i));
  ASSERT_TRUE(d.device->pagemap(0)->evict_all());
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u);
  EXPECT_EQ(d.device->pagemap(0)->live_allocations(), 0u);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(d.cpu_read(kBase + i * k2M).value(), 100 + i);
}

TEST(SvmRows, B17_ATileThatIsZappedDoesNotInvalidateTheOthers) {
  SvmRangeState state;
  state.set_collected(nullptr);
  state.set_bound(0b01);
  state.set_bound(0b10);
  state.set_zapped(0b10);
  EXPECT_TRUE(state.valid_on(0b01));
  EXPECT_FALSE(state.valid_on(0b10));
  state.set_zapped(0b100);
  EXPECT_EQ(state.invalidated(), 0b10) << "what was never bound is not invalidated";
  state.set_bound(0b10);
  EXPECT_TRUE(state.valid_on(0b10));
}

TEST(SvmRows, AHugeSourcePageComesHomeWholeWhenOnlySmallPagesAreLeft) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  for (std::uint64_t i = 0; i < 512; ++i) {
    ASSERT_TRUE(d.gpu_write(kBase + i * kPageSize, static_cast<std::uint32_t>(1000 + i)));
  }
  ASSERT_TRUE(d.unmap(kBase + 3 * kPageSize, kPageSize));  // no 2M destination fits any more
  for (std::uint64_t i = 0; i < 512; ++i) {
    if (i == 3) continue;
    ASSERT_EQ(d.cpu_read(kBase + i * kPageSize).value(), 1000 + i);
  }
}

TEST(SvmRows, ASmallRangeOverAHugeCpuPageMapsNoNeighbour) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  for (std::uint64_t at = 0; at < k2M; at += kPageSize) ASSERT_TRUE(d.cpu_write(kBase + at, 3));
  ASSERT_TRUE(d.advise_atomic(kBase + k64K, k64K, AtomicAccess::kDevice));
  ASSERT_TRUE(d.gpu_read(kBase + k64K));
  EXPECT_EQ(d.vm->vm.table(0).present_pages(), k64K / kPageSize);
  EXPECT_FALSE(d.vm->vm.table(0).walk(GpuVa(kBase)));
  EXPECT_FALSE(d.vm->vm.table(0).walk(GpuVa(kBase + 2 * k64K)));
}

// An engine has translated an address and is held up before its access. The event was called while the VM was open,
// and finds its entries gone when it comes to zap them: whoever closes the VM waits for the engine, and so must it.
TEST(SvmRows, AnEventThatTheClosingOfTheVmOvertakesWaitsForTheEngines) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 7));
  d.engine.reset();
  InvalidationDomain& domain = d.device->invalidations();
  EngineSlot& slot = domain.register_engine();
  EngineSection engine(domain, slot);
  engine.enter();
  const std::uint64_t before = domain.generation();
  auto wait_for_flush = [&] {
    while (domain.generation() == before) std::this_thread::yield();
  };
  std::thread closer;
  AtStep zap("hw.pt.zap", 1, [&](int) {
    closer = std::thread([&] { d.device->close_vm(d.vm); });
    wait_for_flush();
  });
  std::atomic<bool> gone{false};
  std::thread unmapper([&] {
    EXPECT_TRUE(d.unmap(kBase, k2M));
    gone = true;
  });
  wait_for_flush();
  for (int i = 0; i < 1000 && !gone; ++i) std::this_thread::yield();
  EXPECT_FALSE(gone);
  engine.leave();
  unmapper.join();
  closer.join();
  domain.unregister_engine(slot);
}

}  // namespace
}  // namespace softxe
