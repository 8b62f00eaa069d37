#include "hw/eu/eu_engine_memory.h"

namespace softxe {

Result<std::uint64_t> EngineEuMemory::atomic(GpuVa va, const EuAtomic& atomic) {
  if (atomic.bytes == 8) {
    return memory_.atomic64(va,
                            {.apply = eu_atomic_fn64(atomic.op), .operand = atomic.operand, .compare = atomic.compare});
  }
  const auto operand = static_cast<std::uint32_t>(atomic.operand);
  const auto compare = static_cast<std::uint32_t>(atomic.compare);
  if (atomic.bytes == 4) {
    SX_TRY(const std::uint32_t found,
           memory_.atomic32(va, {.apply = eu_atomic_fn32(atomic.op), .operand = operand, .compare = compare}));
    return std::uint64_t{found};
  }
  // The processor's 16-bit atomics and these see each other: they lock the same cache line.
  const bool high = !va.is_aligned(4);
  SX_TRY(const std::uint32_t found,
         memory_.atomic32(va.aligned_down(4), {.apply = eu_atomic_fn16(atomic.op, high ? EuHalf::kHigh : EuHalf::kLow),
                                               .operand = operand,
                                               .compare = compare}));
  return std::uint64_t{found >> (high ? 16 : 0) & 0xFFFF};
}

}  // namespace softxe
