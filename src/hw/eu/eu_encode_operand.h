// One EuOperand into a native word, for the formats of eu_fields.h. Used by eu_encode.cc alone.
#pragma once

#include "base/result.h"
#include "hw/eu/eu_decode_operand.h"
#include "hw/eu/eu_fields.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// The inverse of eu_decode_operand(). EINVAL: a region, stride, subregister or offset that the fields cannot say.
Status eu_encode_operand(EuWord& word, const eu_fields::Operand& fields, EuOperandUse use, const EuOperand& operand);

/// The inverse of eu_decode_ternary(). The types' common bit is left to the caller.
Status eu_encode_ternary(EuWord& word, const eu_fields::Operand& fields, EuOperandUse use, const EuOperand& operand);

/// The number in the type field: packed vectors and sub-byte types share those of the byte types.
std::uint64_t eu_type_number(EuType type);

}  // namespace softxe
