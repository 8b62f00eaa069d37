// Operands of assembly text to EuOperand. Used by the assembler alone; eu_text.h has the rules.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_scan.h"

namespace softxe {

/// What lines above say about the ones below.
struct EuAsmContext {
  std::map<std::string, std::uint8_t, std::less<>> registers;  ///< .reg: other names of GRFs
  std::uint8_t simd = 0;  ///< .simd: channels when none are given; 0: must be given
};

/// Which regions a source is written with.
enum class EuSourceForm : std::uint8_t {
  kRegion,       ///< <v;w,h> or <w,h>
  kTernary,      ///< <v;h>
  kTernaryLast,  ///< <h>
  kMacro,        ///< none: madm
  kDpas,         ///< none
};

/// What an instruction says before its operands.
struct EuAsmPlace {
  const EuAsmContext& context;
  std::uint8_t exec_size = 1;
  EuSourceForm form = EuSourceForm::kRegion;
};

/// Without a stride it is 1.
Result<EuOperand> eu_parse_destination(EuScan& scan, const EuAsmPlace& place);

/// Without a region it is packed, or the first element for one channel. An immediate's bits go to `imm`.
Result<EuOperand> eu_parse_source(EuScan& scan, const EuAsmPlace& place, std::uint64_t& imm);

/// An immediate with its type, such as 0x10:ud, -3:w or 1.5:f.
Result<EuOperand> eu_parse_immediate(EuScan& scan, std::uint64_t& imm);

/// A register with subregister in dwords, of a branch.
Result<EuOperand> eu_parse_branch_register(EuScan& scan, const EuAsmContext& context);

/// A GRF or null without anything else, of a send.
Result<EuOperand> eu_parse_payload(EuScan& scan, const EuAsmContext& context);

/// f0.0 to f3.1 into the instruction.
Status eu_parse_flag(EuScan& scan, EuInst& inst);

}  // namespace softxe
