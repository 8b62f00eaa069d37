// Forks, and calls that no hook saw (seen by events only), on memory that is in VRAM.
#include <sys/wait.h>

#include <thread>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {

/// Reads what the userfaultfd has to say, as any thread does that meets EAGAIN.
class LiveTestPeer {
 public:
  static void read_events(LiveHostMm& mm) {
    const EngineSection section(mm);
    mm.res_.pump.pump_for_reader(mm.res_.client);
    const LiveHostMm::Locked lock(mm);
  }
  /// With the lock held: lets `thread` finish its call, whose event is read and not yet dealt with, and brings
  /// `range` home then.
  static void fetch_behind_the_call(LiveHostMm& mm, std::thread& thread, HostRange range) {
    const LiveHostMm::Locked lock(mm);
    thread.join();  // the reader reads, and cannot do more
    mm.memory_.residents.bring_range_home(range, MoveCause::kCpuFault);
  }
};

namespace {

class LiveEvents : public LiveTest {
 protected:
  std::uint64_t u(const std::byte* p) { return number_of(p); }
  bool mapped(const std::byte* p) {
    unsigned char resident;
    return mincore(const_cast<std::byte*>(p), 1, &resident) == 0;
  }
  /// Runs `child` in a forked process, hooks around; its exit code.
  template <typename Fn>
  int fork_and(Fn child) {
    mm_->fork_before();
    const pid_t pid = fork();
    if (pid == 0) {
      mm_->fork_after_child();
      alarm(20);
      _exit(child());
    }
    mm_->fork_after_parent();
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
  }
};

// --- fork ---------------------------------------------------------------------------------------

TEST_F(LiveEvents, ForkChildReadsWhatWasInVram) {
  std::byte* at = map_filled(k64K, 11);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  DevmemAllocation& allocation = migrate(at, k64K);
  word(allocation.frame, 2) = 222;
  EXPECT_EQ(fork_and([&] {
              if (word(at, 0) != 11 || word(at, 2) != 222) return 1;
              word(at, 0) = 99;
              auto vma = mm_->find_vma(HostVa(u(at)));
              return vma.has_value() || vma.error().err != EFAULT ? 2 : 0;
            }),
            0);
  EXPECT_TRUE(diary->saw(HostEvent::kProtect));
  EXPECT_EQ(heap().last_cause.load(), MoveCause::kFork);
  EXPECT_EQ(word(at, 0), 11u);
  EXPECT_EQ(word(at, 2), 222u);
  mm_->unwatch(*diary);
}

TEST_F(LiveEvents, PagesSharedByForkMigrateAfterTheirCopyIsBroken) {
  std::byte* at = map_filled(k64K, 11);
  int ready[2];
  int leave[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(leave), 0);
  mm_->fork_before();
  const pid_t pid = fork();
  if (pid == 0) {
    mm_->fork_after_child();
    char c = 'r';
    if (write(ready[1], &c, 1) != 1 || read(leave[0], &c, 1) != 1) _exit(1);
    for (int i = 0; i < 16; ++i) {
      if (word(at, i) != 11u + i) _exit(2);
    }
    _exit(0);
  }
  mm_->fork_after_parent();
  char c;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  DevmemAllocation& allocation = migrate(at, k64K);
  EXPECT_GE(mm_->counters().cow_breaks.load(), 1u);
  for (int i = 0; i < 16; ++i) word(allocation.frame, i) = 5000;
  ASSERT_EQ(write(leave[1], &c, 1), 1);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0) << "the child must not see stores of the parent's GPU";
  EXPECT_EQ(word(at, 3), 5000u);
}

TEST_F(LiveEvents, ForkWithoutAHookIsRepaired) {
  if (!probe(DefectProbe::kSkip).has_fork_event) GTEST_SKIP() << "no EVENT_FORK here";
  std::byte* at = map_filled(k64K, 11);
  DevmemAllocation& allocation = migrate(at, k64K);
  word(allocation.frame, 2) = 222;
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(20);
    _exit(word(at, 0) == 11 && word(at, 2) == 222 && word(at, 15) == 26 ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(word(at, 2), 222u);
}

// --- calls that no hook saw -----------------------------------------------------------------------

TEST_F(LiveEvents, RawMunmapIsSeenByEvent) {
  std::byte* at = map_filled(k64K, 0);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  EXPECT_EQ(munmap(at, 4 * kPageSize), 0);
  mm_->submission_probe();
  EXPECT_TRUE(diary->saw(HostEvent::kUnmap));
  EXPECT_EQ(released(), 0u);
  expect_filled(at + 4 * kPageSize, 12, 4);
  EXPECT_EQ(released(), 1u);
  mm_->unwatch(*diary);
}

TEST_F(LiveEvents, RawDontneedReadsZero) {
  std::byte* at = map_filled(k64K, 5);
  migrate(at, k64K);
  EXPECT_EQ(madvise(at, 2 * kPageSize, MADV_DONTNEED), 0);
  EXPECT_EQ(word(at, 0), 0u);
  EXPECT_EQ(word(at, 1), 0u);
  EXPECT_EQ(word(at, 2), 7u);
}

TEST_F(LiveEvents, RawMremapKeepsTheData) {
  std::byte* at = map_filled(k64K, 5);
  std::byte* to = map(k64K);
  DevmemAllocation& allocation = migrate(at, k64K);
  word(allocation.frame, 1) = 1111;
  ASSERT_EQ(mremap(at, k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
  EXPECT_EQ(word(to, 1), 1111u);
  EXPECT_EQ(word(to, 0), 5u);
  EXPECT_EQ(word(to, 15), 20u);
  EXPECT_EQ(released(), 1u);
}

TEST_F(LiveEvents, RawMprotectIsSurvivedByCopy) {
  std::byte* at = map_filled(k64K, 5);
  DevmemAllocation& allocation = migrate(at, k64K);
  ASSERT_EQ(mprotect(at + 4 * kPageSize, 4 * kPageSize, PROT_READ), 0);
  EXPECT_TRUE(mm_->evict(allocation));
  expect_filled(at, 16, 5);
  EXPECT_EQ(mm_->counters().pages_copied.load(), 4u);
}

// Its caller is released by the read. What it says about pages comes before they come home.
TEST_F(LiveEvents, CallWhoseEventWasReadComesBeforePagesComeHome) {
  struct Case {
    const char* name;
    void (*call)(std::byte* at, std::byte* to);
    std::uint64_t here;
  };
  const Case cases[] = {
      {"discard", [](std::byte* at, std::byte*) { raw_syscall(SYS_madvise, at, k64K, MADV_DONTNEED); }, 0},
      {"move",
       [](std::byte* at, std::byte* to) { raw_syscall(SYS_mremap, at, k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, to); },
       1},
  };
  for (const Case& c : cases) {
    std::byte* at = map_filled(k2M, 1);
    std::byte* to = map(k64K);
    migrate(at, k64K);
    std::atomic<bool> go{false};
    std::thread caller([&] {
      while (!go.load()) sched_yield();
      c.call(at, to);
    });
    go.store(true);
    LiveTestPeer::fetch_behind_the_call(*mm_, caller, range_at(at, k64K));
    for (int i = 0; i < 16; ++i) EXPECT_EQ(word(c.here == 0 ? at : to, i), c.here == 0 ? 0u : 1u + i) << c.name;
  }
}

// Whoever reads events takes faults along with them, and the reader sleeps on its descriptor.
TEST_F(LiveEvents, FaultsReadByOthersAreServed) {
  constexpr int kRounds = 300;
  std::byte* at = map_filled(k64K, 1);
  std::atomic<int> turn{0};
  std::atomic<int> done{0};
  std::thread toucher([&] {
    for (int round = 1; round <= kRounds; ++round) {
      while (turn.load() != round) sched_yield();
      EXPECT_EQ(word(at, 0), 1u);
      done.store(round);
    }
  });
  for (int round = 1; round <= kRounds; ++round) {
    migrate(at, k64K);
    turn.store(round);
    // Most likely before the reader; then not again, and nobody else comes along.
    for (int i = 0; i < 20'000 && done.load() != round; ++i) LiveTestPeer::read_events(*mm_);
    while (done.load() != round) sched_yield();
  }
  toucher.join();
}

}  // namespace
}  // namespace softxe::live
