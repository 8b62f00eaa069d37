// Messages written by name instead of by descriptor: docs/KERNELS.md "Assembly" has the list.
//
//   load.ugm.d32x4.a64 (16|M0) r10 r4+16        destination, addresses and an offset in bytes
//   store.slm.d32.a32 (32|M0) r4 r10            addresses, data
//   atomic_add.ugm.d32.a64 (16|M0) null r4 r10  destination or null, addresses, operands
//   load.ugm.d32x16t.a32.bti[255] r8 r1         one address, transposed; (1|M0) of every channel mask goes without
//   saying fence.ugm.gpu.evict r20 r0                  scope and flush; group and none when they are not given barrier
//   r13, barrier.signal r13, barrier.wait eot r0
//
// Lengths of payloads follow from the message; `r10:4` gives one that does not (images, 2D blocks).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "hw/eu/eu_asm_operand.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// Whether a mnemonic is that of a message.
bool eu_is_message(std::string_view mnemonic);

/// Whether all of its parts are right, so that what goes wrong later is in the operands.
Status eu_check_message(std::string_view mnemonic);

/// The operands of a message behind its channels. `inst` has predicate and channels. More than one instruction for
/// a barrier.
Result<std::vector<EuInst>> eu_parse_message(std::string_view mnemonic, EuScan& scan, const EuAsmContext& context,
                                             EuInst inst);

/// The registers of a send's second payload as its descriptor tells, for a send whose length is not written. EINVAL:
/// this message does not tell.
Result<std::uint8_t> eu_second_payload_length(const EuInst& inst);

}  // namespace softxe
