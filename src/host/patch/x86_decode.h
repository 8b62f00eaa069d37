// Length and branch target of one x86-64 instruction: as much of a disassembler as the patcher
// needs inside a client process.
//
// Why not capstone here: linked into a library that is preloaded into every process it adds 6.7 MB
// and 77,000 relocations, 1.4 ms per process start, over the 1 ms the constructor may cost. The
// tests use capstone as the oracle: every instruction of libc, ld.so and the C++ runtime must
// decode to the same length and the same target.
//
// Unknown encodings are errors, never guesses. Read next: site_finder.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace softxe::patch {

/// What an instruction does to the flow of control.
enum class Flow : std::uint8_t {
  kNext,          ///< goes on behind itself (syscall and int3 too)
  kBranch,        ///< jmp, jcc, loop, call, xbegin with a target relative to its end
  kIndirectJump,  ///< jmp through a register or memory: target unknown
  kIndirectCall,  ///< comes back behind itself
  kReturn,        ///< ret, iret, hlt, ud2
};

struct Instruction {
  std::uint8_t length_bytes = 0;
  Flow flow = Flow::kNext;
  /// kBranch only: target minus the address of the next instruction.
  std::int32_t displacement = 0;
};

/// Decodes the instruction at the front of `code`. EINVAL: not an instruction this decoder knows;
/// ERANGE: `code` ends inside it.
Result<Instruction> decode(std::span<const std::uint8_t> code);

}  // namespace softxe::patch
