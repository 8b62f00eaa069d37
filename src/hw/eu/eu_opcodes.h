// The 64 operations: name, format, and what each ignores (spec/eu-isa.md 2.8, 2.1).
//
// The decoder, the encoder, the text and the assembler all read this one table. Read next: eu_fields.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "hw/eu/eu_inst.h"

namespace softxe {

enum class EuFormat : std::uint8_t {
  kBare,         ///< nothing but the opcode: illegal, nop
  kSync,         ///< function and a null or immediate source
  kOneSource,    ///< 2.2
  kTwoSource,    ///< 2.2
  kMath,         ///< 2.2 with a function; invm has two sources, the others one
  kThreeSource,  ///< 2.3
  kBfn,          ///< 2.3 with a truth table
  kMacro,        ///< 2.3 with math-macro registers: madm
  kDpas,         ///< 2.6
  kJump,         ///< 2.4, one offset or a register: jmpi, brd
  kJumpBoth,     ///< 2.4, both offsets or a register: brc
  kBranch,       ///< 2.4, one offset: endif, while, join
  kBranchBoth,   ///< 2.4, both offsets
  kCall,         ///< 2.4 with a destination; offset or register
  kRet,          ///< 2.4, register only
  kSend,         ///< 2.5
};

/// Parts of the word that an operation does not look at (spec/eu-isa.md 2.8): they decode to nothing.
struct EuIgnores {
  bool modifiers = false;  ///< of sources
  bool saturate = false;
  bool cond = false;
  bool pred = false;
};

struct EuOpInfo {
  EuOp op = EuOp::kIllegal;
  std::string_view name;
  EuFormat format = EuFormat::kBare;
  bool logic = false;           ///< the neg modifier is a bitwise not
  bool branch_control = false;  ///< bit 33 means something
  EuIgnores ignores{};
};

/// Null: no operation has this number. `opcode` is the 7-bit field.
const EuOpInfo* eu_find_op(std::uint8_t opcode);

/// Of an operation that was decoded or made by name.
const EuOpInfo& eu_op_info(EuOp op);

/// Null: no operation has this name (without function, like "math" or "bfn").
const EuOpInfo* eu_find_op(std::string_view name);

/// How many operands stand in `EuInst::src` of this instruction: 0 to 3 (a send: 2; branches: 1 when they have a
/// register).
unsigned eu_source_count(const EuInst& inst);

}  // namespace softxe
