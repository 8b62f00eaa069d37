// The command streamer: executes GPU command batches, one command at a time (spec/gpu-commands.md).
//
// Nothing is cached or fetched ahead: a batch may change under its own execution, and what follows
// the executed command may be unmapped. Blits are cut into bounded steps, so that a slice can end
// soon. Read next: cs_parser.h (lengths), cs_executor.h (how a command is carried out),
// cs_memory.h.
#pragma once

#include <atomic>
#include <cstdint>

#include "hw/cs/cs_context.h"
#include "hw/cs/cs_memory.h"

namespace softxe {

enum class CsStepKind : std::uint8_t {
  kContinue,           ///< go on: the next command, or the rest of a long blit
  kBatchDone,          ///< the first level ended; the context stopped running
  kYield,              ///< an unsatisfied semaphore: the same command again next time
  kPageFault,          ///< a fault that cannot be served, of the fetch or of the data
  kBadCommand,         ///< undecodable, malformed or forbidden
  kUnsupportedShader,  ///< a kernel, or another use of shaders, that softxe does not have
  kIllegalKernel,      ///< an instruction that breaks the rules
};

/// `header`, `address` (of the command) and `reason` mean something for the last four kinds; if it was a
/// kernel, CsContext::kernel_stop says where.
struct CsStep {
  CsStepKind kind = CsStepKind::kContinue;
  std::uint32_t header = 0;
  GpuVa address{};
  const char* reason = "";
};

/// How long one step of a walker may take.
struct CsStepLimits {
  const std::atomic<bool>* stop = nullptr;  ///< null: nobody asks
  std::uint64_t deadline_ns = ~std::uint64_t{0};
  std::uint64_t instructions_max = 4096;  ///< of each worker
};

/// Executes one command, or one step of a long blit (2 MiB or 4096 pieces at most) or of a walker. After a failure
/// the context is still at the failed command.
CsStep cs_step(CsContext& context, CsMemory& memory, const CsEngine& engine, const CsStepLimits& limits = {});

/// Why a slice ended.
enum class CsSliceEnd : std::uint8_t {
  kDone,
  kBudget,
  kPolling,  ///< budget used up, and the batch was looping without writing memory: a spinner
  kYield,
  kFault,
  kBadCommand,
  kUnsupportedShader,
  kIllegalKernel,
};

struct CsSliceLimits {
  std::uint32_t commands_max = 0;  ///< steps; 0 ends at once with kBudget
  std::uint64_t deadline_ns = 0;   ///< of the engine's clock; looked at now and then
  std::uint64_t run_time_ns = 0;   ///< how long the context has run before (CTX_TIMESTAMP)
  /// Of each worker in one step of a walker. Without end where `stop` and the deadline end a slice.
  std::uint64_t instructions_max = 4096;
};

struct CsSlice {
  CsSliceEnd end = CsSliceEnd::kBudget;
  CsStep last;  ///< tells what failed
  std::uint32_t steps = 0;
};

/// Steps until the batch ends, waits or fails, or the limits are reached. `stop` is looked at
/// before every step and ends the slice with kBudget.
CsSlice cs_run_slice(CsContext& context, CsMemory& memory, const CsEngine& engine, const CsSliceLimits& limits,
                     const std::atomic<bool>& stop);

}  // namespace softxe
