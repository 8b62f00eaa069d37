// Operands of branches and sends, which have no types. Used by eu_asm_inst.cc alone.
#pragma once

#include "base/result.h"
#include "hw/eu/eu_asm_inst.h"

namespace softxe {

/// Destination of a call; then an offset, a label or a register; then, of the operations that have one, a second
/// offset or label.
Status eu_parse_branch_operands(EuScan& scan, const EuAsmContext& context, EuStatement& out);

/// Destination, two payloads, extended descriptor, descriptor and EOT.
Status eu_parse_send_operands(EuScan& scan, const EuAsmContext& context, EuInst& inst);

}  // namespace softxe
