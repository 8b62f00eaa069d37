// PinSet: pages that must never be in VRAM because an engine thread stands on them.
//
// Pinning has to work for a thread whose own stack may be in VRAM at that moment, so it cannot simply
// take the mm lock. It announces the range in a slot first; from then on no migration takes it (a
// migration looks at the slots after it has made its epoch odd). Once a migration in flight has ended
// the thread touches its pages, without any lock, and only then enters the range in the table.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/address.h"
#include "host/live/arena.h"
#include "host/live/granules.h"

namespace softxe::live {

/// Table and slots. The table is guarded by the mm lock; slots and epoch are atomic.
class PinSet {
 public:
  static constexpr std::uint32_t kSlots = 64;
  static constexpr std::uint32_t kEntriesMax = 16384;

  bool init(Arena& arena) {
    entries_ = static_cast<Entry*>(arena.take(kEntriesMax * sizeof(Entry)));
    return entries_ != nullptr;
  }

  /// No lock needed. Returns the slot, after every migration that may not have seen it has ended.
  std::uint32_t announce(HostRange range);
  void retract(std::uint32_t slot) {
    slots_[slot].end.store(0);
    slots_[slot].taken.store(false);
  }

  /// Mm lock held. Brackets the part of a migration that takes pages.
  void begin_migration() { epoch_.fetch_add(1); }
  void end_migration() { epoch_.fetch_add(1); }
  /// Mm lock held, inside the bracket.
  bool intersects(const GranuleMap& granules, HostRange range) const;

  /// Mm lock held. The part of `block` around `wanted` that no entry reaches into; `wanted` is free of them.
  HostRange free_around(const GranuleMap& granules, HostRange block, HostRange wanted) const;

  /// Mm lock held. False: the table or the arena is full.
  bool add(Arena& arena, GranuleMap& granules, HostRange range);
  /// Mm lock held. The memory has been unmapped: nobody stands there any more.
  void remove(const GranuleMap& granules, HostRange range);

  /// Moves when a pinned range was removed: threads check their cached window against it.
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  struct Entry {
    std::uint64_t start;
    std::uint64_t end;
  };
  struct Slot {
    std::atomic<bool> taken{false};
    std::atomic<std::uint64_t> start{0};
    std::atomic<std::uint64_t> end{0};  ///< 0: the slot announces nothing
  };
  bool has_pins(const GranuleMap& granules, HostRange range) const {
    return granules.any(range, [](const Granule& g) { return g.has_pins.load(); });
  }

  std::array<Slot, kSlots> slots_;
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<std::uint64_t> generation_{1};
  Entry* entries_ = nullptr;
  std::uint32_t count_ = 0;
};

}  // namespace softxe::live
