// A Device over a simulated process, for tests and benchmarks: one VM, one engine, deterministic.
#pragma once

#include <fmt/format.h>

#include <string>

#include "base/at_step.h"
#include "base/event_tap.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/sim/sim_host_mm.h"
#include "hw/mmu_memory.h"
#include "svm/madvise.h"

namespace softxe {

class SimDevice {
 public:
  struct Options {
    const DeviceProfile* profile = &kProfileBmg;
    std::uint64_t vram_bytes = 64ull << 20;
    ResetMode reset = ResetMode::kAlways;
    bool scratch = false;
    /// What it counts is what its events say, or the program ends. Benchmarks do without.
    enum class Events : std::uint8_t { kChecked, kOff } events = Events::kChecked;
  };

  SimDevice() : SimDevice(Options{}) {}
  explicit SimDevice(const Options& options) : mm(clock) {
    if (options.events == Options::Events::kChecked && !events_on()) {
      tap.emplace(clock, EventStream::Threads::kUnnumbered);
    }
    DeviceOptions device_options;
    device_options.config = default_config(*options.profile, 0);
    device_options.config.vram_bytes = options.vram_bytes;
    device_options.config.visible_bytes = options.vram_bytes;
    device_options.reset = options.reset;
    device_options.collector = GcWorker::Mode::kManual;
    auto made = Device::create(mm, migrate_lock, device_options);
    SX_ASSERT(made.has_value());
    device = std::move(*made);
    auto vm_made = device->create_vm(
        {.scratch = options.scratch, .long_running = true, .fault_mode = true, .no_overcommit = false});
    SX_ASSERT(vm_made.has_value());
    vm = *vm_made;
    engine = make_engine(0);
  }
  ~SimDevice() {
    engine.reset();
    device->close_vm(vm);
    vm.reset();
    mm.cpu_exit(Pid::kMain);
    if (tap) check_events();
    device.reset();
  }

  /// Tests do without what would cause events, so only their sums are looked at.
  void check_events() {
    tap->drain();
    if (tap->lost()) return;
    const std::string broken = tap->check().compare(0, [this](Counter c) { return device->counters().get(c); });
    if (!broken.empty()) fmt::print(stderr, "events do not fit: {}\n", broken);
    SX_ASSERT(broken.empty());
  }

  std::unique_ptr<EngineMemory> make_engine(unsigned tile) {
    auto memory = std::make_unique<EngineMemory>(
        Mmu::Config{.domain = device->invalidations(),
                    .faults = device->faults(),
                    .clock = clock,
                    .engine = {.engine_class = 1, .tile = static_cast<std::uint8_t>(tile)}});
    memory->mmu().bind_vm({.asid = vm->vm.config().asid,
                           .table = &vm->vm.table(tile),
                           .vram = device->vram_tiles() > tile ? &device->vram_map(tile) : nullptr});
    return memory;
  }

  // --- binds -------------------------------------------------------------------------------------

  Status bind(BindOp op) {
    device->flush_collector(*vm);
    ResolvedBind resolved{.op = op, .range = {}, .bo = {}};
    if (op.range.size_bytes != 0) {
      resolved.range = GpuRange::of(op.range.start, op.range.size_bytes);
    }
    return vm_bind(*device, *vm, std::span(&resolved, 1), BindRun::kExecute);
  }
  Status bind_mirror(std::uint64_t start, std::uint64_t bytes, AutoReset autoreset = AutoReset::kOff,
                     bool read_only = false) {
    BindOp op{.range = {GpuVa(start), bytes},
              .pat_index = 2,
              .read_only = read_only,
              .what = BindMap{.backing = BindMirror{autoreset}}};
    return bind(op);
  }
  Status bind_everything(AutoReset autoreset = AutoReset::kOff) {
    return bind_mirror(0, vm->vm.size_bytes(), autoreset);
  }
  Status unbind(std::uint64_t start, std::uint64_t bytes) {
    return bind({.range = {GpuVa(start), bytes}, .pat_index = 2, .what = BindUnmap{}});
  }
  Status prefetch(std::uint64_t start, std::uint64_t bytes, std::optional<std::uint32_t> region) {
    return bind({.range = {GpuVa(start), bytes}, .pat_index = 2, .what = BindPrefetch{region}});
  }
  Status advise(std::uint64_t start, std::uint64_t bytes, const Advice& advice) {
    device->flush_collector(*vm);
    auto done = madvise(*vm, GpuRange::of(GpuVa(start), bytes), advice);
    return done ? Status{} : fail(done.error());
  }
  Status advise_atomic(std::uint64_t start, std::uint64_t bytes, AtomicAccess access) {
    return advise(start, bytes, SetAtomic{access});
  }

  // --- CPU and GPU accesses ----------------------------------------------------------------------

  std::uint64_t map_at(std::uint64_t at, std::uint64_t bytes, CpuVma::Kind kind = CpuVma::Kind::kAnonPrivate,
                       Prot prot = Prot::kReadWrite) {
    auto va = mm.cpu_mmap(
        {.size_bytes = bytes, .at = HostVa(at), .place = MmapRequest::Place::kFixed, .kind = kind, .prot = prot});
    SX_ASSERT(va.has_value());
    return va->value();
  }
  Status unmap(std::uint64_t at, std::uint64_t bytes) { return mm.cpu_munmap(HostRange::of(HostVa(at), bytes)); }
  Status gpu_write(std::uint64_t at, std::uint32_t value) { return engine->store(GpuVa(at), value); }
  Result<std::uint32_t> gpu_read(std::uint64_t at) {
    std::uint32_t value = 0;
    SX_TRY_VOID(engine->load(GpuVa(at), value));
    return value;
  }
  Result<std::uint32_t> gpu_add(std::uint64_t at, std::uint32_t addend) {
    return engine->atomic32(
        GpuVa(at), {.apply = [](std::uint32_t found, std::uint32_t operand, std::uint32_t) { return found + operand; },
                    .operand = addend});
  }
  Status cpu_write(std::uint64_t at, std::uint32_t value) {
    return mm.cpu_write(HostVa(at), std::as_bytes(std::span(&value, 1)));
  }
  Result<std::uint32_t> cpu_read(std::uint64_t at) {
    std::uint32_t value = 0;
    SX_TRY_VOID(mm.cpu_read(HostVa(at), std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  bool in_vram(std::uint64_t at) { return mm.page_state(HostVa(at)) == SimHostMm::PageState::kDevice; }

  // --- looking -----------------------------------------------------------------------------------

  /// "[0x0+0x1000 default] ..." in address order.
  std::string vmas() {
    std::string text;
    ReadGuard hold(vm->vm.lock);
    for (Vma* vma : vm->vm.vmas_in(vm->vm.space().managed())) {
      text += fmt::format("[{:#x}+{:#x}", vma->start().value(), vma->range().size());
      if (vma->attr.is_default()) text += " default";
      if (vma->attr.atomic == AtomicAccess::kDevice) text += " atomic=device";
      if (vma->attr.atomic == AtomicAccess::kGlobal) text += " atomic=global";
      if (vma->attr.preferred.devmem_fd == kPreferDefaultSystem) text += " preferred=system";
      if (vma->flags().read_only) text += " ro";
      text += "]";
    }
    return text;
  }
  std::size_t ranges() { return vm->svm->range_count(); }
  std::uint64_t count(Counter counter) { return device->counters().get(counter); }

  ManualClock clock;
  std::optional<EventTap> tap;
  SimHostMm mm;
  MigrateLock migrate_lock{"migrate"};
  std::unique_ptr<Device> device;
  std::shared_ptr<VmContext> vm;
  std::unique_ptr<EngineMemory> engine;
};

}  // namespace softxe
