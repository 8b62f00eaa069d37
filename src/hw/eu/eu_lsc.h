// Messages to the data port: lanes, atomics and 2D blocks (spec/eu-isa.md 9.1).
//
// What all of them share: addresses and data are read from registers first, then memory is asked for everything at
// once, then registers are written. A fault therefore leaves nothing half done, whatever registers overlap.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_memory.h"
#include "hw/eu/eu_message.h"
#include "hw/eu/eu_send.h"

namespace softxe {

/// One send under way.
struct EuSendCall {
  EuThread& thread;
  const EuInst& inst;
  EuEnv& env;
  std::uint32_t channels = 0;  ///< that take part: bits of the instruction's channels
};

EuSendResult eu_send_lanes(const EuSendCall& call, const EuLanesMessage& message);
EuSendResult eu_send_atomic(const EuSendCall& call, const EuAtomicMessage& message);
EuSendResult eu_send_block2d(const EuSendCall& call, const EuBlock2dMessage& message);
EuSendResult eu_send_typed_block2d(const EuSendCall& call, const EuTypedBlock2dMessage& message);

// --- shared by them -------------------------------------------------------------------------------

/// A message's data never has more registers than its length fields can say.
inline constexpr unsigned kEuDataBytesMax = 32 * kEuGrfBytes;

constexpr unsigned eu_round_to_grf(unsigned bytes) { return (bytes + kEuGrfBytes - 1) / kEuGrfBytes * kEuGrfBytes; }

/// The registers of an operand, or null when `bytes` from there are not all registers of the thread.
std::byte* eu_message_registers(EuThread& thread, const EuOperand& operand, unsigned bytes);

inline constexpr EuSendResult kEuNoRegisters{EuSendKind::kIllegal,
                                             "message with registers that the thread does not have"};
inline constexpr EuSendResult kEuPastTheEnd{EuSendKind::kIllegal, "message across the end of the address space"};
inline EuSendResult eu_memory_failed(const Error& error) { return {EuSendKind::kFault, error.why}; }

}  // namespace softxe
