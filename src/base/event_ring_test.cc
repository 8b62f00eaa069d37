#include "base/event_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "base/address.h"
#include "base/counters.h"
#include "base/event_tap.h"

namespace softxe {
namespace {

class EventRingTest : public ::testing::Test {
 protected:
  ManualClock clock;
  EventTap tap{clock, EventStream::Threads::kUnnumbered};

  std::vector<Event> drained() {
    tap.drain();
    return tap.take();
  }
};

TEST(Events, WithoutAStreamNothingIsRecorded) {
  EXPECT_FALSE(events_on());
  EXPECT_EQ(emit({.kind = EventKind::kIoctl}), kNoEvent);
  EXPECT_EQ(current_cause(), kNoEvent);
}

TEST_F(EventRingTest, NumbersBeginAtOneAndHaveNoGaps) {
  for (std::uint64_t i = 1; i <= 5; ++i) EXPECT_EQ(emit({.kind = EventKind::kIoctl}), i);
  std::uint64_t expected = 1;
  for (const Event& event : drained()) EXPECT_EQ(event.seq, expected++);
  EXPECT_EQ(expected, 6u);
}

TEST_F(EventRingTest, TheScopeIsTheParentAndEndsWithItself) {
  const std::uint64_t call = emit({.kind = EventKind::kCall});
  {
    const EventScope calls(call);
    const EventScope unmaps(emit({.kind = EventKind::kUnmap}));
    emit({.kind = EventKind::kRangeDie});
  }
  emit({.kind = EventKind::kIoctl});
  const auto events = drained();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[1].parent, events[0].seq);
  EXPECT_EQ(events[2].parent, events[1].seq);
  EXPECT_EQ(events[3].parent, kNoEvent);
}

TEST_F(EventRingTest, AScopeOfNothingKeepsTheCauseBefore) {
  const EventScope calls(emit({.kind = EventKind::kCall}));
  const EventScope nothing(kNoEvent);
  emit({.kind = EventKind::kUnmap});
  EXPECT_EQ(drained().back().parent, 1u);
}

TEST_F(EventRingTest, ATouchOfTheClientIsNobodysDoing) {
  const EventScope calls(emit({.kind = EventKind::kCall}));
  emit({.kind = EventKind::kCpuFault});
  EXPECT_EQ(drained().back().parent, kNoEvent);
}

TEST_F(EventRingTest, AFullRingDropsAndCountsAndGoesOnWhenItWasRead) {
  for (std::uint64_t i = 0; i < EventRing::kSlots; ++i) ASSERT_NE(emit({.kind = EventKind::kIoctl}), kNoEvent);
  EXPECT_EQ(emit({.kind = EventKind::kIoctl}), kNoEvent);
  EXPECT_TRUE(tap.lost());
  EXPECT_EQ(drained().size(), EventRing::kSlots);
  EXPECT_EQ(emit({.kind = EventKind::kIoctl}), EventRing::kSlots + 1);
  EXPECT_EQ(drained().size(), 1u);
}

TEST(EventRings, AHoleEndsTheReadingWhileItsWriterMayLiveAndNothingWhenItIsDead) {
  const auto ring = std::make_unique<EventRing>();
  ManualClock clock;
  EventStream stream(*ring, clock, EventStream::Threads::kUnnumbered);
  stream.put({.kind = EventKind::kIoctl});
  ring->head.fetch_add(1);  // claimed by who was killed then
  stream.put({.kind = EventKind::kCall});
  std::vector<Event> events;
  EXPECT_EQ(read_ring(*ring, RingWriters::kAlive, events), 0u);
  EXPECT_EQ(events.size(), 1u);
  EXPECT_EQ(read_ring(*ring, RingWriters::kDead, events), 1u);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].seq, 3u);
}

TEST_F(EventRingTest, WritersAndTheReaderLoseNothingBetweenThem) {
  constexpr std::uint64_t kEach = 100'000;
  std::atomic<int> running{3};
  std::vector<std::thread> writers;
  for (std::uint32_t w = 0; w < 3; ++w) {
    writers.emplace_back([w, &running] {
      for (std::uint64_t i = 0; i < kEach;) {
        if (emit({.address = i, .asid = w, .kind = EventKind::kIoctl}) != kNoEvent) ++i;
      }
      --running;
    });
  }
  std::array<std::uint64_t, 3> next{};
  std::uint64_t last = 0;
  const auto read = [&] {
    for (const Event& event : drained()) {
      ASSERT_EQ(event.seq, ++last);
      ASSERT_EQ(event.address, next[event.asid]++);
    }
  };
  while (running.load() != 0) read();
  for (std::thread& writer : writers) writer.join();
  read();
  EXPECT_EQ(last, 3 * kEach);
}

// --- what events count ----------------------------------------------------------------------------------------------

TEST_F(EventRingTest, CountingIsTheSameWithAndWithoutAListener) {
  CounterWords words;
  CounterSet counters(words, nullptr, {.device = 1, .asid = 7});
  const std::uint64_t seq = counters.count({.size = k2M, .word = 5, .kind = EventKind::kMigrate});
  EXPECT_EQ(counters.get(Counter::svm_migrate_to_vram_count), 1u);
  EXPECT_EQ(counters.get(Counter::svm_migrate_to_vram_bytes), k2M);
  EXPECT_EQ(counters.get(Counter::svm_2M_device_copy_us), 5u);
  const auto events = drained();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].seq, seq);
  EXPECT_EQ(events[0].device, 1);
  EXPECT_EQ(events[0].asid, 7u);
}

TEST(EventCounts, WhatIsCarriedIsCarriedBySomeKind) {
  std::array<bool, kCounterCount> seen{};
  for (std::size_t kind = 1; kind < static_cast<std::size_t>(EventKind::kEnd); ++kind) {
    for (std::size_t cause = 0; cause < static_cast<std::size_t>(EventCause::kEnd); ++cause) {
      for (const std::uint64_t size : {kPageSize, k64K, k2M}) {
        for (const std::uint16_t err : {std::uint16_t{0}, std::uint16_t{ENOMEM}}) {
          const Event event{.size = size,
                            .word = event_word(1, size / 1024),
                            .err = err,
                            .kind = static_cast<EventKind>(kind),
                            .cause = static_cast<EventCause>(cause)};
          for_each_count(event, [&](Counter c, std::uint64_t) { seen[static_cast<std::size_t>(c)] = true; });
        }
      }
    }
  }
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const auto counter = static_cast<Counter>(i);
    const bool unused = std::string_view(kCounterNames[i]).starts_with("prl_");  // page reclaim lists: not modelled
    if (unused) continue;
    EXPECT_EQ(seen[i], is_carried_by_events(counter)) << kCounterNames[i];
  }
}

// --- the checker ----------------------------------------------------------------------------------------------------

struct CheckRow {
  const char* claim;
  std::vector<Event> stream;
  const char* broken;  ///< part of the text; empty: sound
};

Event numbered(std::uint64_t seq, std::uint64_t parent, EventKind kind) {
  return {.seq = seq, .parent = parent, .kind = kind};
}

TEST(EventCheckRows, AnEventHasACauseThatIsThereAndThatItCanHave) {
  using K = EventKind;
  const CheckRow rows[] = {
      {"the client's doing needs none", {numbered(1, 0, K::kCall), numbered(2, 0, K::kIoctl)}, ""},
      {"a fault without an access", {numbered(1, 0, K::kFaultBegin)}, "no cause"},
      {"a cause behind its effect", {numbered(1, 2, K::kUnmap), numbered(2, 0, K::kCall)}, "not there"},
      {"a cause that was not recorded", {numbered(5, 3, K::kUnmap)}, "not there"},
      {"a reset by an ioctl", {numbered(1, 0, K::kIoctl), numbered(2, 1, K::kReset)}, "another cause"},
      {"a reset by a collected range",
       {numbered(1, 0, K::kCall), numbered(2, 1, K::kUnmap), numbered(3, 2, K::kRangeDie),
        numbered(4, 3, K::kRangeCollect), numbered(5, 4, K::kReset)},
       ""},
  };
  for (const CheckRow& row : rows) {
    EventCheck check;
    check.take(row.stream);
    const bool sound = *row.broken == '\0';
    EXPECT_EQ(check.broken().empty(), sound) << row.claim << ": " << check.broken();
    if (sound) continue;
    EXPECT_NE(check.broken().find(row.broken), std::string::npos) << row.claim << ": " << check.broken();
  }
}

TEST(EventCheckRows, ACounterThatMovedWithoutItsEventIsFound) {
  EventCheck check;
  check.take(
      std::vector<Event>{{.seq = 1, .kind = EventKind::kIoctl}, {.seq = 2, .parent = 1, .kind = EventKind::kExec}});
  EXPECT_EQ(check.compare(0, [](Counter c) { return c == Counter::exec_count ? 1u : 0u; }), "");
  EXPECT_NE(check.compare(0, [](Counter c) { return c == Counter::exec_count ? 2u : 0u; }), "");
}

}  // namespace
}  // namespace softxe
