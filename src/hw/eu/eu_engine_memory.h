// EngineEuMemory: the messages of kernels over an engine's MMU.
#pragma once

#include "hw/eu/eu_memory.h"
#include "hw/mmu_memory.h"

namespace softxe {

/// Borrows the worker's EngineMemory.
class EngineEuMemory final : public EuMemory {
 public:
  explicit EngineEuMemory(EngineMemory& memory) : memory_(memory) {}

  Status load(const MemoryItems& items, std::byte* to) override { return memory_.load_items(items, to); }
  Status store(const MemoryItems& items, const std::byte* from) override { return memory_.store_items(items, from); }
  Result<std::uint64_t> atomic(GpuVa va, const EuAtomic& atomic) override;

 private:
  EngineMemory& memory_;
};

}  // namespace softxe
