// Binds in order, inline when nothing is pending (spec/uapi.md 8, 9).
#include "drv/exec/bind_queue.h"

#include <gtest/gtest.h>
#include <atomic>
#include <string>
#include <thread>

namespace softxe {
namespace {

struct World {
  ~World() { queue->kill(); }

  std::shared_ptr<WorkQueue> workers = std::make_shared<WorkQueue>(ExecPolicy::kManual, default_thread_starter());
  std::shared_ptr<BindQueue> queue = std::make_shared<BindQueue>(workers);
  std::string order;

  BindQueue::Submission bind(char name, std::vector<FencePtr> in = {}, int err = 0) {
    return queue->submit(in, [this, name, err]() -> Status {
      order += name;
      if (err != 0) return fail(err, "test");
      return {};
    });
  }
  void drain() {
    while (workers->run_once()) {
    }
  }
};

TEST(BindQueue, RunsInlineWhenNothingIsPending) {
  World w;
  const FencePtr done = Fence::signalled_stub();
  EXPECT_FALSE(w.queue->must_wait(std::vector{done}));
  const auto a = w.bind('a', {done});
  EXPECT_TRUE(a.finished_inline && a.done->signalled());
  const auto b = w.bind('b', {}, ENOMEM);
  EXPECT_EQ(b.status.error().err, ENOMEM) << "inline errors go to the ioctl";
  EXPECT_EQ(w.order, "ab");
  EXPECT_TRUE(w.queue->last()->signalled());
}

TEST(BindQueue, KeepsItsOrderBehindAnInFence) {
  World w;
  const FencePtr gate = Fence::pending();
  const auto a = w.bind('a', {gate}, EFAULT);
  const auto b = w.bind('b');
  EXPECT_TRUE(w.queue->must_wait({}));
  EXPECT_FALSE(b.finished_inline);
  EXPECT_EQ(w.queue->last(), b.done);
  w.drain();
  EXPECT_EQ(w.order, "");
  gate->signal();
  EXPECT_EQ(w.order, "") << "not on the signalling thread";
  w.drain();
  EXPECT_EQ(w.order, "ab");
  EXPECT_EQ(a.done->error(), EFAULT);
  EXPECT_TRUE(b.done->signalled());
  EXPECT_TRUE(w.bind('c').finished_inline);
}

TEST(BindQueue, LaterReadinessDoesNotOvertake) {
  World w;
  const FencePtr one = Fence::pending();
  const FencePtr two = Fence::pending();
  w.bind('a', {one});
  w.bind('b', {two});
  two->signal();
  w.drain();
  EXPECT_EQ(w.order, "");
  one->signal();
  w.drain();
  EXPECT_EQ(w.order, "ab");
}

TEST(BindQueue, QueuesAreIndependent) {
  World w;
  const auto other = std::make_shared<BindQueue>(w.workers);
  w.bind('a', {Fence::pending()});
  const auto b = other->submit({}, [&]() -> Status {
    w.order += 'b';
    return {};
  });
  EXPECT_TRUE(b.finished_inline);
}

TEST(BindQueue, KillDropsWhatHasNotBegun) {
  World w;
  const FencePtr gate = Fence::pending();
  const auto a = w.bind('a', {gate});
  w.queue->kill();
  EXPECT_EQ(a.done->error(), ECANCELED);
  gate->signal();
  w.drain();
  EXPECT_EQ(w.bind('b').status.error().err, ECANCELED);
  EXPECT_EQ(w.order, "");
}

// What IGT's threads-shared-vm-*-new-bo-map needs: many threads bind without fences on the default queue of
// one VM and submit at once; whoever returned must find its mapping.
TEST(BindQueue, ABindWithoutFencesIsDoneOnReturnWhateverOtherThreadsDo) {
  const auto workers = std::make_shared<WorkQueue>(ExecPolicy::kThreads, default_thread_starter());
  const auto queue = std::make_shared<BindQueue>(workers);
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  std::thread first([&] {
    queue->submit({}, [&]() -> Status {
      inside.store(true);
      while (!leave.load()) std::this_thread::yield();
      return {};
    });
  });
  while (!inside.load()) std::this_thread::yield();
  EXPECT_FALSE(queue->must_wait({}));
  std::atomic<bool> second_done{false};
  std::thread second([&] {
    const auto got = queue->submit({}, [&]() -> Status {
      second_done.store(true);
      return {};
    });
    EXPECT_TRUE(got.finished_inline);
    EXPECT_TRUE(second_done.load());
  });
  leave.store(true);
  first.join();
  second.join();
  workers->stop();
}

TEST(BindQueue, ABindWithoutFencesWaitsForTheWorkerThatIsBusyWithEarlierOnes) {
  const auto workers = std::make_shared<WorkQueue>(ExecPolicy::kThreads, default_thread_starter());
  const auto queue = std::make_shared<BindQueue>(workers);
  const FencePtr gate = Fence::pending();
  const FencePtr never = Fence::pending();
  std::string order;
  std::atomic<bool> inside{false};
  std::atomic<bool> leave{false};
  queue->submit(std::vector{gate}, [&]() -> Status {
    inside.store(true);
    while (!leave.load()) std::this_thread::yield();
    order += 'a';
    return {};
  });
  gate->signal();
  while (!inside.load()) std::this_thread::yield();
  std::thread second([&] {
    EXPECT_TRUE(queue
                    ->submit({},
                             [&]() -> Status {
                               order += 'b';
                               return {};
                             })
                    .finished_inline);
  });
  leave.store(true);
  second.join();
  EXPECT_EQ(order, "ab");
  queue->submit(std::vector{never}, [&]() -> Status { return {}; });
  EXPECT_TRUE(queue->must_wait({})) << "a fence is in the way: this one must not block";
  EXPECT_FALSE(queue->submit({}, [&]() -> Status { return {}; }).finished_inline);
  queue->kill();
  workers->stop();
}

TEST(WorkQueue, ThreadRunsWhatIsPostedAndStopFinishesIt) {
  int ran = 0;
  WorkQueue workers(ExecPolicy::kThreads, default_thread_starter());
  for (int i = 0; i < 100; ++i) workers.post([&] { ++ran; });
  workers.stop();
  EXPECT_EQ(ran, 100);
  workers.post([&] { ++ran; });
  EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace softxe
