#include "hw/eu/eu_decode_operand.h"

#include <array>

namespace softxe {
namespace {

using eu_fields::Operand;

/// How many registers each architecture register file has, by the upper nibble of the number; 0: there is none.
constexpr std::array<std::uint8_t, 16> kArfCount = {
    16,     // null: the lower nibble means nothing
    1,      // a0
    16,     // acc
    4,      // f
    1,      // ce
    1,      // msg
    0,  1,  // sr
    1,      // cr
    1,      // n
    1,      // ip
    1,      // tdr
    1,      // tm
    4,      // fc
    0,  1,  // dbg
};

constexpr std::array<std::uint8_t, 8> kVertical = {0, 1, 2, 4, 8, 16, 32, EuRegion::kVxH};
constexpr std::array<std::uint8_t, 4> kHorizontal = {0, 1, 2, 4};
constexpr std::array<std::uint8_t, 4> kTernaryVertical = {0, 1, 4, 8};
constexpr std::uint64_t kWidthTop = 4;

bool destination(EuOperandUse use) {
  return use == EuOperandUse::kDestination || use == EuOperandUse::kPlainDestination;
}
bool macro(EuOperandUse use) { return use == EuOperandUse::kMacroDestination || use == EuOperandUse::kMacroSource; }
bool may_be_indirect(EuOperandUse use) { return use == EuOperandUse::kDestination || use == EuOperandUse::kSource; }

Result<EuType> register_type(std::uint64_t number) {
  constexpr std::uint64_t kReserved[] = {12, 15};
  for (const std::uint64_t reserved : kReserved)
    if (number == reserved) return fail(EILSEQ, "operand type is reserved");
  return static_cast<EuType>(number);
}

Status decode_subreg(const EuWord& word, const Operand& fields, EuOperand& out) {
  const std::uint64_t byte = word.get(fields.subreg) << 1 | word.get(fields.subreg_bit0);
  if (byte % eu_type_bytes(out.type) != 0) return fail(EILSEQ, "subregister is not aligned to its type");
  const bool words = out.file == EuFile::kArf && (out.arf() == EuArf::kCe || out.arf() == EuArf::kIp);
  if (words && byte % 2 != 0) return fail(EILSEQ, "subregisters of ce and ip are words");
  out.subreg = static_cast<std::uint8_t>(byte);
  return {};
}

Status decode_macro(const EuWord& word, const Operand& fields, EuOperand& out) {
  const std::uint64_t number = word.get(fields.macro);
  constexpr std::uint64_t kNone = 8;
  if (number > kNone) return fail(EILSEQ, "math-macro register is reserved");
  out.mme = static_cast<std::uint8_t>(number);
  return {};
}

/// File, register and what stands in the subregister's bits.
Status decode_register(const EuWord& word, const Operand& fields, EuOperandUse use, EuOperand& out) {
  out.file = word.get(fields.file) != 0 ? EuFile::kGrf : EuFile::kArf;
  out.reg = static_cast<std::uint8_t>(word.get(fields.reg));
  if (out.file == EuFile::kArf && (out.reg & 0xF) >= kArfCount[out.reg >> 4])
    return fail(EILSEQ, "no such architecture register");
  if (out.null()) {
    out.reg = 0;  // its number and subregister mean nothing
    return macro(use) ? decode_macro(word, fields, out) : Status{};
  }
  if (use == EuOperandUse::kPayload)
    return out.file == EuFile::kGrf ? Status{} : fail(EILSEQ, "payload of a send is no GRF");
  return macro(use) ? decode_macro(word, fields, out) : decode_subreg(word, fields, out);
}

void decode_address(const EuWord& word, const Operand& fields, EuOperand& out) {
  constexpr unsigned kOffsetBits = 11;
  const std::uint64_t bits = word.get(fields.offset) << 1 | word.get(fields.subreg_bit0);
  constexpr std::int32_t kSign = 1 << (kOffsetBits - 1);
  out.file = EuFile::kGrf;
  out.indirect = true;
  out.a0 = static_cast<std::uint8_t>(word.get(fields.a0));
  out.offset = static_cast<std::int16_t>((static_cast<std::int32_t>(bits) ^ kSign) - kSign);
}

Status decode_region(const EuWord& word, const Operand& fields, EuOperand& out) {
  const std::uint64_t width = word.get(fields.width);
  if (width > kWidthTop) return fail(EILSEQ, "region width is reserved");
  out.region = {.vertical = kVertical[word.get(fields.vertical)],
                .width = static_cast<std::uint8_t>(1U << width),
                .horizontal = kHorizontal[word.get(fields.horizontal)]};
  if (out.region.vertical == EuRegion::kVxH && !out.indirect)
    return fail(EILSEQ, "an address per row needs an indirect operand");
  return {};
}

EuRegion stride(std::uint8_t elements) { return {.vertical = 0, .width = 1, .horizontal = elements}; }

/// What a third source means is known by its lack of a vertical stride.
EuRegion ternary_region(const EuWord& word, const Operand& fields) {
  const std::uint8_t horizontal = kHorizontal[word.get(fields.horizontal)];
  if (!fields.vertical.present()) return {.vertical = horizontal, .width = 1, .horizontal = 0};
  const std::uint8_t vertical = kTernaryVertical[word.get(fields.vertical_top) << 1 | word.get(fields.vertical)];
  const unsigned width = horizontal == 0 ? 1U : vertical / horizontal;
  return {.vertical = vertical, .width = static_cast<std::uint8_t>(width == 0 ? 1 : width), .horizontal = horizontal};
}

/// The text of madm names no region: its operands are contiguous.
EuRegion macro_region(const Operand& fields) {
  if (!fields.vertical.present()) return {.vertical = 1, .width = 1, .horizontal = 0};
  return {.vertical = 4, .width = 4, .horizontal = 1};
}

}  // namespace

Result<EuOperand> eu_decode_operand(const EuWord& word, const Operand& fields, EuOperandUse use) {
  EuOperand out;
  const bool typed = fields.type.present();
  SX_TRY(out.type, typed ? register_type(word.get(fields.type)) : Result<EuType>(EuType::kUD));
  if (word.get(fields.immediate) != 0) {
    out.file = EuFile::kImm;
    return out;
  }
  if (may_be_indirect(use) && word.get(fields.indirect) != 0) {
    decode_address(word, fields, out);
  } else {
    SX_TRY_VOID(decode_register(word, fields, use, out));
  }
  if (!typed) return out;
  if (destination(use) || use == EuOperandUse::kMacroDestination) {
    out.region = stride(kHorizontal[word.get(fields.horizontal)]);
    return out;
  }
  out.neg = word.get(fields.neg) != 0;
  out.abs = word.get(fields.abs) != 0;
  SX_TRY_VOID(decode_region(word, fields, out));
  return out;
}

Result<EuOperand> eu_decode_ternary(const EuWord& word, const Operand& fields, EuOperandUse use) {
  EuOperand out;
  SX_TRY(out.type, register_type(word.get(eu_fields::kTernaryFloat) << 3 | word.get(fields.type)));
  if (word.get(fields.immediate) != 0) {
    out.file = EuFile::kImm;
    return out;
  }
  SX_TRY_VOID(decode_register(word, fields, use, out));
  if (use == EuOperandUse::kDpas) return out;
  if (use == EuOperandUse::kMacroDestination || use == EuOperandUse::kDestination) {
    const bool wide = use == EuOperandUse::kDestination && word.get(fields.horizontal) != 0;
    out.region = stride(wide ? 2 : 1);
    return out;
  }
  out.neg = word.get(fields.neg) != 0;
  out.abs = word.get(fields.abs) != 0;
  out.region = macro(use) ? macro_region(fields) : ternary_region(word, fields);
  return out;
}

Result<EuType> eu_immediate_type(EuType type) {
  switch (type) {
    case EuType::kUB: return EuType::kUV;
    case EuType::kB: return EuType::kV;
    case EuType::kBF8: return EuType::kVF;
    case EuType::kTF32: return fail(EILSEQ, "no immediate has this type");
    default: return type;
  }
}

}  // namespace softxe
