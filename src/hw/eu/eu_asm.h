// Assembly text to code: kernels of tests and examples are written in it, and disassembled code can be read back.
//
//   // comment                            a line has at most one label and one instruction
//   .simd 16                              channels of instructions without (16|M0) below this line
//   .reg  sum r20                         another name of a GRF
//   top:  add sum.0:f sum.0:f r4.0:f      regions: <1> and <1;1,0>, or <0;1,0> for one channel, when not given
//         (f0.0) goto (16|M0) top top     labels stand for JIP and UIP
//   .data 60000000000000000000000000000000   bytes as they stand, in memory order
//
// Instructions are those of eu_text.h in both of its styles, those of iga64 (whose scoreboard is skipped), and the
// messages of eu_asm_message.h. docs/KERNELS.md says more. Not for the fault path: the assembler allocates.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "hw/eu/eu_inst.h"

namespace softxe {

/// Where and why a source is wrong. `why` has static storage.
struct EuAsmError {
  std::size_t line = 1;    ///< from 1
  std::size_t column = 1;  ///< from 1, in bytes
  const char* why = "";
};

template <typename T>
using EuAsmResult = tl::expected<T, EuAsmError>;

/// The code of a whole source.
EuAsmResult<std::vector<std::byte>> eu_assemble(std::string_view source);

/// Pairs of hexadecimal digits, one byte each; nothing when they are something else.
std::optional<std::vector<std::byte>> eu_parse_hex(std::string_view digits);

/// The one instruction of `line`, without label. Its branches have numbers.
EuAsmResult<EuInst> eu_parse_instruction(std::string_view line);

}  // namespace softxe
