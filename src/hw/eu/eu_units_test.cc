// How the groups of a walker are started, run in slices, put back and ended, by one worker and by several.
#include "hw/eu/eu_units.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "hw/eu/eu_fake_worker.h"

namespace softxe {
namespace {

EuTriple group_of(const EuThread& thread) {
  std::array<std::uint32_t, 8> r0{};
  std::memcpy(r0.data(), thread.grf.data(), sizeof r0);
  return {r0[1], r0[6], r0[7]};
}

/// A thread that runs for so many instructions and ends.
FakeEuWorker::Script lasts(std::uint64_t instructions) {
  return [instructions](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    thread.instructions += std::min(most, instructions - thread.instructions);
    return {.kind = thread.instructions == instructions ? EuStopKind::kEnded : EuStopKind::kBudget};
  };
}

EuWalker walker(EuTriple groups, std::uint32_t threads = 1) {
  EuWalker w;
  w.groups = groups;
  w.threads = threads;
  return w;
}

struct Rig {
  explicit Rig(FakeEuWorker::Script script) : units(fake_units(ids, std::move(script))) {}
  EuStopKind run(std::uint64_t instructions = ~std::uint64_t{0}) {
    return units
        .run(dispatch, {.stop = stop, .clock = clock, .deadline_ns = deadline, .instructions_max = instructions})
        .stop.kind;
  }

  std::atomic<bool> stop{false};
  ManualClock clock;
  std::uint64_t deadline = ~std::uint64_t{0};
  EuThreadIds ids;
  EuUnits units;
  EuDispatch dispatch;
};

TEST(EuUnits, GroupsStartInTheOrderXYZ) {
  std::vector<EuTriple> order;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    if (thread.number == 0) order.push_back(group_of(thread));
    return {.kind = EuStopKind::kEnded};
  });
  EuWalker w = walker({2, 2, 2}, 3);
  w.first = {10, 20, 30};
  ASSERT_TRUE(rig.dispatch.begin(w));
  EXPECT_EQ(rig.run(), EuStopKind::kEnded);
  EXPECT_EQ(order, (std::vector<EuTriple>{{10, 20, 30},
                                          {11, 20, 30},
                                          {10, 21, 30},
                                          {11, 21, 30},
                                          {10, 20, 31},
                                          {11, 20, 31},
                                          {10, 21, 31},
                                          {11, 21, 31}}));
}

TEST(EuUnits, EveryWalkerHasItsOwnLocalIds) {
  std::vector<std::uint16_t> seen;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    std::uint16_t id = 0;
    std::memcpy(&id, thread.grf.data() + kEuGrfBytes + 5 * sizeof id, sizeof id);  // of lane 5
    seen.push_back(id);
    return {.kind = EuStopKind::kEnded};
  });
  for (const std::uint32_t width : {16u, 4u}) {
    EuWalker w = walker({2, 1, 1});
    w.local_ids = {.emitted = 1, .size = {width, 16 / width, 1}};
    ASSERT_TRUE(rig.dispatch.begin(w));
    EXPECT_EQ(rig.run(), EuStopKind::kEnded);
    rig.dispatch.release(rig.units.pool());
  }
  EXPECT_EQ(seen, (std::vector<std::uint16_t>{5, 5, 1, 1}));
}

TEST(EuUnits, CountsWhatWasDone) {
  Rig rig(lasts(10));
  EuWalker w = walker({5, 1, 1}, 2);
  w.last_mask = 0x3;
  ASSERT_TRUE(rig.dispatch.begin(w));
  EXPECT_EQ(rig.run(35), EuStopKind::kBudget);
  const EuWork first = rig.dispatch.take_new_work();
  EXPECT_EQ(first.groups, 2u) << "the second has begun";
  EXPECT_EQ(first.instructions, 35u);
  EXPECT_EQ(rig.run(), EuStopKind::kEnded);
  EuWork all = rig.dispatch.take_new_work();
  all += first;
  EXPECT_EQ(all.groups, 5u);
  EXPECT_EQ(all.threads, 10u);
  EXPECT_EQ(all.lanes, 5u * (16 + 2));
  EXPECT_EQ(all.instructions, 100u);
}

TEST(EuUnits, ASliceEndsByBudgetTimeAndRequest) {
  Rig rig(lasts(1'000'000));
  ASSERT_TRUE(rig.dispatch.begin(walker({4, 1, 1})));
  EXPECT_EQ(rig.run(5000), EuStopKind::kBudget);
  EXPECT_EQ(rig.dispatch.take_new_work().instructions, 5000u);
  rig.stop = true;
  EXPECT_EQ(rig.run(), EuStopKind::kBudget);
  EXPECT_EQ(rig.dispatch.take_new_work().instructions, 0u);
  rig.stop = false;
  rig.deadline = rig.clock.now_ns();
  EXPECT_EQ(rig.run(), EuStopKind::kBudget);
  EXPECT_EQ(rig.dispatch.take_new_work().instructions, 0u);
  rig.deadline = ~std::uint64_t{0};
  EXPECT_EQ(rig.run(), EuStopKind::kEnded);
}

TEST(EuUnits, AThreadAskedToStopIsNotRunMuchLonger) {
  std::uint64_t after = 0;
  Rig* self = nullptr;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    if (self->stop) after += most;
    thread.instructions += most;
    self->stop = true;
    return {.kind = EuStopKind::kBudget};
  });
  self = &rig;
  ASSERT_TRUE(rig.dispatch.begin(walker({1, 1, 1}, 64)));
  EXPECT_EQ(rig.run(), EuStopKind::kBudget);
  EXPECT_EQ(after, 0u);
}

TEST(EuUnits, AWalkerWithoutGroupsHasEnded) {
  Rig rig(lasts(1));
  ASSERT_TRUE(rig.dispatch.begin(walker({4, 0, 1})));
  EXPECT_TRUE(rig.dispatch.finished());
  EXPECT_EQ(rig.run(), EuStopKind::kEnded);
}

TEST(EuUnits, LiveThreadsHaveDistinctIds) {
  std::map<const EuThread*, std::uint16_t> live;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    live[&thread] = thread.hw_id;
    EXPECT_LT(thread.hw_id, kEuThreadIds);
    return {.kind = EuStopKind::kBudget};
  });
  EuDispatch other;
  EuWalker w = walker({16, 1, 1}, 16);
  w.cooperative = true;
  ASSERT_TRUE(rig.dispatch.begin(w));
  ASSERT_TRUE(other.begin(w));
  EXPECT_EQ(rig.run(1'000'000), EuStopKind::kBudget);
  const std::atomic<bool> stop{false};
  EXPECT_EQ(
      rig.units
          .run(other,
               {.stop = stop, .clock = rig.clock, .deadline_ns = ~std::uint64_t{0}, .instructions_max = 1'000'000})
          .stop.kind,
      EuStopKind::kBudget);
  std::set<std::uint16_t> ids;
  for (const auto& [thread, id] : live) ids.insert(id);
  EXPECT_EQ(live.size(), 512u);
  EXPECT_EQ(ids.size(), 512u) << "over both contexts";
}

TEST(EuUnits, WhenAllIdsAreTakenAContextHasItsOwnAllTheSame) {
  std::set<std::uint16_t> ids;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    ids.insert(thread.hw_id);
    return {.kind = EuStopKind::kBudget};
  });
  EuWalker w = walker({8, 1, 1}, 64);
  w.cooperative = true;
  ASSERT_TRUE(rig.dispatch.begin(w));
  EXPECT_EQ(rig.run(1'000'000), EuStopKind::kBudget);
  EXPECT_EQ(ids.size(), 512u);
  ids.clear();
  EuDispatch other;
  ASSERT_TRUE(other.begin(walker({1, 1, 1}, 64)));
  other.reserve(1, rig.ids, rig.units.pool());
  EuResident* group = other.take();
  ASSERT_NE(group, nullptr);
  for (std::uint32_t i = 0; i < 64; ++i) ids.insert(group->hw_ids[i]);
  EXPECT_EQ(ids.size(), 64u);
}

TEST(EuUnits, IdsComeBackAtTheEndOfAWalkerAndWhenItIsDropped) {
  for (const bool drop : {false, true}) {
    std::uint16_t highest = 0;
    Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
      highest = std::max(highest, thread.hw_id);
      return {.kind = drop ? EuStopKind::kBudget : EuStopKind::kEnded};
    });
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(rig.dispatch.begin(walker({3, 1, 1}, 64)));
      rig.run(1000);
      drop ? rig.dispatch.drop() : rig.dispatch.release(rig.units.pool());
    }
    EXPECT_EQ(highest, 63);
  }
}

TEST(EuUnits, CooperativeGroupsAllMakeProgress) {
  // Every group waits until all have begun: with one group at a time none would end.
  std::set<EuTriple> begun;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    begun.insert(group_of(thread));
    thread.instructions += most;
    return {.kind = begun.size() == 32 ? EuStopKind::kEnded : EuStopKind::kBudget};
  });
  EuWalker w = walker({32, 1, 1}, 16);
  w.cooperative = true;
  ASSERT_TRUE(rig.dispatch.begin(w));
  EXPECT_EQ(rig.run(10'000'000), EuStopKind::kEnded);
}

TEST(EuUnits, ACooperativeWalkerThatCannotBeResidentIsRefused) {
  EuDispatch dispatch;
  EuWalker w = walker({33, 1, 1}, 16);
  w.cooperative = true;
  EXPECT_EQ(dispatch.begin(w).error().err, EBADRQC);
  EXPECT_FALSE(dispatch.active());
}

TEST(EuUnits, GroupsThatWaitForLaterOnesGetThere) {
  bool last_began = false;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    thread.instructions += most;
    if (group_of(thread)[0] == 20) last_began = true;
    return {.kind = last_began ? EuStopKind::kEnded : EuStopKind::kBudget};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({21, 1, 1})));
  int slices = 0;
  while (rig.run(1'000'000) == EuStopKind::kBudget && ++slices < 100) {
  }
  EXPECT_LT(slices, 40);
  EXPECT_TRUE(last_began);
}

TEST(EuUnits, AGroupThatEndsKeepsOthersOut) {
  // One group at a time as long as they end: memory of a kernel stays what one group needs.
  std::set<EuThread*> places;
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    places.insert(&thread);
    thread.instructions += 1;
    return {.kind = EuStopKind::kEnded};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({1000, 1, 1})));
  EXPECT_EQ(rig.run(), EuStopKind::kEnded);
  EXPECT_EQ(places.size(), 1u);
}

TEST(EuUnits, AGroupThatWaitsForItselfIsNotRunAgain) {
  std::uint64_t calls = 0;
  Rig rig([&](EuThread& thread, EuGroup& group, std::uint64_t) -> EuStop {
    ++calls;
    EXPECT_TRUE(group.signal_barrier(thread, {.producers = 2, .consumers = 2}));
    EXPECT_EQ(*group.wait_barrier(thread, 0), EuGroup::Wait::kBlock);
    return {.kind = EuStopKind::kBarrier};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({1, 1, 1})));
  EXPECT_EQ(rig.run(), EuStopKind::kBarrier);
  EXPECT_EQ(rig.run(), EuStopKind::kBarrier);
  EXPECT_EQ(calls, 1u);
}

TEST(EuUnits, AFailureNamesGroupAndThread) {
  Rig rig([&](EuThread& thread, EuGroup&, std::uint64_t) -> EuStop {
    if (group_of(thread) == EuTriple{1, 2, 0} && thread.number == 3) {
      return {.kind = EuStopKind::kUnsupported, .ip = GpuVa(0x1230), .reason = "a sampler message"};
    }
    return {.kind = EuStopKind::kEnded};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({4, 4, 1}, 5)));
  const EuRun run = rig.units.run(
      rig.dispatch,
      {.stop = rig.stop, .clock = rig.clock, .deadline_ns = ~std::uint64_t{0}, .instructions_max = ~std::uint64_t{0}});
  EXPECT_EQ(run.stop.kind, EuStopKind::kUnsupported);
  EXPECT_EQ(run.stop.ip.value(), 0x1230u);
  EXPECT_STREQ(run.stop.reason, "a sampler message");
  EXPECT_EQ(run.group, (EuTriple{1, 2, 0}));
  EXPECT_EQ(run.thread, 3u);
}

// ---- several workers -----------------------------------------------------------------------------

EuUnits::ThreadStarter plain_threads() {
  return [](std::function<void()> body) -> std::function<void()> {
    auto thread = std::make_shared<std::thread>(std::move(body));
    return [thread] { thread->join(); };
  };
}

struct ManyWorkers {
  explicit ManyWorkers(FakeEuWorker::Script script)
      : units({.ids = ids,
               .workers_max = 4,
               .make_worker = [script](std::uint32_t) { return std::make_unique<FakeEuWorker>(script); },
               .starter = plain_threads()}) {}
  EuRun run() {
    return units.run(dispatch, {.stop = stop,
                                .clock = clock,
                                .deadline_ns = clock.now_ns() + 1'000'000,
                                .instructions_max = ~std::uint64_t{0}});
  }
  std::atomic<bool> stop{false};
  SteadyClock clock;
  EuThreadIds ids;
  EuUnits units;
  EuDispatch dispatch;
};

TEST(EuUnits, EveryGroupRunsOnceOnWhateverWorker) {
  std::array<std::atomic<int>, 256> runs{};
  std::array<std::atomic<int>, kEuThreadIds> holders{};
  std::atomic<int> shared{0};
  ManyWorkers rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    if (thread.instructions == 0 && holders[thread.hw_id].fetch_add(1) != 0) ++shared;
    thread.instructions += most;
    if (thread.instructions < 20'000) return {.kind = EuStopKind::kBudget};
    runs[group_of(thread)[0]].fetch_add(1);
    holders[thread.hw_id].fetch_sub(1);
    return {.kind = EuStopKind::kEnded};
  });
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(rig.dispatch.begin(walker({256, 1, 1}, 4)));
    for (auto& count : runs) count = 0;
    while (rig.run().stop.kind == EuStopKind::kBudget) {
    }
    EXPECT_TRUE(rig.dispatch.finished());
    for (auto& count : runs) EXPECT_EQ(count, 4);
    EXPECT_EQ(rig.dispatch.take_new_work().threads, 1024u);
    rig.dispatch.release(rig.units.pool());
  }
  EXPECT_EQ(shared, 0) << "two live threads had one id";
}

TEST(EuUnits, WorkersRunAtTheSameTime) {
  // No group ends before another one has begun on another worker.
  std::atomic<int> inside{0};
  std::atomic<bool> met{false};
  ManyWorkers rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    thread.instructions += most;
    if (inside.fetch_add(1) != 0) met = true;
    for (int i = 0; i < 1000 && !met; ++i) std::this_thread::yield();
    inside.fetch_sub(1);
    return {.kind = met ? EuStopKind::kEnded : EuStopKind::kBudget};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({2, 1, 1})));
  while (rig.run().stop.kind == EuStopKind::kBudget) {
  }
  EXPECT_TRUE(met);
}

TEST(EuUnits, OneFailureStopsAllWorkers) {
  std::atomic<bool> failed{false};
  ManyWorkers rig([&](EuThread& thread, EuGroup&, std::uint64_t most) -> EuStop {
    thread.instructions += most;
    if (group_of(thread)[0] != 70) return {.kind = failed ? EuStopKind::kBudget : EuStopKind::kEnded};
    failed = true;
    return {.kind = EuStopKind::kFault, .ip = GpuVa(0x40)};
  });
  ASSERT_TRUE(rig.dispatch.begin(walker({1000, 1, 1})));
  EuRun run;
  do {
    run = rig.run();
  } while (run.stop.kind == EuStopKind::kBudget);
  EXPECT_EQ(run.stop.kind, EuStopKind::kFault);
  EXPECT_EQ(run.group[0], 70u);
}

}  // namespace
}  // namespace softxe
