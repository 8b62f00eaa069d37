// Where events go: a ring in memory that a reader maps too, a stream that numbers and stamps what is put
// into it, and the cause that stands over a thread.
//
//   writers (any thread, any lock)              reader (one; the runner, or the test)
//     claim a slot: one compare-and-swap          takes published slots in order
//     fill it, publish it by its number           gives them back by moving `tail`
//
// No stream installed: an event costs one relaxed load. A full ring drops the event and counts it; nobody
// ever waits. A writer that dies between claim and publication leaves a hole, which the reader steps over
// when it knows that the process is gone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/event.h"

namespace softxe {

/// Zero-filled memory is an empty ring. May be shared between processes, hence whole pages.
struct alignas(4096) EventRing {
  static constexpr std::uint64_t kSlots = 1u << 16;

  alignas(64) std::atomic<std::uint64_t> head;     ///< slots ever claimed
  alignas(64) std::atomic<std::uint64_t> tail;     ///< slots ever given back
  alignas(64) std::atomic<std::uint64_t> dropped;  ///< events that found the ring full
  /// The slot of claim n is n % kSlots, and it is published once its seq is n + 1.
  alignas(64) std::array<Event, kSlots> slots;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// Appends what is published to `events`, in order. With kDead, holes that writers have left behind end nothing: they
/// are stepped over. Returns how many of those there were. One reader at a time.
enum class RingWriters : std::uint8_t { kAlive, kDead };
std::uint64_t read_ring(EventRing& ring, RingWriters writers, std::vector<Event>& events);

/// Numbers, stamps and stores events of this process. Does not own ring and clock, which outlive it.
class EventStream {
 public:
  /// Whose numbers go into Event::thread: the kernel's, or none where the same seed must give the same bytes.
  enum class Threads : std::uint8_t { kNumbered, kUnnumbered };

  EventStream(EventRing& ring, const Clock& clock, Threads threads) : ring_(ring), clock_(clock), threads_(threads) {}

  /// The event's number; kNoEvent when the ring is full. Any thread, any lock, no allocation.
  std::uint64_t put(Event event);
  EventRing& ring() { return ring_; }

 private:
  EventRing& ring_;
  const Clock& clock_;
  const Threads threads_;
};

namespace detail {
extern std::atomic<EventStream*> event_stream;
inline constinit thread_local std::uint64_t event_cause = kNoEvent;
inline constinit thread_local std::uint32_t event_thread = 0;  ///< 0: not asked yet
}  // namespace detail

/// Installs a stream (or none) and returns the one before. Not to be called while others may emit, except to install
/// the first one.
EventStream* set_event_stream(EventStream* stream);
inline bool events_on() { return detail::event_stream.load(std::memory_order_relaxed) != nullptr; }
/// In a fork child: what this thread remembers is the parent's.
void forget_events_of_parent();

/// Records an event. Its number, or kNoEvent when nobody listens or there is no room.
inline std::uint64_t emit(const Event& event) {
  EventStream* stream = detail::event_stream.load(std::memory_order_relaxed);
  if (__builtin_expect(stream == nullptr, 1)) return kNoEvent;
  return stream->put(event);
}

/// What this thread is doing; kNoEvent: nothing that was recorded.
inline std::uint64_t current_cause() { return detail::event_cause; }

/// While it lives, events of this thread have `cause` as their parent. An event that was not recorded changes nothing.
class EventScope {
 public:
  explicit EventScope(std::uint64_t cause) : before_(detail::event_cause) {
    if (cause != kNoEvent) detail::event_cause = cause;
  }
  ~EventScope() { detail::event_cause = before_; }
  EventScope(const EventScope&) = delete;
  EventScope& operator=(const EventScope&) = delete;

 private:
  const std::uint64_t before_;
};

}  // namespace softxe
