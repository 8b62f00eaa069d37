// Where the SVM part stops: the last page, the last try, the first failure; and that what it counts is what moved.
// Each was found as a change of one line that no other test noticed.
#include "drv/sim_device_fixture.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string_view>
#include <thread>

namespace softxe {
namespace {

constexpr std::uint64_t kBase = 0x10000000;

PageFault fault_at(SimDevice& d, std::uint64_t at) {
  PageFault fault;
  fault.page = GpuVa(at);
  fault.asid = d.vm->vm.config().asid;
  return fault;
}

// spec/svm.md 4.5: only a bind that raced is tried again.
TEST(SvmLimits, ABindThatFailsEndsTheFaultAtOnce) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  FailNth hook("svm.bind.prepare", 1, ENOMEM);
  set_step_hook(&hook);
  EXPECT_EQ(d.device->faults().serve(fault_at(d, kBase)).error().err, ENOMEM);
  set_step_hook(nullptr);
  EXPECT_EQ(d.count(Counter::svm_fault_retry_count), 0u);
}

// Memory that refuses what its mapping allows: an answer with a reason and a record, not a livelock.
TEST(SvmLimits, MemoryThatRefusesAgainAndAgainIsAFault) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  PageFault fault = fault_at(d, kBase);
  fault.cause = FaultCause::kMemory;
  fault.access = AccessType::kWrite;
  fault.attempts.refused = 64;
  EXPECT_EQ(d.device->faults().page_fault(fault), FaultReply::kRetry);
  fault.attempts.refused = 65;
  EXPECT_EQ(d.device->faults().page_fault(fault), FaultReply::kFail);
  ASSERT_EQ(d.vm->vm.fault_records().size(), 1u);
  EXPECT_EQ(d.vm->vm.fault_records()[0].page_address, kBase);
  EXPECT_EQ(d.vm->vm.fault_records()[0].access, 1u);
}

TEST(SvmLimits, ARefusedAccessMakesAValidRangeBeCollectedAnew) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M, CpuVma::Kind::kShmem);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  PageFault fault = fault_at(d, kBase);
  int collected = 0;
  AtStep count("svm.pages.collected", 10, [&](int) { ++collected; });
  EXPECT_TRUE(d.device->faults().serve(fault));
  EXPECT_EQ(collected, 0) << "valid already";
  fault.cause = FaultCause::kMemory;
  EXPECT_TRUE(d.device->faults().serve(fault));
  EXPECT_EQ(collected, 1);
}

TEST(SvmLimits, ALivelockIsRecordedLikeAnyOtherFault) {
  SimDevice d;
  d.device->faults().livelock(fault_at(d, kBase), 10'000);
  ASSERT_EQ(d.vm->vm.fault_records().size(), 1u);
  EXPECT_EQ(d.vm->vm.fault_records()[0].page_address, kBase);
}

TEST(SvmLimits, AnEngineWithoutProgressIsLeftWithPagesWhereTheyAre) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 2 * k2M);
  PageFault fault = fault_at(d, kBase);
  fault.attempts.answered = 8;
  EXPECT_TRUE(d.device->faults().serve(fault));
  EXPECT_FALSE(d.in_vram(kBase));
  fault.page = GpuVa(kBase + k2M);
  fault.attempts.answered = 7;
  EXPECT_TRUE(d.device->faults().serve(fault));
  EXPECT_TRUE(d.in_vram(kBase + k2M));
  fault.page = GpuVa(kBase);
  fault.access = AccessType::kAtomic;
  fault.attempts.answered = 100;
  EXPECT_TRUE(d.device->faults().serve(fault));
  EXPECT_TRUE(d.in_vram(kBase)) << "an atomic must have them there";
}

// The ASID goes to another VM while the fault is served.
TEST(SvmLimits, AFaultIsRecordedInTheVmItHappenedIn) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  auto other = d.device->create_vm({.scratch = false, .long_running = true, .fault_mode = true});
  ASSERT_TRUE(other);
  const std::uint32_t asid = d.vm->vm.config().asid;
  {
    AtStep reuse("svm.fault.after_gc", 1,
                 [&](int) { std::thread([&] { d.device->asids().set(asid, *other); }).join(); });
    EXPECT_EQ(d.device->faults().page_fault(fault_at(d, kBase)), FaultReply::kFail) << "nothing is mapped";
  }
  d.device->asids().set(asid, d.vm);
  EXPECT_EQ(d.vm->vm.fault_records().size(), 1u);
  EXPECT_TRUE((*other)->vm.fault_records().empty());
  d.device->close_vm(*other);
}

// The last page comes home on a CPU thread; between its block and its record the VRAM is empty, and the device goes.
TEST(SvmLimits, ADeviceGoesWhileItsLastPageIsReleased) {
  struct BetweenBlockAndRecord final : StepHook {
    Status on_step(StepSite& site, bool) override {
      const std::string_view name(site.name);
      if (name == "drv.vram.wait_for_records") device_goes.store(true);
      if (name != "drv.vram.released" || released.exchange(true)) return {};
      while (!device_goes.load()) std::this_thread::yield();
      return {};
    }
    std::atomic<bool> released{false};
    std::atomic<bool> device_goes{false};
  } hook;
  ManualClock clock;
  SimHostMm mm(clock);
  MigrateLock migrate_lock("migrate");
  DeviceOptions options;
  options.config = default_config(kProfileBmg, 0);
  options.config.vram_bytes = options.config.visible_bytes = 64ull << 20;
  options.collector = GcWorker::Mode::kManual;
  auto device = Device::create(mm, migrate_lock, options);
  ASSERT_TRUE(device);
  ASSERT_TRUE(mm.cpu_mmap({.size_bytes = k2M, .at = HostVa(kBase), .place = MmapRequest::Place::kFixed}));
  auto block = (*device)->pagemap(0)->allocate(k2M, VramEffort::kFreeOnly);
  ASSERT_TRUE(block);
  ASSERT_TRUE(mm.migrate_to_device(HostRange::of(HostVa(kBase), k2M), **block, 0));
  set_step_hook(&hook);
  std::thread cpu([&] {
    std::uint32_t word = 0;
    EXPECT_TRUE(mm.cpu_read(HostVa(kBase), std::as_writable_bytes(std::span(&word, 1))));
  });
  while (!hook.released.load()) std::this_thread::yield();
  EXPECT_EQ((*device)->vram(0).usage().used_bytes, 0u);
  device->reset();
  cpu.join();
  set_step_hook(nullptr);
}

// spec/svm.md 0.3: HMM's time-out.
TEST(SvmLimits, ACollectionThatIsOvertakenForASecondGivesUp) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  ASSERT_TRUE(d.cpu_write(kBase, 1));
  ASSERT_TRUE(d.advise(
      kBase, k2M,
      SetPreferred{{.devmem_fd = kPreferDefaultSystem, .policy = MigrationPolicy::kAllPages, .pagemap = nullptr}}));
  constexpr std::uint64_t kEach = 100'000'000;
  constexpr int kUntilTimeout = 11;  // the second is over when more than it has passed
  int overtaken = 0;
  AtStep race("svm.pages.collected", 1000, [&](int) {
    ++overtaken;
    d.clock.advance_ns(kEach);
    ASSERT_TRUE(d.mm.cpu_madvise(HostRange::of(HostVa(kBase), kPageSize), CpuAdvice::kDontNeed));
  });
  EXPECT_EQ(d.device->faults().serve(fault_at(d, kBase)).error().err, EBUSY);
  constexpr int kRoundsOfAFault = 3;  // Q20
  EXPECT_EQ(overtaken, kRoundsOfAFault * kUntilTimeout);
}

// spec/vm.md 5.2: the range ends where the VM does.
TEST(SvmLimits, TheLastPageOfAVmTakesAdvice) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  const std::uint64_t end = d.vm->vm.size_bytes();
  EXPECT_TRUE(d.advise_atomic(end - kPageSize, kPageSize, AtomicAccess::kDevice));
  const auto beyond = d.advise_atomic(end - kPageSize, 2 * kPageSize, AtomicAccess::kDevice);
  EXPECT_EQ(beyond.error().err, EINVAL);
}

// spec/svm.md 3.3.
TEST(SvmLimits, ACollectedRangeLeavesNoPageTable) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  const auto tables = [&] { return d.device->page_tables(); };
  const auto before = tables();
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::uint64_t at = kBase + (i << 32);
    d.map_at(at, k64K);
    ASSERT_TRUE(d.gpu_write(at, 1));
  }
  EXPECT_GT(tables(), before);
  for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(d.unmap(kBase + (i << 32), k64K));
  d.device->flush_collector(*d.vm);
  EXPECT_EQ(tables(), before);
}

// spec/svm.md 7.3: what failed to move ends a prefetch; the ranges behind stay where they are and without entries.
TEST(SvmLimits, AMoveThatFailsEndsAPrefetch) {
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, 4 * k2M);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(d.cpu_write(kBase + i * k2M, 1));
  FailNth hook("svm.migrate.alloc", 2, ENOMEM);
  set_step_hook(&hook);
  EXPECT_TRUE(d.prefetch(kBase, 4 * k2M, 1));
  set_step_hook(nullptr);
  ASSERT_TRUE(hook.fired());
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_EQ(d.in_vram(kBase + i * k2M), i == 0) << i;
  EXPECT_EQ(d.vm->vm.table(0).present_pages(), k2M / kPageSize);
}

TEST(SvmLimits, WhatGoesHomeIsCountedByPage) {
  SimDevice d({.vram_bytes = 2 * k2M});
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  d.map_at(kBase + 2 * k2M, kPageSize);
  ASSERT_TRUE(d.gpu_write(kBase, 1));
  ASSERT_TRUE(d.gpu_write(kBase + 2 * k2M, 1));
  ASSERT_TRUE(d.cpu_read(kBase));
  EXPECT_EQ(d.count(Counter::svm_cpu_fault_bytes), k2M);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_system_bytes), k2M);
  d.map_at(kBase + 4 * k2M, 2 * k2M);
  ASSERT_TRUE(d.gpu_write(kBase + 4 * k2M, 1));
  EXPECT_EQ(d.count(Counter::svm_eviction_bytes), 0u) << "there was room for that";
  ASSERT_TRUE(d.gpu_write(kBase + 5 * k2M, 1));
  EXPECT_EQ(d.count(Counter::svm_eviction_bytes), kPageSize);
  EXPECT_EQ(d.count(Counter::svm_migrate_to_system_bytes), k2M + kPageSize);
}

// spec/svm.md 9.1. A store by the GPU and a load by the CPU, with 5 ms lost at one step of them.
TEST(SvmLimits, TimeIsCountedWhereItIsSpent) {
  constexpr Counter kTimes[] = {Counter::svm_2M_pagefault_us, Counter::svm_2M_migrate_us,
                                Counter::svm_device_copy_us,  Counter::svm_2M_device_copy_us,
                                Counter::svm_2M_get_pages_us, Counter::svm_2M_bind_us,
                                Counter::svm_cpu_copy_us,     Counter::svm_2M_cpu_copy_us};
  const struct {
    const char* step;
    std::set<Counter> grow;
  } rows[] = {
      {"svm.migrate.move", {kTimes[0], kTimes[1], kTimes[2], kTimes[3]}},
      {"svm.pages.collect", {kTimes[0], kTimes[4]}},
      {"svm.bind.prepare", {kTimes[0], kTimes[5]}},
      {"host.sim.to_system.alloc", {kTimes[6], kTimes[7]}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.step);
    SimDevice d;
    ASSERT_TRUE(d.bind_everything());
    d.map_at(kBase, k2M);
    AtStep slow(row.step, 1, [&](int) { d.clock.advance_ns(5'000'000); });
    ASSERT_TRUE(d.gpu_write(kBase, 7));
    ASSERT_TRUE(d.cpu_read(kBase));
    EXPECT_EQ(slow.left(), 0);
    for (Counter time : kTimes)
      EXPECT_EQ(d.count(time), row.grow.contains(time) ? 5000u : 0u) << kCounterNames[static_cast<std::size_t>(time)];
  }
}

TEST(SvmLimits, AFaultThatFailsWithItsBindCountsTheBindsTimeOnly) {
  struct SlowFailure final : StepHook {
    explicit SlowFailure(ManualClock& of) : clock(of) {}
    Status on_step(StepSite& site, bool) override {
      if (std::string_view(site.name) != "svm.bind.prepare") return {};
      clock.advance_ns(5'000'000);
      return fail(ENOMEM, "asked for by the test");
    }
    ManualClock& clock;
  };
  SimDevice d;
  ASSERT_TRUE(d.bind_everything());
  d.map_at(kBase, k2M);
  SlowFailure hook(d.clock);
  set_step_hook(&hook);
  EXPECT_EQ(d.device->faults().serve(fault_at(d, kBase)).error().err, ENOMEM);
  set_step_hook(nullptr);
  EXPECT_EQ(d.count(Counter::svm_2M_bind_us), 5000u);
  EXPECT_EQ(d.count(Counter::svm_2M_pagefault_us), 0u);
}

// spec/vm.md 7.2: a range that died under the fault is the collector's, and its attributes with it.
TEST(SvmLimits, ADeadRangeInTheWayOfAVramPageIsCollectedNotDropped) {
  SimDevice d({.profile = &kProfilePvc, .reset = ResetMode::kAlways});
  ASSERT_TRUE(d.bind_mirror(kBase, k64K));
  ASSERT_TRUE(d.advise_atomic(kBase, k64K, AtomicAccess::kGlobal));
  d.map_at(kBase, kPageSize);
  ASSERT_TRUE(d.gpu_read(kBase)) << "a small range";
  d.map_at(kBase + kPageSize, k64K - kPageSize);
  AtStep race("svm.fault.after_gc", 1, [&](int) {
    ASSERT_TRUE(d.unmap(kBase, kPageSize));
    d.map_at(kBase, kPageSize);
  });
  static_cast<void>(d.gpu_add(kBase + kPageSize, 1));
  EXPECT_EQ(d.count(Counter::svm_range_collected_count), 1u);
  EXPECT_EQ(d.vmas().find("[0x10000000+0x1000 default]"), 0u) << d.vmas();
}

// spec/vm.md 6.1: an empty interval is the closed one up to the byte before it, and a VMA must hold both ends.
TEST(SvmLimits, AnEmptyQueryFindsWhatLiesOnBothSidesOfIt) {
  SimDevice d;
  ASSERT_TRUE(d.bind_mirror(kBase, 2 * k2M));
  const struct {
    const char* claim;
    std::uint64_t at;
    std::size_t found;
  } rows[] = {{"inside", kBase + k2M, 1},
              {"where a VMA begins", kBase, 0},
              {"where it ends", kBase + 2 * k2M, 0},
              {"in a hole", kBase / 2, 0},
              {"at 0", 0, 0},
              {"behind the VM", d.vm->vm.size_bytes(), 0}};
  for (const auto& row : rows) {
    EXPECT_EQ(query_mem_range_attrs(*d.device, *d.vm, {GpuVa(row.at), 0}).size(), row.found) << row.claim;
  }
}

}  // namespace
}  // namespace softxe
