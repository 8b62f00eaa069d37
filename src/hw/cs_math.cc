// MI_MATH: the 64-bit ALU of the command streamer (spec/gpu-commands.md 3).
#include "hw/cs_exec.h"

namespace softxe::cs {
namespace {

constexpr std::uint32_t kSrcA = 0x20;
constexpr std::uint32_t kSrcB = 0x21;
constexpr std::uint32_t kAccu = 0x31;
constexpr std::uint32_t kZeroFlag = 0x32;
constexpr std::uint32_t kCarryFlag = 0x33;
constexpr std::uint64_t kAllOnes = ~std::uint64_t{0};
constexpr const char* kBadOperand = "ALU operand without meaning";

/// The register an operand names, or null.
std::uint64_t* operand(CsContext& context, std::uint32_t code) {
  if (code < CsContext::kRegisters) return &context.gpr[code];
  switch (code) {
    case kSrcA: return &context.alu.src_a;
    case kSrcB: return &context.alu.src_b;
    case kAccu: return &context.alu.accu;
    case kZeroFlag: return &context.alu.zero_flag;
    case kCarryFlag: return &context.alu.carry_flag;
    default: return nullptr;
  }
}

/// Shifts by 64 and more shift everything out; hardware promises nothing beyond powers of two.
std::uint64_t shifted(std::uint32_t opcode, std::uint64_t value, std::uint64_t count) {
  const bool negative = (value >> 63) != 0;
  if (opcode == 0x105) return count < 64 ? value << count : 0;
  if (opcode == 0x106) return count < 64 ? value >> count : 0;
  if (count >= 64) return negative ? kAllOnes : 0;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(value) >> count);
}

CsOutcome compute(AluState& alu, std::uint32_t opcode) {
  const std::uint64_t a = alu.src_a;
  const std::uint64_t b = alu.src_b;
  bool carry = false;
  switch (opcode) {
    case 0x100:
      alu.accu = a + b;
      carry = alu.accu < a;
      break;
    case 0x101:
      alu.accu = a - b;
      carry = a < b;
      break;
    case 0x102: alu.accu = a & b; break;
    case 0x103: alu.accu = a | b; break;
    case 0x104: alu.accu = a ^ b; break;
    case 0x105:
    case 0x106:
    case 0x107: alu.accu = shifted(opcode, a, b); break;
    default: return bad("ALU operation without meaning");
  }
  alu.carry_flag = carry ? kAllOnes : 0;
  alu.zero_flag = alu.accu == 0 ? kAllOnes : 0;
  return {};
}

/// LOADIND (0x082) and STOREIND (0x181): 64 bits at the address in a register.
CsOutcome indirect(const CsCommand& cmd, std::uint32_t opcode, std::uint64_t& op1,
                   std::uint64_t& op2) {
  constexpr std::uint32_t kLoadInd = 0x082;
  const GpuVa at = cmd.engine.strip(opcode == kLoadInd ? op2 : op1);
  if (!at.is_aligned(8)) return bad(kMisaligned);
  if (opcode != kLoadInd) return ended(cmd.memory.store64(at, op2));
  std::uint64_t value = 0;
  const AccessStatus loaded = cmd.memory.load64(at, value);
  if (loaded == AccessStatus::kOk) op1 = value;
  return ended(loaded);
}

CsOutcome run_word(const CsCommand& cmd, std::uint32_t word) {
  const std::uint32_t opcode = word >> 20;
  std::uint64_t* op1 = operand(cmd.context, word >> 10 & 0x3ff);
  std::uint64_t* op2 = operand(cmd.context, word & 0x3ff);
  switch (opcode) {
    case 0x000:  // NOOP
    case 0x001:  // FENCE_RD, FENCE_WR: the ALU and memory are in order anyway
    case 0x002: return {};
    case 0x080:  // LOAD
    case 0x180:  // STORE
    case 0x480:  // LOADINV
    case 0x580:  // STOREINV
      if (op1 == nullptr || op2 == nullptr) return bad(kBadOperand);
      *op1 = (opcode & 0x400) != 0 ? ~*op2 : *op2;
      return {};
    case 0x081:  // LOAD0
    case 0x481:  // LOAD1
      if (op1 == nullptr) return bad(kBadOperand);
      *op1 = (opcode & 0x400) != 0 ? kAllOnes : 0;
      return {};
    case 0x082:
    case 0x181:
      if (op1 == nullptr || op2 == nullptr) return bad(kBadOperand);
      return indirect(cmd, opcode, *op1, *op2);
    default: return compute(cmd.context.alu, opcode);
  }
}

}  // namespace

CsOutcome math(const CsCommand& cmd) {
  ++cmd.stats.effects;
  for (const std::uint32_t word : cmd.dw.subspan(1)) {
    const CsOutcome outcome = run_word(cmd, word);
    if (outcome.kind != StepKind::kContinue) return outcome;
  }
  return {};
}

}  // namespace softxe::cs
