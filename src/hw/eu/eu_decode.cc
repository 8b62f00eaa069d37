#include "hw/eu/eu_decode.h"

#include <algorithm>
#include <array>

#include "hw/eu/eu_compaction.h"
#include "hw/eu/eu_decode_operand.h"
#include "hw/eu/eu_fields.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {
namespace {

using namespace eu_fields;  // NOLINT: the vocabulary of this file

constexpr std::array<EuMath, 9> kMathFunctions = {EuMath::kInv, EuMath::kLog,  EuMath::kExp,
                                                  EuMath::kSqt, EuMath::kRsqt, EuMath::kSin,
                                                  EuMath::kCos, EuMath::kInvm, EuMath::kRsqtm};
constexpr std::array<std::uint8_t, 7> kSyncFunctions = {0, 2, 3, 12, 13, 14, 15};
constexpr std::uint8_t kCondTop = 9;
constexpr unsigned kChannels = 32;

bool single_bit(const EuWord& word, EuField field) { return word.get(field) != 0; }
std::uint8_t small(const EuWord& word, EuField field) { return static_cast<std::uint8_t>(word.get(field)); }

Status decode_channels(const EuWord& word, EuInst& inst) {
  const unsigned exec_size = 1U << word.get(kExecSize);
  const unsigned offset = static_cast<unsigned>(word.get(kChannelOffset)) * 8;
  if (exec_size > kChannels) return fail(EILSEQ, "execution size is reserved");
  if (exec_size + offset > kChannels) return fail(EILSEQ, "channels above 31");
  inst.exec_size = static_cast<std::uint8_t>(exec_size);
  inst.channel_offset = static_cast<std::uint8_t>(offset);
  if (inst.op == EuOp::kJmpi && exec_size != 1) return fail(EILSEQ, "jmpi is scalar");
  return {};
}

void decode_predicate(const EuWord& word, EuIgnores ignores, EuInst& inst) {
  if (ignores.pred) return;
  inst.pred = static_cast<EuPred>(word.get(kPred));
  inst.pred_inverted = inst.pred != EuPred::kNone && single_bit(word, kPredInverted);
}

/// Once it is known who names the flag: otherwise its number means nothing.
void decode_flag(const EuWord& word, EuInst& inst) {
  const bool macro = inst.op == EuOp::kMath && (inst.function == static_cast<std::uint8_t>(EuMath::kInvm) ||
                                                inst.function == static_cast<std::uint8_t>(EuMath::kRsqtm));
  if (inst.pred == EuPred::kNone && inst.cond == EuCond::kNone && !macro) return;
  inst.flag = small(word, kFlag);
  inst.flag_sub = small(word, kFlagSub);
}

Status decode_cond(const EuWord& word, EuIgnores ignores, EuInst& inst) {
  const std::uint64_t cond = ignores.cond ? 0 : word.get(kCond);
  if (cond > kCondTop || cond == 7) return fail(EILSEQ, "conditional modifier is reserved");
  inst.cond = static_cast<EuCond>(cond);
  return {};
}

void decode_saturate(const EuWord& word, EuIgnores ignores, EuInst& inst) {
  inst.saturate = !ignores.saturate && single_bit(word, kSaturate);
}

// ---- one and two sources

/// The immediate of source `field`, whose type is known. `one_source`: 64 bits are possible.
enum class ImmRoom : std::uint8_t { k32, k64 };
Status decode_immediate(const EuWord& word, ImmRoom room, EuOperand& source, EuInst& inst) {
  SX_TRY(source.type, eu_immediate_type(source.type));
  const std::uint64_t low = word.get(kImmLow);
  switch (eu_immediate_bits(source.type)) {
    case 16: inst.imm = low & 0xFFFF; return {};
    case 32: inst.imm = low; return {};
    default: break;
  }
  if (room == ImmRoom::k32) return fail(EILSEQ, "no room for a 64-bit immediate");
  inst.imm = word.get(kImmHigh) << 32 | low;
  return {};
}

bool wide_immediate(const EuInst& inst) {
  return inst.src[0].file == EuFile::kImm && eu_immediate_bits(inst.src[0].type) == 64;
}

Status decode_one_source(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  SX_TRY(inst.dst, eu_decode_operand(word, kDst, EuOperandUse::kDestination));
  SX_TRY(inst.src[0], eu_decode_operand(word, kSrc0, EuOperandUse::kSource));
  if (inst.src[0].file == EuFile::kImm) SX_TRY_VOID(decode_immediate(word, ImmRoom::k64, inst.src[0], inst));
  decode_saturate(word, info.ignores, inst);
  return wide_immediate(inst) ? Status{} : decode_cond(word, info.ignores, inst);
}

Status decode_two_source(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  SX_TRY(inst.dst, eu_decode_operand(word, kDst, EuOperandUse::kDestination));
  SX_TRY(inst.src[0], eu_decode_operand(word, kSrc0, EuOperandUse::kSource));
  SX_TRY(inst.src[1], eu_decode_operand(word, kSrc1, EuOperandUse::kSource));
  if (inst.src[0].file == EuFile::kImm) return fail(EILSEQ, "the first of two sources cannot be immediate");
  if (inst.src[1].file == EuFile::kImm) SX_TRY_VOID(decode_immediate(word, ImmRoom::k32, inst.src[1], inst));
  decode_saturate(word, info.ignores, inst);
  return decode_cond(word, info.ignores, inst);
}

Status decode_sync(const EuWord& word, EuInst& inst) {
  inst.function = small(word, kCond);
  if (std::ranges::find(kSyncFunctions, inst.function) == kSyncFunctions.end())
    return fail(EILSEQ, "no such sync function");
  inst.exec_size = 1;
  inst.channel_offset = 0;
  SX_TRY(EuOperand source, eu_decode_operand(word, kSrc0, EuOperandUse::kPlainSource));
  if (source.file == EuFile::kImm) {
    SX_TRY_VOID(decode_immediate(word, ImmRoom::k32, source, inst));
  } else if (!source.null()) {
    return fail(EILSEQ, "sync takes null or an immediate");
  }
  inst.src[0] = {.file = source.file, .type = source.file == EuFile::kImm ? source.type : EuType::kUB};
  return {};
}

Status decode_math(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  inst.function = small(word, kCond);
  const auto function = static_cast<EuMath>(inst.function);
  if (std::ranges::find(kMathFunctions, function) == kMathFunctions.end()) return fail(EILSEQ, "no such math function");
  const bool macro = function == EuMath::kInvm || function == EuMath::kRsqtm;
  const EuOperandUse source_use = macro ? EuOperandUse::kMacroSource : EuOperandUse::kPlainSource;
  SX_TRY(inst.dst,
         eu_decode_operand(word, kDst, macro ? EuOperandUse::kMacroDestination : EuOperandUse::kPlainDestination));
  SX_TRY(inst.src[0], eu_decode_operand(word, kSrc0, source_use));
  if (inst.src[0].file == EuFile::kImm) {
    if (function == EuMath::kInvm) return fail(EILSEQ, "the first of two sources cannot be immediate");
    SX_TRY_VOID(decode_immediate(word, ImmRoom::k32, inst.src[0], inst));
  }
  if (function == EuMath::kInvm) {
    SX_TRY(inst.src[1], eu_decode_operand(word, kSrc1, source_use));
    if (inst.src[1].file == EuFile::kImm) SX_TRY_VOID(decode_immediate(word, ImmRoom::k32, inst.src[1], inst));
  }
  decode_saturate(word, info.ignores, inst);
  return {};
}

// ---- three sources

Status check_ternary_immediate(EuOperand& source) {
  SX_TRY(source.type, eu_immediate_type(source.type));
  if (eu_immediate_bits(source.type) != 16) return fail(EILSEQ, "immediates of three sources have 16 bits");
  return {};
}

Status decode_ternary_operands(const EuWord& word, EuFormat format, EuInst& inst) {
  const bool macro = format == EuFormat::kMacro;
  const EuOperandUse source_use = macro ? EuOperandUse::kMacroSource : EuOperandUse::kSource;
  SX_TRY(inst.dst,
         eu_decode_ternary(word, kTernaryDst, macro ? EuOperandUse::kMacroDestination : EuOperandUse::kDestination));
  SX_TRY(inst.src[0], eu_decode_ternary(word, kTernarySrc0, source_use));
  SX_TRY(inst.src[1], eu_decode_ternary(word, kTernarySrc1, source_use));
  SX_TRY(inst.src[2], eu_decode_ternary(word, kTernarySrc2, source_use));
  const bool imm0 = inst.src[0].file == EuFile::kImm;
  const bool imm2 = inst.src[2].file == EuFile::kImm;
  if (macro && (imm0 || imm2)) return fail(EILSEQ, "madm takes no immediate");
  if (imm0) SX_TRY_VOID(check_ternary_immediate(inst.src[0]));
  if (imm2) SX_TRY_VOID(check_ternary_immediate(inst.src[2]));
  if (imm0) inst.imm = word.get(kTernaryImm0);
  if (imm2) inst.imm |= word.get(kTernaryImm2) << (imm0 ? 16U : 0U);
  return {};
}

Status decode_three_source(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  SX_TRY_VOID(decode_ternary_operands(word, info.format, inst));
  decode_saturate(word, info.ignores, inst);
  if (info.format != EuFormat::kBfn) return decode_cond(word, info.ignores, inst);
  constexpr std::array<EuCond, 4> kConds = {EuCond::kNone, EuCond::kEq, EuCond::kGt, EuCond::kLt};
  inst.function = static_cast<std::uint8_t>(word.get(kBfnHigh) << 4 | word.get(kBfnLow));
  inst.cond = kConds[word.get(kBfnCond)];
  for (EuOperand& source : inst.src) source.neg = source.abs = false;  // their bits are the truth table
  return {};
}

Result<EuType> dpas_type(EuType type, std::uint64_t precision) {
  if (precision == 0) return type;
  if (precision == 3 || (type != EuType::kB && type != EuType::kUB))
    return fail(EILSEQ, "precision of a dpas source is reserved");
  if (type == EuType::kB) return precision == 1 ? EuType::kS4 : EuType::kS2;
  return precision == 1 ? EuType::kU4 : EuType::kU2;
}

Status decode_dpas(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  SX_TRY(inst.dst, eu_decode_ternary(word, kDpasDst, EuOperandUse::kDpas));
  SX_TRY(inst.src[0], eu_decode_ternary(word, kDpasSrc0, EuOperandUse::kDpas));
  SX_TRY(inst.src[1], eu_decode_ternary(word, kDpasSrc1, EuOperandUse::kDpas));
  SX_TRY(inst.src[2], eu_decode_ternary(word, kDpasSrc2, EuOperandUse::kDpas));
  SX_TRY(inst.src[1].type, dpas_type(inst.src[1].type, word.get(kDpasPrecision1)));
  SX_TRY(inst.src[2].type, dpas_type(inst.src[2].type, word.get(kDpasPrecision2)));
  inst.dpas.depth = static_cast<std::uint8_t>(1U << word.get(kDpasDepth));
  inst.dpas.repeat = static_cast<std::uint8_t>(word.get(kDpasRepeat) + 1);
  decode_saturate(word, info.ignores, inst);
  return decode_cond(word, info.ignores, inst);
}

// ---- branches

std::int32_t offset(const EuWord& word, EuField field) { return static_cast<std::int32_t>(word.get(field)); }

Status decode_branch(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  if (info.branch_control) inst.function = small(word, kBranchControl);
  if (info.format == EuFormat::kCall) {
    SX_TRY(inst.dst, eu_decode_operand(word, kBranchDst, EuOperandUse::kBranchDestination));
  }
  const bool by_register = !single_bit(word, kJipImmediate);
  if (info.format == EuFormat::kRet && !by_register) return fail(EILSEQ, "ret takes a register");
  if (by_register) {
    if (info.format == EuFormat::kBranch || info.format == EuFormat::kBranchBoth)
      return fail(EILSEQ, "this branch takes no register");
    SX_TRY(inst.src[0], eu_decode_operand(word, kBranchSrc, EuOperandUse::kBranchSource));
    return {};
  }
  inst.jip = offset(word, kJip);
  if (info.format != EuFormat::kBranchBoth && info.format != EuFormat::kJumpBoth) return {};
  if (!single_bit(word, kUipImmediate)) return fail(EILSEQ, "this branch takes no register");
  inst.uip = offset(word, kUip);
  return {};
}

// ---- send

std::uint32_t gather(const EuWord& word, std::span<const Piece> pieces) {
  std::uint64_t value = 0;
  for (const Piece& piece : pieces) value |= word.get(piece.field) << piece.low;
  return static_cast<std::uint32_t>(value);
}

/// Bits of the extended descriptor's word that are no offset when the rest stands in a0 (2.5).
constexpr std::uint32_t kExtDescA0Bits = 7U << 16;
constexpr std::uint32_t kExBsoBit = 1U << 15;

void decode_extended_descriptor(const EuWord& word, EuSend& send) {
  send.ext_desc = gather(word, kExtDesc);
  send.ext_desc_in_a0 = single_bit(word, kExtDescInA0);
  if (!send.ext_desc_in_a0) {
    send.src1_length = small(word, kSrc1Length);
    return;
  }
  send.ext_desc_a0 = small(word, kExtDescA0);
  send.ext_desc &= ~kExtDescA0Bits;
  if (send.sfid != EuSfid::kUgm) {
    send.ext_bso = single_bit(word, kExBso);
    send.ext_desc &= ~kExBsoBit;
  }
  if (send.sfid == EuSfid::kUgm || send.ext_bso) send.src1_length = small(word, kSrc1Length);
}

Status decode_send(const EuWord& word, EuInst& inst) {
  SX_TRY(inst.dst, eu_decode_operand(word, kSendDst, EuOperandUse::kPayload));
  SX_TRY(inst.src[0], eu_decode_operand(word, kSendSrc0, EuOperandUse::kPayload));
  SX_TRY(inst.src[1], eu_decode_operand(word, kSendSrc1, EuOperandUse::kPayload));
  EuSend& send = inst.send;
  constexpr std::uint64_t kReserved = 9;
  if (word.get(kCond) == kReserved) return fail(EILSEQ, "no such shared function");
  send.sfid = static_cast<EuSfid>(word.get(kCond));
  send.end_of_thread = single_bit(word, kEndOfThread);
  send.desc_in_a0 = single_bit(word, kDescInA0);
  if (!send.desc_in_a0) send.desc = gather(word, kDesc);
  decode_extended_descriptor(word, send);
  return {};
}

Status decode_format(const EuWord& word, const EuOpInfo& info, EuInst& inst) {
  switch (info.format) {
    case EuFormat::kBare: return {};
    case EuFormat::kSync: return decode_sync(word, inst);
    case EuFormat::kOneSource: return decode_one_source(word, info, inst);
    case EuFormat::kTwoSource: return decode_two_source(word, info, inst);
    case EuFormat::kMath: return decode_math(word, info, inst);
    case EuFormat::kThreeSource:
    case EuFormat::kBfn:
    case EuFormat::kMacro: return decode_three_source(word, info, inst);
    case EuFormat::kDpas: return decode_dpas(word, info, inst);
    case EuFormat::kJump:
    case EuFormat::kJumpBoth:
    case EuFormat::kBranch:
    case EuFormat::kBranchBoth:
    case EuFormat::kCall:
    case EuFormat::kRet: return decode_branch(word, info, inst);
    case EuFormat::kSend: return decode_send(word, inst);
  }
  return fail(EILSEQ, "no such format");
}

void drop_ignored_modifiers(EuIgnores ignores, EuInst& inst) {
  if (!ignores.modifiers) return;
  for (EuOperand& source : inst.src) source.neg = source.abs = false;
}

Result<EuInst> decode_native(const EuWord& word, const EuOpInfo& info) {
  EuInst inst;
  inst.op = info.op;
  if (info.format == EuFormat::kBare) return inst;
  inst.scoreboard = static_cast<std::uint16_t>(word.get(kScoreboard));
  inst.atomic = single_bit(word, kAtomic);
  inst.breakpoint = single_bit(word, kBreakpoint);
  inst.no_mask = single_bit(word, kNoMask);
  SX_TRY_VOID(decode_channels(word, inst));
  decode_predicate(word, info.ignores, inst);
  SX_TRY_VOID(decode_format(word, info, inst));
  drop_ignored_modifiers(info.ignores, inst);
  decode_flag(word, inst);
  return inst;
}

}  // namespace

Result<EuInst> eu_decode(std::span<const std::byte> bytes) {
  constexpr std::size_t kHalf = 8;
  if (bytes.size() < kHalf) return fail(ENODATA, "the bytes end within an instruction");
  constexpr auto kOpcodeBits = std::byte{0x7F};
  const EuOpInfo* info = eu_find_op(std::to_integer<std::uint8_t>(bytes[0] & kOpcodeBits));
  if (info == nullptr) return fail(EILSEQ, "no such opcode");
  constexpr auto kCompactedBit = std::byte{0x20};  // bit 29
  if ((bytes[3] & kCompactedBit) != std::byte{}) {
    SX_TRY(const EuWord word, eu_expand(bytes.first<kHalf>(), *info));
    SX_TRY(EuInst inst, decode_native(word, *info));
    inst.bytes = kHalf;
    return inst;
  }
  if (bytes.size() < 2 * kHalf) return fail(ENODATA, "the bytes end within an instruction");
  return decode_native(EuWord::load(bytes.first<2 * kHalf>()), *info);
}

}  // namespace softxe
