#include "host/live/pins.h"

#include <algorithm>

#include "base/raw_syscall.h"

namespace softxe::live {

std::uint32_t PinSet::announce(HostRange range) {
  std::uint32_t slot = 0;
  while (slots_[slot].taken.exchange(true)) {
    slot = (slot + 1) % kSlots;
    if (slot == 0) raw_syscall(SYS_sched_yield);
  }
  slots_[slot].start.store(range.start().value());
  slots_[slot].end.store(range.end().value());
  // Dekker with begin_migration(): either the migration sees the slot, or the epoch is odd here.
  const std::uint64_t epoch = epoch_.load();
  while (epoch % 2 == 1 && epoch_.load() == epoch) raw_syscall(SYS_sched_yield);
  return slot;
}

bool PinSet::intersects(const GranuleMap& granules, HostRange range) const {
  const std::uint64_t start = range.start().value();
  const std::uint64_t end = range.end().value();
  for (const Slot& slot : slots_) {
    const std::uint64_t slot_end = slot.end.load();
    if (slot_end > start && slot.start.load() < end) return true;
  }
  if (!has_pins(granules, range)) return false;
  return std::any_of(entries_, entries_ + count_, [&](const Entry& e) { return e.start < end && start < e.end; });
}

HostRange PinSet::free_around(const GranuleMap& granules, HostRange block, HostRange wanted) const {
  if (!has_pins(granules, block)) return block;
  std::uint64_t start = block.start().value();
  std::uint64_t end = block.end().value();
  for (std::uint32_t i = 0; i < count_; ++i) {
    const Entry& e = entries_[i];
    if (e.end <= wanted.start().value()) start = std::max(start, e.end);
    if (e.start >= wanted.end().value()) end = std::min(end, e.start);
  }
  return HostRange::between(HostVa(start), HostVa(end));
}

bool PinSet::add(Arena& arena, GranuleMap& granules, HostRange range) {
  if (!GranuleMap::addressable(range)) return true;  // no user page can be there
  if (!granules.prepare(arena, range)) return false;
  granules.any(range, [](Granule& g) { return g.has_pins.store(true), false; });
  Entry merged{range.start().value(), range.end().value()};
  for (std::uint32_t i = 0; i < count_;) {
    Entry& e = entries_[i];
    if (e.start > merged.end || merged.start > e.end) {
      ++i;
      continue;
    }
    merged = Entry{std::min(e.start, merged.start), std::max(e.end, merged.end)};
    e = entries_[--count_];
    i = 0;
  }
  if (count_ == kEntriesMax) return false;
  entries_[count_++] = merged;
  return true;
}

void PinSet::remove(const GranuleMap& granules, HostRange range) {
  if (!has_pins(granules, range)) return;
  const std::uint64_t start = range.start().value();
  const std::uint64_t end = range.end().value();
  bool removed = false;
  for (std::uint32_t i = 0; i < count_;) {
    Entry& e = entries_[i];
    if (e.start >= end || start >= e.end) {
      ++i;
      continue;
    }
    removed = true;
    const Entry left{e.start, start};
    const Entry right{end, e.end};
    const bool keep_left = left.start < left.end;
    const bool keep_right = right.start < right.end;
    if (keep_left && keep_right) {
      if (count_ == kEntriesMax) break;  // stays pinned: harmless, only not migratable
      e = left;
      entries_[count_++] = right;
      ++i;
    } else if (keep_left || keep_right) {
      e = keep_left ? left : right;
      ++i;
    } else {
      e = entries_[--count_];
    }
  }
  if (removed) generation_.fetch_add(1, std::memory_order_acq_rel);
}

}  // namespace softxe::live
