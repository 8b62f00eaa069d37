#include "hw/eu/eu_engine_memory.h"

#include <array>
#include <bit>

#include "hw/eu/eu_thread.h"

namespace softxe {

namespace {

/// Inside a section: walks when the TLB has nothing, but never faults.
std::byte* reach_one(Mmu& mmu, GpuVa va, std::uint32_t bytes, AccessType access) {
  const std::uint32_t write = access == AccessType::kRead ? 0u : std::uint32_t{kTlbWrite};
  if ((va.value() & (kPageSize - 1)) + bytes > kPageSize) return nullptr;
  if (const TlbEntry* entry = mmu.cached(va, kTlbPlain | kTlbRead | write)) return entry->host(va);
  const auto target = mmu.translate(va, bytes, access);
  return target && target->plain() && target->bytes >= bytes ? target->host : nullptr;
}

}  // namespace

std::byte* EngineEuMemory::reach(GpuVa va, std::uint32_t bytes, AccessType access) {
  Mmu& mmu = memory_.mmu();
  if (!mmu.bursting()) return nullptr;
  mmu.begin(bytes);
  std::byte* const host = reach_one(mmu, va, bytes, access);
  if (host != nullptr) mmu.progressed();
  return host;
}

bool EngineEuMemory::reach_each(std::uint32_t channels, std::uint64_t* at, std::uint32_t bytes, AccessType access) {
  Mmu& mmu = memory_.mmu();
  if (!mmu.bursting()) return false;
  mmu.begin(std::uint64_t{bytes} * kEuChannelsMax);
  for (; channels != 0; channels &= channels - 1) {
    std::uint64_t& address = at[std::countr_zero(channels)];
    std::byte* const host = reach_one(mmu, GpuVa(address), bytes, access);
    if (host == nullptr) return false;
    address = reinterpret_cast<std::uint64_t>(host);
  }
  mmu.progressed();
  return true;
}

Status EngineEuMemory::atomics(const EuAtomics& atomics, std::size_t& done) {
  switch (atomics.bytes) {
    case 2: return atomics16(atomics, done);
    case 4: return atomics32(atomics, done);
    default: break;
  }
  return memory_.atomic_items({.va = atomics.va,
                               .apply = eu_atomic_fn64(atomics.op),
                               .operand = atomics.operand,
                               .compare = atomics.compare,
                               .found = atomics.found},
                              done);
}

Status EngineEuMemory::atomics32(const EuAtomics& atomics, std::size_t& done) {
  std::array<std::uint32_t, kEuChannelsMax> operand;
  std::array<std::uint32_t, kEuChannelsMax> compare;
  std::array<std::uint32_t, kEuChannelsMax> found;
  const std::size_t count = atomics.va.size();
  SX_ASSERT(count <= kEuChannelsMax);
  for (std::size_t n = 0; n < count; ++n) operand[n] = static_cast<std::uint32_t>(atomics.operand[n]);
  for (std::size_t n = 0; n < count; ++n) compare[n] = static_cast<std::uint32_t>(atomics.compare[n]);
  const Status status = memory_.atomic_items({.va = atomics.va,
                                              .apply = eu_atomic_fn32(atomics.op),
                                              .operand = operand.data(),
                                              .compare = compare.data(),
                                              .found = found.data()},
                                             done);
  for (std::size_t n = 0; n < done; ++n) atomics.found[n] = found[n];
  return status;
}

/// On the dword around the word. The processor's own 16-bit atomics and these see each other: both lock the line.
Status EngineEuMemory::atomics16(const EuAtomics& atomics, std::size_t& done) {
  for (done = 0; done < atomics.va.size(); ++done) {
    const GpuVa va = atomics.va[done];
    const bool high = !va.is_aligned(4);
    const EngineMemory::AtomicOp<std::uint32_t> op{
        .apply = eu_atomic_fn16(atomics.op, high ? EuHalf::kHigh : EuHalf::kLow),
        .operand = static_cast<std::uint32_t>(atomics.operand[done]),
        .compare = static_cast<std::uint32_t>(atomics.compare[done])};
    SX_TRY(const std::uint32_t found, memory_.atomic32(va.aligned_down(4), op));
    atomics.found[done] = found >> (high ? 16 : 0) & 0xFFFF;
  }
  return {};
}

}  // namespace softxe
