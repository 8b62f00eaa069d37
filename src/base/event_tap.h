// EventTap: this process listens to its own events: ring, stream and checker in one, for tests, simulations and
// scenarios.
#pragma once

#include <utility>
#include <vector>

#include "base/event_check.h"
#include "base/event_ring.h"

namespace softxe {

/// Installed while it lives; one at a time. Nobody may emit any more when it goes.
class EventTap {
 public:
  /// `clock` outlives it.
  EventTap(const Clock& clock, EventStream::Threads threads);
  ~EventTap();
  EventTap(const EventTap&) = delete;
  EventTap& operator=(const EventTap&) = delete;

  /// Reads what there is into the checker. One thread at a time; events that are being written come with the next call.
  void drain();
  /// What was drained since this was asked last.
  std::vector<Event> take() { return std::exchange(events_, {}); }
  const EventCheck& check() const { return check_; }
  /// True when the ring was full at some time: sums say nothing then.
  bool lost() const { return dropped() != 0; }
  std::uint64_t dropped() const { return ring_->dropped.load(std::memory_order_relaxed); }

 private:
  EventRing* const ring_;
  EventStream stream_;
  EventCheck check_;
  std::vector<Event> events_;
};

}  // namespace softxe
