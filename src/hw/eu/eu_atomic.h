// Atomic operations of messages (spec/eu-isa.md 9.1): what each does with the value it finds.
#pragma once

#include <cstdint>

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
  kFmin = 0x15,
  kFmax = 0x16,
  kFcas = 0x17,
  kAnd = 0x18,
  kOr = 0x19,
  kXor = 0x1A,
};

/// `bytes` is 2, 4 or 8; values stand in the low bits.
struct EuAtomic {
  EuAtomicOp op = EuAtomicOp::kLoad;
  std::uint8_t bytes = 4;
  std::uint64_t operand = 0;  ///< icas, fcas: the new value
  std::uint64_t compare = 0;  ///< icas, fcas only
};

/// The value that takes the place of `found`. Pure.
std::uint64_t eu_atomic_result(const EuAtomic& atomic, std::uint64_t found);

}  // namespace softxe
