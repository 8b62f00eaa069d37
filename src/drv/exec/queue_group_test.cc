// Multi-queue groups: spec/multi-queue.md 1.4, 1.5 and 2, rule by rule, on a manual clock.
#include <gtest/gtest.h>

#include <algorithm>

#include "drv/exec/group_test_rig.h"

namespace softxe::exec_test {
namespace {

constexpr auto kHigh = QueuePriority::kHigh;
constexpr auto kNormal = QueuePriority::kNormal;
constexpr auto kLow = QueuePriority::kLow;

int errno_of(const Status& s) { return s ? 0 : s.error().err; }

// ---- who may run, who runs next ------------------------------------------------------------------

/// A queue of a row: the first of a group makes it. `after`: its batch comes when so many slices have run.
struct Line {
  char group;  ///< a name, or '-' for none
  const char* program;
  QueuePriority in_group = kNormal;
  std::size_t after = 0;
  QueuePriority of_queue = kNormal;
};
struct ScheduleRow {
  const char* claim;
  std::vector<Line> lines;
  const char* order;
};

std::string order_of(const ScheduleRow& row) {
  GroupRig rig;
  std::map<char, unsigned> primary_of;
  for (const Line& line : row.lines) {
    GroupRig::Make make{.in_group = line.in_group, .of_queue = line.of_queue};
    if (line.group != '-') {
      const bool first = !primary_of.contains(line.group);
      make.role = first ? GroupRole::kPrimary : GroupRole::kSecondary;
      if (first) primary_of[line.group] = static_cast<unsigned>(rig.queues.size());
      make.primary = primary_of[line.group];
    }
    EXPECT_TRUE(rig.make(make));
  }
  for (std::size_t slices = 0; slices < 60; ++slices) {
    for (unsigned i = 0; i < row.lines.size(); ++i)
      if (row.lines[i].after == slices) rig.start(i, row.lines[i].program);
    rig.exec.run_once();
  }
  return rig.order();
}

TEST(QueueGroup, WhoRunsNext) {
  const ScheduleRow rows[] = {
      {"queues without a group share an engine slice by slice", {{'-', "bb."}, {'-', "bb."}}, "010101"},
      {"of a group one runs until its batch ends", {{'a', "bb."}, {'a', "bb."}}, "000111"},
      {"also a spinner", {{'a', "pp."}, {'a', "."}}, "0001"},
      {"another may go when a semaphore is not satisfied", {{'a', "bwb."}, {'a', "b."}}, "001100"},
      {"also behind work", {{'a', "bWb."}, {'a', "b."}}, "001100"},
      {"equal ones go in the order of submission", {{'a', ".", kNormal, 1}, {'a', "b."}, {'a', "."}}, "1120"},
      {"low is normal", {{'a', ".", kLow}, {'a', "."}, {'a', ".", kLow}}, "012"},
      {"high goes before both", {{'a', ".", kLow}, {'a', "."}, {'a', ".", kHigh}, {'a', ".", kHigh}}, "2301"},
      {"but takes the engine from nobody", {{'a', "bbb."}, {'a', "."}, {'a', ".", kHigh, 1}}, "000021"},
      {"it goes when that one waits", {{'a', "bw."}, {'a', "."}, {'a', ".", kHigh, 1}}, "00210"},
      {"a high one that waits lets the others go", {{'a', "wwww.", kHigh}, {'a', "b."}}, "0110000"},
      {"and goes first when another has got on", {{'a', "ww.", kHigh}, {'a', "b."}, {'a', "."}}, "011020"},
      {"getting on is also waiting behind work", {{'a', "ww.", kHigh}, {'a', "W."}, {'a', "."}}, "010201"},
      {"all that wait are looked at in rounds, high ones first",
       {{'a', "www.", kHigh}, {'a', "www."}, {'a', "www."}},
       "012012012012"},
      {"to other contexts a group is one", {{'-', "bbb."}, {'a', "."}, {'a', "."}, {'a', "."}}, "0102030"},
      {"two groups take turns", {{'a', "b."}, {'a', "."}, {'b', "b."}, {'b', "."}}, "020213"},
      {"a group that lost its slice lets no other member in", {{'a', "bb."}, {'a', "."}, {'-', "bb."}}, "0202021"},
      {"the primary's queue priority is the group's",
       {{'-', "bb."}, {'a', "b.", kNormal, 0, kHigh}, {'a', "b."}},
       "1122000"},
      {"and a secondary's own is none", {{'-', "bb."}, {'a', "b."}, {'a', "b.", kNormal, 0, kHigh}}, "0101022"},
  };
  for (const ScheduleRow& row : rows) EXPECT_EQ(order_of(row), row.order) << row.claim;
}

TEST(QueueGroup, ANewPriorityCountsFromTheNextChoiceOn) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  for (unsigned i = 0; i < 4; ++i) rig.start(i, "b.");
  rig.exec.run_once();
  Scheduler& scheduler = rig.exec.scheduler();
  EXPECT_TRUE(scheduler.set_group_priority(*rig.queues[3], kHigh));
  EXPECT_TRUE(scheduler.set_group_priority(*rig.queues[2], kHigh));
  EXPECT_TRUE(scheduler.set_group_priority(*rig.queues[2], kLow));
  rig.drain();
  EXPECT_EQ(rig.order(), "00331122");
}

TEST(QueueGroup, SetPriorityRows) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  ASSERT_TRUE(rig.make({}));
  Scheduler& scheduler = rig.exec.scheduler();
  EXPECT_EQ(errno_of(scheduler.set_group_priority(*rig.queues[2], kHigh)), EINVAL) << "in no group";
  EXPECT_TRUE(scheduler.set_group_priority(*rig.queues[0], kHigh)) << "the primary as well";
  EXPECT_EQ(rig.queues[0]->group_priority(), kHigh);
  rig.exec.destroy_queue(rig.queues[1]);
  EXPECT_TRUE(scheduler.set_group_priority(*rig.queues[1], kHigh)) << "a killed one";
  EXPECT_EQ(rig.queues[1]->group_priority(), kNormal) << "and nothing is done";
}

/// Engines of a virtual group run one member between them, and no engine that could go on stands still.
TEST(QueueGroup, AVirtualGroupRunsOnOneEngineAtATime) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary, .place = {EngineClass::kCopy, 0b11}}));
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary, .place = {EngineClass::kCopy, 0b11}}));
  for (unsigned i = 0; i < 4; ++i) rig.start(i, "bbb.");
  rig.drain();
  std::string runs = rig.order();
  EXPECT_EQ(runs.size(), 16u);
  runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
  EXPECT_EQ(runs.size(), 4u) << "each was let go to its end: " << rig.order();
  rig.ran.clear();
  rig.start(0, "w.");
  rig.start(1, "w.");
  rig.drain();
  EXPECT_EQ(rig.order().size(), 4u) << "one that waits blocks no engine";
}

TEST(QueueGroup, AHighMemberOnAnotherEngineGoesFirst) {
  GroupRig rig;
  const QueuePlace both{EngineClass::kCopy, 0b11};
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary, .place = both}));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary, .place = both}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary, .in_group = kHigh, .place = both}));
  rig.start(0, "bb.");
  rig.exec.run_once();
  for (unsigned i = 1; i < 4; ++i) rig.start(i, ".");
  rig.drain();
  EXPECT_EQ(rig.order().substr(0, 4), "0003");
}

TEST(QueueGroup, APausedGroupKeepsItsPlace) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  rig.start(0, "bb.");
  rig.start(1, ".");
  rig.exec.run_once();
  {
    DeviceExec::VmPause pause(rig.exec, rig.vm);
    EXPECT_FALSE(rig.exec.run_once());
  }
  rig.drain();
  EXPECT_EQ(rig.order(), "0001");
}

// ---- bans ----------------------------------------------------------------------------------------

struct BanRow {
  const char* claim;
  std::string culprit;  ///< program of member 1
  int error;            ///< of its fence
};

TEST(QueueGroup, WhateverBansOneMemberBansAll) {
  const BanRow rows[] = {
      {"page fault", "bf", EIO}, {"bad command", "c", EIO}, {"job time-out", std::string(80, 'b'), ETIME}};
  for (const BanRow& row : rows) {
    GroupRig rig(VmMode::kDmaFence);
    rig.hw.slice_ns = 200'000'000;
    ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
    ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
    const FencePtr started = rig.start(0, "wwwwwwww.");
    rig.exec.run_once();
    const FencePtr culprit = rig.start(1, row.culprit);
    const FencePtr behind = rig.start(1, ".");
    const FencePtr waiting = rig.start(2, ".");
    const FencePtr other_group = rig.start(4, ".");
    rig.drain(200);
    EXPECT_EQ(culprit->error(), row.error) << row.claim;
    EXPECT_EQ(behind->error(), ECANCELED) << row.claim;
    EXPECT_EQ(started->error(), ECANCELED) << row.claim << ": it was not its doing";
    EXPECT_EQ(waiting->error(), ECANCELED) << row.claim;
    EXPECT_EQ(other_group->error(), 0) << row.claim;
    for (unsigned i = 0; i < 4; ++i) EXPECT_TRUE(rig.queues[i]->reset()) << row.claim << ": also without jobs " << i;
    EXPECT_FALSE(rig.queues[4]->reset()) << row.claim;
    EXPECT_EQ(errno_of(rig.exec.check_submit(*rig.queues[3])), ECANCELED) << row.claim;
    EXPECT_EQ(errno_of(rig.submit(rig.queues[3], 0x99000)), ECANCELED) << row.claim;
    EXPECT_EQ(rig.counters.get(Counter::exec_banned_count), 4u) << row.claim;
    EXPECT_TRUE(rig.exec.scheduler().gt_idle(0)) << row.claim;
  }
}

TEST(QueueGroup, AGtResetBansAGroupWithAStartedJob) {
  GroupRig rig(VmMode::kDmaFence);
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  const FencePtr waits = rig.start(0, "wwww.");
  const FencePtr spins = rig.start(1, "bbbb.");
  const FencePtr behind = rig.start(2, ".");
  rig.drain(2);
  rig.exec.reset_gt(0);
  EXPECT_EQ(waits->error(), EIO);
  EXPECT_EQ(spins->error(), EIO);
  EXPECT_EQ(behind->error(), ECANCELED) << "it had not started";
  EXPECT_TRUE(rig.queues[2]->reset());
  EXPECT_FALSE(rig.queues[3]->reset()) << "a group without a started job";
}

/// Members' jobs count the run time of their own contexts only.
TEST(QueueGroup, LongBatchesBehindEachOtherAreNoTimeOut) {
  GroupRig rig(VmMode::kDmaFence);
  rig.hw.slice_ns = 600'000'000;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  std::vector<FencePtr> jobs;
  for (unsigned i = 0; i < 4; ++i) jobs.push_back(rig.start(i, "bbbb."));  // 3 s each
  rig.drain();
  for (const FencePtr& job : jobs) EXPECT_TRUE(job->signalled() && job->error() == 0);
  EXPECT_EQ(rig.order(), "00000111112222233333");
  EXPECT_EQ(rig.queues[3]->run_time_ns(), 5 * rig.hw.slice_ns);
}

TEST(QueueGroup, ABannedPreemptFenceVmTakesItsGroupsAlong) {
  GroupRig rig(VmMode::kPreemptFence);
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  const FencePtr job = rig.start(1, "bbb.");
  rig.exec.run_once();
  rig.vm->is_banned = true;
  rig.exec.vm_banned(*rig.vm);
  EXPECT_TRUE(job->signalled());
  EXPECT_TRUE(rig.queues[0]->reset() && rig.queues[1]->reset());
  EXPECT_EQ(rig.counters.get(Counter::exec_banned_count), 0u);
}

// ---- destruction ---------------------------------------------------------------------------------

struct DestroyRow {
  const char* claim;
  unsigned who;
  std::size_t slices;  ///< that run before
  const char* order;   ///< of all slices
  std::vector<int> errors;
};

TEST(QueueGroup, DestroyOfAMember) {
  // Member 0 runs "bb.", 1 and 2 run "b.", in this order.
  const DestroyRow rows[] = {
      {"a secondary that waits: it alone", 1, 1, "00022", {0, ECANCELED, 0}},
      {"a secondary that runs: the next one goes", 1, 4, "000122", {0, ECANCELED, 0}},
      {"the last one", 2, 1, "00011", {0, 0, ECANCELED}},
      {"the primary that runs: all", 0, 1, "0", {ECANCELED, ECANCELED, ECANCELED}},
      {"the primary behind its work: what is left", 0, 4, "0001", {0, ECANCELED, ECANCELED}},
  };
  for (const DestroyRow& row : rows) {
    GroupRig rig(VmMode::kDmaFence);
    ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
    ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
    ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
    const std::vector<FencePtr> jobs = {rig.start(0, "bb."), rig.start(1, "b."), rig.start(2, "b.")};
    rig.drain(static_cast<unsigned>(row.slices));
    rig.exec.destroy_queue(rig.queues[row.who]);
    rig.drain();
    EXPECT_EQ(rig.order(), row.order) << row.claim;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(jobs[i]->signalled()) << row.claim << " " << i;
      EXPECT_EQ(jobs[i]->error(), row.errors[i]) << row.claim << " " << i;
      EXPECT_EQ(rig.queues[i]->reset(), row.who == 0 || row.who == i) << row.claim << " " << i;
    }
    EXPECT_EQ(rig.counters.get(Counter::exec_banned_count), 0u) << row.claim;
  }
}

TEST(QueueGroup, AKilledHighMemberLetsTheOthersGo) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary, .in_group = kHigh}));
  rig.start(0, ".");
  rig.start(1, ".");
  rig.exec.destroy_queue(rig.queues[1]);
  rig.drain();
  EXPECT_EQ(rig.order(), "0");
}

TEST(QueueGroup, AMemberThatIsKilledInsideItsSliceHoldsTheEngineUntilItHasLeft) {
  GroupRig rig(VmMode::kDmaFence);
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  // No analysis: the rig has one thread, so the group's state may be read without the lock.
  rig.hw.programs[0x77000] = [&](const SliceView&) SX_NO_THREAD_SAFETY_ANALYSIS {
    rig.exec.destroy_queue(rig.queues[1]);
    EXPECT_EQ(rig.queues[0]->group()->current != nullptr, true) << "the GPU is still there";
    return SliceEnd::kBudget;
  };
  EXPECT_TRUE(rig.submit(rig.queues[1], 0x77000));
  const FencePtr next = rig.start(0, ".");
  rig.drain();
  EXPECT_TRUE(next->signalled());
  EXPECT_EQ(next->error(), 0);
}

// ---- membership ----------------------------------------------------------------------------------

TEST(QueueGroup, SixtyFourMembersForEver) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  for (int i = 1; i < 63; ++i) ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  rig.exec.destroy_queue(rig.queues[5]);
  rig.queues[5].reset();
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary})) << "the 64th";
  const auto full = rig.make({.role = GroupRole::kSecondary});
  EXPECT_EQ(full.error().err, EINVAL) << "a place is not given out twice";
  rig.exec.discard_queue(rig.queues.back());
  rig.queues.pop_back();
  EXPECT_TRUE(rig.make({.role = GroupRole::kSecondary})) << "but by a creation that failed";
}

TEST(QueueGroup, WhoJoinsAGroupThatIsGoneIsResetFromTheStart) {
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  rig.start(0, "f");
  rig.drain();
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  EXPECT_TRUE(rig.queues[1]->reset());
  EXPECT_EQ(errno_of(rig.exec.check_submit(*rig.queues[1])), ECANCELED);
}

TEST(QueueGroup, JoinRows) {
  struct Row {
    const char* claim;
    GroupRole of;  ///< what is named as the primary
    EngineClass cls;
    unsigned mask;
    bool other_vm;
    int err;
  };
  const Row rows[] = {
      {"the same engines", GroupRole::kPrimary, EngineClass::kCopy, 1, false, 0},
      {"a queue without group", GroupRole::kNone, EngineClass::kCopy, 1, false, EINVAL},
      {"a secondary", GroupRole::kSecondary, EngineClass::kCopy, 1, false, EINVAL},
      {"another VM", GroupRole::kPrimary, EngineClass::kCopy, 1, true, EINVAL},
      {"another engine", GroupRole::kPrimary, EngineClass::kCopy, 2, false, EINVAL},
      {"more engines", GroupRole::kPrimary, EngineClass::kCopy, 3, false, EINVAL},
      {"another class, the same mask", GroupRole::kPrimary, EngineClass::kCompute, 1, false, EINVAL},
  };
  GroupRig rig;
  ASSERT_TRUE(rig.make({.role = GroupRole::kPrimary}));
  ASSERT_TRUE(rig.make({.role = GroupRole::kSecondary}));
  ASSERT_TRUE(rig.make({}));
  const auto other = make_vm(VmMode::kFault);
  for (const Row& row : rows) {
    ExecQueueCreateRequest request;
    request.placement = EnginePlacement{row.cls, row.mask};
    const unsigned named = row.of == GroupRole::kPrimary ? 0 : row.of == GroupRole::kSecondary ? 1 : 2;
    const FakeVm& vm = row.other_vm ? *other : *rig.vm;
    EXPECT_EQ(errno_of(check_join(*rig.queues[named], request, vm)), row.err) << row.claim;
  }
}

}  // namespace
}  // namespace softxe::exec_test
