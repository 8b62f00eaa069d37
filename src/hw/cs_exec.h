// How a command is written: a function from CsCommand to CsOutcome. Internal to the command streamer.
//
//   cs_mi_memory.cc    stores, register moves, atomics, flushes
//   cs_mi_flow.cc      batch start and end, conditions, semaphores
//   cs_math.cc         MI_MATH
//   cs_blitter.cc      copies and fills
#pragma once

#include <cstdint>
#include <span>

#include "hw/cmd_parser.h"
#include "hw/cs_context.h"
#include "hw/cs_engine.h"
#include "hw/cs_streamer.h"
#include "hw/gpu_memory.h"

namespace softxe::cs {

/// One command with what it works on. `dw` is complete and at least cmd_dwords_min() long. The context's
/// position is already behind the command.
struct CsCommand {
  CsContext& context;
  GpuMemory& memory;
  const EngineInfo& engine;
  CsStats& stats;
  CmdKind kind;
  GpuVa at;
  std::span<const std::uint32_t> dw;

  bool bit(unsigned n) const { return (dw[0] >> n & 1) != 0; }
  std::uint32_t field(std::size_t word, unsigned high, unsigned low) const {
    return (dw[word] >> low) & ((2u << (high - low)) - 1);
  }
  std::uint64_t qword(std::size_t word) const {
    return dw[word] | std::uint64_t{dw[word + 1]} << 32;
  }
  /// The address in words `word` and `word` + 1; bits 1:0 are no address bits in MI commands.
  GpuVa dword_address(std::size_t word) const {
    return engine.strip(qword(word) & ~std::uint64_t{3});
  }
};

struct CsOutcome {
  StepKind kind = StepKind::kContinue;
  const char* reason = "";
};

inline CsOutcome bad(const char* reason) { return {StepKind::kBadCommand, reason}; }
/// What an access means for the command that made it.
inline CsOutcome ended(AccessStatus status) {
  switch (status) {
    case AccessStatus::kOk: return {};
    case AccessStatus::kFault: return {StepKind::kPageFault, "page fault"};
    case AccessStatus::kKilled: return {StepKind::kKilled, "killed"};
  }
  return {};
}

inline constexpr const char* kNoGgtt = "global GTT access from a user batch";
inline constexpr const char* kMisaligned = "qword address is not 8-aligned";

CsOutcome batch_start(const CsCommand& cmd);
CsOutcome batch_end(const CsCommand& cmd);
CsOutcome cond_batch_end(const CsCommand& cmd);
CsOutcome semaphore_wait(const CsCommand& cmd);

CsOutcome store_data_imm(const CsCommand& cmd);
CsOutcome load_register_imm(const CsCommand& cmd);
CsOutcome store_register_mem(const CsCommand& cmd);
CsOutcome load_register_mem(const CsCommand& cmd);
CsOutcome load_register_reg(const CsCommand& cmd);
CsOutcome copy_mem_mem(const CsCommand& cmd);
CsOutcome atomic(const CsCommand& cmd);
CsOutcome flush_dw(const CsCommand& cmd);
CsOutcome pipe_control(const CsCommand& cmd);
CsOutcome math(const CsCommand& cmd);

/// Moves one chunk. While more is left, context.in_flight holds the command.
CsOutcome blit(const CsCommand& cmd);

}  // namespace softxe::cs
