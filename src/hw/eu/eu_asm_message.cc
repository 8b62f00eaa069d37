#include "hw/eu/eu_asm_message.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string>

#include "hw/eu/eu_lsc_names.h"
#include "hw/eu/eu_names.h"

namespace softxe {
namespace {

using namespace eu_lsc;  // NOLINT: the vocabulary of this file

/// Everything a mnemonic says.
struct Message {
  const Op* op = nullptr;
  EuSfid sfid = EuSfid::kUgm;
  const Data* data = nullptr;
  const Address* address = nullptr;
  unsigned vector_field = 0;  ///< as in the descriptor: a length's number, or components
  unsigned elements = 1;
  bool transposed = false;
  bool vnni = false;
  Surface surface = Surface::kFlat;
  std::uint32_t index = 0;  ///< binding table index, or n of a0.n
  std::uint8_t scope = 0;
  std::uint8_t flush = 0;
};

/// "load.ugm.d32" in parts; dots in brackets do not count.
std::vector<std::string_view> parts_of(std::string_view mnemonic) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  bool bracket = false;
  for (std::size_t i = 0; i <= mnemonic.size(); ++i) {
    const char c = i < mnemonic.size() ? mnemonic[i] : '.';
    bracket = (bracket || c == '[') && c != ']';
    if (c != '.' || (bracket && i < mnemonic.size())) continue;
    parts.push_back(mnemonic.substr(start, i - start));
    start = i + 1;
  }
  return parts;
}

Result<std::uint32_t> small_number(std::string_view text) {
  SX_TRY(const std::int64_t value, eu_parse_integer(text, "a number is missing"));
  if (value < 0 || value > 255) return fail(EINVAL, "number is 0 to 255");
  return static_cast<std::uint32_t>(value);
}

// ---- the mnemonic

Status parse_components(std::string_view components, Message& out) {
  constexpr std::string_view kAll = "xyzw";
  if (components.empty()) return fail(EINVAL, "components such as .xyzw are missing");
  for (const char c : components) {
    const std::size_t bit = kAll.find(c);
    if (bit == std::string_view::npos) return fail(EINVAL, "components are x, y, z and w");
    out.vector_field |= 1U << bit;
  }
  out.elements = static_cast<unsigned>(std::popcount(out.vector_field));
  return {};
}

/// "d32x16t": size, vector length, transposed; "d16v": VNNI layout of a 2D block.
Status parse_data(std::string_view part, Message& out) {
  if (part.ends_with('t')) {
    out.transposed = true;
    part.remove_suffix(1);
  } else if (part.ends_with('v')) {
    out.vnni = true;
    part.remove_suffix(1);
  }
  const std::size_t times = part.find('x');
  out.data = eu_find_name(kData, part.substr(0, times));
  if (out.data == nullptr) return fail(EINVAL, "data is d8, d16, d32, d64, d8u32, d16u32 or d16u32h");
  if (times == std::string_view::npos) return {};
  SX_TRY(out.elements, small_number(part.substr(times + 1)));
  const auto* found = std::ranges::find(kVectorLength, out.elements);
  if (found == std::end(kVectorLength)) return fail(EINVAL, "vectors have 1, 2, 3, 4, 8, 16, 32 or 64 elements");
  out.vector_field = static_cast<unsigned>(found - std::begin(kVectorLength));
  return {};
}

/// "bti[255]", "ss[a0.2]", "flat".
Status parse_surface(std::string_view part, Message& out) {
  const std::size_t bracket = part.find('[');
  const auto* row = eu_find_name(kSurface, part.substr(0, bracket));
  if (row == nullptr) return fail(EINVAL, "no such part of a message");
  out.surface = row->value;
  if (out.surface == Surface::kFlat) return {};
  if (bracket == std::string_view::npos || !part.ends_with(']')) return fail(EINVAL, "[index] is missing");
  std::string_view index = part.substr(bracket + 1, part.size() - bracket - 2);
  if (out.surface != Surface::kBti) {
    if (!index.starts_with("a0.")) return fail(EINVAL, "this surface is in a0.n");
    index.remove_prefix(3);
  }
  SX_TRY(out.index, small_number(index));
  if (out.surface != Surface::kBti && out.index > 7) return fail(EINVAL, "this surface is in a0.0 to a0.7");
  return {};
}

Status parse_fence_parts(const std::vector<std::string_view>& parts, Message& out) {
  for (std::size_t i = 2; i < parts.size(); ++i) {
    const auto* scope = eu_find_name(kScope, parts[i]);
    const auto* flush = eu_find_name(kFlush, parts[i]);
    if (scope != nullptr) out.scope = scope->value;
    if (flush != nullptr) out.flush = flush->value;
    if (scope == nullptr && flush == nullptr) return fail(EINVAL, "no such scope or flush of a fence");
  }
  return {};
}

Status parse_memory_parts(const std::vector<std::string_view>& parts, Message& out) {
  std::size_t next = 2;
  if (next == parts.size()) return fail(EINVAL, "data size such as .d32 is missing");
  SX_TRY_VOID(parse_data(parts[next++], out));
  if (out.op->vector == Vector::kComponents) {
    SX_TRY_VOID(parse_components(next < parts.size() ? parts[next++] : std::string_view(), out));
  }
  if (next == parts.size()) return fail(EINVAL, "address size such as .a64 is missing");
  out.address = eu_find_name(kAddress, parts[next++]);
  if (out.address == nullptr) return fail(EINVAL, "address is a16, a32 or a64");
  for (; next < parts.size(); ++next) SX_TRY_VOID(parse_surface(parts[next], out));
  return {};
}

Result<Message> parse_mnemonic(std::string_view mnemonic) {
  const auto parts = parts_of(mnemonic);
  Message out;
  out.op = eu_find_name(kOps, parts[0]);
  if (out.op == nullptr) return fail(EINVAL, "no such message");
  const auto* sfid = parts.size() > 1 ? eu_find_name(kEuSfidNames, parts[1]) : nullptr;
  if (sfid == nullptr || !has_lsc(sfid->value)) return fail(EINVAL, "memory is .ugm, .slm, .tgm or .ugml");
  out.sfid = sfid->value;
  if (out.op->kind == Kind::kFence) {
    SX_TRY_VOID(parse_fence_parts(parts, out));
  } else {
    SX_TRY_VOID(parse_memory_parts(parts, out));
  }
  return out;
}

// ---- operands

/// A payload and the length written behind it.
struct Payload {
  EuOperand operand;
  std::optional<unsigned> length;
};

Result<Payload> parse_payload(EuScan& scan, const EuAsmContext& context) {
  Payload out;
  SX_TRY(out.operand, eu_parse_payload(scan, context));
  if (!scan.eat(':')) return out;
  SX_TRY(out.length, scan.digits("a payload's length is missing"));
  if (*out.length > 31) return fail(EINVAL, "a payload has 31 registers at most");
  return out;
}

/// The offset behind an address, in bytes; of 2D blocks there is none here.
Result<std::int64_t> parse_offset(EuScan& scan) {
  const char next = scan.peek();
  if (next != '+' && next != '-') return 0;
  return scan.integer("an offset is missing");
}

unsigned data_rows(const Message& message, unsigned exec_size) {
  if (message.op->kind == Kind::kFence) return 1;
  const unsigned bytes = message.data->register_bytes;
  if (message.transposed) return rows(message.elements, bytes);
  return message.elements * rows(payload_channels(exec_size), bytes);
}

unsigned second_payload(const Message& message, unsigned exec_size) {
  if (message.op->kind == Kind::kStore) return data_rows(message, exec_size);
  return message.op->kind == Kind::kAtomic ? message.op->operands * data_rows(message, exec_size) : 0;
}

unsigned address_rows(const Message& message, unsigned exec_size) {
  if (message.op->kind == Kind::kFence || message.transposed) return 1;
  if (message.op->kind == Kind::kBlockLoad || message.op->kind == Kind::kBlockStore) return 1;
  return rows(payload_channels(exec_size), message.address->bytes);
}

Result<std::uint32_t> signed_bits(std::int64_t value, unsigned bits) {
  const std::int64_t limit = std::int64_t{1} << (bits - 1);
  if (value < -limit || value >= limit) return fail(EINVAL, "offset does not fit");
  return static_cast<std::uint32_t>(value) & ((1U << bits) - 1);
}

Status put_surface(const Message& message, std::int64_t offset, EuSend& send) {
  switch (message.surface) {
    case Surface::kFlat: {
      SX_TRY(const std::uint32_t bits, signed_bits(offset, 20));
      send.ext_desc = bits << 12;
      return {};
    }
    case Surface::kBti: {
      SX_TRY(const std::uint32_t bits, signed_bits(offset, 12));
      send.ext_desc = message.index << 24 | bits << 12;
      return {};
    }
    case Surface::kSs:
    case Surface::kBss: break;
  }
  SX_TRY(const std::uint32_t bits, signed_bits(offset, 17));
  if (bits != 0 && message.sfid != EuSfid::kUgm) return fail(EINVAL, "this memory takes no offset");
  send.ext_desc = bits >> 4 << 19 | (bits & 0xF) << 12;
  send.ext_desc_in_a0 = true;
  send.ext_desc_a0 = static_cast<std::uint8_t>(message.index);
  send.ext_bso = message.sfid != EuSfid::kUgm;
  return {};
}

std::uint32_t descriptor(const Message& message) {
  std::uint32_t desc = message.op->value | static_cast<std::uint32_t>(message.surface) << kSurfaceShift;
  if (message.op->kind == Kind::kFence) return desc | message.scope << kDataShift | message.flush << kVectorShift;
  const bool block = message.op->kind == Kind::kBlockLoad || message.op->kind == Kind::kBlockStore;
  desc |= block ? (message.vnni ? 1U : 0U) << kVnniShift : message.address->value << kAddressShift;
  desc |= message.data->value << kDataShift | message.vector_field << kVectorShift;
  return desc | (message.transposed ? 1U : 0U) << kTransposeShift;
}

/// The payloads in the order they are written in.
struct Payloads {
  Payload dst;
  Payload src0;
  Payload src1;
  std::int64_t offset = 0;
};

Result<Payloads> parse_payloads(const Message& message, EuScan& scan, const EuAsmContext& context) {
  const EuOperand null{.file = EuFile::kArf, .type = EuType::kUD};
  const Kind kind = message.op->kind;
  Payloads out{.dst = {null, {}}, .src0 = {null, {}}, .src1 = {null, {}}};
  if (kind != Kind::kStore && kind != Kind::kBlockStore) {
    SX_TRY(out.dst, parse_payload(scan, context));
  }
  SX_TRY(out.src0, parse_payload(scan, context));
  SX_TRY(out.offset, parse_offset(scan));
  if (kind == Kind::kStore || kind == Kind::kBlockStore || (kind == Kind::kAtomic && message.op->operands != 0)) {
    SX_TRY(out.src1, parse_payload(scan, context));
  }
  return out;
}

Result<EuInst> memory_message(const Message& message, EuScan& scan, const EuAsmContext& context, EuInst inst) {
  SX_TRY(const Payloads payloads, parse_payloads(message, scan, context));
  const Kind kind = message.op->kind;
  const unsigned data = data_rows(message, inst.exec_size);
  const bool block = kind == Kind::kBlockLoad || kind == Kind::kBlockStore;
  const bool answers = !payloads.dst.operand.null();
  if (block && answers && !payloads.dst.length) return fail(EINVAL, "registers of a 2D block are given as rN:length");
  if (kind == Kind::kBlockStore && !payloads.src1.length)
    return fail(EINVAL, "registers of a 2D block are given as rN:length");
  const unsigned second = second_payload(message, inst.exec_size);
  inst.op = EuOp::kSend;
  inst.dst = payloads.dst.operand;
  inst.src[0] = payloads.src0.operand;
  inst.src[1] = payloads.src1.operand;
  inst.send.sfid = message.sfid;
  SX_TRY_VOID(put_surface(message, payloads.offset, inst.send));
  const unsigned dst_length = payloads.dst.length.value_or(answers ? data : 0);
  const unsigned src0_length = payloads.src0.length.value_or(address_rows(message, inst.exec_size));
  const unsigned src1_length = payloads.src1.length.value_or(second);
  if (dst_length > 31 || src0_length > 15 || src1_length > 31) return fail(EINVAL, "the message is too long");
  inst.send.src1_length = static_cast<std::uint8_t>(src1_length);
  inst.send.desc = descriptor(message) | dst_length << kDstLengthShift | src0_length << kSrc0LengthShift;
  return inst;
}

// ---- messages without memory

constexpr std::uint32_t kBarrierSignal = 0x0200'0004;
constexpr std::uint32_t kEndOfThread = 0x0200'0010;
constexpr std::uint8_t kSyncBarrier = 14;

Result<EuInst> gateway(std::uint32_t desc, EuScan& scan, const EuAsmContext& context, EuInst inst) {
  inst.op = EuOp::kSend;
  inst.dst = inst.src[1] = {.file = EuFile::kArf, .type = EuType::kUD};
  SX_TRY(inst.src[0], eu_parse_payload(scan, context));
  inst.send.sfid = EuSfid::kGtwy;
  inst.send.desc = desc;
  return inst;
}

EuInst wait_for_barrier() {
  EuInst inst;
  inst.op = EuOp::kSync;
  inst.function = kSyncBarrier;
  inst.no_mask = true;
  inst.src[0] = {.file = EuFile::kImm, .type = EuType::kUD};
  return inst;
}

}  // namespace

bool eu_is_message(std::string_view mnemonic) {
  const std::string_view head = mnemonic.substr(0, mnemonic.find('.'));
  return head == "eot" || head == "barrier" || eu_find_name(kOps, head) != nullptr;
}

Status eu_check_message(std::string_view mnemonic) {
  constexpr std::string_view kWithoutParts[] = {"eot", "barrier", "barrier.signal", "barrier.wait"};
  if (std::ranges::find(kWithoutParts, mnemonic) != std::end(kWithoutParts)) return {};
  SX_TRY_VOID(parse_mnemonic(mnemonic));
  return {};
}

Result<std::vector<EuInst>> eu_parse_message(std::string_view mnemonic, EuScan& scan, const EuAsmContext& context,
                                             EuInst inst) {
  if (mnemonic == "barrier.wait") return std::vector<EuInst>{wait_for_barrier()};
  if (mnemonic == "barrier" || mnemonic == "barrier.signal") {
    SX_TRY(EuInst signal, gateway(kBarrierSignal, scan, context, inst));
    std::vector<EuInst> both = {signal};
    if (mnemonic == "barrier") both.push_back(wait_for_barrier());
    return both;
  }
  if (mnemonic == "eot") {
    SX_TRY(EuInst end, gateway(kEndOfThread, scan, context, inst));
    end.send.end_of_thread = true;
    return std::vector<EuInst>{end};
  }
  SX_TRY(const Message message, parse_mnemonic(mnemonic));
  SX_TRY(EuInst send, memory_message(message, scan, context, inst));
  return std::vector<EuInst>{send};
}

Result<std::uint8_t> eu_second_payload_length(const EuInst& inst) {
  const EuSend& send = inst.send;
  if (inst.src[1].null()) return 0;
  constexpr const char* kWhy = "the length of the second payload is given as rN:length";
  if (send.desc_in_a0 || !has_lsc(send.sfid)) return fail(EINVAL, kWhy);
  const auto* op = std::ranges::find(kOps, send.desc & ((1U << kOpBits) - 1), &Op::value);
  if (op == std::end(kOps)) return fail(EINVAL, kWhy);
  const auto* data = std::ranges::find(kData, send.desc >> kDataShift & 7, &Data::value);
  if (data == std::end(kData)) return fail(EINVAL, kWhy);
  Message message{.op = op, .data = data};
  const unsigned vector = send.desc >> kVectorShift;
  message.transposed = op->vector == Vector::kLength && (send.desc >> kTransposeShift & 1) != 0;
  message.elements =
      op->vector == Vector::kLength ? kVectorLength[vector & 7] : static_cast<unsigned>(std::popcount(vector & 0xF));
  if (op->kind == Kind::kBlockLoad || op->kind == Kind::kBlockStore) return fail(EINVAL, kWhy);
  const unsigned length = second_payload(message, inst.exec_size);
  if (length > 31) return fail(EINVAL, kWhy);
  return static_cast<std::uint8_t>(length);
}

}  // namespace softxe
