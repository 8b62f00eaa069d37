// CsMemory: the memory the command streamer works on, as it sees it: loads, stores, atomics,
// copies.
//
// An interface, so that the interpreter is tested without page tables. It mirrors EngineMemory:
//   engine_cs_memory.h   the real one
#pragma once

#include <cstdint>

#include "base/address.h"
#include "base/result.h"

namespace softxe {

/// Its engine owns it; one thread at a time. Any error is a page fault that cannot be served; after one an
/// access may have been done in part.
class CsMemory {
 public:
  /// `apply` must be pure: it may run several times.
  template <typename T>
  struct AtomicOp {
    T (*apply)(T found, T operand, T compare);
    T operand = 0;
    T compare = 0;
  };
  struct CopySpan {
    GpuVa to;
    GpuVa from;
    std::uint64_t bytes;
  };
  /// 1, 2, 4, 8 or 16 bytes, repeated; the filled length need not be a multiple.
  struct Pattern {
    const void* data;
    std::uint32_t bytes;
  };

  virtual ~CsMemory() = default;

  /// Single-copy-atomic and acquire when naturally aligned.
  virtual Status read32(GpuVa va, std::uint32_t& value) = 0;
  virtual Status read64(GpuVa va, std::uint64_t& value) = 0;
  /// Single-copy-atomic and release when naturally aligned.
  virtual Status write32(GpuVa va, std::uint32_t value) = 0;
  virtual Status write64(GpuVa va, std::uint64_t value) = 0;
  /// Atomic against CPU threads too; returns what was there before. The streamer only passes
  /// naturally aligned addresses.
  virtual Result<std::uint32_t> atomic32(GpuVa va, const AtomicOp<std::uint32_t>& op) = 0;
  virtual Result<std::uint64_t> atomic64(GpuVa va, const AtomicOp<std::uint64_t>& op) = 0;
  /// Forward; what overlapping spans give is not defined.
  virtual Status copy(const CopySpan& span) = 0;
  virtual Status fill(GpuVa to, const Pattern& pattern, std::uint64_t bytes) = 0;
};

}  // namespace softxe
