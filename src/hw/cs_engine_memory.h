// GpuMemory over the engine's real memory path (mmu_memory.h): TLB, faults and retries behind it.
#pragma once

#include <cstdint>
#include <span>

#include "hw/gpu_memory.h"
#include "hw/mmu_memory.h"

namespace softxe {

/// Stateless; the EngineMemory outlives it and is bound to the context's VM by the owner.
class EngineGpuMemory final : public GpuMemory {
 public:
  explicit EngineGpuMemory(EngineMemory& memory) : memory_(memory) {}

  AccessStatus fetch(GpuVa at, std::uint32_t& dword) override {
    return status_of(memory_.load(at, dword));
  }
  AccessStatus load32(GpuVa at, std::uint32_t& value) override {
    return status_of(memory_.load(at, value));
  }
  AccessStatus load64(GpuVa at, std::uint64_t& value) override {
    return status_of(memory_.load(at, value));
  }
  AccessStatus store32(GpuVa at, std::uint32_t value) override {
    return status_of(memory_.store(at, value));
  }
  AccessStatus store64(GpuVa at, std::uint64_t value) override {
    return status_of(memory_.store(at, value));
  }
  AccessStatus atomic32(GpuVa at, GpuAtomicOp op, const Operands& operands,
                        std::uint32_t& old) override {
    return found(memory_.atomic32(at, {atomic_function<std::uint32_t>(op),
                                       static_cast<std::uint32_t>(operands.operand1),
                                       static_cast<std::uint32_t>(operands.operand2)}),
                 old);
  }
  AccessStatus atomic64(GpuVa at, GpuAtomicOp op, const Operands& operands,
                        std::uint64_t& old) override {
    return found(memory_.atomic64(
                     at, {atomic_function<std::uint64_t>(op), operands.operand1, operands.operand2}),
                 old);
  }
  AccessStatus copy(const CopySpan& span) override {
    return status_of(memory_.copy_bytes({.to = span.to, .from = span.from, .bytes = span.bytes}));
  }
  AccessStatus fill(const FillSpan& span, std::span<const std::byte> pattern) override {
    return status_of(memory_.fill_bytes(
        span.to, {pattern.data(), static_cast<std::uint32_t>(pattern.size())}, span.bytes));
  }

 private:
  static AccessStatus status_of(const Status& status) {
    return status ? AccessStatus::kOk : AccessStatus::kFault;
  }
  template <typename T>
  static AccessStatus found(const Result<T>& result, T& old) {
    if (!result) return AccessStatus::kFault;
    old = *result;
    return AccessStatus::kOk;
  }

  EngineMemory& memory_;
};

}  // namespace softxe
