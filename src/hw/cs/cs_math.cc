// MI_MATH: the command streamer's ALU (spec/gpu-commands.md 3).
#include "hw/cs/cs_executor.h"

namespace softxe {
namespace {

constexpr std::uint64_t kOnes = ~std::uint64_t{0};

enum Operand : std::uint32_t { kSrcA = 0x20, kSrcB = 0x21, kAccu = 0x31, kZf = 0x32, kCf = 0x33 };

enum Opcode : std::uint32_t {
  kNoop = 0x000,
  kFenceRead = 0x001,
  kFenceWrite = 0x002,
  kLoad = 0x080,
  kLoad0 = 0x081,
  kLoadInd = 0x082,
  kAdd = 0x100,
  kSub = 0x101,
  kAnd = 0x102,
  kOr = 0x103,
  kXor = 0x104,
  kShl = 0x105,
  kShr = 0x106,
  kSar = 0x107,
  kStore = 0x180,
  kStoreInd = 0x181,
  kLoadInv = 0x480,
  kLoad1 = 0x481,
  kStoreInv = 0x580,
};

}  // namespace

Result<CsFlow> CsExecutor::math() {
  for (std::uint32_t i = 1; i < dwords_; ++i) {
    SX_TRY(const std::uint32_t word, dword(i));
    SX_TRY_VOID(alu_word(word));
  }
  return CsFlow::kNext;
}

Result<std::uint64_t> CsExecutor::alu_read(std::uint32_t operand) const {
  if (operand < ctx_.gpr.size()) return ctx_.gpr[operand];
  switch (operand) {
    case kSrcA: return ctx_.alu.srca;
    case kSrcB: return ctx_.alu.srcb;
    case kAccu: return ctx_.alu.accu;
    case kZf: return ctx_.alu.zf;
    case kCf: return ctx_.alu.cf;
    default: return bad_command("MI_MATH reads an unknown operand");
  }
}

Status CsExecutor::alu_write(std::uint32_t operand, std::uint64_t value) {
  if (operand < ctx_.gpr.size()) {
    ctx_.gpr[operand] = value;
    return {};
  }
  if (operand == kSrcA) {
    ctx_.alu.srca = value;
    return {};
  }
  if (operand == kSrcB) {
    ctx_.alu.srcb = value;
    return {};
  }
  return bad_command("MI_MATH writes an operand that is no target");
}

Status CsExecutor::alu_word(std::uint32_t word) {
  const std::uint32_t opcode = cs_bits(word, 31, 20);
  const std::uint32_t operand1 = cs_bits(word, 19, 10);
  const std::uint32_t operand2 = cs_bits(word, 9, 0);
  switch (opcode) {
    case kNoop:
    case kFenceRead:
    case kFenceWrite: return {};
    case kLoad0: return alu_write(operand1, 0);
    case kLoad1: return alu_write(operand1, kOnes);
    case kLoad:
    case kStore: {
      SX_TRY(const std::uint64_t value, alu_read(operand2));
      return alu_write(operand1, value);
    }
    case kLoadInv:
    case kStoreInv: {
      SX_TRY(const std::uint64_t value, alu_read(operand2));
      return alu_write(operand1, ~value);
    }
    case kLoadInd: {
      SX_TRY(const std::uint64_t address, alu_read(operand2));
      std::uint64_t value = 0;
      SX_TRY_VOID(mem_.read64(strip(address & ~std::uint64_t{3}), value));
      return alu_write(operand1, value);
    }
    case kStoreInd: {
      SX_TRY(const std::uint64_t address, alu_read(operand1));
      SX_TRY(const std::uint64_t value, alu_read(operand2));
      return store64(strip(address & ~std::uint64_t{3}), value);
    }
    default: return alu_arithmetic(opcode);
  }
}

Status CsExecutor::alu_arithmetic(std::uint32_t opcode) {
  CsAlu& alu = ctx_.alu;
  const std::uint64_t a = alu.srca;
  const std::uint64_t b = alu.srcb;
  const bool too_far = b >= 64;
  bool carry = false;
  switch (opcode) {
    case kAdd:
      alu.accu = a + b;
      carry = alu.accu < a;
      break;
    case kSub:
      alu.accu = a - b;
      carry = a < b;
      break;
    case kAnd: alu.accu = a & b; break;
    case kOr: alu.accu = a | b; break;
    case kXor: alu.accu = a ^ b; break;
    case kShl: alu.accu = too_far ? 0 : a << b; break;
    case kShr: alu.accu = too_far ? 0 : a >> b; break;
    case kSar: alu.accu = static_cast<std::uint64_t>(static_cast<std::int64_t>(a) >> (too_far ? 63 : b)); break;
    default: return bad_command("unknown MI_MATH operation");
  }
  alu.zf = alu.accu == 0 ? kOnes : 0;
  alu.cf = carry ? kOnes : 0;
  return {};
}

}  // namespace softxe
