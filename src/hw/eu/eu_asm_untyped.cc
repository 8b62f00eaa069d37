#include "hw/eu/eu_asm_untyped.h"

#include <cstdint>

#include "hw/eu/eu_asm_message.h"
#include "hw/eu/eu_opcodes.h"

namespace softxe {
namespace {

bool is_offset(EuScan& scan) {
  const char next = scan.peek();
  return (next >= '0' && next <= '9') || next == '-' || next == '+';
}

Status parse_offset(EuScan& scan, std::int32_t& out) {
  SX_TRY(const std::int64_t value, scan.integer("an offset in bytes is missing"));
  if (value < INT32_MIN || value > INT32_MAX) return fail(EINVAL, "the offset has more than 32 bits");
  out = static_cast<std::int32_t>(value);
  return {};
}

/// A number, a register where one is possible, or a label.
Status parse_target(EuScan& scan, const EuAsmContext& context, EuOffset which, EuStatement& out) {
  EuInst& inst = out.insts[0];
  if (is_offset(scan)) return parse_offset(scan, which == EuOffset::kJip ? inst.jip : inst.uip);
  const std::size_t start = scan.position();
  const EuFormat format = eu_op_info(inst.op).format;
  const bool register_possible =
      which == EuOffset::kJip && format != EuFormat::kBranch && format != EuFormat::kBranchBoth;
  if (register_possible) {
    auto target = eu_parse_branch_register(scan, context);
    if (target) {
      inst.src[0] = *target;
      return {};
    }
    scan.go_back_to(start);
    if (format == EuFormat::kRet) return fail(target.error());
  }
  const std::string_view name = scan.word();
  if (name.empty()) return fail(EINVAL, "a label or an offset in bytes is missing");
  out.labels.push_back({.offset = which, .name = name, .column = start});
  return {};
}

}  // namespace

Status eu_parse_branch_operands(EuScan& scan, const EuAsmContext& context, EuStatement& out) {
  EuInst& inst = out.insts[0];
  const EuFormat format = eu_op_info(inst.op).format;
  if (format == EuFormat::kCall) {
    SX_TRY(inst.dst, eu_parse_branch_register(scan, context));
  }
  SX_TRY_VOID(parse_target(scan, context, EuOffset::kJip, out));
  const bool both = format == EuFormat::kBranchBoth || format == EuFormat::kJumpBoth;
  return both && inst.src[0].file == EuFile::kNone ? parse_target(scan, context, EuOffset::kUip, out) : Status{};
}

namespace {

bool eat_a0(EuScan& scan) { return scan.eat("a0."); }

Status parse_extended_descriptor(EuScan& scan, EuSend& send) {
  bool in_a0 = eat_a0(scan);
  if (!in_a0) {
    SX_TRY(const std::int64_t value, scan.integer("the extended descriptor is missing"));
    if (value < 0 || value > UINT32_MAX) return fail(EINVAL, "an extended descriptor has 32 bits");
    send.ext_desc = static_cast<std::uint32_t>(value);
    if (scan.eat(':')) {
      in_a0 = eat_a0(scan);
      if (!in_a0) return fail(EINVAL, "a0.n is missing");
    }
  }
  if (!in_a0) return {};
  SX_TRY(const std::uint32_t number, scan.digits("a0.n is missing"));
  if (number > 7) return fail(EINVAL, "descriptors are in a0.0 to a0.7");
  send.ext_desc_in_a0 = true;
  send.ext_desc_a0 = static_cast<std::uint8_t>(number);
  return {};
}

Status parse_descriptor(EuScan& scan, EuSend& send) {
  if (scan.eat("a0.0")) {
    send.desc_in_a0 = true;
    return {};
  }
  SX_TRY(const std::int64_t value, scan.integer("the descriptor is missing"));
  if (value < 0 || value > UINT32_MAX) return fail(EINVAL, "a descriptor has 32 bits");
  send.desc = static_cast<std::uint32_t>(value);
  return {};
}

/// What is written behind the second payload.
struct WrittenLength {
  enum class Kind : std::uint8_t { kNone, kNumber, kInA0 } kind = Kind::kNone;
  std::uint32_t number = 0;
};

Result<WrittenLength> parse_length(EuScan& scan) {
  WrittenLength out;
  if (!scan.eat(':')) return out;
  if (scan.eat("a0")) {
    out.kind = WrittenLength::Kind::kInA0;
    return out;
  }
  out.kind = WrittenLength::Kind::kNumber;
  SX_TRY(out.number, scan.digits("a payload's length is missing"));
  if (out.number > 31) return fail(EINVAL, "a payload has 31 registers at most");
  return out;
}

Status set_second_length(WrittenLength written, EuInst& inst) {
  EuSend& send = inst.send;
  const bool may_be_in_a0 = send.ext_desc_in_a0 && send.sfid != EuSfid::kUgm;
  if (written.kind == WrittenLength::Kind::kInA0)
    return may_be_in_a0 ? Status{} : fail(EINVAL, "the length is not in a0");
  send.ext_bso = may_be_in_a0;
  if (written.kind == WrittenLength::Kind::kNumber) {
    send.src1_length = static_cast<std::uint8_t>(written.number);
    return {};
  }
  SX_TRY(send.src1_length, eu_second_payload_length(inst));
  return {};
}

}  // namespace

Status eu_parse_send_operands(EuScan& scan, const EuAsmContext& context, EuInst& inst) {
  SX_TRY(inst.dst, eu_parse_payload(scan, context));
  SX_TRY(inst.src[0], eu_parse_payload(scan, context));
  SX_TRY(inst.src[1], eu_parse_payload(scan, context));
  const std::size_t length_at = scan.position();
  SX_TRY(const WrittenLength written, parse_length(scan));
  SX_TRY_VOID(parse_extended_descriptor(scan, inst.send));
  SX_TRY_VOID(parse_descriptor(scan, inst.send));
  inst.send.end_of_thread = scan.eat("EOT");
  const std::size_t end = scan.position();
  scan.go_back_to(length_at);
  SX_TRY_VOID(set_second_length(written, inst));
  scan.go_back_to(end);
  return {};
}

}  // namespace softxe
