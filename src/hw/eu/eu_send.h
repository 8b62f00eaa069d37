// Messages of an execution unit: memory, fences, barriers, end of thread (spec/eu-isa.md 9).
//
//   eu_message.h   what the descriptors say
//   eu_lsc.h       loads, stores and atomics of lanes
//   eu_memory.h    global memory
//   eu_group.h     SLM, barriers, bases
#pragma once

#include <cstdint>

#include "hw/eu/eu_exec.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_record.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

enum class EuSendKind : std::uint8_t {
  kDone,         ///< go on with the next instruction; a barrier that was signalled is waited for by sync.bar
  kEnded,        ///< end of thread
  kFault,        ///< a page fault was refused (and recorded by the fault service)
  kIllegal,      ///< no message, or one that breaks the rules
  kUnsupported,  ///< a message that softxe does not have
};

/// `reason` has static storage and names the message; it means something for the last three kinds.
struct EuSendResult {
  EuSendKind kind = EuSendKind::kDone;
  const char* reason = "";
};

/// Carries out the send or sendc `inst` on the channels that are active and predicated; never changes `thread.ip` or
/// `thread.state`. After any kind but kDone and kEnded registers and memory are as before, except channels of an atomic
/// that `thread.message_done` names: the same call made again goes on behind them.
EuSendResult eu_send(EuThread& thread, const EuInst& inst, EuEnv& env);

/// The same with what predecoding knows: by the record's quick way, when it has one that can.
EuSendResult eu_send(EuThread& thread, const EuRecord& record, EuEnv& env);

}  // namespace softxe
