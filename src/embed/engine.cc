// Engine: accesses and commands in one VM.
#include "embed/impl.h"

namespace softxe::api {
namespace {

/// Which of the card's engines it is matters to fault records and to register offsets only.
constexpr auto kClass = CsEngineClass::kCopy;
constexpr std::uint32_t kCopyMmioBase = 0x22000;  // spec/gpu-commands.md 8

}  // namespace

FaultReply ReasonedFaults::page_fault(const PageFault& fault) {
  softxe::Status status = device_.faults().serve_and_record(fault);
  if (status) return FaultReply::kRetry;
  last_ = status.error();
  return FaultReply::kFail;
}

void ReasonedFaults::livelock(const PageFault& fault, std::uint64_t rounds) {
  device_.faults().livelock(fault, rounds);
}

// EFAULT says that a fault was refused: the fault service knows more.
Status ReasonedFaults::refused(const softxe::Error& error) const { return to_api(error.err == EFAULT ? last_ : error); }

Engine::Impl::Impl(std::shared_ptr<Vm::Impl> of, unsigned tile)
    : vm(std::move(of)),
      faults(*vm->device->device),
      memory(Mmu::Config{
          .domain = vm->device->device->invalidations(),
          .faults = faults,
          .clock = vm->device->process->clock(),
          .engine = {.engine_class = static_cast<std::uint8_t>(kClass), .tile = static_cast<std::uint8_t>(tile)}}),
      streamer_memory(memory),
      streamer{.engine_class = kClass,
               .mmio_base = kCopyMmioBase,
               .va_bits = vm->vm().config().va_bits,
               .clock = &vm->device->process->clock()},
      kernels(memory, vm->device->process->clock()) {
  softxe::Device& device = *vm->device->device;
  memory.mmu().bind_vm({.asid = vm->vm().config().asid,
                        .table = &vm->vm().table(tile),
                        .vram = tile < device.vram_tiles() ? &device.vram_map(tile) : nullptr});
}

Engine::Impl::~Impl() {
  const EngineCall call;
  memory.mmu().unbind_vm();
}

Status Engine::read(std::uint64_t at, void* to, std::size_t bytes) {
  return impl_->access([&](EngineMemory& memory) { return memory.read_bytes(GpuVa(at), to, bytes); });
}

Status Engine::write(std::uint64_t at, const void* from, std::size_t bytes) {
  return impl_->access([&](EngineMemory& memory) { return memory.write_bytes(GpuVa(at), from, bytes); });
}

Status Engine::fill(Range range, std::uint8_t value) {
  return impl_->access([&](EngineMemory& memory) {
    return memory.fill_bytes(GpuVa(range.start), {&value, 1}, range.bytes);
  });
}

Status Engine::copy(std::uint64_t to, Range from) {
  return impl_->access([&](EngineMemory& memory) {
    return memory.copy_bytes({GpuVa(to), GpuVa(from.start), from.bytes});
  });
}

Result<std::uint32_t> Engine::fetch_add32(std::uint64_t at, std::uint32_t addend) {
  std::uint32_t before = 0;
  Status done = impl_->access([&](EngineMemory& memory) -> softxe::Status {
    SX_TRY(before, memory.atomic32(GpuVa(at), {.apply = [](std::uint32_t found, std::uint32_t operand,
                                                           std::uint32_t) { return found + operand; },
                                               .operand = addend}));
    return {};
  });
  if (!done) return done.error();
  return before;
}

Result<std::uint64_t> Engine::fetch_add64(std::uint64_t at, std::uint64_t addend) {
  std::uint64_t before = 0;
  Status done = impl_->access([&](EngineMemory& memory) -> softxe::Status {
    SX_TRY(before, memory.atomic64(GpuVa(at), {.apply = [](std::uint64_t found, std::uint64_t operand,
                                                           std::uint64_t) { return found + operand; },
                                               .operand = addend}));
    return {};
  });
  if (!done) return done.error();
  return before;
}

Result<std::uint64_t> Engine::compare_exchange64(std::uint64_t at, Exchange exchange) {
  std::uint64_t before = 0;
  Status done = impl_->access([&](EngineMemory& memory) -> softxe::Status {
    SX_TRY(before, memory.atomic64(GpuVa(at),
                                   {.apply = [](std::uint64_t found, std::uint64_t desired,
                                                std::uint64_t expected) { return found == expected ? desired : found; },
                                    .operand = exchange.desired,
                                    .compare = exchange.expected}));
    return {};
  });
  if (!done) return done.error();
  return before;
}

// --- commands -----------------------------------------------------------------------------------------------------

Status Engine::Impl::run_commands(std::uint32_t commands_max) {
  const EngineCall call;
  if (!commands.running) return Error{EINVAL, "no batch is under way"};
  const std::atomic<bool> stop{false};
  const CsSlice slice =
      cs_run_slice(commands, streamer_memory, streamer, {.commands_max = commands_max, .deadline_ns = ~0ull}, stop);
  memory.mmu().leave();
  if (slice.end == CsSliceEnd::kDone) return {};
  if (slice.end == CsSliceEnd::kYield) return Error{EAGAIN, "waits for memory to change"};
  if (slice.end == CsSliceEnd::kBudget || slice.end == CsSliceEnd::kPolling) {
    return Error{ETIME, "the batch has not ended yet"};
  }
  commands.running = false;
  if (slice.end == CsSliceEnd::kFault) return faults.refused({EFAULT, slice.last.reason});
  return Error{slice.end == CsSliceEnd::kUnsupportedShader ? ENOSYS : EBADRQC, slice.last.reason};
}

Status Engine::run_batch(std::uint64_t at, std::uint32_t commands_max) {
  impl_->commands.start_batch(GpuVa(at));
  return impl_->run_commands(commands_max);
}

Status Engine::continue_batch(std::uint32_t commands_max) { return impl_->run_commands(commands_max); }

}  // namespace softxe::api
