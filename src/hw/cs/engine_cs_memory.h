// EngineCsMemory: lets the command streamer work through an engine's MMU.
#pragma once

#include "hw/cs/cs_memory.h"
#include "hw/mmu_memory.h"

namespace softxe {

/// Stateless: borrows the memory of one engine, which outlives it; same thread rules.
class EngineCsMemory final : public CsMemory {
 public:
  explicit EngineCsMemory(EngineMemory& memory) : memory_(memory) {}

  Status read32(GpuVa va, std::uint32_t& value) override { return memory_.load(va, value); }
  Status read64(GpuVa va, std::uint64_t& value) override { return memory_.load(va, value); }
  Status write32(GpuVa va, std::uint32_t value) override { return memory_.store(va, value); }
  Status write64(GpuVa va, std::uint64_t value) override { return memory_.store(va, value); }
  Result<std::uint32_t> atomic32(GpuVa va, const AtomicOp<std::uint32_t>& op) override {
    return memory_.atomic32(va, {op.apply, op.operand, op.compare});
  }
  Result<std::uint64_t> atomic64(GpuVa va, const AtomicOp<std::uint64_t>& op) override {
    return memory_.atomic64(va, {op.apply, op.operand, op.compare});
  }
  Status copy(const CopySpan& span) override {
    return memory_.copy_bytes({.to = span.to, .from = span.from, .bytes = span.bytes});
  }
  Status fill(GpuVa to, const Pattern& pattern, std::uint64_t bytes) override {
    return memory_.fill_bytes(to, {.data = pattern.data, .bytes = pattern.bytes}, bytes);
  }

 private:
  EngineMemory& memory_;
};

}  // namespace softxe
