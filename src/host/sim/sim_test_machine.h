// A simulated machine with two heaps and a recording notifier, for the tests of this folder.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/sim/sim_host_mm.h"

namespace softxe::sim_test {

inline constexpr OwnerGroup kOurs{1};
inline constexpr OwnerGroup kTheirs{2};
inline constexpr HostVa kBase{0x10000000};

/// A heap that hands out blocks in order and counts what comes back.
class FakeHeap final : public DevmemHeap {
 public:
  FakeHeap(SimHostMm& mm, OwnerGroup owner) : owner_(owner), window_(*mm.make_window(kBytes)) {}
  OwnerGroup owner() const override { return owner_; }
  std::uint64_t page_bytes() const override { return kPageSize; }
  void release(DevmemAllocation& allocation) override {
    EXPECT_EQ(allocation.present_count(), 0u);
    EXPECT_EQ(live_.erase(&allocation), 1u);
  }
  void moved_to_system(const DevmemAllocation&, const MovedHome& moved) override {
    home_pages += moved.pages;
    last_cause = moved.cause;
  }
  DevmemAllocation& take(std::uint64_t bytes) {
    next_ = align_up(next_, bytes);
    if (next_ + bytes > kBytes) next_ = 0;
    auto allocation = std::make_unique<DevmemAllocation>();
    allocation->heap = this;
    allocation->block = DevRange::of(DevPa(next_), bytes);
    allocation->frame = window_ + next_;
    next_ += bytes;
    live_.insert(allocation.get());
    made_.push_back(std::move(allocation));
    return *made_.back();
  }
  std::size_t live() const { return live_.size(); }
  const std::set<DevmemAllocation*>& all() const { return live_; }
  void give_back(DevmemAllocation& allocation) { live_.erase(&allocation); }

  std::uint64_t home_pages = 0;
  MoveCause last_cause = MoveCause::kTeardown;

 private:
  // Twice what the tests keep live, so that blocks in use are never handed out again.
  static constexpr std::uint64_t kBytes = 256 * k1G;
  OwnerGroup owner_;
  std::byte* window_;
  std::uint64_t next_ = 0;
  std::set<DevmemAllocation*> live_;
  std::vector<std::unique_ptr<DevmemAllocation>> made_;
};

class Recorder final : public IntervalNotifier {
 public:
  using IntervalNotifier::IntervalNotifier;
  void invalidate(HostRange range, HostEvent kind) override {
    static constexpr const char* kNames[] = {"U", "P", "C", "M", "R"};
    if (!log.empty()) log += ' ';
    log += kNames[static_cast<int>(kind)];
    log += fmt::format("[{}+{}]", (range.start().value() - kBase.value()) / kPageSize, range.pages());
    if (on_event) on_event();
  }
  std::string log;
  std::function<void()> on_event;
};

struct Machine {
  explicit Machine(SimOptions options = {}) : mm(clock, options), heap(mm, kOurs), far(mm, kTheirs) {
    EXPECT_TRUE(mm.watch(notifier));
  }
  ~Machine() {
    mm.unwatch(notifier);
    mm.cpu_exit(Pid::kMain);  // while the heaps still live
  }

  HostRange pages(std::uint64_t first, std::uint64_t count) {
    return HostRange::of(kBase + first * kPageSize, count * kPageSize);
  }
  void map(std::uint64_t first, std::uint64_t count) {
    HostRange range = pages(first, count);
    auto at = mm.cpu_mmap({.size_bytes = range.size(), .at = range.start(), .place = MmapRequest::Place::kFixed});
    ASSERT_TRUE(at);
  }
  Status write(HostVa va, std::uint32_t value, Pid pid = Pid::kMain) {
    return mm.cpu_write(va, std::as_bytes(std::span(&value, 1)), pid);
  }
  /// The value, or minus the errno.
  std::int64_t read(HostVa va, Pid pid = Pid::kMain) {
    std::uint32_t value = 0;
    auto status = mm.cpu_read(va, std::as_writable_bytes(std::span(&value, 1)), pid);
    return status ? static_cast<std::int64_t>(value) : -status.error().err;
  }
  Result<MigrateCounts> to_device(HostRange range, FakeHeap& to, std::uint64_t residency_ns = 0) {
    DevmemAllocation& allocation = to.take(range.size());
    auto counts = mm.migrate_to_device(range, allocation, residency_ns);
    if (!counts) to.give_back(allocation);
    return counts;
  }
  void expect_events(const char* expected) {
    EXPECT_EQ(notifier.log, expected);
    notifier.log.clear();
  }

  ManualClock clock;
  SimHostMm mm;
  FakeHeap heap;
  FakeHeap far;
  Recorder notifier{HostRange::of(kBase, 64 * kPageSize)};
};

}  // namespace softxe::sim_test
