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
  Status atomics(const EuAtomics& atomics, std::size_t& done) override;
  /// Null outside of a burst: nobody would end the section.
  std::byte* reach(GpuVa va, std::uint32_t bytes, AccessType access) override;
  bool reach_each(std::uint32_t channels, std::uint64_t* at, std::uint32_t bytes, AccessType access) override;
  void rest() override { memory_.mmu().leave(); }

 private:
  Status atomics16(const EuAtomics& atomics, std::size_t& done);
  Status atomics32(const EuAtomics& atomics, std::size_t& done);
  EngineMemory& memory_;
};

}  // namespace softxe
