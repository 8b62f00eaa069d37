// A Device over this process's own memory, for tests: one VM that mirrors everything, one engine.
//
// Needs userfaultfd with MOVE (the full rung). On a lower rung the tests are skipped by name, and a skip
// never counts as a pass.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guarded.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/live/live_host_mm.h"
#include "hw/mmu_memory.h"
#include "svm/madvise.h"

namespace softxe {

/// Does the process have a page at this address right now?
inline bool present(const void* at) {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::uint64_t entry = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) / kPageSize;
  const ssize_t got = pread(fd, &entry, sizeof entry, static_cast<off_t>(page * sizeof entry));
  close(fd);
  return got == sizeof entry && (entry >> 63) != 0;
}

class LiveSvm : public ::testing::Test {
 protected:
  void SetUp() override {
    guarded_install_handler();
    auto made = live::LiveHostMm::create({});
    ASSERT_TRUE(made) << made.error().why;
    mm_ = std::move(*made);
    if (mm_->rung() != live::Rung::kFull) GTEST_SKIP() << "no userfaultfd MOVE on this machine";
    DeviceOptions options;
    options.config = default_config(kProfileBmg, 0);
    options.config.vram_bytes = options.config.visible_bytes = 64ull << 20;
    options.reset = ResetMode::kAlways;
    auto device = Device::create(*mm_, migrate_lock_, options);
    ASSERT_TRUE(device);
    device_ = std::move(*device);
    auto vm = device_->create_vm(
        {.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
    ASSERT_TRUE(vm);
    vm_ = *vm;
    ResolvedBind bind{.op = {.range = {GpuVa(0), vm_->vm.size_bytes()},
                             .pat_index = 2,
                             .what = BindMap{.backing = BindMirror{}}},
                      .range = GpuRange::of(GpuVa(0), vm_->vm.size_bytes()),
                      .bo = {}};
    ASSERT_TRUE(vm_bind(*device_, *vm_, std::span(&bind, 1), BindRun::kExecute));
    gpu_ = std::make_unique<EngineMemory>(Mmu::Config{.domain = device_->invalidations(),
                                                      .faults = device_->faults(),
                                                      .clock = mm_->clock(),
                                                      .engine = {.engine_class = 1}});
    gpu_->mmu().bind_vm({.asid = vm_->vm.config().asid,
                         .table = &vm_->vm.table(0),
                         .vram = &device_->vram_map(0)});
  }
  void TearDown() override {
    gpu_.reset();
    if (vm_) device_->close_vm(vm_);
    vm_.reset();
    mm_.reset();
    device_.reset();
  }

  /// A 2M-aligned anonymous mapping.
  char* map(std::size_t bytes) {
    char* at = static_cast<char*>(mmap(nullptr, bytes + k2M, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return reinterpret_cast<char*>(align_up(reinterpret_cast<std::uint64_t>(at), k2M));
  }
  static GpuVa va(const void* at) { return GpuVa(reinterpret_cast<std::uint64_t>(at)); }
  /// Pages land, and wake the threads that wait for them, before the move is counted: behind the mm lock
  /// everything that began has been counted.
  std::uint64_t count(Counter c) {
    struct Nobody final : IntervalNotifier {
      using IntervalNotifier::IntervalNotifier;
      void invalidate(HostRange, HostEvent) override {}
    } nobody(HostRange::of(HostVa(kPageSize), kPageSize));
    static_cast<void>(mm_->read_begin(nobody));
    return device_->counters().get(c);
  }

  MigrateLock migrate_lock_{"migrate"};
  live::LiveHostMm::Owner mm_;
  std::unique_ptr<Device> device_;
  std::shared_ptr<VmContext> vm_;
  std::unique_ptr<EngineMemory> gpu_;
};

}  // namespace softxe
