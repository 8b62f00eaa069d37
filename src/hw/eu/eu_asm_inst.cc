#include "hw/eu/eu_asm_inst.h"

#include <algorithm>
#include <optional>

#include "hw/eu/eu_asm_message.h"
#include "hw/eu/eu_asm_untyped.h"
#include "hw/eu/eu_names.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {
namespace {

// ---- before the operands

/// "(W&~f0.1.any)"; the bracket is known to be there when `scan` stands before one.
Status parse_predicate(EuScan& scan, EuInst& inst) {
  if (!scan.eat('(')) return {};
  bool flag = true;
  if (scan.eat('W')) {
    inst.no_mask = true;
    flag = scan.eat('&');
  }
  if (flag) {
    inst.pred_inverted = scan.eat('~');
    SX_TRY_VOID(eu_parse_flag(scan, inst));
    inst.pred = scan.eat(".any") ? EuPred::kAny : scan.eat(".all") ? EuPred::kAll : EuPred::kChannel;
  }
  return scan.expect(')', ") is missing");
}

bool macro_math(const EuInst& inst) {
  if (inst.op != EuOp::kMath) return false;
  const auto function = static_cast<EuMath>(inst.function);
  return function == EuMath::kInvm || function == EuMath::kRsqtm;
}

Status parse_channel_numbers(EuScan& scan, EuInst& inst) {
  constexpr const char* kWhy = "channels are written (16|M0)";
  SX_TRY(const std::uint32_t size, scan.digits(kWhy));
  std::uint32_t offset = 0;
  if (scan.eat('|')) {
    if (!scan.eat('M')) return fail(EINVAL, kWhy);
    SX_TRY(offset, scan.digits(kWhy));
  }
  if (size == 0 || size > 32 || offset > 24) return fail(EINVAL, "channels are 1 to 32 from M0, M8, M16 or M24");
  inst.exec_size = static_cast<std::uint8_t>(size);
  inst.channel_offset = static_cast<std::uint8_t>(offset);
  return {};
}

/// Which of the brackets behind a mnemonic were there.
enum class Channels : std::uint8_t { kMissing, kGiven };

Result<Channels> parse_brackets(EuScan& scan, EuInst& inst) {
  auto channels = Channels::kMissing;
  bool eo = false;
  while (scan.peek() == '(') {
    const std::size_t start = scan.position();
    scan.eat('(');
    const char next = scan.peek();
    if (next >= '0' && next <= '9') {
      SX_TRY_VOID(parse_channel_numbers(scan, inst));
      channels = Channels::kGiven;
      SX_TRY_VOID(scan.expect(')', ") is missing"));
      continue;
    }
    const std::string_view word = scan.word();
    const auto* cond = eu_find_name(kEuCondNames, word);
    eo = eo || (word == "eo" && macro_math(inst));
    if (word == "sat") {
      inst.saturate = true;
    } else if (cond != nullptr) {
      inst.cond = cond->value;
    } else if (word != "eo" || !eo) {
      scan.go_back_to(start);
      return fail(EINVAL, "no such condition");
    }
    SX_TRY_VOID(scan.expect(')', ") is missing"));
    if (word != "sat") SX_TRY_VOID(eu_parse_flag(scan, inst));
  }
  if (macro_math(inst) && !eo) return fail(EINVAL, "(eo) and its flag are missing");
  return channels;
}

// ---- the mnemonic

Status parse_dpas_suffix(std::string_view suffix, EuInst& inst) {
  const std::size_t times = suffix.find('x');
  constexpr const char* kWhy = "dpas is written dpas.8x8: depth and repeat count";
  if (times == std::string_view::npos) return fail(EINVAL, kWhy);
  SX_TRY(const std::int64_t depth, eu_parse_integer(suffix.substr(0, times), kWhy));
  SX_TRY(const std::int64_t repeat, eu_parse_integer(suffix.substr(times + 1), kWhy));
  if (depth < 1 || depth > 8 || repeat < 1 || repeat > 8) return fail(EINVAL, kWhy);
  inst.dpas = {.depth = static_cast<std::uint8_t>(depth), .repeat = static_cast<std::uint8_t>(repeat)};
  return {};
}

Status parse_suffix(std::string_view suffix, const EuOpInfo& info, EuInst& inst) {
  switch (info.format) {
    case EuFormat::kMath: {
      const auto* row = eu_find_name(kEuMathNames, suffix);
      if (row == nullptr) return fail(EINVAL, "no such math function");
      inst.function = static_cast<std::uint8_t>(row->value);
      return {};
    }
    case EuFormat::kSync: {
      const auto* row = eu_find_name(kEuSyncNames, suffix);
      if (row == nullptr) return fail(EINVAL, "no such sync function");
      inst.function = row->value;
      return {};
    }
    case EuFormat::kSend: {
      const auto* row = eu_find_name(kEuSfidNames, suffix);
      if (row == nullptr) return fail(EINVAL, "no such shared function");
      inst.send.sfid = row->value;
      return {};
    }
    case EuFormat::kBfn: {
      SX_TRY(const std::int64_t table, eu_parse_integer(suffix, "bfn is written bfn.0xD8: its truth table"));
      if (table < 0 || table > 255) return fail(EINVAL, "the truth table of bfn has 8 bits");
      inst.function = static_cast<std::uint8_t>(table);
      return {};
    }
    case EuFormat::kDpas: return parse_dpas_suffix(suffix, inst);
    default: break;
  }
  if (suffix.empty()) return {};
  if (suffix != "b" || !info.branch_control) return fail(EINVAL, "no such operation");
  inst.function = 1;
  return {};
}

Status parse_operation(std::string_view mnemonic, EuInst& inst) {
  const std::size_t dot = std::min(mnemonic.find('.'), mnemonic.size());
  const EuOpInfo* info = eu_find_op(mnemonic.substr(0, dot));
  if (info == nullptr) return fail(EINVAL, "no such operation");
  inst.op = info->op;
  return parse_suffix(mnemonic.substr(std::min(dot + 1, mnemonic.size())), *info, inst);
}

// ---- operands

Status parse_sync_operand(EuScan& scan, EuInst& inst) {
  inst.src[0] = {.file = EuFile::kArf};
  const std::size_t start = scan.position();
  if (scan.word() == "null") return {};
  scan.go_back_to(start);
  SX_TRY(inst.src[0], eu_parse_immediate(scan, inst.imm));
  return {};
}

EuSourceForm form_of(EuFormat format, unsigned source) {
  switch (format) {
    case EuFormat::kMacro: return EuSourceForm::kMacro;
    case EuFormat::kDpas: return EuSourceForm::kDpas;
    case EuFormat::kThreeSource:
    case EuFormat::kBfn: return source == 2 ? EuSourceForm::kTernaryLast : EuSourceForm::kTernary;
    default: return EuSourceForm::kRegion;
  }
}

Status parse_operands(EuScan& scan, const EuAsmContext& context, const EuOpInfo& info, EuInst& inst) {
  const auto place = [&](unsigned source) {
    return EuAsmPlace{.context = context, .exec_size = inst.exec_size, .form = form_of(info.format, source)};
  };
  SX_TRY(inst.dst, eu_parse_destination(scan, place(0)));
  for (unsigned i = 0; i < eu_source_count(inst); ++i) {
    std::uint64_t imm = 0;
    SX_TRY(inst.src[i], eu_parse_source(scan, place(i), imm));
    inst.imm |= eu_two_immediates(inst) && i == 2 ? imm << 16 : imm;
  }
  // The third operand of madm has a horizontal stride only, as that of every operation.
  if (info.format == EuFormat::kMacro) inst.src[2].region = {.vertical = 1, .width = 1, .horizontal = 0};
  return {};
}

// ---- behind the operands

/// The scoreboard as iga writes it, such as I@1 or $3.dst: it says nothing here, but text of iga64 can be read.
bool eat_scoreboard(EuScan& scan) {
  const std::size_t start = scan.position();
  scan.word();
  if (!scan.eat('@') && !scan.eat('$')) {
    scan.go_back_to(start);
    return false;
  }
  if (!scan.digits("a number is missing")) return false;
  if (!scan.eat(".dst")) scan.eat(".src");
  return true;
}

Status parse_option(EuScan& scan, EuInst& inst) {
  if (eat_scoreboard(scan)) return {};
  const std::size_t start = scan.position();
  const std::string_view word = scan.word();
  if (word == "Compacted") {
    inst.bytes = 8;
  } else if (word == "Atomic") {
    inst.atomic = true;
  } else if (word == "Breakpoint") {
    inst.breakpoint = true;
  } else if (word == "EOT" && inst.op == EuOp::kSend) {
    inst.send.end_of_thread = true;
  } else if (word == "ExBSO" && inst.send.ext_desc_in_a0) {
    return {};
  } else if (word == "sb") {
    SX_TRY_VOID(scan.expect(':', "scoreboard bits are written sb:0x19"));
    SX_TRY(const std::int64_t bits, scan.integer("scoreboard bits are written sb:0x19"));
    if (bits < 0 || bits > 0x3FF) return fail(EINVAL, "the scoreboard has 10 bits");
    inst.scoreboard = static_cast<std::uint16_t>(bits);
  } else {
    scan.go_back_to(start);
    return fail(EINVAL, "no such option");
  }
  return {};
}

Status parse_options(EuScan& scan, EuInst& inst) {
  if (!scan.eat('{')) return {};
  if (scan.eat('}')) return {};
  do {
    SX_TRY_VOID(parse_option(scan, inst));
  } while (scan.eat(','));
  return scan.expect('}', "} is missing");
}

/// Channels where none are written: scalar operations have one, the others what .simd says.
Status default_channels(const EuAsmContext& context, EuInst& inst) {
  if (context.simd == 0) return fail(EINVAL, "channels such as (16|M0) are missing");
  inst.exec_size = context.simd;
  return {};
}

bool without_channels(const EuInst& inst, EuFormat format) {
  return format == EuFormat::kBare || format == EuFormat::kSync || inst.op == EuOp::kJmpi;
}

Status parse_operation_rest(EuScan& scan, const EuAsmContext& context, const EuOpInfo& info, EuStatement& out) {
  EuInst& inst = out.insts[0];
  SX_TRY(const Channels channels, parse_brackets(scan, inst));
  if (channels == Channels::kMissing && !without_channels(inst, info.format))
    SX_TRY_VOID(default_channels(context, inst));
  switch (info.format) {
    case EuFormat::kBare: return {};
    case EuFormat::kSync: return parse_sync_operand(scan, inst);
    case EuFormat::kSend: return eu_parse_send_operands(scan, context, inst);
    case EuFormat::kJump:
    case EuFormat::kJumpBoth:
    case EuFormat::kBranch:
    case EuFormat::kBranchBoth:
    case EuFormat::kCall:
    case EuFormat::kRet: return eu_parse_branch_operands(scan, context, out);
    default: return parse_operands(scan, context, info, inst);
  }
}

/// A message without channels is scalar and for every mask, as the compiler writes them.
Status parse_message_rest(std::string_view mnemonic, EuScan& scan, const EuAsmContext& context, EuStatement& out) {
  EuInst inst = out.insts[0];
  SX_TRY(const Channels channels, parse_brackets(scan, inst));
  if (channels == Channels::kMissing) inst.no_mask = true;
  SX_TRY(out.insts, eu_parse_message(mnemonic, scan, context, inst));
  return {};
}

}  // namespace

Result<EuStatement> eu_parse_statement(EuScan& scan, const EuAsmContext& context) {
  EuStatement out;
  out.insts.resize(1);
  SX_TRY_VOID(parse_predicate(scan, out.insts[0]));
  scan.peek();  // to the mnemonic
  const std::size_t start = scan.position();
  const std::string_view mnemonic = scan.chunk();
  const bool message = eu_is_message(mnemonic);
  const Status known = message ? eu_check_message(mnemonic) : parse_operation(mnemonic, out.insts[0]);
  if (!known) {
    scan.go_back_to(start);
    return fail(known.error());
  }
  if (message) {
    SX_TRY_VOID(parse_message_rest(mnemonic, scan, context, out));
  } else {
    SX_TRY_VOID(parse_operation_rest(scan, context, eu_op_info(out.insts[0].op), out));
  }
  SX_TRY_VOID(parse_options(scan, out.insts[0]));
  if (!scan.at_end()) return fail(EINVAL, "this is not expected here");
  return out;
}

}  // namespace softxe
