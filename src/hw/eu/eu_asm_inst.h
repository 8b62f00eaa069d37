// One statement of assembly text to instructions. Used by eu_asm.cc alone.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "hw/eu/eu_asm_operand.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_scan.h"

namespace softxe {

/// Which offset of a branch stands for a label.
enum class EuOffset : std::uint8_t { kJip, kUip };

/// A label that an instruction names; `column` is for the error when there is no such label.
struct EuLabelUse {
  EuOffset offset = EuOffset::kJip;
  std::string_view name;  ///< part of the source
  std::size_t column = 0;
};

struct EuStatement {
  std::vector<EuInst> insts;       ///< one, or two of a barrier
  std::vector<EuLabelUse> labels;  ///< of insts[0]
};

/// The cursor stands before the statement, and behind it afterwards; on an error, at the trouble.
Result<EuStatement> eu_parse_statement(EuScan& scan, const EuAsmContext& context);

}  // namespace softxe
