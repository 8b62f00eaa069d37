#include "drv/exec/hw_units.h"

#include <algorithm>

#include "base/log.h"
#include "hw/eu/eu_counts.h"
#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_text.h"

namespace softxe {

namespace {

template <std::size_t N>
void put_text(std::array<char, N>& to, std::string_view text) {
  const std::size_t size = std::min(text.size(), N - 1);
  std::copy_n(text.begin(), size, to.begin());
  to[size] = '\0';
}

}  // namespace

HwUnits::HwUnits(const Config& config)
    : config_(config),
      units_({.ids = config.ids,
              .workers_max = std::clamp(config.options.eu_threads, 1u, kEuWorkersMax),
              .make_worker = [this](std::uint32_t number) { return make_worker(number); },
              .starter = config.options.starter}) {}

std::unique_ptr<EuWorker> HwUnits::make_worker(std::uint32_t number) {
  EngineMemory* memory = &config_.memory;
  if (number != 0) {
    memories_.push_back(std::make_unique<EngineMemory>(Mmu::Config{.domain = config_.device.invalidations(),
                                                                   .faults = config_.device.faults(),
                                                                   .clock = config_.device.host().clock(),
                                                                   .engine = config_.engine}));
    memory = memories_.back().get();
    memory->mmu().bind_vm(bound_);
  }
  const bool prefetches = config_.device.profile().has(DeviceFact::kPrefetchFaults);
  auto worker = std::make_unique<EngineEuWorker>(*memory, prefetches ? EuPrefetch::kFaults : EuPrefetch::kIgnored);
  workers_.push_back(worker.get());
  return worker;
}

void HwUnits::bind_vm(const MmuContext& context) {
  bound_ = context;
  for (const auto& memory : memories_) memory->mmu().bind_vm(context);
}

void HwUnits::count(CsKernelWork& work, CounterSet& counters) {
  const CsKernelWork done = std::exchange(work, {});
  std::uint64_t faults = 0;
  for (EngineEuWorker* worker : workers_) faults += worker->take_faults();
  eu_count({.kernels = done.kernels, .work = done.work, .faults = faults}, counters);
}

void HwUnits::report(const CsKernelStop& stop, Vm& vm) {
  KernelFailure failure{.kernel = stop.kernel.value(),
                        .instruction = stop.run.stop.ip.value(),
                        .group = stop.run.group,
                        .thread = stop.run.thread};
  put_text(failure.reason, stop.run.stop.reason);
  // The instruction was read a moment ago. If it is gone, or is none, its bytes stand for it, so far as there are any.
  std::array<std::byte, 16> bytes{};
  const Status read = config_.memory.read_bytes(stop.run.stop.ip, bytes.data(), bytes.size());
  config_.memory.mmu().leave();
  if (const Result<EuInst> inst = eu_decode(bytes); read && inst) {
    put_text(failure.text, eu_text(*inst).view());
  } else if (read) {
    std::array<std::uint32_t, 4> words{};
    std::memcpy(words.data(), bytes.data(), sizeof words);
    put_text(failure.text, fmt::format("{:08x} {:08x} {:08x} {:08x}", words[0], words[1], words[2], words[3]));
  }
  SX_ERROR("kernel at {:#x} failed at {:#x}, group {},{},{} thread {}: {}: {}", failure.kernel, failure.instruction,
           failure.group[0], failure.group[1], failure.group[2], failure.thread, failure.text.data(),
           failure.reason.data());
  vm.counters().count({.address = failure.kernel, .word = failure.instruction, .kind = EventKind::kKernelFailed});
  const unsigned shift = 64 - vm.config().va_bits;
  const std::uint64_t page = align_down(failure.instruction, kPageSize);
  vm.record_fault({.page_address = static_cast<std::uint64_t>(static_cast<std::int64_t>(page << shift) >> shift),
                   .access = static_cast<std::uint8_t>(AccessType::kRead),
                   .type = static_cast<std::uint8_t>(FaultType::kNotPresent),
                   .level = 0});
  config_.options.kernel_failed(failure);
}

}  // namespace softxe
