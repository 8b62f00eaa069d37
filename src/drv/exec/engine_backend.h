// EngineBackend: what runs commands on one hardware engine: the seam between scheduling and hw/.
//
//   hw_backend.h   the real one: an EngineMemory (TLB, section slot) and the command streamer
//   a fake in the tests scripts results without any memory
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/address.h"
#include "drv/exec/exec_vm.h"
#include "drv/profile.h"
#include "hw/fault.h"

namespace softxe {

/// Why run() came back.
enum class SliceEnd : std::uint8_t {
  kDone,        ///< the batch ended
  kBudget,      ///< commands or time used up, or asked to stop: continue later
  kPolling,     ///< budget used up by a short loop that only reads: a spinner
  kYield,       ///< an unsatisfied semaphore: let others run
  kFault,       ///< a page fault that cannot be served
  kBadCommand,  ///< undecodable or forbidden
  kBadKernel,   ///< an instruction or message that is illegal, or that softxe does not have
};

/// One batch position's registers, position and call stack: state of a hardware context. It moves between
/// engines of a virtual queue. Used by one thread at a time. Made by the backend.
class HwContext {
 public:
  virtual ~HwContext() = default;
  /// The next run() begins at `batch`. Registers survive from batch to batch.
  virtual void start_batch(GpuVa batch) = 0;
  /// Grows with what is carried out, and stands still while the context only waits in a semaphore. Between slices.
  virtual std::uint64_t progress() const { return 0; }
};

struct SliceLimits {
  std::uint32_t commands_max = 0;
  std::uint64_t deadline_ns = 0;  ///< of the device's clock
  std::uint64_t run_time_ns = 0;  ///< how long the context has run before (CTX_TIMESTAMP)
  /// Of each worker of the execution units, in one step of a walker.
  std::uint64_t instructions_max = ~std::uint64_t{0};
};

/// One per hardware engine, used by its worker only.
class EngineBackend {
 public:
  virtual ~EngineBackend() = default;
  /// Runs until one of the SliceEnd reasons. Looks at `stop` at every command and at bounded steps of
  /// long ones, kernels included; when it is set, returns kBudget soon. No lock is held.
  virtual SliceEnd run(HwContext& context, const ExecVmPtr& vm, const SliceLimits& limits,
                       const std::atomic<bool>& stop) = 0;
  /// The ring's own 64-bit store (user fences). kDone or kFault.
  virtual SliceEnd store64(const ExecVmPtr& vm, GpuVa at, std::uint64_t value) = 0;
  /// Nothing to run: let go of the VM of the last slice.
  virtual void detach() {}
};

/// Makes the hardware of one device.
class BackendFactory {
 public:
  virtual ~BackendFactory() = default;
  virtual std::unique_ptr<EngineBackend> make_engine(const EngineId& id) = 0;
  virtual std::unique_ptr<HwContext> make_context(const EngineId& first_engine) = 0;
};

}  // namespace softxe
