#include "drv/exec/hw_backend.h"

#include "base/log.h"
#include "hw/cs/cs_streamer.h"
#include "hw/cs/engine_cs_memory.h"

namespace softxe {

namespace {

// Register blocks of the engines (spec/gpu-commands.md 8).
std::uint32_t mmio_base(const EngineId& id) {
  const std::uint32_t n = id.instance;
  switch (static_cast<EngineClass>(id.engine_class)) {
    case EngineClass::kRender: return 0x2000;
    case EngineClass::kCopy: return n == 0 ? 0x22000 : 0x3E0000 + 0x2000 * (n - 1);
    case EngineClass::kVideoDecode: return n < 2 ? 0x1C0000 + 0x4000 * n : 0x1D0000 + 0x4000 * (n - 2);
    case EngineClass::kVideoEnhance: return 0x1C8000 + 0x10000 * n;
    case EngineClass::kCompute: return n < 3 ? 0x1A000 + 0x2000 * n : 0x26000;
    case EngineClass::kVmBind: break;
  }
  return 0;
}

bool has_units(const EngineId& id) {
  const auto cls = static_cast<EngineClass>(id.engine_class);
  return cls == EngineClass::kRender || cls == EngineClass::kCompute;
}

class HwStreamerContext final : public HwContext {
 public:
  void start_batch(GpuVa batch) override { state.start_batch(batch); }
  std::uint64_t progress() const override { return steps; }
  CsContext state;
  std::uint64_t steps = 0;  ///< without looks at a semaphore in vain
};

class HwEngine final : public EngineBackend {
 public:
  HwEngine(Device& device, const EngineId& id, const HwOptions& options, EuThreadIds& ids)
      : device_(device),
        id_(id),
        memory_(Mmu::Config{
            .domain = device.invalidations(), .faults = device.faults(), .clock = device.host().clock(), .engine = id}),
        streamer_memory_(memory_),
        units_(has_units(id) ? std::make_unique<HwUnits>(HwUnits::Config{
                                   .device = device, .engine = id, .memory = memory_, .ids = ids, .options = options})
                             : nullptr),
        engine_{.engine_class = static_cast<CsEngineClass>(id.engine_class),
                .mmio_base = mmio_base(id),
                .reference_clock_hz = device.profile().gts[id.gt].reference_clock_hz,
                .va_bits = device.profile().va_bits,
                .clock = &device.host().clock(),
                .units = units_ != nullptr ? &units_->units() : nullptr} {}

  SliceEnd run(HwContext& context, const ExecVmPtr& vm, const SliceLimits& limits,
               const std::atomic<bool>& stop) override {
    bind(vm);
    auto& streamer_context = static_cast<HwStreamerContext&>(context);
    CsContext& state = streamer_context.state;
    const CsSlice slice = cs_run_slice(state, streamer_memory_, engine_,
                                       {.commands_max = limits.commands_max,
                                        .deadline_ns = limits.deadline_ns,
                                        .run_time_ns = limits.run_time_ns,
                                        .instructions_max = limits.instructions_max},
                                       stop);
    memory_.mmu().leave();
    streamer_context.steps += slice.steps - (slice.end == CsSliceEnd::kYield ? 1 : 0);
    if (units_ != nullptr) units_->count(state.kernel_work, vm_of(vm).counters());
    switch (slice.end) {
      case CsSliceEnd::kDone: return SliceEnd::kDone;
      case CsSliceEnd::kBudget: return SliceEnd::kBudget;
      case CsSliceEnd::kPolling: return SliceEnd::kPolling;
      case CsSliceEnd::kYield: return SliceEnd::kYield;
      case CsSliceEnd::kFault: return SliceEnd::kFault;
      case CsSliceEnd::kIllegalKernel:
      case CsSliceEnd::kUnsupportedShader:
        // A walker may be refused before it is a kernel.
        if (state.kernel_stop.kernel == GpuVa{}) break;
        units_->report(state.kernel_stop, vm_of(vm));
        return SliceEnd::kBadKernel;
      case CsSliceEnd::kBadCommand: break;
    }
    SX_INFO("engine class {} instance {}: command {:#010x} at {:#x}: {}", id_.engine_class, id_.instance,
            slice.last.header, slice.last.address.value(), slice.last.reason);
    return slice.end == CsSliceEnd::kUnsupportedShader ? SliceEnd::kBadKernel : SliceEnd::kBadCommand;
  }

  SliceEnd store64(const ExecVmPtr& vm, GpuVa at, std::uint64_t value) override {
    bind(vm);
    const Status stored = memory_.store(at, value);
    memory_.mmu().leave();
    return stored ? SliceEnd::kDone : SliceEnd::kFault;
  }

  void detach() override {
    memory_.mmu().unbind_vm();
    if (units_ != nullptr) units_->bind_vm({});
    bound_.reset();
  }

 private:
  // The MMU keeps a pointer to the VM's tables between slices: the VM stays alive with it.
  void bind(const ExecVmPtr& vm) {
    if (bound_ == vm) return;
    Vm& target = vm_of(vm);
    const MmuContext mmu{.asid = target.config().asid,
                         .table = &target.table(id_.tile),
                         .vram = id_.tile < device_.vram_tiles() ? &device_.vram_map(id_.tile) : nullptr};
    memory_.mmu().bind_vm(mmu);
    if (units_ != nullptr) units_->bind_vm(mmu);
    bound_ = vm;
  }
  static Vm& vm_of(const ExecVmPtr& vm) { return static_cast<ContextVm&>(*vm).context().vm; }

  Device& device_;
  const EngineId id_;
  EngineMemory memory_;
  EngineCsMemory streamer_memory_;
  const std::unique_ptr<HwUnits> units_;  ///< null: not of a class that has any
  const CsEngine engine_;
  ExecVmPtr bound_;
};

}  // namespace

std::unique_ptr<EngineBackend> HwBackendFactory::make_engine(const EngineId& id) {
  return std::make_unique<HwEngine>(device_, id, options_, thread_ids_);
}

std::unique_ptr<HwContext> HwBackendFactory::make_context(const EngineId&) {
  return std::make_unique<HwStreamerContext>();
}

}  // namespace softxe
