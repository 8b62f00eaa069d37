// Jobs, queues and engines under the manual policy: spec/uapi.md 9-11 and 13, rule by rule.
#include <gtest/gtest.h>

#include "drv/exec/exec_test_rig.h"

namespace softxe::exec_test {
namespace {

using Lines = std::vector<std::string>;
constexpr std::uint64_t kSecond = 1'000'000'000;

int errno_of(const Status& s) { return s ? 0 : s.error().err; }

TEST(Exec, JobsOfAQueueRunInOrderAndSignalAfterTheUserFence) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  const FencePtr one = rig.run(queue, 0x1000, {SyncUserFence{0x88, 7}});
  one->on_signal([&] { rig.hw.note("signal one"); });
  const FencePtr two = rig.run(queue, 0x2000);
  EXPECT_FALSE(one->signalled()) << "nothing runs inside the ioctl";
  rig.drain();
  EXPECT_TRUE(two->signalled());
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000", "store 0x88=7", "signal one", "batch 0x2000"}));
}

TEST(Exec, InFencesHoldAJobAndTheOnesBehindIt) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  const auto queue = rig.queue(vm);
  const auto other = rig.queue(vm);
  const FencePtr gate = Fence::pending();
  const FencePtr held = rig.run(queue, 0x1000, {rig.wait_for(gate)});
  const FencePtr behind = rig.run(queue, 0x2000);
  const FencePtr elsewhere = rig.run(other, 0x3000);
  rig.drain();
  EXPECT_FALSE(held->signalled());
  EXPECT_FALSE(behind->signalled());
  EXPECT_TRUE(elsewhere->signalled()) << "queues do not order each other";
  gate->signal(EIO);  // a failed fence is a signalled fence
  rig.drain();
  EXPECT_TRUE(behind->signalled());
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x3000", "batch 0x1000", "batch 0x2000"}));
}

TEST(Exec, AJobMayWaitForAJobOfAnotherQueue) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  const auto a = rig.queue(vm);
  const auto b = rig.queue(vm, EngineClass::kRender);
  const FencePtr gate = Fence::pending();
  const FencePtr first = rig.run(a, 0x1000, {rig.wait_for(gate)});
  const FencePtr second = rig.run(b, 0x2000, {rig.wait_for(first)});
  rig.drain();
  EXPECT_FALSE(second->signalled());
  gate->signal();
  rig.drain();
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000", "batch 0x2000"}));
}

TEST(Exec, SubmissionErrors) {
  struct Case {
    const char* rule;
    VmMode mode;
    std::function<void(Rig&, FakeVm&, const ExecQueuePtr&)> before;
    std::uint64_t batches;
    int err;
  };
  const auto kill = [](Rig& r, FakeVm&, const ExecQueuePtr& q) { r.exec.destroy_queue(q); };
  const auto close = [](Rig&, FakeVm& vm, const ExecQueuePtr&) { vm.is_closed = true; };
  const auto ban = [](Rig& r, FakeVm& vm, const ExecQueuePtr&) {
    vm.is_banned = true;
    r.exec.vm_banned(vm);
  };
  const Case cases[] = {
      {"healthy", VmMode::kDmaFence, {}, 1, 0},
      {"killed", VmMode::kDmaFence, kill, 1, ECANCELED},
      {"VM closed", VmMode::kDmaFence, close, 1, ECANCELED},
      {"VM closed, no batch", VmMode::kDmaFence, close, 0, 0},
      {"VM banned", VmMode::kFault, ban, 1, ECANCELED},
      {"VM banned, no batch", VmMode::kFault, ban, 0, 0},
      {"preempt-fence VM banned, no batch", VmMode::kPreemptFence, ban, 0, ECANCELED},
  };
  for (const Case& c : cases) {
    Rig rig;
    const auto vm = make_vm(c.mode);
    const auto queue = rig.queue(vm);
    if (c.before) c.before(rig, *vm, queue);
    Status status = rig.exec.check_submit(*queue);
    if (status) status = rig.exec.submit(queue, std::vector<GpuVa>(c.batches, GpuVa(0x1000)), rig.syncs());
    EXPECT_EQ(errno_of(status), c.err) << c.rule;
    EXPECT_EQ(queue->reset(), c.before != nullptr && c.err != 0 && c.mode != VmMode::kFault && !vm->is_closed)
        << c.rule;
  }
}

TEST(Exec, AThousandJobsAreTheLimit) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kFault));
  rig.hw.programs[0x1000] = forever();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(rig.submit(queue, 0x1000));
  EXPECT_EQ(errno_of(rig.exec.check_submit(*queue)), EAGAIN);
  EXPECT_EQ(errno_of(rig.submit(queue, 0x1000)), EAGAIN);
  rig.exec.destroy_queue(queue);
}

TEST(Exec, NoBatchMeansTheLastFence) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  const SyncobjHandle out = *rig.syncobjs.create(Syncobj::Initially::kEmpty);
  const SyncEntry signal = SyncPlain{out, SyncDirection::kSignal};
  EXPECT_TRUE(rig.exec.submit(queue, {}, rig.syncs({signal})));
  EXPECT_TRUE(rig.syncobjs.find(out)->head()->signalled());
  const FencePtr job = rig.run(queue, 0x1000);
  EXPECT_TRUE(rig.exec.submit(queue, {}, rig.syncs({signal, SyncUserFence{8, 1}})));
  EXPECT_EQ(rig.syncobjs.find(out)->head(), job);
  const SyncEntry in = rig.wait_for(Fence::signalled_stub());
  EXPECT_EQ(errno_of(rig.exec.submit(queue, {}, rig.syncs({in}))), EOPNOTSUPP);
  const auto lr = rig.queue(make_vm(VmMode::kPreemptFence));
  EXPECT_TRUE(rig.exec.submit(lr, {}, rig.syncs({in})));
  rig.drain();
  EXPECT_EQ(rig.hw.log(), Lines{"batch 0x1000"}) << "no user fence without a batch";
}

TEST(Exec, CreateNeedsAnOpenVm) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  ExecQueueCreateRequest request;
  request.placement = EnginePlacement{EngineClass::kCopy, 1};
  vm->is_closed = true;
  EXPECT_EQ(rig.exec.create_queue(request, {}, vm).error().err, ENOENT);
  vm->is_closed = false;
  vm->is_banned = true;
  EXPECT_EQ(rig.exec.create_queue(request, {}, vm).error().err, ENOENT);
  EXPECT_EQ(vm->queue_count(), 0u);
}

TEST(Exec, QueueCountFollowsLiveEngineQueues) {
  Rig rig;
  const auto vm = make_vm(VmMode::kPreemptFence);
  const auto a = rig.queue(vm);
  const auto b = rig.queue(vm);
  ExecQueueCreateRequest bind;
  bind.placement = BindQueuePlacement{};
  const auto binder = *rig.exec.create_queue(bind, {}, vm);
  EXPECT_TRUE(binder->is_bind_queue());
  EXPECT_EQ(vm->queue_count(), 2u);
  rig.exec.destroy_queue(a);
  rig.exec.destroy_queue(a);
  EXPECT_EQ(vm->queue_count(), 1u);
  rig.exec.destroy_queue(binder);
  EXPECT_TRUE(binder->reset());
}

struct BanCase {
  const char* rule;
  SliceEnd end;
  int error;
};

TEST(Exec, AFaultOrBadCommandBansTheQueueAndOnlyIt) {
  for (const BanCase& c :
       {BanCase{"fault", SliceEnd::kFault, EIO}, BanCase{"bad command", SliceEnd::kBadCommand, EIO}}) {
    Rig rig;
    const auto vm = make_vm(VmMode::kDmaFence);
    const auto bad = rig.queue(vm);
    const auto good = rig.queue(vm);
    rig.hw.programs[0xbad] = [&](const SliceView&) { return c.end; };
    const FencePtr failed = rig.run(bad, 0xbad, {SyncUserFence{0x88, 1}});
    const FencePtr behind = rig.run(bad, 0x2000, {SyncUserFence{0x90, 1}});
    const FencePtr other = rig.run(good, 0x3000);
    rig.drain();
    EXPECT_EQ(failed->error(), c.error) << c.rule;
    EXPECT_EQ(behind->error(), ECANCELED) << c.rule;
    EXPECT_TRUE(other->signalled() && other->error() == 0) << c.rule;
    EXPECT_EQ(rig.hw.log(), Lines{"batch 0x3000"}) << "no user fence of a cancelled job";
    EXPECT_TRUE(bad->reset());
    EXPECT_FALSE(good->reset());
    EXPECT_EQ(errno_of(rig.exec.check_submit(*bad)), ECANCELED);
    EXPECT_EQ(rig.counters.get(Counter::exec_banned_count), 1u);
  }
}

TEST(Exec, AnUnmappedUserFenceIsAFault) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  rig.hw.bad_store = 0x88;
  const FencePtr job = rig.run(queue, 0x1000, {SyncUserFence{0x88, 1}});
  rig.drain();
  EXPECT_EQ(job->error(), EIO);
  EXPECT_TRUE(queue->reset());
}

TEST(Exec, KillWhileRunning) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  rig.hw.programs[0x1000] = forever();
  const FencePtr spinning = rig.run(queue, 0x1000, {SyncUserFence{0x88, 1}});
  const FencePtr waiting = rig.run(queue, 0x2000, {rig.wait_for(Fence::pending())});
  rig.drain(10);
  EXPECT_FALSE(spinning->signalled());
  rig.exec.destroy_queue(queue);
  EXPECT_EQ(spinning->error(), ECANCELED);
  EXPECT_EQ(waiting->error(), ECANCELED);
  EXPECT_FALSE(rig.exec.run_once()) << "nothing is left on the engine";
  EXPECT_EQ(rig.hw.log(), Lines{});
  EXPECT_EQ(rig.counters.get(Counter::exec_banned_count), 0u);
}

TEST(Exec, KillInsideASliceCompletesWhenTheContextLeft) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  FencePtr job;
  rig.hw.programs[0x1000] = [&](const SliceView& slice) {
    rig.exec.destroy_queue(queue);
    EXPECT_TRUE(slice.stop.load());
    EXPECT_FALSE(job->signalled()) << "the GPU still uses the memory";
    return SliceEnd::kDone;
  };
  job = rig.run(queue, 0x1000, {SyncUserFence{0x88, 1}});
  rig.drain();
  EXPECT_EQ(job->error(), ECANCELED);
  EXPECT_EQ(rig.hw.log(), Lines{"batch 0x1000"}) << "its user fence is not written";
}

TEST(Exec, TwoSpinnersShareAnEngineAndTimeCountsOnlyWhileRunning) {
  Rig rig;
  const auto vm = make_vm(VmMode::kFault);
  const auto a = rig.queue(vm);
  const auto b = rig.queue(vm);
  std::uint64_t seen = 0;
  rig.hw.programs[0x1000] = forever();
  rig.hw.programs[0x2000] = [&](const SliceView& slice) {
    seen = slice.run_time_ns;
    return SliceEnd::kBudget;
  };
  const std::uint64_t began = rig.manual.now_ns();
  EXPECT_TRUE(rig.submit(a, 0x1000));
  EXPECT_TRUE(rig.submit(b, 0x2000));
  rig.drain(200);
  EXPECT_EQ(a->run_time_ns() + b->run_time_ns(), rig.manual.now_ns() - began);
  EXPECT_EQ(a->run_time_ns(), b->run_time_ns());
  EXPECT_EQ(seen, b->run_time_ns() - rig.hw.slice_ns) << "what CTX_TIMESTAMP starts from";
  rig.exec.destroy_queue(a);
  rig.exec.destroy_queue(b);
}

TEST(Exec, PriorityGoesFirstButStarvesNobody) {
  Rig rig;
  const auto vm = make_vm(VmMode::kFault);
  const auto low = rig.queue(vm, EngineClass::kCopy, 1, 1, QueuePriority::kLow);
  const auto high = rig.queue(vm, EngineClass::kCopy, 1, 1, QueuePriority::kHigh);
  rig.hw.programs[0x1000] = rig.hw.programs[0x2000] = forever();
  EXPECT_TRUE(rig.submit(low, 0x1000));
  EXPECT_TRUE(rig.submit(high, 0x2000));
  rig.drain(900);
  EXPECT_GT(high->run_time_ns(), 5 * low->run_time_ns());
  EXPECT_GT(low->run_time_ns(), 0u);
  rig.exec.shut_down();
}

TEST(Exec, AYieldedContextDoesNotHoldTheEngine) {
  Rig rig;
  const auto vm = make_vm(VmMode::kFault);
  const auto waiter = rig.queue(vm);
  const auto worker = rig.queue(vm);
  bool stored = false;
  rig.hw.programs[0x1000] = [&](const SliceView&) { return stored ? SliceEnd::kDone : SliceEnd::kYield; };
  rig.hw.programs[0x2000] = [&](const SliceView&) {
    stored = true;
    return SliceEnd::kDone;
  };
  EXPECT_TRUE(rig.submit(waiter, 0x1000));
  EXPECT_TRUE(rig.submit(worker, 0x2000));
  rig.drain(10);
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x2000", "batch 0x1000"}));
}

TEST(Exec, VirtualQueuesFillAllEngines) {
  Rig rig;
  const auto vm = make_vm(VmMode::kFault);
  std::map<int, int> engine_of_queue;
  std::vector<ExecQueuePtr> queues;
  for (int i = 0; i < 2; ++i) {
    rig.hw.programs[0x1000u + static_cast<unsigned>(i)] = [&, i](const SliceView& slice) {
      engine_of_queue[i] = slice.engine.instance;
      return SliceEnd::kBudget;
    };
    queues.push_back(rig.queue(vm, EngineClass::kVideoDecode, 0b11));
    EXPECT_TRUE(rig.submit(queues.back(), 0x1000u + static_cast<unsigned>(i)));
  }
  rig.drain(2);
  EXPECT_EQ(engine_of_queue.size(), 2u) << "both run after two slices";
  EXPECT_NE(engine_of_queue[0], engine_of_queue[1]);
  // An engine that becomes idle takes over what waits elsewhere.
  const auto third = rig.queue(vm, EngineClass::kVideoDecode, 0b01);
  rig.hw.programs[0x3000] = forever();
  EXPECT_TRUE(rig.submit(third, 0x3000));
  rig.exec.destroy_queue(queues[engine_of_queue[0] == 1 ? 0 : 1]);
  const int moved = engine_of_queue[0] == 1 ? 1 : 0;
  rig.drain(6);
  EXPECT_EQ(engine_of_queue[moved], 1);
  rig.exec.shut_down();
}

TEST(Exec, ParallelBatchesStartTogetherAndEndTogether) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  const auto queue = rig.queue(vm, EngineClass::kVideoDecode, 0b01, 2);
  int arrived = 0;
  // Each batch ends only when both have begun.
  rig.hw.programs[0x1000] = [&, seen = 0u](const SliceView& slice) mutable {
    if (!(seen & 1u << slice.engine.instance)) ++arrived;
    seen |= 1u << slice.engine.instance;
    return arrived == 2 ? SliceEnd::kDone : SliceEnd::kYield;
  };
  const FencePtr job = rig.run(queue, 0x1000, {SyncUserFence{0x88, 1}});
  rig.drain(20);
  EXPECT_TRUE(job->signalled());
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000", "batch 0x1000", "store 0x88=1"}));
}

// IGT's *-cm-parallel-rebind unbinds what the batches use as soon as the fence is there.
TEST(Exec, TheUserFenceOfAParallelJobComesBehindItsLastBatch) {
  Rig rig;
  const auto queue = rig.queue(make_vm(VmMode::kPreemptFence), EngineClass::kVideoDecode, 0b01, 2);
  bool slow_may_end = false;
  rig.hw.programs[0x1000] = [&](const SliceView& slice) {
    return slice.engine.instance == 0 || slow_may_end ? SliceEnd::kDone : SliceEnd::kBudget;
  };
  rig.run(queue, 0x1000, {SyncUserFence{0x88, 1}});
  rig.drain(6);
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000"}));
  slow_may_end = true;
  rig.drain();
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000", "batch 0x1000", "store 0x88=1"}));
}

TEST(Exec, OneFaultingMemberResetsAParallelQueue) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  const auto queue = rig.queue(vm, EngineClass::kVideoDecode, 0b01, 2);
  const auto other = rig.queue(vm, EngineClass::kVideoDecode, 0b01);
  rig.hw.programs[0x1000] = [&](const SliceView& s) {
    return s.engine.instance == 1 ? SliceEnd::kFault : SliceEnd::kBudget;
  };
  const FencePtr job = rig.run(queue, 0x1000);
  const FencePtr fine = rig.run(other, 0x2000);
  rig.drain();
  EXPECT_EQ(job->error(), EIO);
  EXPECT_EQ(fine->error(), 0);
  EXPECT_TRUE(fine->signalled());
}

TEST(Exec, JobTimeoutCountsRunTime) {
  struct Case {
    const char* rule;
    VmMode mode;
    int spinners;
    std::uint64_t run_each_ns;  ///< the batch ends by itself after this
    bool banned;
  };
  const Case cases[] = {
      {"ends in time", VmMode::kDmaFence, 1, 4 * kSecond, false},
      {"endless", VmMode::kDmaFence, 1, 60 * kSecond, true},
      {"four with 3 s each take 12 s of wall time", VmMode::kDmaFence, 4, 3 * kSecond, false},
      {"two endless", VmMode::kDmaFence, 2, 60 * kSecond, true},
      {"long-running has none", VmMode::kPreemptFence, 1, 12 * kSecond, false},
      {"fault mode has none", VmMode::kFault, 1, 12 * kSecond, false},
  };
  for (const Case& c : cases) {
    Rig rig;
    rig.hw.slice_ns = 10'000'000;
    rig.hw.programs[0x1000] = [&](const SliceView& s) {
      return s.run_time_ns >= c.run_each_ns ? SliceEnd::kDone : SliceEnd::kBudget;
    };
    const auto vm = make_vm(c.mode);
    std::vector<ExecQueuePtr> queues;
    for (int i = 0; i < c.spinners; ++i) {
      queues.push_back(rig.queue(vm));
      EXPECT_TRUE(rig.submit(queues.back(), 0x1000));
    }
    const std::uint64_t began = rig.manual.now_ns();
    rig.drain(20'000);
    for (const ExecQueuePtr& queue : queues) EXPECT_EQ(queue->reset(), c.banned) << c.rule;
    if (c.banned) {
      EXPECT_GE(queues[0]->run_time_ns(), kSecond * 476 / 100) << c.rule;
      EXPECT_LE(rig.manual.now_ns() - began, 21 * kSecond) << c.rule;
    }
  }
}

TEST(Exec, TimeoutErrorIsEtime) {
  Rig rig;
  rig.hw.slice_ns = 100'000'000;
  rig.hw.programs[0x1000] = forever();
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  const FencePtr job = rig.run(queue, 0x1000);
  rig.drain();
  EXPECT_EQ(job->error(), ETIME);
}

TEST(Exec, GtResetBansWhatHadStarted) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  rig.hw.programs[0x1000] = forever();
  const auto started = rig.queue(vm);
  const auto held = rig.queue(vm);
  const auto media = rig.queue(vm, EngineClass::kVideoDecode);
  const FencePtr gate = Fence::pending();
  const FencePtr running = rig.run(started, 0x1000);
  const FencePtr later = rig.run(held, 0x2000, {rig.wait_for(gate)});
  EXPECT_TRUE(rig.submit(media, 0x1000));
  rig.drain(4);
  EXPECT_FALSE(rig.exec.scheduler().gt_idle(0));
  rig.exec.reset_gt(0);
  EXPECT_EQ(running->error(), EIO);
  EXPECT_FALSE(later->signalled());
  EXPECT_FALSE(media->reset());
  EXPECT_TRUE(rig.exec.scheduler().gt_idle(0));
  gate->signal();
  rig.drain(4);
  EXPECT_EQ(later->error(), 0);
  EXPECT_TRUE(later->signalled());
  rig.exec.shut_down();
}

TEST(Exec, DmaFenceJobsSuspendFaultModeQueuesOfTheirGroup) {
  struct Case {
    const char* rule;
    VmMode mode;
    EngineClass cls;
    bool suspends;
  };
  const Case cases[] = {
      {"same group", VmMode::kDmaFence, EngineClass::kCompute, true},
      {"other group", VmMode::kDmaFence, EngineClass::kCopy, false},
      {"preempt-fence resumes at once", VmMode::kPreemptFence, EngineClass::kCompute, false},
  };
  for (const Case& c : cases) {
    Rig rig;
    int fault_slices = 0;
    rig.hw.programs[0xf] = [&](const SliceView&) {
      ++fault_slices;
      return SliceEnd::kBudget;
    };
    bool finish = false;
    rig.hw.programs[0xd] = [&](const SliceView&) { return finish ? SliceEnd::kDone : SliceEnd::kBudget; };
    const auto fault = rig.queue(make_vm(VmMode::kFault), EngineClass::kRender);
    const auto other = rig.queue(make_vm(c.mode), c.cls);
    EXPECT_TRUE(rig.submit(fault, 0xf));
    rig.drain(3);
    EXPECT_TRUE(rig.submit(other, 0xd));
    const int before = fault_slices;
    rig.drain(10);
    EXPECT_EQ(fault_slices == before, c.suspends) << c.rule;
    EXPECT_EQ(rig.counters.get(Counter::hw_engine_group_suspend_lr_queue_count),
              c.cls == EngineClass::kCompute ? 1u : 0u)
        << c.rule;
    finish = true;
    rig.drain(10);
    EXPECT_GT(fault_slices, before) << c.rule << ": resumed";
    rig.exec.shut_down();
  }
}

TEST(Exec, FaultModeJobsWaitForDmaFenceJobs) {
  Rig rig;
  bool finish = false;
  rig.hw.programs[0xd] = [&](const SliceView&) { return finish ? SliceEnd::kDone : SliceEnd::kBudget; };
  const auto dma = rig.queue(make_vm(VmMode::kDmaFence));
  const auto fault = rig.queue(make_vm(VmMode::kFault));
  EXPECT_TRUE(rig.submit(dma, 0xd));
  EXPECT_TRUE(rig.submit(fault, 0xf));
  rig.drain(10);
  EXPECT_EQ(rig.hw.log(), Lines{});
  EXPECT_EQ(rig.counters.get(Counter::hw_engine_group_wait_dma_queue_count), 1u);
  finish = true;
  rig.drain(10);
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0xd", "batch 0xf"}));
  EXPECT_GE(rig.counters.get(Counter::hw_engine_group_wait_dma_queue_us), 9000u);
}

TEST(Exec, PauseStopsAVmAndKeepsItsPlace) {
  Rig rig;
  const auto vm = make_vm(VmMode::kPreemptFence);
  const auto queue = rig.queue(vm);
  int slices = 0;
  rig.hw.programs[0x1000] = [&](const SliceView&) { return ++slices == 4 ? SliceEnd::kDone : SliceEnd::kBudget; };
  EXPECT_TRUE(rig.submit(queue, 0x1000, {SyncUserFence{0x88, 1}}));
  rig.drain(2);
  {
    DeviceExec::VmPause outer(rig.exec, vm);
    DeviceExec::VmPause inner(rig.exec, vm);
    EXPECT_FALSE(rig.exec.run_once());
  }
  rig.drain();
  EXPECT_EQ(rig.hw.log(), (Lines{"batch 0x1000", "store 0x88=1"}));
}

TEST(Exec, VmJobsAreTheUnfinishedOnes) {
  Rig rig;
  const auto vm = make_vm(VmMode::kDmaFence);
  const auto lr = make_vm(VmMode::kFault);
  const auto queue = rig.queue(vm);
  const FencePtr gate = Fence::pending();
  rig.run(queue, 0x1000);
  rig.run(queue, 0x1000, {rig.wait_for(gate)});
  EXPECT_TRUE(rig.submit(rig.queue(lr), 0x1000));
  rig.drain();
  EXPECT_EQ(vm->jobs.pending().size(), 1u);
  EXPECT_TRUE(lr->jobs.all()->signalled());
  const FencePtr all = vm->jobs.all();
  gate->signal();
  rig.drain();
  EXPECT_TRUE(all->signalled());
}

TEST(Exec, FourThousandIdleQueuesCostNothing) {
  Rig rig;
  const auto vm = make_vm(VmMode::kFault);
  std::vector<ExecQueuePtr> queues;
  queues.reserve(4096);
  for (int i = 0; i < 4096; ++i) queues.push_back(rig.queue(vm));
  EXPECT_TRUE(rig.submit(queues[4000], 0x1000));
  EXPECT_TRUE(rig.exec.run_once());
  EXPECT_FALSE(rig.exec.run_once());
  EXPECT_EQ(vm->queue_count(), 4096u);
  queues.clear();
  EXPECT_EQ(vm->queue_count(), 0u);
}

}  // namespace
}  // namespace softxe::exec_test
