#include "hw/eu/eu_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hw/eu/eu_names.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {

/// Appends to an EuText; what does not fit is cut.
class EuTextWriter {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> form, Args&&... args) {
    const auto room = text_.chars_.size() - text_.size_;
    const auto done = fmt::format_to_n(text_.chars_.data() + text_.size_, room, form, std::forward<Args>(args)...);
    text_.size_ = static_cast<std::uint16_t>(text_.size_ + std::min<std::size_t>(done.size, room));
  }

  EuText take() const { return text_; }

 private:
  EuText text_;
};

namespace {

using Writer = EuTextWriter;

/// How much of an operand's place and region a format writes.
enum class Shape : std::uint8_t {
  kDestination,
  kSource,
  kTernary,
  kTernaryLast,
  kMacro,
  kMacroRegion,
  kDpas,
  kDpasLast
};

bool is_macro(const EuInst& inst) {
  if (inst.op == EuOp::kMadm) return true;
  if (inst.op != EuOp::kMath) return false;
  const auto function = static_cast<EuMath>(inst.function);
  return function == EuMath::kInvm || function == EuMath::kRsqtm;
}

// ---- parts before the operands

void add_flag(Writer& out, const EuInst& inst) { out.add("f{}.{}", inst.flag, inst.flag_sub); }

void add_predicate(Writer& out, const EuInst& inst) {
  if (!inst.no_mask && inst.pred == EuPred::kNone) return;
  out.add("({}", inst.no_mask ? "W" : "");
  if (inst.pred != EuPred::kNone) {
    out.add("{}{}", inst.no_mask ? "&" : "", inst.pred_inverted ? "~" : "");
    add_flag(out, inst);
    if (inst.pred == EuPred::kAny) out.add(".any");
    if (inst.pred == EuPred::kAll) out.add(".all");
  }
  out.add(") ");
}

void add_mnemonic(Writer& out, const EuInst& inst, const EuOpInfo& info) {
  out.add("{}", info.name);
  switch (info.format) {
    case EuFormat::kSync: out.add(".{}", eu_name_of(kEuSyncNames, inst.function)); break;
    case EuFormat::kMath: out.add(".{}", eu_name_of(kEuMathNames, static_cast<EuMath>(inst.function))); break;
    case EuFormat::kBfn: out.add(".0x{:02X}", inst.function); break;
    case EuFormat::kDpas: out.add(".{}x{}", inst.dpas.depth, inst.dpas.repeat); break;
    case EuFormat::kSend: out.add(".{}", eu_name_of(kEuSfidNames, inst.send.sfid)); break;
    default:
      if (info.branch_control && inst.function != 0) out.add(".b");
      break;
  }
}

void add_channels(Writer& out, const EuInst& inst, const EuOpInfo& info) {
  if (info.format == EuFormat::kBare || info.format == EuFormat::kSync) return;
  if (inst.op == EuOp::kJmpi && inst.channel_offset == 0) return;
  out.add(" ({}|M{})", inst.exec_size, inst.channel_offset);
}

void add_condition(Writer& out, const EuInst& inst) {
  const bool macro = is_macro(inst) && inst.op == EuOp::kMath;
  if (inst.cond != EuCond::kNone || macro) {
    out.add(" ({})", macro ? "eo" : eu_name_of(kEuCondNames, inst.cond));
    add_flag(out, inst);
  }
  if (inst.saturate) out.add(" (sat)");
}

// ---- operands

void add_register(Writer& out, const EuOperand& operand) {
  if (operand.file == EuFile::kGrf) {
    out.add("r{}", operand.reg);
    return;
  }
  const auto* row = std::ranges::find(kEuArfNames, operand.arf(), &EuArfName::value);
  if (row == std::end(kEuArfNames)) return;
  out.add("{}", row->name);
  if (row->form == EuArfForm::kNumbered) out.add("{}", operand.reg & 0xF);
}

void add_subregister(Writer& out, const EuOperand& operand) {
  if (operand.null()) return;
  const bool bare = operand.file == EuFile::kArf && (operand.arf() == EuArf::kCe || operand.arf() == EuArf::kIp);
  if (bare) {
    if (operand.subreg != 0) out.add(".{}", operand.subreg / 2);
    return;
  }
  out.add(".{}", operand.subreg * eu_elements_per_byte(operand.type) / eu_type_bytes(operand.type));
}

void add_place(Writer& out, const EuOperand& operand, Shape shape) {
  if (operand.indirect) {
    out.add("r[a0.{}", operand.a0);
    if (operand.offset != 0) out.add(",{}", operand.offset);
    out.add("]");
    return;
  }
  add_register(out, operand);
  constexpr std::uint8_t kNoMacro = 8;
  if (shape == Shape::kMacro || shape == Shape::kMacroRegion) {
    if (operand.mme == kNoMacro) out.add(".nomme");
    if (operand.mme != kNoMacro) out.add(".mme{}", operand.mme);
    return;
  }
  if (shape != Shape::kDpas || operand.subreg != 0) add_subregister(out, operand);
}

void add_region(Writer& out, const EuOperand& operand, Shape shape) {
  const EuRegion& region = operand.region;
  switch (shape) {
    case Shape::kDestination: out.add("<{}>", region.horizontal); break;
    case Shape::kTernary: out.add("<{};{}>", region.vertical, region.horizontal); break;
    case Shape::kTernaryLast: out.add("<{}>", region.vertical); break;
    case Shape::kSource:
    case Shape::kMacroRegion:
      if (region.vertical != EuRegion::kVxH) out.add("<{};{},{}>", region.vertical, region.width, region.horizontal);
      if (region.vertical == EuRegion::kVxH) out.add("<{},{}>", region.width, region.horizontal);
      break;
    default: break;
  }
}

void add_modifiers(Writer& out, const EuOperand& operand, const EuOpInfo& info) {
  if (operand.neg) out.add("{}", info.logic && !operand.abs ? "~" : "-");
  if (operand.abs) out.add("(abs)");
}

void add_destination(Writer& out, const EuOperand& dst, Shape shape) {
  out.add(" ");
  add_place(out, dst, shape);
  const bool packed_macro = shape == Shape::kMacro && dst.region.horizontal == 1;
  if (shape != Shape::kDpas && !packed_macro) add_region(out, dst, Shape::kDestination);
  out.add(":{}", eu_name_of(kEuTypeNames, dst.type));
}

void add_source(Writer& out, const EuInst& inst, const EuOpInfo& info, unsigned number, Shape shape) {
  const EuOperand& source = inst.src[number];
  out.add(" ");
  if (source.file == EuFile::kImm) {
    out.add("0x{:X}:{}", eu_imm(inst, number), eu_name_of(kEuTypeNames, source.type));
    return;
  }
  add_modifiers(out, source, info);
  add_place(out, source, shape);
  add_region(out, source, shape);
  out.add(":{}", eu_name_of(kEuTypeNames, source.type));
}

/// What the operands of a format look like: destination, then sources.
struct Shapes {
  Shape dst;
  Shape src[3];
};
Shapes shapes_of(const EuInst& inst, EuFormat format) {
  switch (format) {
    case EuFormat::kMacro: return {Shape::kMacro, {Shape::kMacro, Shape::kMacro, Shape::kMacro}};
    case EuFormat::kDpas: return {Shape::kDpas, {Shape::kDpas, Shape::kDpas, Shape::kDpasLast}};
    case EuFormat::kThreeSource:
    case EuFormat::kBfn: return {Shape::kDestination, {Shape::kTernary, Shape::kTernary, Shape::kTernaryLast}};
    default: break;
  }
  if (is_macro(inst)) return {Shape::kMacro, {Shape::kMacroRegion, Shape::kMacroRegion, Shape::kMacroRegion}};
  return {Shape::kDestination, {Shape::kSource, Shape::kSource, Shape::kSource}};
}

void add_operands(Writer& out, const EuInst& inst, const EuOpInfo& info) {
  const Shapes shapes = shapes_of(inst, info.format);
  add_destination(out, inst.dst, shapes.dst);
  for (unsigned i = 0; i < eu_source_count(inst); ++i) add_source(out, inst, info, i, shapes.src[i]);
}

void add_sync_operand(Writer& out, const EuInst& inst) {
  if (inst.src[0].file != EuFile::kImm) return out.add(" null");
  out.add(" 0x{:X}:{}", inst.imm, eu_name_of(kEuTypeNames, inst.src[0].type));
}

// ---- branches and sends: operands without types

void add_untyped(Writer& out, const EuOperand& operand) {
  out.add(" ");
  add_register(out, operand);
  add_subregister(out, operand);
}

void add_branch_operands(Writer& out, const EuInst& inst, EuFormat format) {
  if (format == EuFormat::kCall) add_untyped(out, inst.dst);
  if (inst.src[0].file != EuFile::kNone) return add_untyped(out, inst.src[0]);
  out.add(" {}", inst.jip);
  if (format == EuFormat::kBranchBoth || format == EuFormat::kJumpBoth) out.add(" {}", inst.uip);
}

void add_payload(Writer& out, const EuOperand& operand) {
  out.add(" ");
  add_register(out, operand);
}

void add_src1_length(Writer& out, const EuSend& send) {
  const bool in_a0 = send.ext_desc_in_a0 && send.sfid != EuSfid::kUgm && !send.ext_bso;
  if (in_a0) return out.add(":a0");
  out.add(":{}", send.src1_length);
}

void add_descriptors(Writer& out, const EuSend& send) {
  if (!send.ext_desc_in_a0) {
    out.add(" 0x{:X}", send.ext_desc);
  } else if (send.ext_desc == 0) {
    out.add(" a0.{}", send.ext_desc_a0);
  } else {
    out.add(" 0x{:X}:a0.{}", send.ext_desc, send.ext_desc_a0);
  }
  if (send.desc_in_a0) {
    out.add(" a0.0");
  } else {
    out.add(" 0x{:08X}", send.desc);
  }
  if (send.end_of_thread) out.add(" EOT");
}

void add_send_operands(Writer& out, const EuInst& inst, EuTextStyle style) {
  add_payload(out, inst.dst);
  add_payload(out, inst.src[0]);
  add_payload(out, inst.src[1]);
  if (style == EuTextStyle::kComplete) add_src1_length(out, inst.send);
  add_descriptors(out, inst.send);
}

void add_options(Writer& out, const EuInst& inst) {
  const std::pair<bool, std::string_view> words[] = {
      {inst.bytes == 8, "Compacted"}, {inst.atomic, "Atomic"}, {inst.breakpoint, "Breakpoint"}};
  std::string_view separator = " {";
  for (const auto& [given, word] : words)
    if (given) out.add("{}{}", std::exchange(separator, ","), word);
  if (inst.scoreboard != 0) out.add("{}sb:0x{:X}", std::exchange(separator, ","), inst.scoreboard);
  if (separator == ",") out.add("}}");
}

}  // namespace

EuText eu_text(const EuInst& inst, EuTextStyle style) {
  const EuOpInfo& info = eu_op_info(inst.op);
  Writer out;
  add_predicate(out, inst);
  add_mnemonic(out, inst, info);
  add_channels(out, inst, info);
  add_condition(out, inst);
  switch (info.format) {
    case EuFormat::kBare: break;
    case EuFormat::kSync: add_sync_operand(out, inst); break;
    case EuFormat::kJump:
    case EuFormat::kJumpBoth:
    case EuFormat::kBranch:
    case EuFormat::kBranchBoth:
    case EuFormat::kCall:
    case EuFormat::kRet: add_branch_operands(out, inst, info.format); break;
    case EuFormat::kSend: add_send_operands(out, inst, style); break;
    default: add_operands(out, inst, info); break;
  }
  if (style == EuTextStyle::kComplete) add_options(out, inst);
  return out.take();
}

}  // namespace softxe
