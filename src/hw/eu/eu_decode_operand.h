// One operand of a native word to EuOperand, for the formats of eu_fields.h. Used by eu_decode.cc alone.
#pragma once

#include "base/result.h"
#include "hw/eu/eu_fields.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// What a format says about an operand beyond where its fields are.
enum class EuOperandUse : std::uint8_t {
  kDestination,        ///< type, stride, may be indirect
  kSource,             ///< type, region, modifiers, may be indirect or immediate
  kPlainDestination,   ///< as kDestination, but the indirect bit is ignored (math)
  kPlainSource,        ///< as kSource, but the indirect bit is ignored (math, sync)
  kMacroDestination,   ///< math-macro register instead of a subregister; contiguous
  kMacroSource,        ///< the same; direct
  kDpas,               ///< register, subregister and type only
  kBranchDestination,  ///< :ud, two of them
  kBranchSource,
  kPayload,  ///< of a send: a GRF or null
};

/// An operand of one or two sources, of a branch or a send. An immediate has its file and the type as the field
/// says; the caller reads its value. EILSEQ: a reserved value, a misaligned subregister, no such register.
Result<EuOperand> eu_decode_operand(const EuWord& word, const eu_fields::Operand& fields, EuOperandUse use);

/// An operand of three sources: the type's fourth bit is common, and the width follows from the strides. `width` of
/// the third source, which has a horizontal stride h only, is 1 and `vertical` h, so that one region rule serves.
Result<EuOperand> eu_decode_ternary(const EuWord& word, const eu_fields::Operand& fields, EuOperandUse use);

/// A register type's number taken as that of an immediate: byte types are packed vectors there.
Result<EuType> eu_immediate_type(EuType type);

/// 16, 32 or 64: bits of an immediate of this type in the instruction. `type` is one of eu_immediate_type()'s.
constexpr unsigned eu_immediate_bits(EuType type) {
  if (type == EuType::kUV || type == EuType::kV || type == EuType::kVF) return 32;
  return eu_type_bytes(type) * 8;
}

}  // namespace softxe
