#include "base/event_ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "base/call_stack.h"
#include "base/raw_syscall.h"

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
  std::uint64_t claim = ring_.head.load(std::memory_order_relaxed);
  do {
    // Acquire: the reader has copied the slot before it gave it back.
    if (claim - ring_.tail.load(std::memory_order_acquire) >= EventRing::kSlots) {
      ring_.dropped.fetch_add(1, std::memory_order_relaxed);
      return kNoEvent;
    }
  } while (!ring_.head.compare_exchange_weak(claim, claim + 1, std::memory_order_relaxed));
  Event& slot = ring_.slots[claim % EventRing::kSlots];
  if (event.kind == EventKind::kIoctl || event.kind == EventKind::kCall) note_call(claim + 1);
  // All but the number, by which the reader knows that the rest is there.
  std::memcpy(&slot.parent, &event.parent, sizeof(Event) - sizeof event.seq);
  std::atomic_ref<std::uint64_t>(slot.seq).store(claim + 1, std::memory_order_release);
  return claim + 1;
}

std::uint64_t read_ring(EventRing& ring, RingWriters writers, std::vector<Event>& events) {
  std::uint64_t holes = 0;
  std::uint64_t tail = ring.tail.load(std::memory_order_relaxed);
  const std::uint64_t head = ring.head.load(std::memory_order_acquire);
  for (; tail < head && tail + EventRing::kSlots >= head; ++tail) {
    Event& slot = ring.slots[tail % EventRing::kSlots];
    if (std::atomic_ref<std::uint64_t>(slot.seq).load(std::memory_order_acquire) != tail + 1) {
      if (writers == RingWriters::kAlive) break;
      ++holes;
      continue;
    }
    events.push_back(slot);
  }
  ring.tail.store(tail, std::memory_order_release);
  return holes;
}

}  // namespace softxe
