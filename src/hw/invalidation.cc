#include "hw/invalidation.h"

#include <sched.h>

#include "base/step.h"
#include "base/turns.h"

namespace softxe {

EngineSlot& InvalidationDomain::register_engine() {
  for (std::uint32_t i = 0;; ++i) {
    SX_ASSERT(i < kSlotsMax);
    bool expected = false;
    if (!slots_[i].taken.compare_exchange_strong(expected, true)) continue;
    std::uint32_t high = slots_high_.load();
    while (high < i + 1 && !slots_high_.compare_exchange_weak(high, i + 1)) {
    }
    return slots_[i];
  }
}

void InvalidationDomain::unregister_engine(EngineSlot& slot) {
  SX_ASSERT((slot.active.load() & 1) == 0);
  slot.taken.store(false);
}

/// Waits for the end of the section that `slot` is in now, if any. A section does not block, so the long wait is for
/// an engine that is off its processor: give it one.
void InvalidationDomain::wait_for_section(const EngineSlot& slot) const {
  constexpr unsigned kSpins = 30;
  const std::uint64_t seen = slot.active.load(std::memory_order_seq_cst);
  if ((seen & 1) == 0) return;
  if (Turns* who = turns()) {
    return who->until([&] { return slot.active.load(std::memory_order_acquire) != seen; }, "the end of a section");
  }
  for (unsigned turns = 0; slot.active.load(std::memory_order_acquire) == seen; ++turns) {
    if (turns < kSpins) {
      __builtin_ia32_pause();
      continue;
    }
    sched_yield();
  }
}

void InvalidationDomain::invalidate_all() {
  SX_MARK("hw.tlb.invalidate");
  generation_.fetch_add(1, std::memory_order_seq_cst);
  // An engine that registers later has an empty TLB and reads the new generation.
  const std::uint32_t high = slots_high_.load(std::memory_order_seq_cst);
  for (std::uint32_t i = 0; i < high; ++i) wait_for_section(slots_[i]);
  invalidations_.fetch_add(1, std::memory_order_relaxed);
}

void InvalidationBatch::add(PagesAffected&& affected) {
  if (!affected.owed()) return;
  owed_ = true;
  pages_ += std::exchange(affected.pages_, 0);
  affected.holes_changed_ = false;
  const PtTableList list = std::exchange(affected.garbage_, PtTableList{});
  if (list.head == nullptr) return;
  TablePool& pool = *affected.pool_;
  for (Garbage& g : garbage_) {
    if (g.pool != nullptr && g.pool != &pool) continue;
    g.pool = &pool;
    PtTable* last = list.head;
    while (pool.info(*last).next != nullptr) last = pool.info(*last).next;
    pool.info(*last).next = g.list.head;
    g.list.head = list.head;
    g.list.count += list.count;
    return;
  }
  // More pools than a device has tiles: pay at once.
  domain_.invalidate_all();
  pool.free_subtrees(list);
}

InvalidationCount InvalidationBatch::wait() {
  if (!owed_) return {};
  domain_.invalidate_all();
  for (Garbage& g : garbage_) {
    if (g.pool != nullptr) g.pool->free_subtrees(g.list);
    g = Garbage{};
  }
  owed_ = false;
  return InvalidationCount{1, std::exchange(pages_, 0)};
}

}  // namespace softxe
