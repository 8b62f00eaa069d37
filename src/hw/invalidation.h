// TLB invalidation: engine sections, generations, and the batch that pays for PagesAffected.
//
// Why a stale translation is never used (all four operations marked * are seq_cst):
//   invalidator:  clear PTE;  * generation++ ;  * read each slot's word, wait while it is inside
//   engine:       * word = inside ;  * read generation ;  use TLB entries of that generation or walk
// In the single order of * operations either the engine's "inside" comes before the invalidator's read
// of the word, then the invalidator waits until the section has ended; or it comes after, then the
// engine's read of the generation comes after the increment: it sees the new generation, which makes all
// older TLB entries miss, and (release/acquire through the generation) the cleared PTE.
// A TLB entry is valid iff its generation equals the section's.
//
// Sections are short (<= 64 KiB of data or 256 accesses) and never block: no lock, no system page, no
// fault service inside. So waiting for one under the notifier lock is bounded.
// Read next: tlb.h, mmu.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "hw/pt_affected.h"

namespace softxe {

/// The word one engine publishes. Odd: inside a section. Written by its engine only.
struct alignas(64) EngineSlot {
  std::atomic<std::uint64_t> active{0};
  std::atomic<bool> taken{false};
};

/// All engines of one device, and the generation of their TLBs. Thread-safe, no locks.
class InvalidationDomain {
 public:
  static constexpr std::uint32_t kSlotsMax = 512;
  static constexpr std::uint64_t kSectionBytesMax = k64K;
  static constexpr std::uint32_t kSectionAccessesMax = 256;

  InvalidationDomain() = default;
  InvalidationDomain(const InvalidationDomain&) = delete;
  InvalidationDomain& operator=(const InvalidationDomain&) = delete;

  /// A slot for a new engine. Aborts beyond kSlotsMax (a device has ten engines with up to 32 workers each, and a few
  /// more).
  EngineSlot& register_engine();
  void unregister_engine(EngineSlot& slot);

  std::uint64_t generation() const { return generation_.load(std::memory_order_seq_cst); }
  /// Number of completed invalidations since the start.
  std::uint64_t invalidations() const { return invalidations_.load(std::memory_order_relaxed); }

  /// Makes every TLB entry of the device stale and waits until no section that began before runs.
  /// Never call inside a section of the same thread.
  void invalidate_all();

 private:
  void wait_for_section(const EngineSlot& slot) const;

  std::atomic<std::uint64_t> generation_{1};
  std::atomic<std::uint32_t> slots_high_{0};
  std::atomic<std::uint64_t> invalidations_{0};
  std::array<EngineSlot, kSlotsMax> slots_;
};

/// The engine's side: between enter() and leave() translations of generation() may be used.
class EngineSection {
 public:
  EngineSection(const InvalidationDomain& domain, EngineSlot& slot) : domain_(domain), slot_(slot) {}

  /// Returns the generation to compare TLB entries with.
  std::uint64_t enter() {
    slot_.active.store(++word_, std::memory_order_seq_cst);
    return domain_.generation();
  }
  void leave() { slot_.active.store(++word_, std::memory_order_release); }
  bool inside() const { return (word_ & 1) != 0; }

 private:
  const InvalidationDomain& domain_;
  EngineSlot& slot_;
  std::uint64_t word_ = 0;
};

/// What one batch did, for statistics.
struct InvalidationCount {
  std::uint32_t invalidations = 0;  ///< 0 or 1
  std::uint64_t pages = 0;          ///< 4K pages revoked
};

/// Collects receipts of one device and pays them together. On the stack of one thread.
class InvalidationBatch {
 public:
  explicit InvalidationBatch(InvalidationDomain& domain) : domain_(domain) {}
  /// Pays what is still owed (an early return must not leave a stale TLB behind).
  ~InvalidationBatch() { wait(); }
  InvalidationBatch(const InvalidationBatch&) = delete;
  InvalidationBatch& operator=(const InvalidationBatch&) = delete;

  /// Receipts may come from several page tables (tiles, VMs) of the device and any number of pools.
  void add(PagesAffected&& affected);
  bool owed() const { return owed_; }
  /// Invalidates if anything is owed, then frees the unlinked tables.
  InvalidationCount wait();

 private:
  static constexpr std::uint32_t kPoolsMax = 4;
  struct Garbage {
    TablePool* pool = nullptr;
    PtTableList list;
  };
  InvalidationDomain& domain_;
  bool owed_ = false;
  std::uint64_t pages_ = 0;
  std::array<Garbage, kPoolsMax> garbage_{};
};

}  // namespace softxe
