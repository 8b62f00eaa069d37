// Integer operations of one channel, exact (spec/eu-isa.md 5).
#pragma once

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_number.h"

namespace softxe {

/// Sources by their own types, modifiers applied.
struct EuIntArgs {
  EuWide s0 = 0;
  EuWide s1 = 0;
  EuWide s2 = 0;
};
using EuIntOp = EuWide (*)(const EuIntArgs& args, const EuInst& inst);

/// Null when the operation does not exist for integers.
EuIntOp eu_int_op(EuOp op);

}  // namespace softxe
