// Stores, register moves, atomics and post-sync writes (spec/gpu-commands.md 2, 4 and 5).
#include <optional>

#include "hw/cs_exec.h"
#include "hw/cs_registers.h"

namespace softxe::cs {
namespace {

/// The form of a register name that the header's bits select. The relative bit wins.
RegisterForm form_of(const CsCommand& cmd, unsigned relative_bit, unsigned remap_bit) {
  if (cmd.bit(relative_bit)) return RegisterForm::kEngineRelative;
  return cmd.bit(remap_bit) ? RegisterForm::kRemapped : RegisterForm::kAbsolute;
}

constexpr unsigned kRelative = 19;
constexpr unsigned kRemap = 17;
constexpr unsigned kSourceRelative = 18;
constexpr unsigned kSourceRemap = 16;
constexpr unsigned kGgtt = 22;

CsOutcome store_qword(const CsCommand& cmd, GpuVa at, std::uint64_t value) {
  if (!at.is_aligned(8)) return bad(kMisaligned);
  ++cmd.stats.effects;
  return ended(cmd.memory.store64(at, value));
}

}  // namespace

CsOutcome store_data_imm(const CsCommand& cmd) {
  if (cmd.bit(kGgtt)) return bad(kNoGgtt);
  const bool qwords = cmd.bit(21);
  const GpuVa base = cmd.dword_address(1);
  if (qwords && !base.is_aligned(8)) return bad(kMisaligned);
  if (qwords && (cmd.dw.size() - 3) % 2 != 0) return bad("half a qword to store");
  ++cmd.stats.effects;
  for (std::size_t i = 3; i < cmd.dw.size(); i += qwords ? 2 : 1) {
    const GpuVa at = base + 4 * (i - 3);
    const AccessStatus stored =
        qwords ? cmd.memory.store64(at, cmd.qword(i)) : cmd.memory.store32(at, cmd.dw[i]);
    if (stored != AccessStatus::kOk) return ended(stored);
  }
  return {};
}

CsOutcome load_register_imm(const CsCommand& cmd) {
  if (cmd.dw.size() % 2 == 0) return bad("register without a value");
  const RegisterForm form = form_of(cmd, kRelative, kRemap);
  // Bits 11:8 keep single bytes of the register.
  std::uint32_t keep = 0;
  for (unsigned byte = 0; byte < 4; ++byte)
    if (cmd.bit(8 + byte)) keep |= 0xffu << 8 * byte;
  ++cmd.stats.effects;
  for (std::size_t i = 1; i < cmd.dw.size(); i += 2) {
    const RegisterName name{cmd.dw[i], form};
    const std::uint32_t old = keep == 0 ? 0 : read_register(cmd.context, cmd.engine, name);
    write_register(cmd.context, cmd.engine, name, (cmd.dw[i + 1] & ~keep) | (old & keep));
  }
  return {};
}

CsOutcome store_register_mem(const CsCommand& cmd) {
  if (cmd.bit(kGgtt)) return bad(kNoGgtt);
  const RegisterName name{cmd.dw[1], form_of(cmd, kRelative, kRemap)};
  ++cmd.stats.effects;
  return ended(cmd.memory.store32(cmd.dword_address(2),
                                  read_register(cmd.context, cmd.engine, name)));
}

CsOutcome load_register_mem(const CsCommand& cmd) {
  if (cmd.bit(kGgtt)) return bad(kNoGgtt);
  std::uint32_t value = 0;
  const AccessStatus loaded = cmd.memory.load32(cmd.dword_address(2), value);
  if (loaded != AccessStatus::kOk) return ended(loaded);
  ++cmd.stats.effects;
  write_register(cmd.context, cmd.engine, {cmd.dw[1], form_of(cmd, kRelative, kRemap)}, value);
  return {};
}

CsOutcome load_register_reg(const CsCommand& cmd) {
  const RegisterName from{cmd.dw[1], form_of(cmd, kSourceRelative, kSourceRemap)};
  const RegisterName to{cmd.dw[2], form_of(cmd, kRelative, kRemap)};
  ++cmd.stats.effects;
  write_register(cmd.context, cmd.engine, to, read_register(cmd.context, cmd.engine, from));
  return {};
}

CsOutcome copy_mem_mem(const CsCommand& cmd) {
  if (cmd.bit(22) || cmd.bit(21)) return bad(kNoGgtt);
  std::uint32_t value = 0;
  const AccessStatus loaded = cmd.memory.load32(cmd.dword_address(3), value);
  if (loaded != AccessStatus::kOk) return ended(loaded);
  ++cmd.stats.effects;
  return ended(cmd.memory.store32(cmd.dword_address(1), value));
}

CsOutcome atomic(const CsCommand& cmd) {
  if (cmd.bit(kGgtt)) return bad(kNoGgtt);
  constexpr std::uint32_t kQwordForms = 0x20;
  constexpr std::uint32_t kOctForms = 0x40;
  constexpr std::size_t kInlineDwords = 11;
  const bool inline_operands = cmd.bit(18);
  const std::uint32_t code = cmd.field(0, 15, 8);
  if ((code & ~(kQwordForms | 0xfu)) != 0)
    return bad((code & kOctForms) != 0 ? "16-byte atomic" : "atomic operation without meaning");
  const auto op = static_cast<GpuAtomicOp>(code & 0xf);
  if (atomic_function<std::uint32_t>(op) == nullptr) return bad("atomic operation without meaning");
  if (inline_operands && cmd.dw.size() < kInlineDwords) return bad("inline operands missing");

  // Both operands come in low-to-high dwords, interleaved: op1[0], op2[0], op1[1], op2[1], ...
  GpuMemory::Operands operands{.operand1 = cmd.context.gpr[0], .operand2 = cmd.context.gpr[1]};
  if (inline_operands) {
    operands.operand1 = cmd.dw[3] | std::uint64_t{cmd.dw[5]} << 32;
    operands.operand2 = cmd.dw[4] | std::uint64_t{cmd.dw[6]} << 32;
  }
  const GpuVa at = cmd.dword_address(1);
  std::uint64_t old = 0;
  AccessStatus done;
  std::uint64_t mask = ~std::uint64_t{0};
  // The operation's code tells the size; bits 20:19 only repeat it.
  if ((code & kQwordForms) != 0) {
    if (!at.is_aligned(8)) return bad(kMisaligned);
    done = cmd.memory.atomic64(at, op, operands, old);
  } else {
    std::uint32_t old32 = 0;
    done = cmd.memory.atomic32(at, op, operands, old32);
    old = old32;
    mask = 0xffffffffu;
  }
  if (done != AccessStatus::kOk) return ended(done);
  ++cmd.stats.effects;
  // Pre-decrement is the one operation that returns the new value.
  if (cmd.bit(16)) cmd.context.gpr[0] = (op == GpuAtomicOp::kPreDec ? old - 1 : old) & mask;
  return {};
}

CsOutcome flush_dw(const CsCommand& cmd) {
  enum PostSync : std::uint32_t { kNone = 0, kImmediate = 1, kTimestamp = 3 };
  const std::uint32_t post_sync = cmd.field(0, 15, 14);
  if (post_sync == kNone) return {};
  if (cmd.bit(21)) return bad("post-sync write to the status page");
  if (cmd.dw.size() < 3) return bad("post-sync write without an address");
  if ((cmd.dw[1] & 4) != 0) return bad(kNoGgtt);
  const GpuVa at = cmd.dword_address(1);
  switch (post_sync) {
    case kImmediate:
      if (cmd.dw.size() >= 5) return store_qword(cmd, at, cmd.qword(3));
      if (cmd.dw.size() < 4) return bad("post-sync write without data");
      ++cmd.stats.effects;
      return ended(cmd.memory.store32(at, cmd.dw[3]));
    case kTimestamp: return store_qword(cmd, at, cmd.engine.ring_timestamp());
    default: return bad("post-sync operation without meaning");
  }
}

CsOutcome pipe_control(const CsCommand& cmd) {
  enum PostSync : std::uint32_t { kNone = 0, kImmediate = 1, kDepthCount = 2, kTimestamp = 3 };
  const std::uint32_t post_sync = cmd.field(1, 15, 14);
  if (post_sync == kNone) return {};
  constexpr std::uint32_t kFlagGgtt = 1u << 24;
  constexpr std::uint32_t kFlagStatusPage = 1u << 21;
  if ((cmd.dw[1] & kFlagGgtt) != 0) return bad(kNoGgtt);
  if ((cmd.dw[1] & kFlagStatusPage) != 0) return bad("post-sync write to the status page");
  if (post_sync == kDepthCount) return {StepKind::kUnsupportedShader, "depth count of pixels"};
  if (cmd.dw.size() < 6) return bad("post-sync write without address or data");
  const std::uint64_t value =
      post_sync == kImmediate ? cmd.qword(4) : cmd.engine.ring_timestamp();
  return store_qword(cmd, cmd.dword_address(2), value);
}

}  // namespace softxe::cs
