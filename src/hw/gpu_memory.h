// GpuMemory: memory as the command streamer needs it. The interpreter asks; somebody else translates,
// faults and retries.
//
// Recoverable page faults never show here: the implementation waits for their service and repeats the
// access. kFault means the job is lost. Read next: cs_engine_memory.h (the real one), cs_fake_memory.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/address.h"

namespace softxe {

enum class AccessStatus : std::uint8_t {
  kOk,
  kFault,   ///< refused; already recorded by the fault service; the job dies
  kKilled,  ///< given up because the queue is being killed
};

/// Codes of MI_ATOMIC (spec/gpu-commands.md 4), without their size part.
enum class GpuAtomicOp : std::uint8_t {
  kAnd = 0x1,
  kOr = 0x2,
  kXor = 0x3,
  kMove = 0x4,
  kInc = 0x5,
  kDec = 0x6,
  kAdd = 0x7,
  kSub = 0x8,
  kReverseSub = 0x9,
  kMaxSigned = 0xA,
  kMinSigned = 0xB,
  kMaxUnsigned = 0xC,
  kMinUnsigned = 0xD,
  kCompareExchange = 0xE,
  kPreDec = 0xF,
};

/// The pure function from the value found to the value stored. Compare-exchange compares with
/// `operand1` and stores `operand2`. Null for a code that does not exist.
template <typename T>
using AtomicFunction = T (*)(T found, T operand1, T operand2);

template <typename T>
constexpr AtomicFunction<T> atomic_function(GpuAtomicOp op) {
  static_assert(std::is_unsigned_v<T>);
  using S = std::make_signed_t<T>;
  switch (op) {
    case GpuAtomicOp::kAnd: return [](T m, T a, T) { return static_cast<T>(m & a); };
    case GpuAtomicOp::kOr: return [](T m, T a, T) { return static_cast<T>(m | a); };
    case GpuAtomicOp::kXor: return [](T m, T a, T) { return static_cast<T>(m ^ a); };
    case GpuAtomicOp::kMove: return [](T, T a, T) { return a; };
    case GpuAtomicOp::kInc: return [](T m, T, T) { return static_cast<T>(m + 1); };
    case GpuAtomicOp::kDec:
    case GpuAtomicOp::kPreDec: return [](T m, T, T) { return static_cast<T>(m - 1); };
    case GpuAtomicOp::kAdd: return [](T m, T a, T) { return static_cast<T>(m + a); };
    case GpuAtomicOp::kSub: return [](T m, T a, T) { return static_cast<T>(m - a); };
    case GpuAtomicOp::kReverseSub: return [](T m, T a, T) { return static_cast<T>(a - m); };
    case GpuAtomicOp::kMaxSigned:
      return [](T m, T a, T) { return static_cast<S>(m) > static_cast<S>(a) ? m : a; };
    case GpuAtomicOp::kMinSigned:
      return [](T m, T a, T) { return static_cast<S>(m) < static_cast<S>(a) ? m : a; };
    case GpuAtomicOp::kMaxUnsigned: return [](T m, T a, T) { return m > a ? m : a; };
    case GpuAtomicOp::kMinUnsigned: return [](T m, T a, T) { return m < a ? m : a; };
    case GpuAtomicOp::kCompareExchange: return [](T m, T a, T b) { return m == a ? b : m; };
  }
  return nullptr;
}

/// An engine's view of the address space of the running context. Addresses are stripped of their
/// canonical bits. A range that leaves the address space faults. Accesses need no alignment except
/// atomics; after kFault an access may have been done in part.
class GpuMemory {
 public:
  struct Operands {
    std::uint64_t operand1 = 0;
    std::uint64_t operand2 = 0;
  };
  struct CopySpan {
    GpuVa to;
    GpuVa from;
    std::uint64_t bytes = 0;
  };
  struct FillSpan {
    GpuVa to;
    std::uint64_t bytes = 0;
  };

  virtual ~GpuMemory() = default;

  /// Instruction fetch of one dword; a fault counts as a read.
  virtual AccessStatus fetch(GpuVa at, std::uint32_t& dword) = 0;

  /// Single-copy-atomic when naturally aligned: CPU threads poll and patch the same dwords.
  virtual AccessStatus load32(GpuVa at, std::uint32_t& value) = 0;
  virtual AccessStatus load64(GpuVa at, std::uint64_t& value) = 0;
  virtual AccessStatus store32(GpuVa at, std::uint32_t value) = 0;
  virtual AccessStatus store64(GpuVa at, std::uint64_t value) = 0;

  /// Atomic against CPU threads too. `at` is naturally aligned; `old` receives what was found.
  virtual AccessStatus atomic32(GpuVa at, GpuAtomicOp op, const Operands& operands,
                                std::uint32_t& old) = 0;
  virtual AccessStatus atomic64(GpuVa at, GpuAtomicOp op, const Operands& operands,
                                std::uint64_t& old) = 0;

  /// Plain bytes, no ordering inside. Overlapping copies have an undefined order.
  virtual AccessStatus copy(const CopySpan& span) = 0;
  /// Repeats a pattern of 1, 2, 4, 8 or 16 bytes from the start of the span on.
  virtual AccessStatus fill(const FillSpan& span, std::span<const std::byte> pattern) = 0;
};

}  // namespace softxe
