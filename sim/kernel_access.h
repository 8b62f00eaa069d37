// One access as a kernel makes it: a thread of one lane, its code outside of the memory that the model knows.
#pragma once

#include <cstdint>

#include "hw/eu/eu_engine_memory.h"
#include "hw/eu/eu_group.h"
#include "hw/eu/eu_program.h"
#include "hw/mmu_memory.h"

namespace softxe::sim {

/// Borrows the engine. EFAULT: a fault was refused.
class KernelAccess {
 public:
  explicit KernelAccess(EngineMemory& memory) : memory_(memory), group_({.threads = 1}) {}

  Status load(GpuVa va, std::uint64_t& value);
  Status store(GpuVa va, std::uint64_t value);
  /// `before` is what was there.
  Status add(GpuVa va, std::uint64_t value, std::uint64_t& before);

 private:
  enum class Kind : std::uint8_t { kLoad, kStore, kAdd };
  /// Code stands at addresses of its own; everything else is the engine's.
  class Memory final : public EuMemory {
   public:
    explicit Memory(EngineMemory& memory) : engine_(memory) {}
    Status load(const MemoryItems& items, std::byte* to) override;
    Status store(const MemoryItems& items, const std::byte* from) override { return engine_.store(items, from); }
    Status atomics(const EuAtomics& atomics, std::size_t& done) override { return engine_.atomics(atomics, done); }

   private:
    EngineEuMemory engine_;
  };
  Status run(Kind kind, GpuVa va, std::uint64_t value, std::uint64_t& result);

  Memory memory_;
  EuGroup group_;
  EuProgram program_;
};

}  // namespace softxe::sim
