// What must hold between the events of one stream, and between events and counters (docs/TRACE.md 5).
//
// One checker for every world: scenarios and random runs over the simulated process, live scenarios, recorded runs.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/counter_check.h"
#include "base/counters.h"
#include "base/event.h"

namespace softxe {

/// Reads one stream from its beginning. Not thread-safe.
class EventCheck {
 public:
  static constexpr std::size_t kDevicesMax = 8;

  /// The next events of the stream, in order.
  void take(std::span<const Event> events);
  /// Of a stream that has lost some (a full ring, a writer that was killed): parents may be missing.
  void note_lost(std::uint64_t events) { lost_ += events; }

  /// The first event whose cause is none, in words; empty when all are sound.
  const std::string& broken() const { return broken_; }
  /// What the events say a counter is.
  std::uint64_t sum(unsigned device, Counter counter) const { return sums_[device][static_cast<std::size_t>(counter)]; }
  /// The first counter of the device that is not the sum over its events, in words; empty when all are. To be asked
  /// when nothing counts.
  std::string compare(unsigned device, const CounterReader& value) const;
  std::uint64_t events() const { return events_; }

 private:
  void check_cause(const Event& event);
  void break_at(const Event& event, const char* what);

  std::array<std::array<std::uint64_t, kCounterCount>, kDevicesMax> sums_{};
  std::vector<EventKind> kinds_;  ///< by number
  std::uint64_t events_ = 0;
  std::uint64_t lost_ = 0;
  std::string broken_;
};

}  // namespace softxe
