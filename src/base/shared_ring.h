// The protocol of EventRing and StackRing: writers of any thread, in any process that maps the ring, and one reader.
//
// A ring has `head`, `tail`, `dropped`, `slots` and kSlots; a record has a number, which is published last. Nobody
// waits: who finds the ring full counts what is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/event_ring.h"

namespace softxe {

/// A slot that is the caller's until it publishes its number; none: the ring is full.
template <typename Ring>
std::optional<std::uint64_t> claim_slot(Ring& ring) {
  std::uint64_t claim = ring.head.load(std::memory_order_relaxed);
  do {
    // Acquire: the reader has copied the slot before it gave it back.
    if (claim - ring.tail.load(std::memory_order_acquire) >= Ring::kSlots) {
      ring.dropped.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
  } while (!ring.head.compare_exchange_weak(claim, claim + 1, std::memory_order_relaxed));
  return claim;
}

/// All else of the record is written.
inline void publish_slot(std::uint64_t& number, std::uint64_t claim) {
  std::atomic_ref<std::uint64_t>(number).store(claim + 1, std::memory_order_release);
}

/// What is published, in order, behind what `records` has; returns how many holes of dead writers were stepped over.
template <typename Ring, typename Record>
std::uint64_t read_slots(Ring& ring, std::uint64_t Record::*number, RingWriters writers, std::vector<Record>& records) {
  std::uint64_t holes = 0;
  std::uint64_t tail = ring.tail.load(std::memory_order_relaxed);
  const std::uint64_t head = ring.head.load(std::memory_order_acquire);
  for (; tail < head && tail + Ring::kSlots >= head; ++tail) {
    Record& slot = ring.slots[tail % Ring::kSlots];
    if (std::atomic_ref<std::uint64_t>(slot.*number).load(std::memory_order_acquire) != tail + 1) {
      if (writers == RingWriters::kAlive) break;
      ++holes;
      continue;
    }
    records.push_back(slot);
  }
  ring.tail.store(tail, std::memory_order_release);
  return holes;
}

}  // namespace softxe
