// Atomic operations of messages (spec/eu-isa.md 9.1): what each does with the value it finds.
//
// Pure functions. Float operations round to nearest even and keep denormals, whatever mode the thread's control
// register has put the host into: the data port does not see that register.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"

namespace softxe {

/// Numbered by the message's operation field.
enum class EuAtomicOp : std::uint8_t {
  kInc = 0x08,
  kDec = 0x09,
  kLoad = 0x0A,
  kExchange = 0x0B,
  kAdd = 0x0C,
  kSub = 0x0D,
  kSmin = 0x0E,
  kSmax = 0x0F,
  kUmin = 0x10,
  kUmax = 0x11,
  kIcas = 0x12,
  kFadd = 0x13,
  kFsub = 0x14,
  kFmin = 0x15,  ///< a NaN loses against a number
  kFmax = 0x16,
  kFcas = 0x17,  ///< compares as floats: zeros are equal, NaNs are not
  kAnd = 0x18,
  kOr = 0x19,
  kXor = 0x1A,
};
inline constexpr unsigned kEuAtomicFirst = 0x08;
inline constexpr unsigned kEuAtomicEnd = 0x1B;

/// How many rows of operands stand in src1: compare and new value, the operand, or none.
constexpr unsigned eu_atomic_operands(EuAtomicOp op) {
  switch (op) {
    case EuAtomicOp::kInc:
    case EuAtomicOp::kDec:
    case EuAtomicOp::kLoad: return 0;
    case EuAtomicOp::kIcas:
    case EuAtomicOp::kFcas: return 2;
    default: return 1;
  }
}

/// `bytes` is 2, 4 or 8; values stand in the low bits.
struct EuAtomic {
  EuAtomicOp op = EuAtomicOp::kLoad;
  std::uint8_t bytes = 4;
  std::uint64_t operand = 0;  ///< icas, fcas: the new value
  std::uint64_t compare = 0;  ///< icas, fcas only
};

/// One operation on many words of `bytes`, in order, each naturally aligned. The arrays are as long as `va`.
struct EuAtomics {
  EuAtomicOp op = EuAtomicOp::kLoad;
  std::uint8_t bytes = 4;
  std::span<const GpuVa> va;
  const std::uint64_t* operand = nullptr;
  const std::uint64_t* compare = nullptr;
  std::uint64_t* found = nullptr;  ///< what was there before, zero above `bytes`

  EuAtomic operator[](std::size_t n) const { return {op, bytes, operand[n], compare[n]}; }
};

/// The value that takes the place of `found`.
std::uint64_t eu_atomic_result(const EuAtomic& atomic, std::uint64_t found);

/// The same as functions for EngineMemory::AtomicOp. Of the two halves of a dword the other one stays.
using EuAtomicFn32 = std::uint32_t (*)(std::uint32_t found, std::uint32_t operand, std::uint32_t compare);
using EuAtomicFn64 = std::uint64_t (*)(std::uint64_t found, std::uint64_t operand, std::uint64_t compare);
enum class EuHalf : std::uint8_t { kLow, kHigh };
EuAtomicFn32 eu_atomic_fn16(EuAtomicOp op, EuHalf half);
EuAtomicFn32 eu_atomic_fn32(EuAtomicOp op);
EuAtomicFn64 eu_atomic_fn64(EuAtomicOp op);

}  // namespace softxe
