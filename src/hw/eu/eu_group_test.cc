// Barriers of a group: who waits, who is released, and what a thread that ended counts for.
#include "hw/eu/eu_group.h"

#include <gtest/gtest.h>

#include <functional>

namespace softxe {
namespace {

using Wait = EuGroup::Wait;
using Role = EuBarrierSignal::Role;

struct Rig {
  explicit Rig(std::uint32_t threads) : group({.threads = threads, .slm_bytes = 1024}) { group.restart({}); }
  EuThread& thread(std::uint32_t i) { return group.threads()[i]; }
  bool signal(std::uint32_t i, const EuBarrierSignal& signal) {
    return group.signal_barrier(thread(i), signal).has_value();
  }
  /// True when the thread may go on.
  bool passes(std::uint32_t i, std::uint32_t id = 0) { return *group.wait_barrier(thread(i), id) == Wait::kPass; }
  bool ready(std::uint32_t i) { return thread(i).state == EuThreadState::kReady; }
  /// Thread `i` ends, the others do nothing.
  void end(std::uint32_t i) {
    struct Ends final : EuThreadRunner {
      explicit Ends(std::uint32_t number) : which(number) {}
      EuStop run(EuThread& t, EuGroup&, std::uint64_t) override {
        return {.kind = t.number == which ? EuStopKind::kEnded : EuStopKind::kBudget};
      }
      std::uint32_t which;
    } runner(i);
    for (std::size_t n = 0; n < group.threads().size() && thread(i).state != EuThreadState::kEnded; ++n) {
      group.run_next(runner, 1);
    }
    ASSERT_EQ(thread(i).state, EuThreadState::kEnded);
  }

  EuGroup group;
};

EuBarrierSignal all(std::uint8_t threads, bool active_only = true) {
  return {.active_only = active_only, .producers = threads, .consumers = threads};
}

TEST(EuGroup, DecodesTheDwordOfABarrierMessage) {
  const EuBarrierSignal signal = EuBarrierSignal::of(0x08074105);
  EXPECT_EQ(signal.id, 5);
  EXPECT_TRUE(signal.active_only);
  EXPECT_EQ(signal.role, Role::kProducer);
  EXPECT_EQ(signal.producers, 7);
  EXPECT_EQ(signal.consumers, 8);
}

TEST(EuGroup, ABarrierHoldsThreadsUntilTheLastOneArrives) {
  Rig rig(3);
  EXPECT_TRUE(rig.signal(0, all(3)));
  EXPECT_FALSE(rig.passes(0));
  EXPECT_TRUE(rig.signal(1, all(3)));
  EXPECT_FALSE(rig.passes(1));
  EXPECT_FALSE(rig.ready(0));
  EXPECT_TRUE(rig.signal(2, all(3)));
  EXPECT_TRUE(rig.ready(0));
  EXPECT_TRUE(rig.ready(1));
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(rig.passes(i)) << i;
}

TEST(EuGroup, TheNextRoundOfABarrierCountsAnew) {
  Rig rig(2);
  EXPECT_TRUE(rig.signal(0, all(2)));
  EXPECT_TRUE(rig.signal(1, all(2)));
  EXPECT_TRUE(rig.signal(0, all(2)));
  EXPECT_FALSE(rig.passes(0)) << "its second round, though thread 1 has not waited for the first yet";
  EXPECT_TRUE(rig.passes(1)) << "the first round is over";
  EXPECT_TRUE(rig.signal(1, all(2)));
  EXPECT_TRUE(rig.ready(0));
}

TEST(EuGroup, WhoHasNotSignalledDoesNotWait) {
  Rig rig(2);
  EXPECT_TRUE(rig.passes(0));
  EXPECT_TRUE(rig.signal(0, {.role = Role::kProducer, .producers = 1, .consumers = 1}));
  EXPECT_TRUE(rig.passes(0)) << "producers do not wait";
}

TEST(EuGroup, ProducersReleaseConsumers) {
  Rig rig(3);
  const auto as = [](Role role) { return EuBarrierSignal{.id = 4, .role = role, .producers = 2, .consumers = 1}; };
  EXPECT_TRUE(rig.signal(2, as(Role::kConsumer)));
  EXPECT_FALSE(rig.passes(2, 4));
  EXPECT_TRUE(rig.signal(0, as(Role::kProducer)));
  EXPECT_FALSE(rig.ready(2));
  EXPECT_TRUE(rig.signal(1, as(Role::kProducer)));
  EXPECT_TRUE(rig.ready(2));
}

TEST(EuGroup, NamedBarriersAreApart) {
  Rig rig(4);
  const auto named = [](std::uint8_t id) { return EuBarrierSignal{.id = id, .producers = 2, .consumers = 2}; };
  EXPECT_TRUE(rig.signal(0, named(1)));
  EXPECT_TRUE(rig.signal(1, named(31)));
  EXPECT_FALSE(rig.passes(0, 1));
  EXPECT_FALSE(rig.passes(1, 31));
  EXPECT_TRUE(rig.signal(2, named(31)));
  EXPECT_TRUE(rig.ready(1));
  EXPECT_FALSE(rig.ready(0));
}

TEST(EuGroup, AThreadThatEndedCountsAsArrived) {
  Rig rig(3);
  EXPECT_TRUE(rig.signal(0, all(3)));
  EXPECT_FALSE(rig.passes(0));
  EXPECT_TRUE(rig.signal(1, all(3)));
  rig.end(2);
  EXPECT_TRUE(rig.ready(0));
}

TEST(EuGroup, AThreadThatSignalledAndEndedCountsOnce) {
  Rig rig(4);
  EXPECT_TRUE(rig.signal(0, all(4)));
  rig.end(0);
  EXPECT_TRUE(rig.signal(1, all(4)));
  EXPECT_FALSE(rig.passes(1));
  EXPECT_TRUE(rig.signal(2, all(4)));
  EXPECT_FALSE(rig.ready(1)) << "thread 3 is still to come";
  EXPECT_TRUE(rig.signal(3, all(4)));
  EXPECT_TRUE(rig.ready(1));
}

TEST(EuGroup, WithoutActiveOnlyTheDeadAreWaitedFor) {
  Rig rig(2);
  EXPECT_TRUE(rig.signal(0, all(2, false)));
  EXPECT_FALSE(rig.passes(0));
  rig.end(1);
  EXPECT_FALSE(rig.ready(0));
}

TEST(EuGroup, ANamedBarrierOfAFewIsNotCompletedByTheEndOfOthers) {
  Rig rig(8);
  const EuBarrierSignal pair{.id = 2, .active_only = true, .producers = 2, .consumers = 2};
  EXPECT_TRUE(rig.signal(0, pair));
  EXPECT_FALSE(rig.passes(0, 2));
  rig.end(7);
  EXPECT_FALSE(rig.ready(0));
  EXPECT_TRUE(rig.signal(1, pair));
  EXPECT_TRUE(rig.ready(0));
}

TEST(EuGroup, RefusesBarriersThatDoNotExist) {
  Rig rig(2);
  EXPECT_FALSE(rig.signal(0, {.id = 32, .producers = 1, .consumers = 1}));
  EXPECT_FALSE(rig.signal(0, {.role = Role::kReserved, .producers = 1, .consumers = 1}));
  EXPECT_FALSE(rig.signal(0, {}));
  EXPECT_FALSE(rig.group.wait_barrier(rig.thread(0), 32).has_value());
}

/// Does what a function says.
class Scripted final : public EuThreadRunner {
 public:
  explicit Scripted(std::function<EuStopKind(EuThread&, EuGroup&)> script) : script_(std::move(script)) {}
  EuStop run(EuThread& thread, EuGroup& group, std::uint64_t) override {
    thread.instructions += 3;
    return {.kind = script_(thread, group)};
  }

 private:
  std::function<EuStopKind(EuThread&, EuGroup&)> script_;
};

TEST(EuGroup, ThreadsTakeTurns) {
  Rig rig(3);
  std::vector<int> order;
  Scripted runner([&](EuThread& thread, EuGroup&) {
    order.push_back(thread.number);
    return order.size() > 4 ? EuStopKind::kEnded : EuStopKind::kBudget;
  });
  while (rig.group.run_next(runner, 8).kind == EuStopKind::kBudget) {
  }
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 0, 1, 2, 0}));
  EXPECT_TRUE(rig.group.ended());
  EXPECT_EQ(rig.group.instructions(), 21u);
}

TEST(EuGroup, SaysWhenAllWaitForEachOther) {
  Rig rig(2);
  Scripted runner([&](EuThread& thread, EuGroup& group) {
    EXPECT_TRUE(group.signal_barrier(thread, all(3, false)));
    EXPECT_EQ(*group.wait_barrier(thread, 0), Wait::kBlock);
    return EuStopKind::kBarrier;
  });
  EXPECT_EQ(rig.group.run_next(runner, 8).kind, EuStopKind::kBudget);
  EXPECT_EQ(rig.group.run_next(runner, 8).kind, EuStopKind::kBudget);
  EXPECT_EQ(rig.group.run_next(runner, 8).kind, EuStopKind::kBarrier);
}

TEST(EuGroup, AFailureNamesItsThread) {
  Rig rig(2);
  Scripted runner(
      [](EuThread& thread, EuGroup&) { return thread.number == 1 ? EuStopKind::kIllegal : EuStopKind::kBudget; });
  EXPECT_EQ(rig.group.run_next(runner, 8).kind, EuStopKind::kBudget);
  EXPECT_EQ(rig.group.run_next(runner, 8).kind, EuStopKind::kIllegal);
  EXPECT_EQ(rig.group.failed().number, 1);
}

TEST(EuGroup, ANewGroupFindsNothingOfTheOldOne) {
  Rig rig(2);
  rig.group.slm()[5] = std::byte{7};
  EXPECT_TRUE(rig.signal(0, all(2)));
  rig.group.restart({.threads = 2, .slm_bytes = 512}, {});
  EXPECT_EQ(rig.group.slm().size(), 512u);
  EXPECT_EQ(rig.group.slm()[5], std::byte{0});
  EXPECT_TRUE(rig.passes(0)) << "the old signal is gone";
}

}  // namespace
}  // namespace softxe
