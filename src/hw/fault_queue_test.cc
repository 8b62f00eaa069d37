// Order, bounds and squashing of the fault queues (spec/svm.md 4.2).
#include "hw/fault_queue.h"

#include <gtest/gtest.h>
#include <vector>

namespace softxe {
namespace {

struct Recorder final : FaultSink {
  std::vector<std::uint64_t> pages;
  FaultReply reply = FaultReply::kRetry;
  FaultReply page_fault(const PageFault& fault) override {
    pages.push_back(fault.page.value() / kPageSize);
    return reply;
  }
  void livelock(const PageFault&, std::uint64_t) override {}
};

PageFault fault(std::uint32_t asid, std::uint64_t page, std::uint8_t gt = 0) {
  PageFault f;
  f.asid = asid;
  f.page = GpuVa(page * kPageSize);
  f.engine.gt = gt;
  return f;
}

TEST(FaultQueue, FaultsOfOneVmAreAnsweredInOrder) {
  FaultQueue queue(5);
  EXPECT_EQ(queue.capacity(), 8u);
  Recorder sink;
  FaultTicket tickets[20];
  // Three rounds over the ring, so that it wraps.
  for (std::uint64_t round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 5; ++i) {
      ASSERT_TRUE(queue.post(fault(6, round * 5 + i), tickets[i]));
      EXPECT_EQ(tickets[i].state(), FaultTicket::State::kPending);
    }
    EXPECT_EQ(queue.pending(6 % FaultQueue::kQueues), 5u);
    for (std::uint64_t i = 0; i < 5; ++i) {
      EXPECT_FALSE(tickets[i].answered());
      ASSERT_TRUE(queue.run_once(6 % FaultQueue::kQueues, sink));
      EXPECT_EQ(tickets[i].state(), FaultTicket::State::kRetry);
    }
  }
  EXPECT_FALSE(queue.run_any(sink));
  for (std::uint64_t i = 0; i < 15; ++i) EXPECT_EQ(sink.pages[i], i);
}

TEST(FaultQueue, FullMeansEnospcForThatAsidOnly) {
  FaultQueue queue(2);
  FaultTicket a, b, c, d;
  ASSERT_TRUE(queue.post(fault(1, 0), a));
  ASSERT_TRUE(queue.post(fault(5, 0), b));  // the same queue: 5 mod 4
  const Status full = queue.post(fault(9, 0), c);
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().err, ENOSPC);
  EXPECT_EQ(c.state(), FaultTicket::State::kIdle);
  EXPECT_TRUE(queue.post(fault(2, 0), d));
}

TEST(FaultQueue, RunAnyTakesTurnsAndFailReachesTheTicket) {
  FaultQueue queue(4);
  Recorder sink;
  sink.reply = FaultReply::kFail;
  FaultTicket t[4];
  ASSERT_TRUE(queue.post(fault(0, 1), t[0]));
  ASSERT_TRUE(queue.post(fault(0, 2), t[1]));
  ASSERT_TRUE(queue.post(fault(1, 3), t[2]));
  ASSERT_TRUE(queue.post(fault(3, 4), t[3]));
  while (queue.run_any(sink)) {
  }
  EXPECT_EQ(sink.pages, (std::vector<std::uint64_t>{1, 3, 4, 2}));
  for (const FaultTicket& ticket : t) EXPECT_EQ(ticket.state(), FaultTicket::State::kFail);
}

TEST(FaultQueue, SquashedFaultsNeverReachTheSink) {
  FaultQueue queue(4);
  Recorder sink;
  FaultTicket t[4];
  ASSERT_TRUE(queue.post(fault(0, 1, 0), t[0]));
  ASSERT_TRUE(queue.post(fault(0, 2, 1), t[1]));
  ASSERT_TRUE(queue.post(fault(0, 3, 0), t[2]));
  ASSERT_TRUE(queue.post(fault(0, 4, 1), t[3]));
  EXPECT_EQ(queue.squash(0), 2u);
  EXPECT_EQ(t[0].state(), FaultTicket::State::kFail);
  EXPECT_EQ(t[1].state(), FaultTicket::State::kPending);
  while (queue.run_any(sink)) {
  }
  EXPECT_EQ(sink.pages, (std::vector<std::uint64_t>{2, 4}));
  EXPECT_EQ(t[3].state(), FaultTicket::State::kRetry);
}

}  // namespace
}  // namespace softxe
