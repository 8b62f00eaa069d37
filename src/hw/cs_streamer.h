// The command streamer: runs one command, or a slice of a batch, of a context.
//
// Every dword is fetched fresh when its command runs; nothing is decoded ahead or kept, so that a batch
// may be patched by the CPU or by itself (spec/gpu-commands.md 9, traps 4 and 5). A batch may be endless:
// it stops between commands, and long copies between chunks.
// Read next: cs_exec.h (how a command is written), cs_mi_*.cc, cs_blitter.cc.
#pragma once

#include <atomic>
#include <cstdint>

#include "hw/cs_context.h"
#include "hw/cs_engine.h"
#include "hw/gpu_memory.h"

namespace softxe {

enum class StepKind : std::uint8_t {
  kContinue,
  kArbitration,        ///< executed ARB_CHECK: a good moment to switch
  kYield,              ///< unsatisfied semaphore: the same command runs again next time
  kBatchDone,
  kPageFault,          ///< the job dies
  kKilled,             ///< memory gave up because the queue is being killed
  kBadCommand,         ///< undecodable or forbidden: the queue is banned
  kUnsupportedShader,  ///< needs execution units: the queue is banned
};

/// What a step or a slice did, beyond its end.
struct CsStats {
  std::uint64_t commands = 0;
  std::uint64_t bytes_moved = 0;     ///< by the blitter
  std::uint64_t effects = 0;         ///< commands that changed memory or registers
  std::uint64_t jumps_back = 0;      ///< to a command at or before the jump
  std::uint64_t user_interrupts = 0;
};

/// Which command ended a step. Meaningful for kYield and the deadly kinds; `reason` has static storage.
struct CsCulprit {
  std::uint32_t header = 0;
  GpuVa address{};
  const char* reason = "";
};

struct StepResult {
  StepKind kind = StepKind::kContinue;
  CsCulprit culprit;
};

/// The most one step of a copy or fill moves; bounds the time to notice a kill or a preemption.
inline constexpr std::uint64_t kBlitStepBytes = k2M;
inline constexpr std::uint64_t kBlitStepPieces = 4096;

/// Executes one command, or one chunk of a long one. A batch is active. After a deadly end the
/// context's position is still the culprit's. Adds to `stats`.
StepResult step(CsContext& context, GpuMemory& memory, const EngineInfo& engine, CsStats& stats);

enum class RunEnd : std::uint8_t {
  kBatchDone,
  kYield,    ///< unsatisfied semaphore
  kBudget,   ///< continue later
  kPolling,  ///< budget used up by a loop without effects: a spinner; look again after a short sleep
  kKilled,
  kPageFault,
  kBadCommand,
  kUnsupportedShader,
};

struct SliceBudget {
  std::uint64_t commands = ~std::uint64_t{0};     ///< a chunk of a long one counts too
  std::uint64_t deadline_ns = ~std::uint64_t{0};  ///< of the engine's clock
};

struct RunResult {
  RunEnd end = RunEnd::kBudget;
  CsCulprit culprit;
  CsStats stats;
};

/// Runs until one of the ends. `kill` is read before every step. Makes progress of at least one command
/// unless killed. The context's run clock runs during the slice; a scheduler that keeps a context
/// resident between slices starts it before and stops it at the switch.
RunResult run_slice(CsContext& context, GpuMemory& memory, const EngineInfo& engine,
                    const SliceBudget& budget, const std::atomic<bool>& kill);

}  // namespace softxe
