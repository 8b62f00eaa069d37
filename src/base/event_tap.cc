#include "base/event_tap.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "base/spare_mappings.h"

namespace softxe {

namespace {

/// Zeroes that cost nothing before they are used.
EventRing* map_ring() {
  if (void* spare = SpareMappings::take(SpareMappings::Source::kEvents, sizeof(EventRing)).start) {
    return static_cast<EventRing*>(spare);
  }
  void* at = mmap(nullptr, sizeof(EventRing), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SX_ASSERT(at != MAP_FAILED);
  return static_cast<EventRing*>(at);
}

void unmap_ring(EventRing* ring) {
  if (SpareMappings::kept()) {
    const std::uint64_t used = std::min(ring->head.load(), EventRing::kSlots) * sizeof(Event);
    std::memset(static_cast<void*>(ring), 0, offsetof(EventRing, slots) + used);
  }
  SpareMappings::give_or_unmap(SpareMappings::Source::kEvents, {ring, sizeof(EventRing)});
}

}  // namespace

EventTap::EventTap(const Clock& clock, EventStream::Threads threads)
    : ring_(map_ring()), stream_(*ring_, clock, threads) {
  EventStream* before = set_event_stream(&stream_);
  SX_ASSERT(before == nullptr);
}

EventTap::~EventTap() {
  set_event_stream(nullptr);
  unmap_ring(ring_);
}

void EventTap::drain() {
  const std::size_t known = events_.size();
  static_cast<void>(read_ring(*ring_, RingWriters::kAlive, events_));
  if (lost()) check_.note_lost(1);
  check_.take(std::span(events_).subspan(known));
}

}  // namespace softxe
