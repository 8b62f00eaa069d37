// The generic way to carry out an instruction that is neither flow nor message: channel by channel, for every
// operation, type, region, modifier, predicate and accumulator. What the fast handlers (eu_fast.h) do not cover.
//
//   eu_operand.h                where elements lie
//   eu_int_ops.h, eu_float_ops.h, eu_math.h, eu_dpas.h   what happens to one
//   eu_check.h                  what is legal: everything below relies on it
#pragma once

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// `inst` passed eu_check() for this thread. Cannot fail. MXCSR may be that of f and is so afterwards.
void eu_generic(EuThread& thread, const EuInst& inst);

}  // namespace softxe
