// A Device over this process's own memory, for tests and benchmarks: one VM that mirrors everything, one engine.
#pragma once

#include "base/event_tap.h"
#include "base/guarded.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/live/live_host_mm.h"
#include "hw/mmu_memory.h"
#include "svm/madvise.h"

namespace softxe {

class LiveDevice {
 public:
  struct Options {
    std::uint64_t vram_bytes = 64ull << 20;
    ResetMode reset = ResetMode::kAlways;
    GcWorker::Mode collector = GcWorker::Mode::kThread;
  };

  LiveDevice() = default;
  ~LiveDevice() {
    gpu_.reset();
    if (vm_ && !vm_->vm.closed()) close();
    vm_.reset();
    // Pages leave VRAM before the device goes, and the device's windows before the memory they are part of.
    for (unsigned tile = 0; device_ && tile < device_->vram_tiles(); ++tile) {
      static_cast<void>(device_->vram(tile).evict_all({}));
    }
    device_.reset();
    mm_.reset();
  }
  LiveDevice(const LiveDevice&) = delete;
  LiveDevice& operator=(const LiveDevice&) = delete;

  /// Once, before anything else. ENOTSUP: memory cannot move on this machine.
  Status make(const Options& options) {
    guarded_install_handler();
    SX_TRY(mm_, live::LiveHostMm::create({}));
    if (mm_->rung() != live::Rung::kFull) return fail(ENOTSUP, "no userfaultfd with MOVE on this machine");
    DeviceOptions device_options;
    device_options.config = default_config(kProfileBmg, 0);
    device_options.config.vram_bytes = device_options.config.visible_bytes = options.vram_bytes;
    device_options.reset = options.reset;
    device_options.collector = options.collector;
    SX_TRY(device_, Device::create(*mm_, migrate_lock_, device_options));
    SX_TRY(vm_, device_->create_vm({.long_running = true, .fault_mode = true}));
    const GpuRange all = GpuRange::of(GpuVa(0), vm_->vm.size_bytes());
    const BindOp mirror{.range = {all.start(), all.size()}, .pat_index = 2, .what = BindMap{.backing = BindMirror{}}};
    const ResolvedBind bind{.op = mirror, .range = all, .bo = {}};
    SX_TRY_VOID(vm_bind(*device_, *vm_, std::span(&bind, 1), BindRun::kExecute));
    gpu_ = std::make_unique<EngineMemory>(Mmu::Config{.domain = device_->invalidations(),
                                                      .faults = device_->faults(),
                                                      .clock = mm_->clock(),
                                                      .engine = {.engine_class = 1}});
    gpu_->mmu().bind_vm({.asid = vm_->vm.config().asid, .table = &vm_->vm.table(0), .vram = &device_->vram_map(0)});
    return {};
  }

  /// Before make(): listens to its own events.
  void listen() { tap_.emplace(clock_, EventStream::Threads::kNumbered); }
  /// The first counter that is not the sum over its events; empty when all are. Nothing moves any more.
  std::string broken_sums() {
    tap_->drain();
    if (tap_->lost()) return {};
    return tap_->check().compare(0, [this](Counter c) { return device_->counters().get(c); });
  }

  /// Closes the VM, which stays an object.
  void close() { device_->close_vm(vm_); }

  live::LiveHostMm& mm() { return *mm_; }
  Device& device() { return *device_; }
  VmContext& vm() { return *vm_; }
  /// What an engine's thread sees of memory.
  EngineMemory& gpu() { return *gpu_; }

 private:
  SteadyClock clock_;
  std::optional<EventTap> tap_;  ///< goes last
  MigrateLock migrate_lock_{"migrate"};
  live::LiveHostMm::Owner mm_;
  std::unique_ptr<Device> device_;
  std::shared_ptr<VmContext> vm_;
  std::unique_ptr<EngineMemory> gpu_;
};

}  // namespace softxe
