// EuStop: why a thread, a group or a walker stopped running.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace softxe {

enum class EuStopKind : std::uint8_t {
  kBudget,       ///< instructions or time used up, or asked to stop: goes on later from where it is
  kBarrier,      ///< thread only: waits at a barrier
  kEnded,        ///< thread: end of thread; group, walker: all threads ended
  kFault,        ///< a page fault that was refused; recorded by the fault service
  kIllegal,      ///< no instruction of this ISA, or one that breaks its rules
  kUnsupported,  ///< a legal instruction or message that softxe does not have; `reason` names it
};

/// `ip` and `reason` (static storage) mean something for the last three kinds.
struct EuStop {
  EuStopKind kind = EuStopKind::kBudget;
  GpuVa ip{};
  const char* reason = "";
};

}  // namespace softxe
