// EuLauncher: runs a kernel without commands and contexts, for whoever drives an engine by single accesses.
//
// What a walker would say stands in an EuLaunch. Threads start as those of a walker with local ids in x and inline
// data: ids in r1, the arguments in r2 (docs/KERNELS.md). One host thread, the caller's. Read next: eu_units.h.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "hw/eu/eu_counts.h"
#include "hw/eu/eu_engine_worker.h"
#include "hw/eu/eu_units.h"
#include "hw/mmu_memory.h"

namespace softxe {

struct EuLaunch {
  GpuVa code{};  ///< of the first instruction; a multiple of 8
  EuTriple groups{1, 1, 1};
  std::uint32_t group_items = 16;  ///< work-items of a group: 1 to 64 times the lanes
  std::uint32_t lanes = 16;        ///< of a thread: 16 or 32
  std::uint32_t slm_bytes = 0;     ///< of a group, up to kEuSlmBytesMax
  std::array<std::uint32_t, 8> arguments{};
  GpuVa argument_base{};  ///< what 32-bit addresses through bti[255] count from
};

/// The walker that `launch` describes, in address spaces of `va_bits`. EINVAL with a reason.
Result<EuWalker> eu_walker_of(const EuLaunch& launch, unsigned va_bits);

/// Borrows the engine's memory and clock. One thread at a time.
class EuLauncher {
 public:
  EuLauncher(EngineMemory& memory, const Clock& clock);

  /// Drops a kernel that is under way. Errors of eu_walker_of().
  Status begin(const EuLaunch& launch, unsigned va_bits);
  bool running() const { return dispatch_.active(); }

  /// At most `instructions_max` more instructions. EFAULT: a fault was refused. EBADRQC: an illegal instruction.
  /// ENOSYS: one that softxe does not have. EDEADLK: every thread that is left waits at a barrier. After these, and
  /// when it succeeds, nothing is running. ETIME: not ended yet; run() again.
  Status run(std::uint64_t instructions_max);

  /// What kernels did since this was asked last.
  EuCounts take_counts();

 private:
  const Clock& clock_;
  EngineEuWorker* worker_ = nullptr;  ///< owned by units_
  EuThreadIds ids_;
  EuUnits units_;
  EuDispatch dispatch_;
  EuCounts done_;
};

}  // namespace softxe
