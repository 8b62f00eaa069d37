// WAIT_USER_FENCE: spec/uapi.md 12, rule by rule, with simulated time.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "drv/exec/exec_test_rig.h"

namespace softxe::exec_test {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

struct Case {
  const char* rule;
  std::int64_t timeout_ns;
  TimeoutKind kind;
  std::uint64_t true_at_ns;  ///< when the word takes the value
  int err;
  std::int64_t left_ns;
};

TEST(WaitUserFence, Timeouts) {
  constexpr std::uint64_t kNever = ~0ull;
  constexpr auto kRel = TimeoutKind::kRelative;
  constexpr auto kAbs = TimeoutKind::kAbsolute;
  // The clock starts at 1000 and moves 10 ns per look.
  const Case cases[] = {
      {"true at once, whatever the timeout", 0, kRel, 0, 0, 0},
      {"zero tests once", 0, kRel, 1010, ETIME, 0},
      {"relative, in time", 100, kRel, 1050, 0, 50},
      {"relative, too late", 100, kRel, 1500, ETIME, 0},
      {"last compare at the deadline", 100, kRel, 1100, 0, 0},
      {"absolute stays", 1100, kAbs, 1050, 0, 1100},
      {"absolute, too late, stays", 1100, kAbs, 1500, ETIME, 1100},
      {"absolute zero tests once", 0, kAbs, 1010, ETIME, 0},
      {"past absolute still allows a tick", 500, kAbs, 1500, 0, 500},
      {"past absolute, then gives up", 500, kAbs, kNever, ETIME, 500},
      {"negative is for ever", -1, kRel, 500'000, 0, kMax - 499'000},
      {"negative absolute becomes the maximum", -1, kAbs, 2000, 0, kMax},
  };
  for (const Case& c : cases) {
    ManualClock clock;
    clock.advance_ns(999);
    WaitContext context{clock, [&] {
                          clock.advance_ns(10);
                          return true;
                        }};
    UserFenceWaiters waiters;
    WaitUserFenceRequest request = wait_request(5);
    request.timeout_ns = c.timeout_ns;
    request.timeout_kind = c.kind;
    const auto read = [&](HostVa) -> Result<std::uint64_t> { return clock.now_ns() >= c.true_at_ns ? 5 : 4; };
    const auto answer = wait_user_fence(request, nullptr, read, waiters, context);
    EXPECT_EQ(answer.status ? 0 : answer.status.error().err, c.err) << c.rule;
    EXPECT_EQ(answer.timeout_ns, c.left_ns) << c.rule;
  }
}

TEST(WaitUserFence, Comparisons) {
  struct Compare {
    CompareOp op;
    bool below, equal, above;  ///< result when the word is below, equal to, above the value
  };
  for (const Compare& c : {Compare{CompareOp::kEq, false, true, false},
                           {CompareOp::kNeq, true, false, true},
                           {CompareOp::kGt, false, false, true},
                           {CompareOp::kGte, false, true, true},
                           {CompareOp::kLt, true, false, false},
                           {CompareOp::kLte, true, true, false}}) {
    ManualClock clock;
    WaitContext context{clock, {}};
    UserFenceWaiters waiters;
    const auto holds = [&](std::uint64_t word) {
      WaitUserFenceRequest request = wait_request(0x80ff);
      request.op = c.op;
      request.mask = 0x8000'0000'0000'00ff;
      request.timeout_ns = 0;
      return wait_user_fence(
                 request, nullptr, [&](HostVa) -> Result<std::uint64_t> { return word; }, waiters, context)
          .status.has_value();
    };
    EXPECT_EQ(holds(0x12fe), c.below);
    EXPECT_EQ(holds(0x34ff), c.equal) << "masked bits do not count";
    EXPECT_EQ(holds(0x8000'0000'0000'0000), c.above) << "unsigned";
  }
}

TEST(WaitUserFence, OtherEnds) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kFault));
  const WaitUserFenceRequest request = wait_request(5);
  const auto four = [](HostVa) -> Result<std::uint64_t> { return 4; };
  const auto five = [](HostVa) -> Result<std::uint64_t> { return 5; };
  const auto efault = [](HostVa) -> Result<std::uint64_t> { return fail(EFAULT, "test"); };
  std::atomic<bool> kill{true};
  WaitContext stepping{rig.manual, [&] { return rig.exec.run_once(); }};
  WaitContext killed{rig.manual, {}, &kill};
  const auto wait = [&](const UserWordReader& read, WaitContext& context) {
    const auto a = wait_user_fence(request, queue, read, rig.exec.waiters(), context);
    return a.status ? 0 : a.status.error().err;
  };
  EXPECT_EQ(wait(efault, stepping), EFAULT);
  EXPECT_EQ(wait(four, killed), EINTR);
  EXPECT_EQ(wait(five, killed), 0);
  EXPECT_EQ(wait(four, stepping), EDEADLK) << "simulator: nobody is left";
  rig.hw.programs[0xbad] = [](const SliceView&) { return SliceEnd::kFault; };
  EXPECT_TRUE(rig.submit(queue, 0xbad));
  EXPECT_EQ(wait(four, stepping), EIO) << "an infinite wait on a queue that faults";
  EXPECT_EQ(wait(five, stepping), 0) << "true wins over the queue's state";
}

TEST(WaitUserFence, NotifyWakesASleeper) {
  SteadyClock clock;
  UserFenceWaiters waiters;
  std::atomic<std::uint64_t> word{0};
  std::thread gpu([&] {
    word.store(1);
    waiters.notify();
  });
  WaitContext context{clock, {}};
  const WaitUserFenceRequest request = wait_request(1);
  const auto read = [&](HostVa) -> Result<std::uint64_t> { return word.load(); };
  EXPECT_TRUE(wait_user_fence(request, nullptr, read, waiters, context).status);
  gpu.join();
}

TEST(WaitUserFence, APlainStoreIsSeenWithoutNotify) {
  SteadyClock clock;
  UserFenceWaiters waiters;
  std::atomic<int> looks{0};
  WaitContext context{clock, {}};
  const WaitUserFenceRequest request = wait_request(1);
  const auto read = [&](HostVa) -> Result<std::uint64_t> { return ++looks > 6 ? 1 : 0; };
  EXPECT_TRUE(wait_user_fence(request, nullptr, read, waiters, context).status);
}

}  // namespace
}  // namespace softxe::exec_test
