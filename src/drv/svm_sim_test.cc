// SVM end to end on the simulated process: faults, migration, events, collector, attribute reset.
// Names quote the rows of spec/svm.md 10 and spec/vm.md 7.7 they show.
#include "drv/sim_device_fixture.h"

#include <gtest/gtest.h>

namespace softxe {
namespace {

constexpr std::uint64_t kBase = 0x10000000;  // 2M aligned
const SetPreferred kToSystem{
    {.devmem_fd = kPreferDefaultSystem, .policy = MigrationPolicy::kAllPages, .pagemap = nullptr}};

TEST(SvmFault, E1_HoleFaultsIntoTwoMegabytesOfZeroedVram) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 4 * k2M);
  EXPECT_EQ(d.gpu_read(kBase + 0x1234).value(), 0u);
  EXPECT_TRUE(d.in_vram(kBase));
  EXPECT_TRUE(d.in_vram(kBase + k2M - kPageSize));
  EXPECT_FALSE(d.in_vram(kBase + k2M));
  EXPECT_EQ(d.ranges(), 1u);
  EXPECT_EQ(d.count(Counter::svm_2M_pagefault_count), 1u);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_vram_count), 1u);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_vram_bytes), k2M);
}

TEST(SvmFault, E18_CpuTouchBringsTheWholeAllocationHome) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.cpu_write(kBase + 8, 41));
  ASSERT_TRUE(d.gpu_write(kBase + k64K, 42));
  ASSERT_TRUE(d.in_vram(kBase));
  EXPECT_EQ(d.cpu_read(kBase + k64K).value(), 42u);
  EXPECT_EQ(d.cpu_read(kBase + 8).value(), 41u);
  EXPECT_FALSE(d.in_vram(kBase));
  EXPECT_EQ(d.count(Counter::svm_cpu_fault_count), 1u);
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u) << "an empty allocation is given back";
  // The range was zapped, not removed: the next GPU access faults and moves it again.
  EXPECT_EQ(d.gpu_read(kBase + 8).value(), 41u);
  EXPECT_TRUE(d.in_vram(kBase));
  EXPECT_EQ(d.count(Counter::svm_migrate_to_vram_count), 2u);
}

TEST(SvmFault, E2_SmallUntouchedMappingGetsA4KRange) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k64K);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  EXPECT_EQ(d.count(Counter::svm_4K_pagefault_count), 1u);
  EXPECT_EQ(d.count(Counter::svm_64K_pagefault_count), 0u);
}

TEST(SvmFault, PopulatedSmallMappingGetsA64KRange) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k64K);
  for (std::uint64_t at = 0; at < k64K; at += kPageSize) ASSERT_TRUE(d.cpu_write(kBase + at, 7));
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  EXPECT_EQ(d.count(Counter::svm_64K_pagefault_count), 1u);
}

TEST(SvmFault, E4toE8_HardFaultsAreRecorded) {
  struct Case {
    const char* name;
    CpuVma::Kind kind;
    Prot prot;
    bool mapped;
  };
  for (const Case& c : {Case{"read-only CPU mapping", CpuVma::Kind::kAnonPrivate, Prot::kRead, true},
                        Case{"no CPU mapping", CpuVma::Kind::kAnonPrivate, Prot::kRead, false},
                        Case{"device mapping", CpuVma::Kind::kDevice, Prot::kReadWrite, true}}) {
    SCOPED_TRACE(c.name);
    SimDevice d;
    ASSERT_TRUE(d.bind_everything());
    if (c.mapped) d.map_at(kBase, k2M, c.kind, c.prot);
    EXPECT_FALSE(d.gpu_read(kBase + 0x2004));
    auto faults = d.vm->vm.fault_records();
    ASSERT_EQ(faults.size(), 1u);
    EXPECT_EQ(faults[0].page_address, kBase + 0x2000);
    EXPECT_EQ(faults[0].access, 0);
    EXPECT_EQ(d.ranges(), 0u);
  }
}

TEST(SvmFault, E5E6_ReadOnlyMirrorReadsReadOnlyMemoryAndRefusesWrites) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(0, 1ull << 47, AutoReset::kOff, true));
  d.map_at(kBase, k2M, CpuVma::Kind::kAnonPrivate, Prot::kRead);
  EXPECT_TRUE(d.gpu_read(kBase));
  EXPECT_FALSE(d.gpu_write(kBase, 1));
}

TEST(SvmFault, E13_AtomicOnUndefinedGoesToVramAndIsExact) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.advise(kBase, k2M, kToSystem));
  ASSERT_TRUE(d.gpu_write(kBase, 5));
  EXPECT_FALSE(d.in_vram(kBase)) << "advice: system memory";
  EXPECT_EQ(d.gpu_add(kBase, 3).value(), 5u);
  EXPECT_TRUE(d.in_vram(kBase)) << "the atomic needs VRAM whatever the advice";
  const std::uint64_t before = d.clock.now_ns();
  EXPECT_EQ(d.cpu_read(kBase).value(), 8u);
  EXPECT_GE(d.clock.now_ns() - before, kAtomicTimesliceDefaultNs) << "E19: the CPU waited";
}

TEST(SvmFault, E14toE16_AtomicTable) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M, CpuVma::Kind::kShmem);
  EXPECT_FALSE(d.gpu_add(kBase, 1)) << "E14: shared memory cannot migrate";
  d.map_at(kBase + k2M, k2M);
  ASSERT_TRUE(d.advise_atomic(kBase + k2M, k2M, AtomicAccess::kCpu));
  EXPECT_FALSE(d.gpu_add(kBase + k2M, 1)) << "E15: CPU atomics only";
  EXPECT_EQ(d.count(Counter::svm_pagefault_count), 1u) << "refused before anything is looked for: E14's is counted";
  d.map_at(kBase + 2 * k2M, k2M);
  ASSERT_TRUE(d.advise(kBase + 2 * k2M, k2M, kToSystem));
  ASSERT_TRUE(d.advise_atomic(kBase + 2 * k2M, k2M, AtomicAccess::kDevice));
  EXPECT_TRUE(d.gpu_add(kBase + 2 * k2M, 1)) << "E16: device atomics work on system memory";
  EXPECT_FALSE(d.in_vram(kBase + 2 * k2M));
}

TEST(SvmEvents, E21_MunmapFreesVramWithoutCopyAndTheCollectorRemovesTheRange) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_system_count), 0u);
  EXPECT_EQ(d.ranges(), 1u) << "dead until a collector pass";
  EXPECT_FALSE(d.gpu_read(kBase)) << "no CPU mapping: hard fault";
  EXPECT_EQ(d.ranges(), 0u);
  EXPECT_EQ(d.count(Counter::svm_range_collected_count), 1u);
}

TEST(SvmEvents, E23_RemapAtTheSameAddressNeverShowsOldData) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 0xdead));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  d.map_at(kBase, k2M);
  EXPECT_EQ(d.gpu_read(kBase).value(), 0u);
}

TEST(SvmEvents, E22_PartialMunmapKeepsTheRestsData) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 11));
  ASSERT_TRUE(d.gpu_write(kBase + k2M - 4, 22));
  ASSERT_TRUE(d.unmap(kBase + k64K, k64K));
  EXPECT_EQ(d.gpu_read(kBase).value(), 11u);
  EXPECT_EQ(d.gpu_read(kBase + k2M - 4).value(), 22u);
  EXPECT_FALSE(d.gpu_read(kBase + k64K));
  EXPECT_EQ(d.cpu_read(kBase + k2M - 4).value(), 22u);
}

TEST(SvmEvents, E26_DontneedReadsZero) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.mm.cpu_madvise(HostRange::of(HostVa(kBase), k2M), CpuAdvice::kDontNeed));
  EXPECT_EQ(d.gpu_read(kBase).value(), 0u);
}

TEST(SvmEvents, E27_ForkChildSeesDataAndIsIsolated) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 77));
  auto child = d.mm.cpu_fork();
  ASSERT_TRUE(child);
  ASSERT_TRUE(d.gpu_write(kBase, 78));
  std::uint32_t seen = 0;
  ASSERT_TRUE(d.mm.cpu_read(HostVa(kBase), std::as_writable_bytes(std::span(&seen, 1)), *child));
  EXPECT_EQ(seen, 77u);
}

TEST(SvmEvents, E25_MprotectStopsTheGpu) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.mm.cpu_mprotect(HostRange::of(HostVa(kBase), k2M), Prot::kRead));
  EXPECT_FALSE(d.gpu_write(kBase, 2));
  EXPECT_EQ(d.cpu_read(kBase).value(), 1u);
}

TEST(SvmEvict, E28_VramPressureMovesDataHome) {
  SimDevice d({.vram_bytes = 2 * k2M});
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 8 * k2M);
  for (std::uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(d.gpu_write(kBase + i * k2M, 100 + i));
  EXPECT_GE(d.count(Counter::svm_eviction_count), 6u);
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(d.cpu_read(kBase + i * k2M).value(), 100 + i);
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u);
}

TEST(SvmBind, E31_UnbindOfALiveMirrorIsBusyUntilMunmap) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  constexpr std::uint64_t kNextWindow = kBase + kNotifierWindowBytes;
  d.map_at(kNextWindow, k2M);
  ASSERT_TRUE(d.gpu_write(kNextWindow, 1));
  EXPECT_EQ(d.unbind(0, d.vm->vm.size_bytes()).error().err, EBUSY);
  ASSERT_TRUE(d.unmap(kBase, k2M));
  EXPECT_EQ(d.unbind(0, d.vm->vm.size_bytes()).error().err, EBUSY) << "a range of another notifier window is left";
  ASSERT_TRUE(d.unmap(kNextWindow, k2M));
  EXPECT_TRUE(d.unbind(0, d.vm->vm.size_bytes())) << "the first try after munmap must work";
}

TEST(SvmPrefetch, MovesAndBindsWithoutAFault) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 2 * k2M);
  ASSERT_TRUE(d.cpu_write(kBase, 9));
  ASSERT_TRUE(d.prefetch(kBase, 2 * k2M, 1u));
  EXPECT_TRUE(d.in_vram(kBase));
  EXPECT_EQ(d.gpu_read(kBase).value(), 9u);
  EXPECT_EQ(d.count(Counter::svm_pagefault_count), 0u);
  ASSERT_TRUE(d.prefetch(kBase, 2 * k2M, 0u)) << "E32: to system";
  EXPECT_FALSE(d.in_vram(kBase));
  EXPECT_EQ(d.gpu_read(kBase).value(), 9u);
  EXPECT_EQ(d.count(Counter::svm_pagefault_count), 0u);
}

TEST(SvmMadvise, E30_SameValueZapsNothing) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kGlobal));
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  const auto zaps = d.count(Counter::madvise_zap_count);
  const auto invalidations = d.count(Counter::tlb_inval_count);
  ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kGlobal));
  EXPECT_EQ(d.count(Counter::madvise_zap_count), zaps);
  EXPECT_EQ(d.count(Counter::tlb_inval_count), invalidations);
  ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kDevice));
  EXPECT_EQ(d.count(Counter::madvise_zap_count), zaps + 1);
}

// --- the attribute-reset patch (spec/vm.md 7.7) --------------------------------------------------------

struct ResetCase {
  const char* name;
  std::uint64_t advise_at, advise_bytes;  ///< in 2M units above kBase
  std::uint64_t unmap_at, unmap_bytes;
  const char* after;
};

class Reset : public ::testing::TestWithParam<ResetCase> {};

TEST_P(Reset, VmasAfterTheCollector) {
  const ResetCase& c = GetParam();
  SimDevice d;
  const std::uint64_t space = 16 * k2M;
  ASSERT_TRUE(d.bind_mirror(kBase, space));
  d.map_at(kBase, space);
  ASSERT_TRUE(d.advise_atomic(kBase + c.advise_at * k2M, c.advise_bytes * k2M, AtomicAccess::kDevice));
  for (std::uint64_t i = c.advise_at; i < c.advise_at + c.advise_bytes; ++i) {
    ASSERT_TRUE(d.gpu_write(kBase + i * k2M, 1));
  }
  ASSERT_TRUE(d.unmap(kBase + c.unmap_at * k2M, c.unmap_bytes * k2M));
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.vmas(), c.after);
  ReadGuard hold(d.vm->vm.lock);
  d.vm->vm.validate();
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Cases, Reset, ::testing::Values(
    ResetCase{"whole_vma_merges_both_sides", 4, 2, 4, 2, "[0x10000000+0x2000000 default]"},
    ResetCase{"left_part_merges_left",  4, 2, 4, 1, "[0x10000000+0xa00000 default][0x10a00000+0x200000 atomic=device][0x10c00000+0x1400000 default]"},
    ResetCase{"right_part_merges_right", 4, 2, 5, 1, "[0x10000000+0x800000 default][0x10800000+0x200000 atomic=device][0x10a00000+0x1600000 default]"},
    ResetCase{"middle_splits_in_five", 4, 3, 5, 1, "[0x10000000+0x800000 default][0x10800000+0x200000 atomic=device][0x10a00000+0x200000 default][0x10c00000+0x200000 atomic=device][0x10e00000+0x1200000 default]"},
    ResetCase{"several_ranges_in_one_unmap", 2, 4, 2, 4, "[0x10000000+0x2000000 default]"},
    ResetCase{"whole_space_is_one_vma", 0, 16, 0, 16, "[0x10000000+0x2000000 default]"}),
    [](const auto& row) { return std::string(row.param.name); });
// clang-format on

TEST(ResetModes, G1_FlagModeNeedsTheFlag) {
  for (auto autoreset : {AutoReset::kOff, AutoReset::kOn}) {
    SimDevice d({.reset = ResetMode::kFlag});
    ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M, autoreset));
    d.map_at(kBase, 4 * k2M);
    ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kGlobal));
    ASSERT_TRUE(d.gpu_write(kBase, 1));
    ASSERT_TRUE(d.unmap(kBase, k2M));
    d.device->flush_collector(*d.vm);
    EXPECT_EQ(d.vmas(), autoreset == AutoReset::kOn
                            ? "[0x10000000+0x800000 default]"
                            : "[0x10000000+0x200000 atomic=global][0x10200000+0x600000 default]");
  }
}

TEST(ResetModes, G3_MemoryTheGpuNeverTouchedKeepsItsAttributes) {
  for (ResetMode mode : {ResetMode::kAlways, ResetMode::kFlag}) {
    SimDevice d({.reset = mode});
    ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M, AutoReset::kOn));
    d.map_at(kBase, 4 * k2M);
    ASSERT_TRUE(d.advise_atomic(kBase, k2M, AtomicAccess::kGlobal));
    ASSERT_TRUE(d.unmap(kBase, k2M));
    d.device->flush_collector(*d.vm);
    EXPECT_EQ(d.vmas(), "[0x10000000+0x200000 atomic=global][0x10200000+0x600000 default]");
  }
}

TEST(ResetModes, ExactWatchesWhatWasAdvisedBefore) {
  SimDevice d({.reset = ResetMode::kExact});
  ASSERT_TRUE(d.bind_everything(AutoReset::kOn));
  for (std::uint64_t at : {kBase, kBase + 8 * k2M, kBase + 4 * k2M}) {
    d.map_at(at, k2M);
    ASSERT_TRUE(d.advise_atomic(at, k2M, AtomicAccess::kGlobal));
  }
  for (std::uint64_t at : {kBase, kBase + 4 * k2M, kBase + 8 * k2M}) ASSERT_TRUE(d.unmap(at, k2M));
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.vmas(), "[0x0+0x1000000000000 default]");
}

TEST(ResetModes, B3_FlagsSurviveTheReset) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M, AutoReset::kOff, true));
  d.map_at(kBase, 4 * k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, 2 * k2M, AtomicAccess::kGlobal));
  ASSERT_TRUE(d.gpu_read(kBase + k2M));
  ASSERT_TRUE(d.unmap(kBase + k2M, k2M));
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.vmas(), "[0x10000000+0x200000 atomic=global ro][0x10200000+0x600000 default ro]");
}

TEST(ResetModes, B4_MergingOverLiveRangesDoesNotKillTheVm) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 8 * k2M));
  d.map_at(kBase, 8 * k2M);
  ASSERT_TRUE(d.advise_atomic(kBase + 3 * k2M, k2M, AtomicAccess::kDevice));
  for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(d.gpu_write(kBase + i * k2M, 1));
  ASSERT_TRUE(d.unmap(kBase + 3 * k2M, k2M));
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.vmas(), "[0x10000000+0x1000000 default]");
  EXPECT_FALSE(d.vm->vm.banned());
  EXPECT_EQ(d.ranges(), 7u);
  const auto faults = d.count(Counter::svm_pagefault_count);
  EXPECT_TRUE(d.gpu_read(kBase));
  EXPECT_EQ(d.count(Counter::svm_pagefault_count), faults) << "the neighbours' PTEs stayed";
}

TEST(ResetModes, B5_CyclesDoNotFragment) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t at = kBase + static_cast<std::uint64_t>(i % 7) * k2M;
    d.map_at(at, k2M);
    ASSERT_TRUE(d.advise_atomic(at, k2M, AtomicAccess::kGlobal));
    ASSERT_TRUE(d.gpu_write(at, 1));
    ASSERT_TRUE(d.unmap(at, k2M));
  }
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(d.vm->vm.vma_count(), 1u);
}

TEST(ResetRetry, G6_B1_AnyNumberOfUnmapsDuringOneFault) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 64 * k2M));
  d.map_at(kBase, 64 * k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, 20 * k2M, AtomicAccess::kDevice));
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(d.gpu_write(kBase + i * k2M, 1));
  const auto again = d.count(Counter::svm_fault_again_count);
  ASSERT_TRUE(d.unmap(kBase + 19 * k2M, k2M));
  {
    // Each re-look-up meets one more finished munmap: the first AGAIN is far from the last.
    AtStep unmap_more("svm.fault.again", 10, [&](int left) {
      ASSERT_TRUE(d.unmap(kBase + (static_cast<std::uint64_t>(left) + 1) * k2M, k2M));
    });
    EXPECT_TRUE(d.gpu_write(kBase + 40 * k2M, 5));
    EXPECT_EQ(unmap_more.left(), 0);
  }
  EXPECT_EQ(d.count(Counter::svm_fault_again_count) - again, 11u);
  EXPECT_EQ(d.count(Counter::gpu_fault_failed_count), 0u);
}

TEST(ResetErrors, G9_AFailedCarveKillsTheVm) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M));
  d.map_at(kBase, 4 * k2M);
  ASSERT_TRUE(d.advise_atomic(kBase, 2 * k2M, AtomicAccess::kDevice));
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.unmap(kBase, k2M));
  FailNth hook("vm.reset.carve", 1, ENOMEM);
  set_step_hook(&hook);
  d.device->flush_collector(*d.vm);
  set_step_hook(nullptr);
  EXPECT_TRUE(hook.fired());
  EXPECT_TRUE(d.vm->vm.banned());
  EXPECT_EQ(d.bind_mirror(kBase, k2M).error().err, ENOENT);
  EXPECT_EQ(d.advise_atomic(kBase, k2M, AtomicAccess::kGlobal).error().err, ENOENT);
  EXPECT_FALSE(d.gpu_read(kBase + 3 * k2M));
}

TEST(Races, R2_MunmapBetweenCollectionAndCommitIsRefused) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  AtStep race("svm.bind.before_commit", 1, [&](int) { ASSERT_TRUE(d.unmap(kBase, k2M)); });
  EXPECT_FALSE(d.gpu_write(kBase, 1)) << "the next round finds no CPU mapping";
  EXPECT_EQ(d.vm->vm.table(0).present_pages(), 0u);
}

TEST(Races, R3_RemapToSharedMemoryDuringTheFaultIsNotMigrated) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  AtStep race("svm.bind.before_commit", 1, [&](int) {
    ASSERT_TRUE(d.unmap(kBase, k2M));
    d.map_at(kBase, k2M, CpuVma::Kind::kShmem);
  });
  EXPECT_TRUE(d.gpu_write(kBase, 3));
  EXPECT_FALSE(d.in_vram(kBase));
  EXPECT_EQ(d.cpu_read(kBase).value(), 3u);
}

TEST(Races, R1_MunmapDuringMigration) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  AtStep race("svm.migrate.allocated", 1, [&](int) { ASSERT_TRUE(d.unmap(kBase, k2M)); });
  EXPECT_FALSE(d.gpu_write(kBase, 1));
  EXPECT_EQ(d.device->vram(0).usage().used_bytes, 0u) << "no VRAM leaks";
}

TEST(Scratch, MirrorFaultsAndEverythingElseReadsZero) {
  SimDevice d({.scratch = true});
  ASSERT_TRUE(d.bind_mirror(kBase, 4 * k2M));
  d.map_at(kBase, 4 * k2M);
  ASSERT_TRUE(d.cpu_write(kBase, 6));
  EXPECT_EQ(d.gpu_read(kBase).value(), 6u) << "quirk Q10 is fixed: the mirror faults";
  EXPECT_EQ(d.gpu_read(0x5000).value(), 0u);
  EXPECT_TRUE(d.gpu_write(0x5000, 1));
  EXPECT_EQ(d.gpu_read(0x5000).value(), 0u);
  ASSERT_TRUE(d.unmap(kBase, 4 * k2M));
  d.device->flush_collector(*d.vm);
  EXPECT_FALSE(d.gpu_read(kBase)) << "a hole of the mirror is no scratch";
}

}  // namespace
}  // namespace softxe
