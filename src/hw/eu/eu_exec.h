// Running one thread: fetch, execute, until something stops it.
//
//   eu_program.h   predecoded instructions of one kernel
//   eu_send.h      messages: memory, barriers, end of thread
//   eu_group.h     the threads of one group, its SLM and barriers
#pragma once

#include <cstdint>

#include "hw/eu/eu_stop.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

class EuProgram;
class EuGroup;
class EuMemory;

/// What a thread runs with besides its own state; all borrowed for the call.
struct EuEnv {
  EuProgram& program;
  EuGroup& group;    ///< SLM and barriers
  EuMemory& memory;  ///< the worker's
};

/// Runs `thread` until it ends, waits at a barrier, fails, or has carried out `instructions_max` more instructions.
/// An illegal instruction is no end if the thread has enabled that exception and its context has a system routine.
/// After kFault, kIllegal and kUnsupported `thread.ip` is the instruction that failed, without effect.
EuStop eu_run_thread(EuThread& thread, EuEnv& env, std::uint64_t instructions_max);

}  // namespace softxe
