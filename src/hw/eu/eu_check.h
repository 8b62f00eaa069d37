// Whether an instruction obeys the rules of the instruction set. Asked once, when it is predecoded; carrying it out
// relies on the answer, so that no client can reach beyond its thread's block or an operation that does not exist.
#pragma once

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_stop.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

struct EuCheck {
  /// kBudget: nothing wrong. kIllegal or kUnsupported: with the reason.
  EuStopKind kind = EuStopKind::kBudget;
  const char* reason = "";
  bool ok() const { return kind == EuStopKind::kBudget; }
};

/// Everything but what is in a message's descriptor. Depends on `thread` only by its number of registers.
EuCheck eu_check(const EuInst& inst, const EuThread& thread);

}  // namespace softxe
