// Control flow: which channels are active and where the others wait (spec/eu-isa.md 8).
//
// No stack: an inactive channel waits at an address until the thread comes by. join, endif and while wake the
// channels that wait at them; other addresses where channels may wait are known to the program as wake points.
#pragma once

#include <cstdint>

#include "base/address.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// Carries out the branch `inst`, which stands at `thread.ip`: moves `thread.ip` and the masks. Addresses that calls
/// keep count from `instruction_base`.
void eu_flow(EuThread& thread, const EuInst& inst, GpuVa instruction_base);

/// Channels of the current function that wait at `address` become active.
void eu_wake(EuThread& thread, std::uint64_t address);

constexpr bool eu_is_flow(EuOp op) { return op >= EuOp::kJmpi && op <= EuOp::kJoin; }

/// Offsets from the instruction at which channels may wait after it; 0: none.
struct EuWakePoints {
  std::int32_t first = 0;
  std::int32_t second = 0;
};
EuWakePoints eu_wake_points(const EuInst& inst);

}  // namespace softxe
