// The same scheduler with real worker threads: wake-ups, kill, pause, many queues. No timing asserts.
#include <gtest/gtest.h>

#include <thread>

#include "drv/exec/exec_test_rig.h"

namespace softxe::exec_test {
namespace {

Program until(const std::atomic<bool>& flag) {
  return [&flag](const SliceView&) { return flag.load() ? SliceEnd::kDone : SliceEnd::kPolling; };
}

struct Threads : ::testing::Test {
  Rig rig{ExecPolicy::kThreads};
  WaitContext context{rig.steady, {}};
  void await(const FencePtr& fence) { EXPECT_TRUE(fence->wait(context, Deadline::never())); }
  static void await(const std::atomic<bool>& flag) {
    while (!flag.load()) std::this_thread::yield();
  }
};

TEST_F(Threads, APollingBatchSeesAPlainStore) {
  std::atomic<bool> stop{false};
  rig.hw.programs[0x1000] = until(stop);
  const FencePtr job = rig.run(rig.queue(make_vm(VmMode::kDmaFence)), 0x1000);
  stop.store(true);
  await(job);
  EXPECT_EQ(job->error(), 0);
}

TEST_F(Threads, KillEndsASpinningBatch) {
  std::atomic<bool> started{false};
  rig.hw.programs[0x1000] = [&](const SliceView& slice) {
    started.store(true);
    while (!slice.stop.load()) std::this_thread::yield();
    return SliceEnd::kBudget;
  };
  const auto queue = rig.queue(make_vm(VmMode::kFault));
  EXPECT_TRUE(rig.submit(queue, 0x1000, {SyncUserFence{0x88, 1}}));
  await(started);
  const FencePtr last = rig.exec.scheduler().last_fence(*queue);
  rig.exec.destroy_queue(queue);
  await(last);
  EXPECT_EQ(last->error(), ECANCELED);
  EXPECT_TRUE(rig.hw.log().empty());
}

TEST_F(Threads, PauseWaitsForTheSliceToEnd) {
  std::atomic<bool> started{false};
  std::atomic<bool> inside{false};
  std::atomic<bool> finish{false};
  rig.hw.programs[0x1000] = [&](const SliceView& slice) {
    inside.store(true);
    started.store(true);
    while (!slice.stop.load() && !finish.load()) std::this_thread::yield();
    inside.store(false);
    return finish.load() ? SliceEnd::kDone : SliceEnd::kBudget;
  };
  const auto vm = make_vm(VmMode::kPreemptFence);
  const auto queue = rig.queue(vm);
  EXPECT_TRUE(rig.submit(queue, 0x1000));
  const FencePtr last = rig.exec.scheduler().last_fence(*queue);
  await(started);
  for (int i = 0; i < 20; ++i) {
    DeviceExec::VmPause pause(rig.exec, vm);
    EXPECT_FALSE(inside.load());
  }
  finish.store(true);
  await(last);
}

TEST_F(Threads, ManyQueuesOnManyEnginesFromManyThreads) {
  const auto vm = make_vm(VmMode::kDmaFence);
  std::vector<std::thread> clients;
  std::vector<std::vector<FencePtr>> jobs(4);
  for (std::size_t t = 0; t < jobs.size(); ++t)
    clients.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto queue = t == 0   ? rig.queue(vm)
                           : t == 1 ? rig.queue(vm, EngineClass::kVideoDecode, 0b11)
                           : t == 2 ? rig.queue(vm, EngineClass::kVideoDecode, 0b01, 2)
                                    : rig.queue(vm, EngineClass::kRender);
        for (int j = 0; j < 5; ++j) {
          std::vector<SyncEntry> in;
          if (!jobs[t].empty()) in.push_back(rig.wait_for(jobs[t].back()));
          jobs[t].push_back(rig.run(queue, 0x1000, in));
        }
        if (i % 7 == 6) rig.exec.destroy_queue(queue);
      }
    });
  for (std::thread& client : clients) client.join();
  for (const auto& list : jobs)
    for (const FencePtr& job : list) await(job);
  await(vm->jobs.all());
}

TEST_F(Threads, FourThousandQueuesSubmitOnce) {
  const auto vm = make_vm(VmMode::kDmaFence);
  std::vector<ExecQueuePtr> queues;
  for (int i = 0; i < 4096; ++i) {
    queues.push_back(rig.queue(vm));
    if (i % 64 != 0) continue;
    EXPECT_TRUE(rig.submit(queues.back(), 0x1000));
  }
  await(vm->jobs.all());
  EXPECT_EQ(rig.hw.log().size(), 64u);
}

TEST_F(Threads, UserFenceWaiterIsWokenByABan) {
  rig.hw.programs[0xbad] = [](const SliceView&) { return SliceEnd::kFault; };
  const auto queue = rig.queue(make_vm(VmMode::kFault));
  EXPECT_TRUE(rig.submit(queue, 0xbad));
  const WaitUserFenceRequest request = wait_request(1);
  const auto zero = [](HostVa) -> Result<std::uint64_t> { return 0; };
  const auto answer = wait_user_fence(request, queue, zero, rig.exec.waiters(), context);
  EXPECT_EQ(answer.status.error().err, EIO);
}

TEST_F(Threads, ShutDownCancelsEverything) {
  const std::atomic<bool> never{false};
  rig.hw.programs[0x1000] = until(never);
  const auto queue = rig.queue(make_vm(VmMode::kDmaFence));
  const FencePtr job = rig.run(queue, 0x1000);
  rig.exec.shut_down();
  EXPECT_EQ(job->error(), ECANCELED);
  EXPECT_EQ(rig.exec.check_submit(*queue).error().err, ECANCELED);
}

// --- settle ---------------------------------------------------------------------------------------

TEST_F(Threads, SettledMeansThatEveryJobIsDoneWhateverWaitedForIt) {
  const auto vm = make_vm(VmMode::kDmaFence);
  for (int round = 0; round < 50; ++round) {
    const FencePtr first = rig.run(rig.queue(vm), 0x1000);
    const FencePtr second = rig.run(rig.queue(vm, EngineClass::kRender), 0x2000, {rig.wait_for(first)});
    EXPECT_EQ(rig.exec.settle(context), Scheduler::Settled::kYes);
    EXPECT_TRUE(second->signalled());
  }
}

TEST_F(Threads, SettledIsWhoWaitsForTheClientAndAgainWhenItHasDoneSo) {
  std::atomic<bool> stored{false};
  std::atomic<int> looks{0};
  rig.hw.programs[0x1000] = [&](const SliceView&) {
    looks.fetch_add(1);
    return stored.load() ? SliceEnd::kDone : SliceEnd::kYield;
  };
  const FencePtr job = rig.run(rig.queue(make_vm(VmMode::kFault)), 0x1000);
  EXPECT_EQ(rig.exec.settle(context), Scheduler::Settled::kYes);
  EXPECT_FALSE(job->signalled());
  EXPECT_GE(looks.load(), 1);
  stored.store(true);
  EXPECT_EQ(rig.exec.settle(context), Scheduler::Settled::kYes);
  EXPECT_TRUE(job->signalled());
}

TEST_F(Threads, SettledWaitsForWhomAnotherQueueLetsGoOn) {
  std::atomic<bool> stored{false};
  std::atomic<bool> waits{false};
  rig.hw.programs[0x1000] = [&](const SliceView&) {
    waits.store(true);
    return stored.load() ? SliceEnd::kDone : SliceEnd::kYield;
  };
  rig.hw.programs[0x2000] = [&](const SliceView&) {
    if (!waits.load()) return SliceEnd::kBudget;
    stored.store(true);
    return SliceEnd::kDone;
  };
  const auto vm = make_vm(VmMode::kFault);
  const FencePtr waiter = rig.run(rig.queue(vm), 0x1000);
  rig.run(rig.queue(vm, EngineClass::kRender), 0x2000);
  EXPECT_EQ(rig.exec.settle(context), Scheduler::Settled::kYes);
  EXPECT_TRUE(waiter->signalled());
}

TEST_F(Threads, SettlingIsInterrupted) {
  rig.hw.programs[0x1000] = forever();
  EXPECT_TRUE(rig.submit(rig.queue(make_vm(VmMode::kFault)), 0x1000));
  const std::atomic<bool> now{true};
  context.interrupt = &now;
  EXPECT_EQ(rig.exec.settle(context), Scheduler::Settled::kNo);
}

// The first caller is off its processor before it has stored the handle of its thread, which has ended meanwhile.
TEST(WorkerThread, AStartThatOvertakesTheOneBeforeLosesNoThread) {
  std::atomic<bool> first_is_late{true};
  std::atomic<int> starters{0};
  std::atomic<int> alive{0};
  std::atomic<bool> first_entered{false};
  const ThreadStarter plain = default_thread_starter();
  const ThreadStarter slow = [&](std::function<void()> body) -> std::function<void()> {
    const bool first = starters.fetch_add(1) == 0;
    std::function<void()> join = plain([&alive, body = std::move(body)] {
      alive.fetch_add(1);
      body();
      alive.fetch_sub(1);
    });
    first_entered.store(true);
    while (first && first_is_late.load()) std::this_thread::yield();
    return join;
  };
  std::atomic<bool> second_ran{false};
  std::atomic<bool> second_may_end{false};
  {
    WorkerThread worker(slow);
    std::thread first([&] { worker.start([] {}); });
    while (!first_entered.load()) std::this_thread::yield();
    worker.start([&] {
      while (!second_may_end.load()) std::this_thread::yield();
      second_ran.store(true);
    });
    first_is_late.store(false);
    first.join();
    second_may_end.store(true);
    worker.join();
    EXPECT_TRUE(second_ran.load());
    EXPECT_EQ(alive.load(), 0);
  }
}

TEST(WorkerThread, JoinWaitsForAStartThatWasPromised) {
  std::atomic<bool> ran{false};
  WorkerThread worker(default_thread_starter());
  worker.promise();
  std::thread late([&] { worker.start_promised([&] { ran.store(true); }); });
  worker.join();
  EXPECT_TRUE(ran.load());
  late.join();
}

}  // namespace
}  // namespace softxe::exec_test
