// EngineEuMemory: the messages of kernels over an engine's MMU.
#pragma once

#include "hw/eu/eu_memory.h"
#include "hw/mmu_memory.h"

namespace softxe {

/// Whether loads without destination ask for their pages (Xe3p and later) or do nothing.
enum class EuPrefetch : std::uint8_t { kIgnored, kFaults };

/// Owned by a worker, whose EngineMemory it borrows; that worker's thread only: no lock.
class EngineEuMemory final : public EuMemory {
 public:
  explicit EngineEuMemory(EngineMemory& memory, EuPrefetch prefetch = EuPrefetch::kIgnored)
      : memory_(memory), prefetch_(prefetch) {}

  Status load(const MemoryItems& items, std::byte* to) override { return memory_.load_items(items, to); }
  Status store(const MemoryItems& items, const std::byte* from) override { return memory_.store_items(items, from); }
  Status atomics(const EuAtomics& atomics, std::size_t& done) override;
  void prefetch(GpuVa va) override {
    if (prefetch_ == EuPrefetch::kFaults) memory_.prefetch(va);
  }
  /// Null outside of a burst: nobody would end the section.
  std::byte* reach(GpuVa va, std::uint32_t bytes, AccessType access) override;
  bool reach_each(std::uint32_t channels, std::uint64_t* at, std::uint32_t bytes, AccessType access) override;
  void rest() override { memory_.mmu().leave(); }

 private:
  Status atomics16(const EuAtomics& atomics, std::size_t& done);
  Status atomics32(const EuAtomics& atomics, std::size_t& done);
  EngineMemory& memory_;
  const EuPrefetch prefetch_;
};

}  // namespace softxe
