#include "hw/eu/eu_encode.h"

#include <algorithm>
#include <bit>

#include "hw/eu/eu_compaction.h"
#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_encode_operand.h"
#include "hw/eu/eu_fields.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {
namespace {

using namespace eu_fields;  // NOLINT: the vocabulary of this file

constexpr unsigned kChannels = 32;

std::uint64_t bit_of(bool value) { return value ? 1 : 0; }

Status encode_common(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  if (!std::has_single_bit(inst.exec_size) || inst.exec_size > kChannels)
    return fail(EINVAL, "execution size is 1, 2, 4, 8, 16 or 32");
  if (inst.channel_offset % 8 != 0 || inst.channel_offset + inst.exec_size > kChannels)
    return fail(EINVAL, "channels above 31, or not at a multiple of 8");
  if (inst.flag > 3 || inst.flag_sub > 1) return fail(EINVAL, "flags are f0.0 to f3.1");
  word.set(kScoreboard, inst.scoreboard);
  word.set(kAtomic, bit_of(inst.atomic));
  word.set(kBreakpoint, bit_of(inst.breakpoint));
  word.set(kExecSize, static_cast<std::uint64_t>(std::countr_zero(inst.exec_size)));
  word.set(kChannelOffset, inst.channel_offset / 8U);
  word.set(kNoMask, bit_of(inst.no_mask));
  word.set(kFlag, inst.flag);
  word.set(kFlagSub, inst.flag_sub);
  if (info.ignores.pred && inst.pred != EuPred::kNone) return fail(EINVAL, "this operation has no predicate");
  word.set(kPred, static_cast<std::uint64_t>(inst.pred));
  word.set(kPredInverted, bit_of(inst.pred_inverted));
  return {};
}

Status encode_result(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  if (info.ignores.saturate && inst.saturate) return fail(EINVAL, "this operation does not saturate");
  if (info.ignores.cond && inst.cond != EuCond::kNone) return fail(EINVAL, "this operation sets no condition");
  word.set(kSaturate, bit_of(inst.saturate));
  if (inst.cond != EuCond::kNone) word.set(kCond, static_cast<std::uint64_t>(inst.cond));
  return {};
}

// ---- one and two sources

/// The immediate of the last source. 16-bit ones stand in both halves.
Status encode_immediate(EuWord& word, const EuInst& inst, EuType type) {
  const unsigned bits = eu_immediate_bits(type);
  if (bits < 64 && inst.imm >> bits != 0) return fail(EINVAL, "immediate is wider than its type");
  if (bits == 16) word.set(kImmLow, inst.imm << 16 | inst.imm);
  if (bits == 32) word.set(kImmLow, inst.imm);
  if (bits != 64) return {};
  if (inst.cond != EuCond::kNone) return fail(EINVAL, "a 64-bit immediate leaves no room for a condition");
  word.set(kImmLow, inst.imm & 0xFFFF'FFFF);
  word.set(kImmHigh, inst.imm >> 32);
  return {};
}

Status encode_one_source(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  SX_TRY_VOID(eu_encode_operand(word, kDst, EuOperandUse::kDestination, inst.dst));
  SX_TRY_VOID(eu_encode_operand(word, kSrc0, EuOperandUse::kSource, inst.src[0]));
  SX_TRY_VOID(encode_result(word, inst, info));
  return inst.src[0].file == EuFile::kImm ? encode_immediate(word, inst, inst.src[0].type) : Status{};
}

Status encode_two_source(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  SX_TRY_VOID(eu_encode_operand(word, kDst, EuOperandUse::kDestination, inst.dst));
  SX_TRY_VOID(eu_encode_operand(word, kSrc0, EuOperandUse::kSource, inst.src[0]));
  SX_TRY_VOID(eu_encode_operand(word, kSrc1, EuOperandUse::kSource, inst.src[1]));
  SX_TRY_VOID(encode_result(word, inst, info));
  return inst.src[1].file == EuFile::kImm ? encode_immediate(word, inst, inst.src[1].type) : Status{};
}

Status encode_sync(EuWord& word, const EuInst& inst) {
  word.set(kDst.horizontal, 1);  // as the compiler does; means nothing
  word.set(kCond, inst.function);
  if (inst.src[0].file != EuFile::kImm) return {};
  SX_TRY_VOID(eu_encode_operand(word, kSrc0, EuOperandUse::kPlainSource, inst.src[0]));
  return encode_immediate(word, inst, inst.src[0].type);
}

Status encode_math(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  const auto function = static_cast<EuMath>(inst.function);
  const bool macro = function == EuMath::kInvm || function == EuMath::kRsqtm;
  const EuOperandUse source_use = macro ? EuOperandUse::kMacroSource : EuOperandUse::kPlainSource;
  SX_TRY_VOID(eu_encode_operand(word, kDst, macro ? EuOperandUse::kMacroDestination : EuOperandUse::kPlainDestination,
                                inst.dst));
  const unsigned sources = eu_source_count(inst);
  SX_TRY_VOID(eu_encode_operand(word, kSrc0, source_use, inst.src[0]));
  if (sources == 2) SX_TRY_VOID(eu_encode_operand(word, kSrc1, source_use, inst.src[1]));
  SX_TRY_VOID(encode_result(word, inst, info));
  word.set(kCond, inst.function);
  const EuOperand& last = inst.src[sources - 1];
  return last.file == EuFile::kImm ? encode_immediate(word, inst, last.type) : Status{};
}

// ---- three sources

bool float_type(EuType type) { return (eu_type_number(type) & 8) != 0; }

/// All operands' types share their fourth bit.
Status encode_ternary_float(EuWord& word, const EuInst& inst) {
  const bool is_float = float_type(inst.dst.type);
  for (const EuOperand& source : inst.src)
    if (float_type(source.type) != is_float) return fail(EINVAL, "integer and float types in one of three sources");
  word.set(kTernaryFloat, bit_of(is_float));
  return {};
}

Status encode_ternary_immediate(EuWord& word, const EuInst& inst) {
  const std::uint64_t most = eu_two_immediates(inst) ? 0xFFFF'FFFF : 0xFFFF;
  for (const unsigned i : {0U, 2U}) {
    if (inst.src[i].file != EuFile::kImm) continue;
    if (eu_immediate_bits(inst.src[i].type) != 16 || inst.imm > most)
      return fail(EINVAL, "immediates of three sources have 16 bits");
    word.set(i == 0 ? kTernaryImm0 : kTernaryImm2, eu_imm(inst, i));
  }
  return {};
}

Status encode_truth_table(EuWord& word, const EuInst& inst) {
  constexpr EuCond kConds[] = {EuCond::kNone, EuCond::kEq, EuCond::kGt, EuCond::kLt};
  const auto* cond = std::ranges::find(kConds, inst.cond);
  if (cond == std::end(kConds)) return fail(EINVAL, "conditions of bfn are eq, gt and lt");
  word.set(kBfnCond, static_cast<std::uint64_t>(cond - kConds));
  word.set(kBfnHigh, inst.function >> 4);
  word.set(kBfnLow, inst.function & 0xF);
  return {};
}

Status encode_three_source(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  const bool macro = info.format == EuFormat::kMacro;
  const EuOperandUse source_use = macro ? EuOperandUse::kMacroSource : EuOperandUse::kSource;
  SX_TRY_VOID(encode_ternary_float(word, inst));
  SX_TRY_VOID(eu_encode_ternary(word, kTernaryDst, macro ? EuOperandUse::kMacroDestination : EuOperandUse::kDestination,
                                inst.dst));
  SX_TRY_VOID(eu_encode_ternary(word, kTernarySrc0, source_use, inst.src[0]));
  SX_TRY_VOID(eu_encode_ternary(word, kTernarySrc1, source_use, inst.src[1]));
  SX_TRY_VOID(eu_encode_ternary(word, kTernarySrc2, source_use, inst.src[2]));
  SX_TRY_VOID(encode_ternary_immediate(word, inst));
  if (info.format != EuFormat::kBfn) return encode_result(word, inst, info);
  if (inst.saturate) return fail(EINVAL, "this operation does not saturate");
  return encode_truth_table(word, inst);
}

std::uint64_t precision(EuType type) {
  if (type == EuType::kS4 || type == EuType::kU4) return 1;
  return type == EuType::kS2 || type == EuType::kU2 ? 2 : 0;
}

Status encode_dpas(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  SX_TRY_VOID(encode_ternary_float(word, inst));
  SX_TRY_VOID(eu_encode_ternary(word, kDpasDst, EuOperandUse::kDpas, inst.dst));
  SX_TRY_VOID(eu_encode_ternary(word, kDpasSrc0, EuOperandUse::kDpas, inst.src[0]));
  SX_TRY_VOID(eu_encode_ternary(word, kDpasSrc1, EuOperandUse::kDpas, inst.src[1]));
  SX_TRY_VOID(eu_encode_ternary(word, kDpasSrc2, EuOperandUse::kDpas, inst.src[2]));
  if (!std::has_single_bit(inst.dpas.depth) || inst.dpas.depth > 8) return fail(EINVAL, "depth is 1, 2, 4 or 8");
  if (inst.dpas.repeat < 1 || inst.dpas.repeat > 8) return fail(EINVAL, "repeat count is 1 to 8");
  word.set(kDpasDepth, static_cast<std::uint64_t>(std::countr_zero(inst.dpas.depth)));
  word.set(kDpasRepeat, inst.dpas.repeat - 1U);
  word.set(kDpasPrecision1, precision(inst.src[1].type));
  word.set(kDpasPrecision2, precision(inst.src[2].type));
  return encode_result(word, inst, info);
}

// ---- branches and sends

Status encode_branch(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  if (info.branch_control) word.set(kBranchControl, inst.function);
  if (info.format == EuFormat::kCall)
    SX_TRY_VOID(eu_encode_operand(word, kBranchDst, EuOperandUse::kBranchDestination, inst.dst));
  if (inst.src[0].file != EuFile::kNone || info.format == EuFormat::kRet)
    return eu_encode_operand(word, kBranchSrc, EuOperandUse::kBranchSource, inst.src[0]);
  word.set(kJipImmediate, 1);
  word.set(kJip, static_cast<std::uint32_t>(inst.jip));
  if (info.format != EuFormat::kBranchBoth && info.format != EuFormat::kJumpBoth) return {};
  word.set(kUipImmediate, 1);
  word.set(kUip, static_cast<std::uint32_t>(inst.uip));
  return {};
}

void scatter(EuWord& word, std::span<const Piece> pieces, std::uint64_t value) {
  for (const Piece& piece : pieces) word.set(piece.field, value >> piece.low);
}

Status encode_send(EuWord& word, const EuInst& inst) {
  const EuSend& send = inst.send;
  SX_TRY_VOID(eu_encode_operand(word, kSendDst, EuOperandUse::kPayload, inst.dst));
  SX_TRY_VOID(eu_encode_operand(word, kSendSrc0, EuOperandUse::kPayload, inst.src[0]));
  SX_TRY_VOID(eu_encode_operand(word, kSendSrc1, EuOperandUse::kPayload, inst.src[1]));
  if (send.src1_length > 31) return fail(EINVAL, "a second payload has 31 registers at most");
  if (send.ext_desc_a0 > 7) return fail(EINVAL, "address register above a0.7");
  if ((send.ext_desc & 0x7FF) != 0) return fail(EINVAL, "the lower 11 bits of an extended descriptor are fixed");
  scatter(word, kDesc, send.desc);
  scatter(word, kExtDesc, send.ext_desc);
  word.set(kSrc1Length, send.src1_length);
  word.set(kDescInA0, bit_of(send.desc_in_a0));
  if (send.ext_desc_in_a0) {
    word.set(kExtDescInA0, 1);
    word.set(kExtDescA0, send.ext_desc_a0);
    if (send.ext_bso) word.set(kExBso, 1);
  }
  word.set(kEndOfThread, bit_of(send.end_of_thread));
  word.set(kCond, static_cast<std::uint64_t>(send.sfid));
  return {};
}

Status encode_format(EuWord& word, const EuInst& inst, const EuOpInfo& info) {
  switch (info.format) {
    case EuFormat::kBare: return {};
    case EuFormat::kSync: return encode_sync(word, inst);
    case EuFormat::kOneSource: return encode_one_source(word, inst, info);
    case EuFormat::kTwoSource: return encode_two_source(word, inst, info);
    case EuFormat::kMath: return encode_math(word, inst, info);
    case EuFormat::kThreeSource:
    case EuFormat::kBfn:
    case EuFormat::kMacro: return encode_three_source(word, inst, info);
    case EuFormat::kDpas: return encode_dpas(word, inst, info);
    case EuFormat::kJump:
    case EuFormat::kJumpBoth:
    case EuFormat::kBranch:
    case EuFormat::kBranchBoth:
    case EuFormat::kCall:
    case EuFormat::kRet: return encode_branch(word, inst, info);
    case EuFormat::kSend: return encode_send(word, inst);
  }
  return fail(EINVAL, "no such format");
}

/// Whatever slipped through the checks above: a word that says something else is never given out.
bool says(std::span<const std::byte> bytes, const EuInst& inst) {
  const auto decoded = eu_decode(bytes);
  return decoded && *decoded == inst;
}

}  // namespace

Result<EuCode> eu_encode(const EuInst& inst) {
  const EuOpInfo* info = eu_find_op(static_cast<std::uint8_t>(inst.op));
  if (info == nullptr) return fail(EINVAL, "no such operation");
  EuWord word;
  word.set(kOpcode, static_cast<std::uint64_t>(inst.op));
  if (info->format != EuFormat::kBare) SX_TRY_VOID(encode_common(word, inst, *info));
  SX_TRY_VOID(encode_format(word, inst, *info));
  EuCode code;
  word.store(code.bytes_);
  EuInst native = inst;
  native.bytes = 16;
  if (!says(code.bytes(), native)) return fail(EINVAL, "no word says this instruction");
  if (inst.bytes == 16) return code;
  const auto compacted = inst.bytes == 8 ? eu_compact(word, *info) : std::nullopt;
  if (!compacted) return fail(EINVAL, "this instruction has no compacted form");
  code.bytes_ = {};
  for (unsigned i = 0; i < 8; ++i) code.bytes_[i] = static_cast<std::byte>(*compacted >> (8 * i));
  code.size_ = 8;
  if (!says(code.bytes(), inst)) return fail(EINVAL, "this instruction has no compacted form");
  return code;
}

}  // namespace softxe
