// EuMemory: global memory as the messages of an execution unit see it.
//
// The seam between messages and the MMU. EngineEuMemory (eu_engine_memory.h) is the product's, over EngineMemory;
// tests have one that is a map of pages (fake_eu_memory.h). Every call works on all its items: it touches every
// page first, has faults served, and then acts, so that a fault repeats nothing. Read next: mmu_items.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "hw/eu/eu_atomic.h"
#include "hw/fault.h"
#include "hw/mmu_items.h"

namespace softxe {

/// One per worker, used by that worker's thread only. Errors: EFAULT (a fault was refused), ETIME (livelock);
/// after one of them the caller's buffer holds anything, and memory is as before, unless a page vanished
/// between touch and effect: then a part of the items may be stored. Null and scratch pages read zero.
class EuMemory {
 public:
  virtual ~EuMemory() = default;

  /// Item n goes to `to + n * item_bytes`.
  virtual Status load(const MemoryItems& items, std::byte* to) = 0;
  /// Item n comes from `from + n * item_bytes`; of items that overlap the later one stays.
  virtual Status store(const MemoryItems& items, const std::byte* from) = 0;
  /// The host processor's own atomics, one after the other. `done` is how many happened, each once, also after an
  /// error.
  virtual Status atomics(const EuAtomics& atomics, std::size_t& done) = 0;

  /// A load without destination: a hint, which neither fails nor tells anything (spec/svm.md 4.10). Devices without
  /// prefetch faults, and those who do not say otherwise, ignore it.
  virtual void prefetch(GpuVa) {}

  /// Where `bytes` from `va` on stand when they are in one page of engine memory, translated and allowed: plain
  /// accesses may be made there until rest() or any other call. Null: load() or store() find out. Never faults.
  virtual std::byte* reach(GpuVa, std::uint32_t, AccessType) { return nullptr; }
  /// The same for every channel in `channels`: from the addresses in `at` to where they stand, in place. False: not all
  /// of them; `at` then holds anything.
  virtual bool reach_each(std::uint32_t, std::uint64_t*, std::uint32_t, AccessType) { return false; }
  /// Before anything that may block: what reach() told is forgotten.
  virtual void rest() {}
};

}  // namespace softxe
