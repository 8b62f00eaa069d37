// CsRig: a context, a fake memory and an engine, for the tests of the command streamer.
#pragma once

#include <atomic>
#include <initializer_list>
#include <utility>
#include <vector>

#include "hw/cs_fake_memory.h"
#include "hw/cs_streamer.h"

namespace softxe {

/// Four pages for batches at kBatch, four for data at kData; page 0 and all others fault.
struct CsRig {
  static constexpr GpuVa kBatch{0x10000};
  static constexpr GpuVa kData{0x20000};

  ManualClock clock;
  EngineInfo engine{.clock = &clock};
  FakeGpuMemory memory;
  CsContext context;
  CsStats stats;
  std::atomic<bool> kill{false};

  CsRig() {
    memory.map(kBatch, 4 * kPageSize);
    memory.map(kData, 4 * kPageSize);
  }
  void use_engine(CsEngineClass engine_class) {
    engine.engine_class = engine_class;
    engine.mmio_base = *engine_mmio_base(engine_class, 0);
  }
  /// Puts a batch at kBatch, followed by an END, and makes it current.
  void load(const std::vector<std::uint32_t>& batch) {
    GpuVa at = kBatch;
    for (const std::uint32_t dword : batch) {
      memory.poke(at, dword);
      at += 4;
    }
    memory.poke(at, std::uint32_t{0x05000000});
    context.start_batch(kBatch);
  }
  StepResult step_once() { return step(context, memory, engine, stats); }
  RunResult run(const SliceBudget& budget = {.commands = 1000}) {
    return run_slice(context, memory, engine, budget, kill);
  }
};

}  // namespace softxe
