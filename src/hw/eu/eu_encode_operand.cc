#include "hw/eu/eu_encode_operand.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace softxe {
namespace {

using eu_fields::Operand;

constexpr std::array<std::uint8_t, 8> kVertical = {0, 1, 2, 4, 8, 16, 32, EuRegion::kVxH};
constexpr std::array<std::uint8_t, 4> kHorizontal = {0, 1, 2, 4};
constexpr std::array<std::uint8_t, 4> kTernaryVertical = {0, 1, 4, 8};
constexpr unsigned kWidthMax = 16;

template <std::size_t N>
std::optional<std::uint64_t> index_of(const std::array<std::uint8_t, N>& values, std::uint8_t value) {
  const auto* found = std::ranges::find(values, value);
  if (found == values.end()) return std::nullopt;
  return static_cast<std::uint64_t>(found - values.begin());
}

bool macro(EuOperandUse use) { return use == EuOperandUse::kMacroDestination || use == EuOperandUse::kMacroSource; }
bool destination(EuOperandUse use) {
  return use == EuOperandUse::kDestination || use == EuOperandUse::kPlainDestination ||
         use == EuOperandUse::kMacroDestination;
}

Status encode_address(EuWord& word, const Operand& fields, const EuOperand& operand) {
  constexpr std::int16_t kLimit = 1 << 10;
  if (!fields.indirect.present()) return fail(EINVAL, "this operand cannot be indirect");
  if (operand.a0 > 15) return fail(EINVAL, "address register above a0.15");
  if (operand.offset < -kLimit || operand.offset >= kLimit) return fail(EINVAL, "address offset beyond -1024..1023");
  const auto bits = static_cast<std::uint64_t>(operand.offset) & 0x7FF;
  if ((bits & 1) != 0 && !fields.subreg_bit0.present()) return fail(EINVAL, "address offset of this source is even");
  word.set(fields.indirect, 1);
  word.set(fields.a0, operand.a0);
  word.set(fields.offset, bits >> 1);
  word.set(fields.subreg_bit0, bits & 1);
  return {};
}

Status encode_register(EuWord& word, const Operand& fields, EuOperandUse use, const EuOperand& operand) {
  if (operand.file != EuFile::kGrf && operand.file != EuFile::kArf) return fail(EINVAL, "operand is missing");
  word.set(fields.file, operand.file == EuFile::kGrf ? 1 : 0);
  word.set(fields.reg, operand.reg);
  if (macro(use)) {
    word.set(fields.macro, operand.mme);
    return {};
  }
  if (!fields.subreg.present()) return operand.subreg == 0 ? Status{} : fail(EINVAL, "no room for a subregister");
  if (operand.subreg > 63) return fail(EINVAL, "subregister beyond the register");
  if ((operand.subreg & 1) != 0 && !fields.subreg_bit0.present())
    return fail(EINVAL, "subregister of this operand is at an even byte");
  word.set(fields.subreg, operand.subreg >> 1);
  word.set(fields.subreg_bit0, operand.subreg & 1);
  return {};
}

Status encode_stride(EuWord& word, const Operand& fields, const EuOperand& operand) {
  const auto stride = index_of(kHorizontal, operand.region.horizontal);
  if (!stride) return fail(EINVAL, "stride is 0, 1, 2 or 4");
  word.set(fields.horizontal, *stride);
  return {};
}

Status encode_region(EuWord& word, const Operand& fields, const EuOperand& operand) {
  const EuRegion& region = operand.region;
  const auto vertical = index_of(kVertical, region.vertical);
  const auto horizontal = index_of(kHorizontal, region.horizontal);
  if (!vertical) return fail(EINVAL, "vertical stride is 0, 1, 2, 4, 8, 16 or 32");
  if (!std::has_single_bit(region.width) || region.width > kWidthMax) return fail(EINVAL, "width is 1, 2, 4, 8 or 16");
  if (!horizontal) return fail(EINVAL, "horizontal stride is 0, 1, 2 or 4");
  if (region.vertical == EuRegion::kVxH && !operand.indirect)
    return fail(EINVAL, "an address per row needs an indirect operand");
  word.set(fields.vertical, *vertical);
  word.set(fields.width, static_cast<std::uint64_t>(std::countr_zero(region.width)));
  word.set(fields.horizontal, *horizontal);
  return {};
}

Status encode_ternary_region(EuWord& word, const Operand& fields, const EuOperand& operand) {
  const bool last = !fields.vertical.present();
  const auto horizontal = index_of(kHorizontal, last ? operand.region.vertical : operand.region.horizontal);
  if (!horizontal) return fail(EINVAL, "horizontal stride is 0, 1, 2 or 4");
  word.set(fields.horizontal, *horizontal);
  if (last) return {};
  const auto vertical = index_of(kTernaryVertical, operand.region.vertical);
  if (!vertical) return fail(EINVAL, "vertical stride of three sources is 0, 1, 4 or 8");
  word.set(fields.vertical, *vertical & 1);
  word.set(fields.vertical_top, *vertical >> 1);
  return {};
}

void encode_modifiers(EuWord& word, const Operand& fields, const EuOperand& operand) {
  word.set(fields.neg, operand.neg ? 1 : 0);
  word.set(fields.abs, operand.abs ? 1 : 0);
}

}  // namespace

std::uint64_t eu_type_number(EuType type) {
  switch (type) {
    case EuType::kUV:
    case EuType::kU4:
    case EuType::kU2: return static_cast<std::uint64_t>(EuType::kUB);
    case EuType::kV:
    case EuType::kS4:
    case EuType::kS2: return static_cast<std::uint64_t>(EuType::kB);
    case EuType::kVF: return static_cast<std::uint64_t>(EuType::kBF8);
    default: return static_cast<std::uint64_t>(type);
  }
}

Status eu_encode_operand(EuWord& word, const Operand& fields, EuOperandUse use, const EuOperand& operand) {
  word.set(fields.type, eu_type_number(operand.type));
  if (operand.file == EuFile::kImm) {
    if (!fields.immediate.present()) return fail(EINVAL, "this operand cannot be immediate");
    word.set(fields.immediate, 1);
    return {};
  }
  if (operand.indirect) {
    SX_TRY_VOID(encode_address(word, fields, operand));
  } else {
    SX_TRY_VOID(encode_register(word, fields, use, operand));
  }
  if (!fields.type.present()) return {};
  if (destination(use)) return encode_stride(word, fields, operand);
  encode_modifiers(word, fields, operand);
  return encode_region(word, fields, operand);
}

Status eu_encode_ternary(EuWord& word, const Operand& fields, EuOperandUse use, const EuOperand& operand) {
  word.set(fields.type, eu_type_number(operand.type) & 7);
  if (operand.file == EuFile::kImm) {
    if (!fields.immediate.present()) return fail(EINVAL, "this operand cannot be immediate");
    word.set(fields.immediate, 1);
    return {};
  }
  if (operand.indirect) return fail(EINVAL, "operands of three sources are direct");
  SX_TRY_VOID(encode_register(word, fields, use, operand));
  if (use == EuOperandUse::kDpas) return {};
  if (destination(use)) {
    if (operand.region.horizontal != 1 && operand.region.horizontal != 2)
      return fail(EINVAL, "destination stride of three sources is 1 or 2");
    word.set(fields.horizontal, operand.region.horizontal - 1U);
    return {};
  }
  encode_modifiers(word, fields, operand);
  return encode_ternary_region(word, fields, operand);
}

}  // namespace softxe
