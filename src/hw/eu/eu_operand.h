// Where the elements of an operand lie in a thread's block, and reading and writing them one by one.
//
// This is the generic way: any register file, region, type and addressing. Read next: eu_generic.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hw/eu/eu_inst.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

/// One value for every channel of an instruction, as bits in the low end.
using EuLanes = std::array<std::uint64_t, kEuChannelsMax>;

/// A part of EuThread that a register number names.
struct EuPlace {
  std::uint32_t offset = 0;  ///< of its first byte in EuThread
  std::uint32_t bytes = 0;   ///< 0: no such register
};
/// Of a direct operand: the whole register file it lies in. Null has none.
EuPlace eu_file(const EuOperand& operand, const EuThread& thread);

/// Of any direct operand: where its file begins in EuThread.
std::uint32_t eu_file_offset(const EuOperand& operand);

/// Offset in bytes of the operand's first element from the start of its file.
std::uint32_t eu_first_byte(const EuOperand& operand);

inline std::byte* eu_bytes(EuThread& thread, std::uint32_t offset) {
  return reinterpret_cast<std::byte*>(&thread) + offset;
}
inline const std::byte* eu_bytes(const EuThread& thread, std::uint32_t offset) {
  return reinterpret_cast<const std::byte*>(&thread) + offset;
}

/// Offsets in EuThread of the elements of source or destination. Only for operands that passed eu_check(); indirect
/// addresses wrap at the end of the register file, as nobody can rule them out beforehand.
struct EuOffsets {
  std::array<std::uint32_t, kEuChannelsMax> of{};
};
EuOffsets eu_source_offsets(const EuThread& thread, const EuOperand& operand, unsigned channels);
EuOffsets eu_destination_offsets(const EuThread& thread, const EuOperand& operand, unsigned channels);

/// Elements of a source, all channels, whether enabled or not. Immediates and null included.
EuLanes eu_read(const EuThread& thread, const EuInst& inst, unsigned source);

/// Bits `enabled` choose the channels; null takes nothing.
void eu_write(EuThread& thread, const EuOperand& operand, const EuLanes& values, std::uint32_t enabled,
              unsigned channels);

}  // namespace softxe
