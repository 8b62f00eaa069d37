#include "hw/eu/eu_check.h"

#include <algorithm>
#include <bit>

#include "hw/eu/eu_channels.h"
#include "hw/eu/eu_dpas.h"
#include "hw/eu/eu_float_ops.h"
#include "hw/eu/eu_int_ops.h"
#include "hw/eu/eu_math.h"
#include "hw/eu/eu_opcodes.h"
#include "hw/eu/eu_operand.h"

namespace softxe {
namespace {

EuCheck illegal(const char* reason) { return {EuStopKind::kIllegal, reason}; }
EuCheck unsupported(const char* reason) { return {EuStopKind::kUnsupported, reason}; }

#define SX_CHECK(expression) \
  if (const EuCheck wrong = (expression); !wrong.ok()) return wrong

bool is_flow(EuOp op) { return (op >= EuOp::kJmpi && op <= EuOp::kJoin) || op == EuOp::kSend || op == EuOp::kSendc; }

EuCheck check_channels(const EuInst& inst) {
  if (!std::has_single_bit(unsigned{inst.exec_size}) || inst.exec_size > kEuChannelsMax) {
    return illegal("no such execution size");
  }
  if (inst.channel_offset + inst.exec_size > kEuChannelsMax) return illegal("channels beyond the 32nd");
  const bool macro = inst.op == EuOp::kMath && eu_math_has_macro(inst.function);
  const bool flags = inst.pred != EuPred::kNone || inst.cond != EuCond::kNone || macro;
  if (flags && eu_flag_shift(inst) + inst.exec_size > 32) return illegal("flags beyond the end of their register");
  return {};
}

/// Highest element of a direct source.
std::uint32_t source_end(const EuOperand& operand, unsigned channels) {
  std::uint32_t end = 0;
  for (unsigned k = 0; k < channels; ++k) {
    const auto& r = operand.region;
    end = std::max(end, k / r.width * r.vertical + k % r.width * r.horizontal + 1u);
  }
  return end;
}

EuCheck check_place(const EuOperand& operand, const EuThread& thread, std::uint32_t bytes) {
  if (operand.file == EuFile::kArf && operand.arf() == EuArf::kIp) return unsupported("ip as an operand");
  const EuPlace file = eu_file(operand, thread);
  if (file.bytes == 0) return illegal("no such register");
  if (eu_first_byte(operand) + bytes > file.bytes) return illegal("an operand runs beyond the last register");
  return {};
}

EuCheck check_source(const EuInst& inst, const EuOperand& operand, const EuThread& thread) {
  if (operand.file == EuFile::kImm || operand.null()) return {};
  if (operand.file == EuFile::kNone) return illegal("a source is missing");
  if (operand.region.width == 0) return illegal("a region without width");
  if (operand.indirect) return {};
  if (operand.region.vertical == EuRegion::kVxH) return illegal("a region of many addresses without addresses");
  return check_place(operand, thread, source_end(operand, inst.exec_size) * eu_type_bytes(operand.type));
}

EuCheck check_destination(const EuInst& inst, const EuThread& thread) {
  const EuOperand& dst = inst.dst;
  if (dst.null()) return {};
  if (dst.file != EuFile::kGrf && dst.file != EuFile::kArf) return illegal("no destination");
  if (dst.region.horizontal == 0 && inst.exec_size > 1) return illegal("channels share a destination");
  if (dst.indirect) return {};
  const std::uint32_t elements = (inst.exec_size - 1u) * dst.region.horizontal + 1;
  return check_place(dst, thread, elements * eu_type_bytes(dst.type));
}

struct Types {
  bool ints = false;
  bool floats = false;
  bool df = false;
};
Types types_of(const EuInst& inst) {
  Types types;
  for (const EuOperand& source : inst.src) {
    if (source.file == EuFile::kNone || source.null()) continue;
    (eu_is_float(source.type) ? types.floats : types.ints) = true;
    types.df |= source.type == EuType::kDF;
  }
  return types;
}

bool is_logic_or_bits(EuOp op) { return eu_int_op(op) != nullptr && eu_float_op<float>(op) == nullptr; }

EuCheck check_types(const EuInst& inst) {
  const Types types = types_of(inst);
  // csel's third source is only compared with zero.
  if (types.ints && types.floats && inst.op != EuOp::kCsel && inst.op != EuOp::kSrnd) {
    return illegal("integer and float sources in one instruction");
  }
  switch (inst.op) {
    case EuOp::kSel:
      return inst.cond == EuCond::kNone && inst.pred == EuPred::kNone ? illegal("sel without a condition") : EuCheck{};
    case EuOp::kCmp:
    case EuOp::kCmpn:
    case EuOp::kCsel: return inst.cond == EuCond::kNone ? illegal("a comparison without a condition") : EuCheck{};
    case EuOp::kMath:
      if (!eu_math_exists(inst.function)) return illegal("no such math function");
      if (!types.floats || !eu_is_float(inst.dst.type)) return illegal("math of integers");
      if (types.df && !eu_math_has_macro(inst.function)) return illegal("no such math function of df");
      return {};
    case EuOp::kMac: return types.df ? illegal("mac of df") : EuCheck{};
    case EuOp::kMach:
    case EuOp::kMacl:
    case EuOp::kAddc:
    case EuOp::kSubb:
      return types.floats || eu_is_float(inst.dst.type) ? illegal("a float in a carry or product") : EuCheck{};
    case EuOp::kSrnd: {
      const bool to_half = inst.src[0].type == EuType::kF && inst.dst.type == EuType::kHF;
      const bool to_bf8 = inst.src[0].type == EuType::kHF && inst.dst.type == EuType::kBF8;
      return to_half || to_bf8 ? EuCheck{} : illegal("srnd between types it does not know");
    }
    default: break;
  }
  if (types.floats) return eu_float_op<float>(inst.op) == nullptr ? illegal("no such operation of floats") : EuCheck{};
  if (eu_int_op(inst.op) == nullptr) return illegal("no such operation of integers");
  if (is_logic_or_bits(inst.op) && eu_is_float(inst.dst.type)) return illegal("bits become a float");
  return {};
}

EuCheck check_dpas(const EuInst& inst, const EuThread& thread) {
  const auto& [c, b, a] = inst.src;
  if (inst.exec_size != 16) return illegal("dpas of another size than 16");
  if (inst.dpas.depth != 8 || inst.dpas.repeat == 0 || inst.dpas.repeat > 8) return illegal("no such dpas shape");
  const bool is_float = eu_is_float(inst.dst.type);
  if (eu_is_float(a.type) != is_float || eu_is_float(b.type) != is_float) return illegal("dpas of floats and integers");
  if (!c.null() && eu_is_float(c.type) != is_float) return illegal("dpas of floats and integers");
  if (is_float && (eu_dpas_bits(a.type) != eu_dpas_bits(b.type) || eu_dpas_bits(a.type) < 16)) {
    return unsupported("dpas of 8-bit floats");
  }
  if (eu_dpas_bits(a.type) > 32 || eu_dpas_bits(b.type) > 32 || (!is_float && eu_dpas_ops(inst) < 4)) {
    return illegal("no such dpas types");
  }
  const unsigned steps = inst.dpas.depth * eu_dpas_ops(inst);
  const unsigned elements = inst.dpas.repeat * 16u;
  if (inst.dst.indirect || a.indirect || b.indirect || c.indirect) return illegal("dpas with indirect operands");
  SX_CHECK(check_place(inst.dst, thread, elements * eu_type_bytes(inst.dst.type)));
  if (!c.null()) SX_CHECK(check_place(c, thread, elements * eu_type_bytes(c.type)));
  SX_CHECK(check_place(b, thread, steps * eu_dpas_bits(b.type) / 32 * kEuGrfBytes));
  return check_place(a, thread, (inst.dpas.repeat * steps * eu_dpas_bits(a.type) + 7) / 8);
}

EuCheck check_flow(const EuInst& inst, const EuThread& thread) {
  const bool call = inst.op == EuOp::kCall || inst.op == EuOp::kCalla;
  if ((call || inst.op == EuOp::kRet) && inst.pred != EuPred::kNone) return unsupported("a call with a predicate");
  if (call) {
    if (inst.dst.file != EuFile::kGrf || inst.dst.indirect) return illegal("a call that keeps no address");
    SX_CHECK(check_place(inst.dst, thread, 8));
  }
  const EuOperand& source = inst.src[0];
  if (inst.op == EuOp::kRet && source.file != EuFile::kGrf) return illegal("ret without an address");
  const bool has_register = source.file == EuFile::kGrf || source.file == EuFile::kArf;
  if (inst.op == EuOp::kSend || inst.op == EuOp::kSendc || !has_register || source.null()) return {};
  if (source.indirect) return illegal("a branch through an indirect operand");
  return check_place(source, thread, inst.op == EuOp::kRet ? 8 : 4);
}

}  // namespace

EuCheck eu_check(const EuInst& inst, const EuThread& thread) {
  if (inst.op == EuOp::kIllegal) return illegal("the illegal instruction");
  if (inst.op == EuOp::kNop) return {};
  SX_CHECK(check_channels(inst));
  if (is_flow(inst.op)) return check_flow(inst, thread);
  if (inst.op == EuOp::kSync) {
    const EuOperand& source = inst.src[0];
    return source.file == EuFile::kNone ? EuCheck{} : check_source(inst, source, thread);
  }
  if (inst.op == EuOp::kDpas) return check_dpas(inst, thread);
  const unsigned sources = eu_source_count(inst);
  for (unsigned i = 0; i < sources; ++i) SX_CHECK(check_source(inst, inst.src[i], thread));
  SX_CHECK(check_destination(inst, thread));
  return check_types(inst);
}

#undef SX_CHECK

}  // namespace softxe
