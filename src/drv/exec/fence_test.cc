// Fences and sync files: order of callbacks, depth, waiting, errors, poll.
#include "drv/exec/fence.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <thread>

#include "drv/exec/sync_file.h"

namespace softxe {
namespace {

bool readable(int fd) {
  pollfd entry{fd, POLLIN, 0};
  return poll(&entry, 1, 0) == 1;
}

TEST(Fence, SignalsOnceAndKeepsTheFirstError) {
  const FencePtr fence = Fence::pending();
  EXPECT_FALSE(fence->signalled());
  EXPECT_TRUE(fence->signal(EIO));
  EXPECT_FALSE(fence->signal(0));
  EXPECT_EQ(fence->error(), EIO);
}

TEST(Fence, CallbacksRunInOrderAfterTheSignal) {
  const FencePtr fence = Fence::pending();
  const FencePtr second = Fence::pending();
  std::string order;
  second->on_signal([&] { order += 's'; });
  fence->on_signal([&] {
    order += fence->signalled() ? 'a' : '!';
    second->signal();  // its callbacks come after b
  });
  fence->on_signal([&] { order += 'b'; });
  const auto dropped = fence->on_signal([&] { order += 'x'; });
  fence->forget(dropped);
  fence->signal();
  EXPECT_EQ(order, "abs");
  EXPECT_EQ(fence->on_signal([&] { order += 'l'; }), 0u);
  EXPECT_EQ(order, "absl");
}

TEST(Fence, LongChainsCostNoStack) {
  std::vector<FencePtr> fences{Fence::pending()};
  for (int i = 0; i < 200'000; ++i) {
    fences.push_back(Fence::pending());
    fences[fences.size() - 2]->on_signal([next = fences.back()] { next->signal(); });
  }
  fences.front()->signal();
  EXPECT_TRUE(fences.back()->signalled());
}

TEST(Fence, AllOfTakesTheFirstErrorOfTheList) {
  const std::vector<FencePtr> fences{Fence::pending(), Fence::pending(), Fence::pending()};
  const FencePtr all = all_of(fences);
  fences[2]->signal(ETIME);
  fences[1]->signal(EIO);
  EXPECT_FALSE(all->signalled());
  fences[0]->signal();
  EXPECT_TRUE(all->signalled());
  EXPECT_EQ(all->error(), EIO);
  EXPECT_TRUE(all_of({})->signalled());
}

TEST(Fence, AllOfRemembersTheErrorOfAFenceThatIsGone) {
  std::vector<FencePtr> fences{Fence::pending(), Fence::pending()};
  const FencePtr all = all_of(fences);
  fences[0]->signal(EIO);
  fences[0].reset();
  fences[1]->signal();
  EXPECT_EQ(all->error(), EIO);
}

/// Nobody signals what its owner dropped: it has to go nevertheless.
TEST(Fence, WaitersDoNotKeepAnAbandonedFence) {
  FencePtr member = Fence::pending();
  const std::weak_ptr<Fence> watched = member;
  const FencePtr all = all_of(std::vector{member, Fence::pending()});
  member.reset();
  EXPECT_TRUE(watched.expired());
}

TEST(Fence, WaitEndsByEachOfItsReasons) {
  ManualClock clock;
  const FencePtr fence = Fence::pending();
  int steps = 0;
  WaitContext context{clock, [&] {
                        clock.advance_ns(10);
                        return ++steps < 100;
                      }};
  EXPECT_EQ(fence->wait(context, Deadline::poll()).error().err, ETIME);
  EXPECT_EQ(steps, 0);
  EXPECT_EQ(fence->wait(context, Deadline::after(clock, 50)).error().err, ETIME);
  EXPECT_EQ(steps, 5);
  std::atomic<bool> kill{true};
  WaitContext killed{clock, {}, &kill};
  EXPECT_EQ(fence->wait(killed, Deadline::never()).error().err, EINTR);
  EXPECT_EQ(fence->wait(context, Deadline::never()).error().err, EDEADLK);
  fence->signal();
  EXPECT_TRUE(fence->wait(context, Deadline::poll()));
}

TEST(Fence, WakesASleepingThread) {
  SteadyClock clock;
  const FencePtr fence = Fence::pending();
  std::thread signaller([fence] { fence->signal(); });
  WaitContext context{clock, {}};
  EXPECT_TRUE(fence->wait(context, Deadline::never()));
  signaller.join();
}

TEST(SyncFile, ReadableAndStatusFollowTheFence) {
  struct Case {
    int error;
    int status;
  };
  for (const Case& c : {Case{0, 1}, Case{EIO, -EIO}, Case{ECANCELED, -ECANCELED}}) {
    const FencePtr fence = Fence::pending();
    const auto file = *SyncFile::make(fence);
    EXPECT_GE(file->internal_fd(), kInternalFdMin);
    EXPECT_EQ(file->status(), 0);
    EXPECT_FALSE(readable(file->internal_fd()));
    fence->signal(c.error);
    EXPECT_EQ(file->status(), c.status);
    EXPECT_TRUE(readable(file->internal_fd()));
    EXPECT_TRUE(readable(file->internal_fd())) << "stays readable";
  }
}

TEST(SyncFile, MergeWaitsForBoth) {
  const FencePtr a = Fence::pending();
  const FencePtr b = Fence::pending();
  const auto merged = *SyncFile::merge(**SyncFile::make(a), **SyncFile::make(b));
  a->signal();
  EXPECT_FALSE(readable(merged->internal_fd()));
  b->signal();
  EXPECT_TRUE(readable(merged->internal_fd()));
}

TEST(SyncFile, TheClientsDuplicateOutlivesTheFile) {
  const FencePtr fence = Fence::pending();
  auto file = *SyncFile::make(fence);
  const int mine = dup(file->internal_fd());
  file.reset();
  fence->signal();
  EXPECT_TRUE(readable(mine));
  close(mine);
}

TEST(EventFd, TakesOnlyEventfds) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  EXPECT_EQ(EventFd::from_client(pipe_fds[0]).error().err, EINVAL);
  EXPECT_EQ(EventFd::from_client(987654).error().err, EBADF);
  const int fd = eventfd(0, EFD_CLOEXEC);
  const auto event = *EventFd::from_client(fd);
  event->add_one();
  event->add_one();
  std::uint64_t count = 0;
  EXPECT_EQ(read(fd, &count, sizeof count), 8);
  EXPECT_EQ(count, 2u);
  const std::uint64_t full = ~0ull - 1;
  EXPECT_EQ(write(fd, &full, sizeof full), 8);
  event->add_one();  // must not block
  close(fd);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

}  // namespace
}  // namespace softxe
