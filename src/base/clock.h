// Time enters the engine only through a Clock, so that the simulator can own it.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

namespace softxe {

/// Nanoseconds since an arbitrary origin; never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::uint64_t now_ns() const = 0;
};

/// CLOCK_MONOTONIC of the process.
class SteadyClock final : public Clock {
 public:
  std::uint64_t now_ns() const override {
    timespec ts{};
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return static_cast<std::uint64_t>(ts.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(ts.tv_nsec);
  }
};

/// Moves only when told to.
class ManualClock final : public Clock {
 public:
  std::uint64_t now_ns() const override { return now_ns_.load(std::memory_order_relaxed); }
  void advance_ns(std::uint64_t ns) { now_ns_.fetch_add(ns, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> now_ns_{1};
};

}  // namespace softxe
