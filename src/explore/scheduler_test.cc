// Flows as fibers: which orders there are, and what is found in them.
#include "explore/scheduler.h"

#include <gtest/gtest.h>

#include <set>

namespace softxe::explore {
namespace {

/// Notes what was chosen; a run that gets stuck ends with an exception that the test's main flow does not see.
class Notes final : public Observer {
 public:
  void chosen(const Choice& choice, const char*) override { choices.push_back(choice); }
  [[noreturn]] void stuck(const std::string& text) override {
    std::fprintf(stderr, "%s", text.c_str());
    _exit(3);
  }
  std::vector<Choice> choices;
};

using Flows = std::vector<std::pair<std::string, std::function<void()>>>;

/// One run; what `flows` makes anew each time.
void run_once(Strategy& strategy, Notes& notes, const std::function<Flows()>& flows) {
  Scheduler scheduler({.strategy = strategy, .observer = notes});
  scheduler.run([&] { scheduler.search(flows()); });
}

/// Two actors that go through so many marks, and say so.
Flows two_at_marks(std::string& order, unsigned marks) {
  Flows flows;
  for (const char* name : {"a", "b"}) {
    flows.emplace_back(name, [&order, name, marks] {
      for (unsigned i = 0; i < marks; ++i) {
        SX_MARK("test.explore.mark");
        order += name;
      }
    });
  }
  return flows;
}

/// Every order of two actors, as texts.
std::multiset<std::string> all_orders(Exhaustive& strategy, unsigned marks) {
  std::multiset<std::string> orders;
  for (bool more = true; more;) {
    std::string order;
    Notes notes;
    strategy.begin(orders.size());
    run_once(strategy, notes, [&] { return two_at_marks(order, marks); });
    orders.insert(order);
    more = strategy.end(0);
  }
  return orders;
}

TEST(Explore, ExhaustiveSearchMeetsEveryOrderOfSixStepsOnceOrMore) {
  Exhaustive strategy(Exhaustive::Limit{1000}, {});
  const auto orders = all_orders(strategy, 3);
  EXPECT_EQ(std::set<std::string>(orders.begin(), orders.end()).size(), 20u);  // 6! / (3! * 3!)
}

TEST(Explore, OnePreemptionMakesFewerOrders) {
  Exhaustive none(Exhaustive::Limit{0}, {});
  EXPECT_EQ(std::set<std::string>({"aaabbb", "bbbaaa"}), [&] {
    const auto orders = all_orders(none, 3);
    return std::set<std::string>(orders.begin(), orders.end());
  }());
  Exhaustive one(Exhaustive::Limit{1}, {});
  const auto orders = all_orders(one, 3);
  EXPECT_EQ(std::set<std::string>({"aaabbb", "bbbaaa", "abbbaa", "aabbba", "baaabb", "bbaaab"}),
            std::set<std::string>(orders.begin(), orders.end()));
}

TEST(Explore, DelaysCountEveryChoice) {
  Exhaustive one({{.max = 1, .counts = Exhaustive::Counts::kChoices}}, {});
  const auto orders = all_orders(one, 3);
  EXPECT_EQ(std::set<std::string>({"aaabbb", "bbbaaa", "abbbaa", "aabbba"}),
            std::set<std::string>(orders.begin(), orders.end()))
      << "b first is a choice, so nothing else is";
}

/// Flows that take turns need later changes below earlier ones, too.
TEST(Explore, PctLetsFlowsTakeTurns) {
  std::set<std::string> orders;
  Pct strategy(1, 4, 0);
  strategy.expect(8);
  for (std::uint64_t number = 0; number < 2000; ++number) {
    strategy.begin(number);
    Notes notes;
    std::string order;
    run_once(strategy, notes, [&] { return two_at_marks(order, 3); });
    orders.insert(order);
    strategy.end(8);
  }
  EXPECT_TRUE(orders.contains("ababab") || orders.contains("bababa") || orders.contains("abbaab")) << orders.size();
  EXPECT_TRUE(orders.contains("abaabb")) << "a, b, a: the second change is below the first";
}

/// Words of a flow go with its fiber.
TEST(Explore, LocalsBelongToTheirFlow) {
  std::vector<std::string> wrong;
  Exhaustive strategy(std::nullopt, {});
  for (bool more = true; more; more = strategy.end(0)) {
    Notes notes;
    strategy.begin(0);
    run_once(strategy, notes, [&] {
      Flows flows;
      for (const char* name : {"a", "b"}) {
        flows.emplace_back(name, [&wrong, name] {
          if (flow_locals().fence_calls != nullptr) wrong.emplace_back(name);
          int mine = 0;
          flow_locals().fence_calls = &mine;
          SX_MARK("test.explore.here");
          if (flow_locals().fence_calls != &mine) wrong.emplace_back(name);
          flow_locals().fence_calls = nullptr;
        });
      }
      return flows;
    });
  }
  EXPECT_TRUE(wrong.empty());
  EXPECT_EQ(flow_locals().fence_calls, nullptr);
}

TEST(Explore, APieceThatMayUseAnythingIsLikeNoOther) {
  const Touch anything{kEverything, true};
  const Touch lock{"lock", false};
  EXPECT_TRUE(conflict(std::span(&anything, 1), std::span(&lock, 1)));
  EXPECT_TRUE(conflict({}, std::span(&anything, 1)));
  EXPECT_FALSE(conflict(std::span(&lock, 1), std::span(&lock, 1)));
}

TEST(Explore, LocksAreNoPlacesWhenStepsAlonePreempt) {
  const auto orders_of = [](PreemptAt preempt_at) {
    std::set<std::string> orders;
    LeafMutex mutex{"test"};
    Exhaustive strategy(std::nullopt, {});
    for (bool more = true; more; more = strategy.end(0)) {
      std::string order;
      Notes notes;
      strategy.begin(0);
      Scheduler scheduler({.strategy = strategy, .observer = notes, .preempt_at = preempt_at});
      scheduler.run([&] {
        Flows flows;
        for (const char* name : {"a", "b"}) {
          flows.emplace_back(name, [&order, &mutex, name] {
            for (unsigned i = 0; i < 2; ++i) {
              const Guard hold(mutex);
              order += name;
            }
          });
        }
        scheduler.search(flows);
      });
      orders.insert(order);
    }
    return orders;
  };
  EXPECT_EQ(orders_of(PreemptAt::kSteps), std::set<std::string>({"aabb", "bbaa"}));
  EXPECT_GT(orders_of(PreemptAt::kStepsAndLocks).size(), 2u);
}

TEST(Explore, PartsTogetherAreTheWhole) {
  Exhaustive whole(Exhaustive::Limit{2}, {});
  const auto all = all_orders(whole, 3);
  std::multiset<std::string> together;
  for (std::uint64_t shard = 0; shard < 8; ++shard) {
    Exhaustive part(Exhaustive::Limit{2}, {shard, 8});
    together.merge(all_orders(part, 3));
  }
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()), std::set<std::string>(together.begin(), together.end()));
  EXPECT_EQ(together.size(), all.size() + 7);  // each part begins with the one schedule that has no choice
}

/// The schoolbook race: both read, then both write. True: an update was lost.
bool loses_update(Strategy& strategy, Notes& notes) {
  int value = 0;
  run_once(strategy, notes, [&] {
    Flows flows;
    for (const char* name : {"a", "b"}) {
      flows.emplace_back(name, [&value] {
        const int seen = value;
        SX_MARK("test.explore.between");
        value = seen + 1;
      });
    }
    return flows;
  });
  return value != 2;
}

std::optional<std::vector<Choice>> find_lost_update(Strategy& strategy) {
  for (std::uint64_t number = 0; number < 1000; ++number) {
    Notes notes;
    strategy.begin(number);
    if (loses_update(strategy, notes)) return notes.choices;
    if (!strategy.end(10)) break;
  }
  return std::nullopt;
}

TEST(Explore, EveryStrategyFindsALostUpdateAndReplayShowsIt) {
  RandomWalk random(1, 0);
  Pct pct(1, 2, 0);
  pct.expect(10);
  Exhaustive exhaustive(Exhaustive::Limit{1}, {});
  for (Strategy* strategy : std::initializer_list<Strategy*>{&random, &pct, &exhaustive}) {
    const auto choices = find_lost_update(*strategy);
    ASSERT_TRUE(choices.has_value());
    Replay replay(*choices);
    Notes notes;
    EXPECT_TRUE(loses_update(replay, notes));
    EXPECT_EQ(notes.choices, *choices);
  }
}

TEST(Explore, AMutexKeepsOthersOut) {
  for (std::uint64_t number = 0; number < 200; ++number) {
    RandomWalk strategy(7, 0);
    strategy.begin(number);
    Notes notes;
    LeafMutex mutex{"test"};
    int value = 0;
    run_once(strategy, notes, [&] {
      Flows flows;
      for (const char* name : {"a", "b", "c"}) {
        flows.emplace_back(name, [&] {
          Guard hold(mutex);
          const int seen = value;
          SX_MARK("test.explore.between");
          value = seen + 1;
        });
      }
      return flows;
    });
    EXPECT_EQ(value, 3);
  }
}

TEST(Explore, AWriterIsAloneAndReadersAreNot) {
  bool readers_met = false;
  for (std::uint64_t number = 0; number < 300; ++number) {
    RandomWalk strategy(3, 0);
    strategy.begin(number);
    Notes notes;
    SharedMutex<LockRank::kMigrate> lock{"test"};
    int readers = 0;
    int writers = 0;
    run_once(strategy, notes, [&] {
      const auto read = [&] {
        ReadGuard hold(lock);
        ++readers;
        SX_MARK("test.explore.reading");
        readers_met = readers_met || readers == 2;
        EXPECT_EQ(writers, 0);
        --readers;
      };
      const auto write = [&] {
        Guard hold(lock);
        ++writers;
        SX_MARK("test.explore.writing");
        EXPECT_EQ(writers, 1);
        EXPECT_EQ(readers, 0);
        --writers;
      };
      return Flows{{"r1", read}, {"r2", read}, {"w1", write}, {"w2", write}};
    });
  }
  EXPECT_TRUE(readers_met);
}

TEST(Explore, AConditionIsWaitedForWithTheMutexGivenUp) {
  for (std::uint64_t number = 0; number < 100; ++number) {
    RandomWalk strategy(5, 0);
    strategy.begin(number);
    Notes notes;
    LeafMutex mutex{"test"};
    CondVar changed;
    bool done = false;
    run_once(strategy, notes, [&] {
      return Flows{{"waits",
                    [&] {
                      Guard hold(mutex);
                      changed.wait(mutex, [&] { return done; });
                    }},
                   {"does", [&] {
                      Guard hold(mutex);
                      done = true;
                      changed.notify_all();
                    }}};
    });
    EXPECT_TRUE(done);
  }
}

/// Looks without the lock, and sleeps although the wake-up has come.
void lost_wake_up(std::uint64_t number) {
  RandomWalk strategy(11, 0);
  strategy.begin(number);
  Notes notes;
  std::atomic<int> word{0};
  run_once(strategy, notes, [&] {
    return Flows{{"waits",
                  [&] {
                    if (word.load() == 0) {
                      SX_MARK("test.explore.before_sleep");
                      turns()->sleep(&word, "a word");
                    }
                  }},
                 {"wakes", [&] {
                    SX_MARK("test.explore.before_wake");
                    word.store(1);
                    notify_all(word);
                  }}};
  });
}

TEST(ExploreDeathTest, ALostWakeUpIsADeadlockThatNamesWhoWaits) {
  const auto search = [] {
    for (std::uint64_t number = 0; number < 200; ++number) lost_wake_up(number);
    _exit(0);
  };
  EXPECT_EXIT(search(), testing::ExitedWithCode(3), "deadlock: nobody can go on(.|\n)*waits waits for a word");
}

TEST(ExploreDeathTest, ALockOrderIsWatchedFlowByFlow) {
  Mutex<LockRank::kVm> vm{"vm"};
  LeafMutex leaf{"leaf"};
  const auto wrong = [&] {
    RandomWalk strategy(1, 0);
    strategy.begin(0);
    Notes notes;
    run_once(strategy, notes, [&] {
      return Flows{{"wrong", [&] {
                      Guard hold(leaf);
                      Guard then(vm);
                    }}};
    });
  };
  EXPECT_DEATH(wrong(), "lock order broken: taking vm while holding leaf");
}

TEST(Explore, TimePassesOnlyWhenNobodyCanGoOn) {
  RandomWalk strategy(1, 0);
  strategy.begin(0);
  Notes notes;
  std::uint64_t passed_ns = 0;
  LeafMutex mutex{"test"};
  CondVar never;
  bool in_time = true;
  Scheduler scheduler(
      {.strategy = strategy, .observer = notes, .pass_time = [&](std::uint64_t ns) { passed_ns += ns; }});
  scheduler.run([&] {
    scheduler.search({{"waits", [&] {
                         Guard hold(mutex);
                         in_time = never.wait_for(mutex, 5000, [] { return false; });
                       }}});
  });
  EXPECT_FALSE(in_time);
  EXPECT_EQ(passed_ns, 5000u);
}

TEST(Schedule, TextAndBack) {
  const Schedule schedule{"a/b.softxe", "two words", {{1, 17, 2, 0}, {2, 3, 0, 12}}};
  const auto read = parse_schedule(schedule_text(schedule));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->file, schedule.file);
  EXPECT_EQ(read->scenario, schedule.scenario);
  EXPECT_EQ(read->choices, schedule.choices);
  for (const char* bad : {"", "softxe-schedule 2\n", "softxe-schedule 1\nchoice 1 2 goes 3\n",
                          "softxe-schedule 1\nchoice 1 next 3\n", "softxe-schedule 1\nfoo\n"}) {
    EXPECT_FALSE(parse_schedule(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace softxe::explore
