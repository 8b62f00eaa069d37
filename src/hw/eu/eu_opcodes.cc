#include "hw/eu/eu_opcodes.h"

#include <algorithm>
#include <array>

#include "base/result.h"

namespace softxe {
namespace {

// clang-format off
constexpr EuOpInfo kOps[] = {
    {.op = EuOp::kIllegal, .name = "illegal", .format = EuFormat::kBare},
    {.op = EuOp::kSync, .name = "sync", .format = EuFormat::kSync, .ignores = {.pred = true}},
    {.op = EuOp::kJmpi, .name = "jmpi", .format = EuFormat::kJump},
    {.op = EuOp::kBrd, .name = "brd", .format = EuFormat::kJump},
    {.op = EuOp::kIf, .name = "if", .format = EuFormat::kBranchBoth, .branch_control = true},
    {.op = EuOp::kBrc, .name = "brc", .format = EuFormat::kJumpBoth},
    {.op = EuOp::kElse, .name = "else", .format = EuFormat::kBranchBoth, .branch_control = true, .ignores = {.pred = true}},
    {.op = EuOp::kEndif, .name = "endif", .format = EuFormat::kBranch, .ignores = {.pred = true}},
    {.op = EuOp::kWhile, .name = "while", .format = EuFormat::kBranch},
    {.op = EuOp::kBreak, .name = "break", .format = EuFormat::kBranchBoth},
    {.op = EuOp::kCont, .name = "cont", .format = EuFormat::kBranchBoth},
    {.op = EuOp::kHalt, .name = "halt", .format = EuFormat::kBranchBoth},
    {.op = EuOp::kCalla, .name = "calla", .format = EuFormat::kCall},
    {.op = EuOp::kCall, .name = "call", .format = EuFormat::kCall},
    {.op = EuOp::kRet, .name = "ret", .format = EuFormat::kRet},
    {.op = EuOp::kGoto, .name = "goto", .format = EuFormat::kBranchBoth, .branch_control = true},
    {.op = EuOp::kJoin, .name = "join", .format = EuFormat::kBranch},
    {.op = EuOp::kSend, .name = "send", .format = EuFormat::kSend},
    {.op = EuOp::kSendc, .name = "sendc", .format = EuFormat::kSend},
    {.op = EuOp::kMath, .name = "math", .format = EuFormat::kMath},
    {.op = EuOp::kAdd, .name = "add", .format = EuFormat::kTwoSource},
    {.op = EuOp::kMul, .name = "mul", .format = EuFormat::kTwoSource},
    {.op = EuOp::kAvg, .name = "avg", .format = EuFormat::kTwoSource},
    {.op = EuOp::kFrc, .name = "frc", .format = EuFormat::kOneSource, .ignores = {.saturate = true}},
    {.op = EuOp::kRndu, .name = "rndu", .format = EuFormat::kOneSource},
    {.op = EuOp::kRndd, .name = "rndd", .format = EuFormat::kOneSource},
    {.op = EuOp::kRnde, .name = "rnde", .format = EuFormat::kOneSource},
    {.op = EuOp::kRndz, .name = "rndz", .format = EuFormat::kOneSource},
    {.op = EuOp::kMac, .name = "mac", .format = EuFormat::kTwoSource},
    {.op = EuOp::kMach, .name = "mach", .format = EuFormat::kTwoSource, .ignores = {.saturate = true, .cond = true}},
    {.op = EuOp::kLzd, .name = "lzd", .format = EuFormat::kOneSource, .ignores = {.modifiers = true, .saturate = true}},
    {.op = EuOp::kFbh, .name = "fbh", .format = EuFormat::kOneSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kFbl, .name = "fbl", .format = EuFormat::kOneSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kCbit, .name = "cbit", .format = EuFormat::kOneSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kAddc, .name = "addc", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true, .saturate = true}},
    {.op = EuOp::kSubb, .name = "subb", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true}},
    {.op = EuOp::kAdd3, .name = "add3", .format = EuFormat::kThreeSource},
    {.op = EuOp::kMacl, .name = "macl", .format = EuFormat::kTwoSource, .ignores = {.saturate = true, .cond = true}},
    {.op = EuOp::kSrnd, .name = "srnd", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true, .saturate = true, .cond = true, .pred = true}},
    {.op = EuOp::kDp4a, .name = "dp4a", .format = EuFormat::kThreeSource, .ignores = {.modifiers = true}},
    {.op = EuOp::kDpas, .name = "dpas", .format = EuFormat::kDpas, .ignores = {.saturate = true, .cond = true, .pred = true}},
    {.op = EuOp::kMad, .name = "mad", .format = EuFormat::kThreeSource},
    {.op = EuOp::kMadm, .name = "madm", .format = EuFormat::kMacro, .ignores = {.saturate = true, .cond = true}},
    {.op = EuOp::kNop, .name = "nop", .format = EuFormat::kBare},
    {.op = EuOp::kMov, .name = "mov", .format = EuFormat::kOneSource},
    {.op = EuOp::kSel, .name = "sel", .format = EuFormat::kTwoSource},
    {.op = EuOp::kMovi, .name = "movi", .format = EuFormat::kTwoSource, .ignores = {.cond = true}},
    {.op = EuOp::kNot, .name = "not", .format = EuFormat::kOneSource, .logic = true, .ignores = {.saturate = true}},
    {.op = EuOp::kAnd, .name = "and", .format = EuFormat::kTwoSource, .logic = true, .ignores = {.saturate = true}},
    {.op = EuOp::kOr, .name = "or", .format = EuFormat::kTwoSource, .logic = true, .ignores = {.saturate = true}},
    {.op = EuOp::kXor, .name = "xor", .format = EuFormat::kTwoSource, .logic = true, .ignores = {.saturate = true}},
    {.op = EuOp::kShr, .name = "shr", .format = EuFormat::kTwoSource},
    {.op = EuOp::kShl, .name = "shl", .format = EuFormat::kTwoSource},
    {.op = EuOp::kBfn, .name = "bfn", .format = EuFormat::kBfn, .ignores = {.saturate = true}},
    {.op = EuOp::kAsr, .name = "asr", .format = EuFormat::kTwoSource},
    {.op = EuOp::kRor, .name = "ror", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true, .saturate = true}},
    {.op = EuOp::kRol, .name = "rol", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true, .saturate = true}},
    {.op = EuOp::kCmp, .name = "cmp", .format = EuFormat::kTwoSource, .ignores = {.saturate = true}},
    {.op = EuOp::kCmpn, .name = "cmpn", .format = EuFormat::kTwoSource, .ignores = {.saturate = true}},
    {.op = EuOp::kCsel, .name = "csel", .format = EuFormat::kThreeSource, .ignores = {.pred = true}},
    {.op = EuOp::kBfrev, .name = "bfrev", .format = EuFormat::kOneSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kBfe, .name = "bfe", .format = EuFormat::kThreeSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kBfi1, .name = "bfi1", .format = EuFormat::kTwoSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
    {.op = EuOp::kBfi2, .name = "bfi2", .format = EuFormat::kThreeSource, .ignores = {.modifiers = true, .saturate = true, .cond = true}},
};
// clang-format on

constexpr std::uint8_t kNoRow = 0xFF;

/// Row of each opcode in `kOps`.
constexpr std::array<std::uint8_t, 128> kRows = [] {
  std::array<std::uint8_t, 128> rows{};
  rows.fill(kNoRow);
  for (std::size_t row = 0; row < std::size(kOps); ++row)
    rows[static_cast<std::uint8_t>(kOps[row].op)] = static_cast<std::uint8_t>(row);
  return rows;
}();

bool has_register(const EuInst& inst) { return inst.src[0].file != EuFile::kNone; }

}  // namespace

const EuOpInfo* eu_find_op(std::uint8_t opcode) {
  const std::uint8_t row = opcode < kRows.size() ? kRows[opcode] : kNoRow;
  return row == kNoRow ? nullptr : &kOps[row];
}

const EuOpInfo& eu_op_info(EuOp op) {
  const EuOpInfo* info = eu_find_op(static_cast<std::uint8_t>(op));
  SX_ASSERT(info != nullptr);
  return *info;
}

const EuOpInfo* eu_find_op(std::string_view name) {
  const auto* found = std::ranges::find(kOps, name, &EuOpInfo::name);
  return found == std::end(kOps) ? nullptr : found;
}

unsigned eu_source_count(const EuInst& inst) {
  switch (eu_op_info(inst.op).format) {
    case EuFormat::kBare:
    case EuFormat::kBranch:
    case EuFormat::kBranchBoth: return 0;
    case EuFormat::kSync:
    case EuFormat::kRet:
    case EuFormat::kOneSource: return 1;
    case EuFormat::kJump:
    case EuFormat::kJumpBoth:
    case EuFormat::kCall: return has_register(inst) ? 1 : 0;
    case EuFormat::kMath: return inst.function == static_cast<std::uint8_t>(EuMath::kInvm) ? 2 : 1;
    case EuFormat::kTwoSource:
    case EuFormat::kSend: return 2;
    case EuFormat::kThreeSource:
    case EuFormat::kBfn:
    case EuFormat::kMacro:
    case EuFormat::kDpas: return 3;
  }
  return 0;
}

}  // namespace softxe
