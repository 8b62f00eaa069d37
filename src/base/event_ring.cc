#include "base/event_ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/call_stack.h"
#include "base/raw_syscall.h"
#include "base/shared_ring.h"

namespace softxe {

namespace detail {
std::atomic<EventStream*> event_stream{nullptr};
}  // namespace detail

EventStream* set_event_stream(EventStream* stream) { return detail::event_stream.exchange(stream); }

void forget_events_of_parent() {
  set_event_stream(nullptr);
  set_stack_ring(nullptr);
  detail::event_cause = kNoEvent;
  detail::event_thread = 0;
}

namespace {

std::uint32_t thread_number() {
  std::uint32_t& known = detail::event_thread;
  if (known == 0) known = static_cast<std::uint32_t>(raw_syscall(SYS_gettid));
  return known;
}

}  // namespace

std::uint64_t EventStream::put(Event event) {
  if (event.parent == kNoEvent && !is_always_root(event.kind)) event.parent = detail::event_cause;
  event.time_ns = clock_.now_ns();
  if (threads_ == Threads::kNumbered) event.thread = thread_number();
  const std::optional<std::uint64_t> claimed = claim_slot(ring_);
  if (!claimed) return kNoEvent;
  const std::uint64_t claim = *claimed;
  Event& slot = ring_.slots[claim % EventRing::kSlots];
  if (event.kind == EventKind::kIoctl || event.kind == EventKind::kCall) note_call(claim + 1);
  // All but the number, by which the reader knows that the rest is there.
  std::memcpy(&slot.parent, &event.parent, sizeof(Event) - sizeof event.seq);
  publish_slot(slot.seq, claim);
  return claim + 1;
}

std::uint64_t read_ring(EventRing& ring, RingWriters writers, std::vector<Event>& events) {
  return read_slots(ring, &Event::seq, writers, events);
}

}  // namespace softxe
