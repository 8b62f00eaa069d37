// HwUnits: the execution units of one hardware engine, and what becomes of a kernel that fails.
//
// Worker 0 works through the engine's own memory. The others have one each (an MMU with its TLB, and the bounce buffer
// that every EngineMemory has: 80 KiB), made when a kernel first runs long enough to want them; decoded code is on top
// of that (eu_program.h). Read next: hw/eu/eu_units.h.
#pragma once

#include <memory>
#include <vector>

#include "base/kernel_failure.h"
#include "drv/device.h"
#include "drv/exec/worker_thread.h"
#include "hw/cs/cs_context.h"
#include "hw/eu/eu_engine_worker.h"
#include "hw/eu/eu_units.h"

namespace softxe {

struct HwOptions {
  std::uint32_t eu_threads = 1;  ///< host threads that run the groups of one kernel: 1 to kEuWorkersMax
  ThreadStarter starter = default_thread_starter();
  /// Told of kernels with illegal or unsupported instructions, on the engine's thread.
  std::function<void(const KernelFailure&)> kernel_failed = [](const KernelFailure&) {};
};

/// Used by the engine's thread between slices: no lock. Owns the workers, none until a kernel wants them.
class HwUnits {
 public:
  struct Config {
    Device& device;
    EngineId engine;
    EngineMemory& memory;  ///< the engine's
    EuThreadIds& ids;
    const HwOptions& options;
  };
  explicit HwUnits(const Config& config);

  EuUnits& units() { return units_; }
  /// All workers but the first, which is bound with the engine.
  void bind_vm(const MmuContext& context);

  /// What kernels of the context did in the last slice becomes counts of the VM.
  void count(CsKernelWork& work, CounterSet& counters);
  /// Words for the failure of a slice that ended with kIllegalKernel or kUnsupportedShader in a kernel: logs it, and
  /// tells the options' kernel_failed. The VM's fault list gets the instruction's page.
  void report(const CsKernelStop& stop, Vm& vm);

 private:
  std::unique_ptr<EuWorker> make_worker(std::uint32_t number);

  const Config config_;
  MmuContext bound_;
  std::vector<std::unique_ptr<EngineMemory>> memories_;  ///< of workers 1, 2, ...
  std::vector<EngineEuWorker*> workers_;                 ///< owned by units_
  EuUnits units_;
};

}  // namespace softxe
