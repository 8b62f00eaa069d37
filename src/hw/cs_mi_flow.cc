// Batch flow: start, end, conditional end, semaphore wait (spec/gpu-commands.md 2 and 4).
#include <optional>

#include "hw/cs_exec.h"
#include "hw/cs_registers.h"

namespace softxe::cs {
namespace {

/// Compare codes of bits 14:12, memory on the left, unsigned. Nothing for the two codes without meaning.
std::optional<bool> compare(std::uint32_t code, std::uint32_t memory, std::uint32_t immediate) {
  switch (code) {
    case 0: return memory > immediate;
    case 1: return memory >= immediate;
    case 2: return memory < immediate;
    case 3: return memory <= immediate;
    case 4: return memory == immediate;
    case 5: return memory != immediate;
    default: return std::nullopt;
  }
}

constexpr const char* kBadCompare = "compare code without meaning";

}  // namespace

CsOutcome batch_start(const CsCommand& cmd) {
  constexpr unsigned kSecondLevel = 22;
  const GpuVa target = cmd.dword_address(1);
  if (target <= cmd.at) ++cmd.stats.jumps_back;
  if (!cmd.bit(kSecondLevel)) {
    cmd.context.set_position(target);
    return {};
  }
  if (cmd.context.call(target) == CsContext::Call::kTooDeep) return bad("batches nested too deep");
  return {};
}

CsOutcome batch_end(const CsCommand& cmd) {
  if (cmd.context.end_level() == CsContext::End::kReturned) return {};
  return {StepKind::kBatchDone, ""};
}

CsOutcome cond_batch_end(const CsCommand& cmd) {
  if (cmd.bit(22)) return bad(kNoGgtt);
  if (cmd.bit(19)) return bad("conditional end with a compare mask");
  // Without the compare bit there is no condition that could fail: the batch goes on.
  if (!cmd.bit(21)) return {};
  std::uint32_t value = 0;
  const AccessStatus loaded = cmd.memory.load32(cmd.dword_address(2), value);
  if (loaded != AccessStatus::kOk) return ended(loaded);
  const std::optional<bool> holds = compare(cmd.field(0, 14, 12), value, cmd.dw[1]);
  if (!holds) return bad(kBadCompare);
  // Contrary to its name, the command ends the batch when the comparison does NOT hold.
  return *holds ? CsOutcome{} : batch_end(cmd);
}

CsOutcome semaphore_wait(const CsCommand& cmd) {
  if (cmd.bit(22)) return bad(kNoGgtt);
  std::uint32_t value = 0;
  if (cmd.bit(16)) {
    value = read_register(cmd.context, cmd.engine, {cmd.dw[2], RegisterForm::kAbsolute});
  } else {
    const AccessStatus loaded = cmd.memory.load32(cmd.dword_address(2), value);
    if (loaded != AccessStatus::kOk) return ended(loaded);
  }
  const std::optional<bool> holds = compare(cmd.field(0, 14, 12), value, cmd.dw[1]);
  if (!holds) return bad(kBadCompare);
  // Signal mode (bit 15 clear) polls as well: every signal is a store that polling sees.
  return *holds ? CsOutcome{} : CsOutcome{StepKind::kYield, "semaphore not satisfied"};
}

}  // namespace softxe::cs
