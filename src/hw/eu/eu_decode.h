// Bytes to EuInst, by the formats of spec/eu-isa.md 2.
//
// A pure function: no tables are built at run time and nothing allocates, so that it may run while a kernel is
// being carried out. What hardware ignores decodes to nothing, so that two words that mean the same are one EuInst:
// modifiers that an operation does not look at (2.8), flags that nothing names, the subregister of null, operands
// that a format has not, and reserved bits.
// Read next: eu_encode.h (the way back), eu_text.h.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "hw/eu/eu_inst.h"

namespace softxe {

/// The instruction at the start of `bytes` (8 for a compacted one, 16 otherwise; more may follow). ENODATA: the
/// bytes end within it. EILSEQ: no instruction of this ISA; the reason names the field that is wrong.
Result<EuInst> eu_decode(std::span<const std::byte> bytes);

}  // namespace softxe
