// System calls of the client on memory that is in VRAM: hooked, and raw (seen by events only).
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveHooks : public LiveTest {
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

TEST_F(LiveHooks, MunmapReleasesTheFramesAndTellsFirst) {
  std::byte* at = map_filled(k64K, 0);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  DevmemAllocation& allocation = migrate(at, k64K);
  std::byte* frame = allocation.frame;
  EXPECT_EQ(mm_->hook_munmap(u(at), k64K), 0);
  const Diary::Entry* e = diary->last(HostEvent::kUnmap);
  ASSERT_NE(e, nullptr);
  EXPECT_TRUE(e->still_mapped);
  EXPECT_EQ(e->start, u(at));
  EXPECT_EQ(e->end, u(at) + k64K);
  EXPECT_FALSE(mapped(at));
  EXPECT_EQ(released(), 1u);
  EXPECT_EQ(heap().moved_pages.load(), 0u) << "unmapped pages are not copied";
  for (int i = 0; i < 16; ++i) EXPECT_FALSE(occupied(frame + i * kPageSize));
  EXPECT_EQ(mm_->counters().events.load(), 0u) << "the hook unregisters, so no event is raised";
  mm_->unwatch(*diary);
}

TEST_F(LiveHooks, PartialMunmapKeepsTheRestInVram) {
  std::byte* at = map_filled(k64K, 70);
  DevmemAllocation& allocation = migrate(at, k64K);
  EXPECT_EQ(mm_->hook_munmap(u(at) + 4 * kPageSize, 2 * kPageSize), 0);
  EXPECT_EQ(allocation.present_count(), 14u);
  EXPECT_EQ(released(), 0u);
  EXPECT_FALSE(occupied(allocation.frame + 4 * kPageSize));
  EXPECT_TRUE(occupied(allocation.frame + 6 * kPageSize));
  for (int i = 0; i < 16; ++i) {
    if (i != 4 && i != 5) {
      EXPECT_EQ(word(at, i), 70u + i);
    }
  }
  EXPECT_EQ(released(), 1u);
  EXPECT_EQ(heap().moved_pages.load(), 14u);
}

TEST_F(LiveHooks, HoleInAnAllocationCanMigrateAgain) {
  std::byte* at = map_filled(k64K, 70);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_munmap(u(at) + 4 * kPageSize, kPageSize), 0);
  std::byte* hole = at + 4 * kPageSize;
  ASSERT_EQ(mmap(hole, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), hole);
  word(at, 4) = 4444;
  DevmemAllocation& patch = migrate(at + 4 * kPageSize, kPageSize);
  EXPECT_EQ(word(patch.frame, 0), 4444u);
  EXPECT_EQ(word(at, 0), 70u);
  EXPECT_FALSE(occupied(at + 4 * kPageSize));
  EXPECT_EQ(word(at, 4), 4444u);
}

TEST_F(LiveHooks, MmapFixedOverVramGivesFreshMemory) {
  std::byte* at = map_filled(k64K, 1);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE;
  const long got = mm_->hook_mmap({u(at), k64K, PROT_READ | PROT_WRITE, kFlags, -1, 0});
  EXPECT_EQ(got, static_cast<long>(u(at)));
  const Diary::Entry* e = diary->last(HostEvent::kUnmap);
  ASSERT_NE(e, nullptr);
  EXPECT_FALSE(e->resident) << "told after the new mapping was populated";
  EXPECT_EQ(mm_->counters().events.load(), 0u) << "seen by the event, which comes after the fact";
  for (int i = 0; i < 16; ++i) EXPECT_EQ(word(at, i), 0u);
  EXPECT_EQ(released(), 1u);
  mm_->unwatch(*diary);
}

TEST_F(LiveHooks, FailedCallLosesNothing) {
  std::byte* at = map_filled(k64K, 1);
  DevmemAllocation& allocation = migrate(at, k64K);
  // A mapping of a descriptor that is none.
  EXPECT_EQ(mm_->hook_mmap({u(at), k64K, PROT_READ, MAP_PRIVATE | MAP_FIXED, 9999, 0}), -EBADF);
  EXPECT_EQ(allocation.present_count(), 16u);
  expect_filled(at, 16, 1);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_munmap(u(at) + 1, kPageSize), -EINVAL);
  EXPECT_EQ(mm_->hook_munmap(u(at), 0), -EINVAL);
  expect_filled(at, 16, 1);
}

TEST_F(LiveHooks, DiscardThatMeetsAHoleDiscardsTheRest) {
  std::byte* at = map_filled(k64K, 5);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_munmap(u(at) + 8 * kPageSize, kPageSize), 0);
  EXPECT_EQ(mm_->hook_madvise(u(at) + 6 * kPageSize, 4 * kPageSize, MADV_DONTNEED), -ENOMEM);
  EXPECT_EQ(word(at, 5), 10u);
  EXPECT_EQ(word(at, 6), 0u);
  EXPECT_EQ(word(at, 9), 0u);
  EXPECT_EQ(word(at, 10), 15u);
}

TEST_F(LiveHooks, AdviceThatIsRefusedKeepsTheData) {
  std::byte* at = map_filled(k64K, 5);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_madvise(u(at), k64K, MADV_REMOVE), -EINVAL);
  expect_filled(at, 16, 5);
}

TEST_F(LiveHooks, MprotectBringsHomeFirst) {
  std::byte* at = map_filled(k64K, 5);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_mprotect(u(at), k64K, PROT_READ), 0);
  EXPECT_TRUE(diary->saw(HostEvent::kProtect));
  EXPECT_TRUE(occupied(at));
  EXPECT_EQ(heap().last_cause.load(), MoveCause::kMapping);
  expect_filled(at, 16, 5);
  EXPECT_EQ(migrate_error(at, k64K), EBUSY);
  EXPECT_EQ(mm_->hook_mprotect(u(at), k64K, PROT_READ | PROT_WRITE), 0);
  migrate(at, k64K);
  mm_->unwatch(*diary);
}

struct Advice {
  const char* name;
  int advice;
};
class LiveDiscard : public LiveHooks, public ::testing::WithParamInterface<Advice> {};
TEST_P(LiveDiscard, DiscardedVramReadsZero) {
  std::byte* at = map_filled(k64K, 5);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_madvise(u(at) + kPageSize, 2 * kPageSize, GetParam().advice), 0);
  const Diary::Entry* e = diary->last(HostEvent::kClear);
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->start, u(at) + kPageSize);
  EXPECT_EQ(word(at, 0), 5u);
  EXPECT_EQ(word(at, 1), 0u);
  EXPECT_EQ(word(at, 2), 0u);
  EXPECT_EQ(word(at, 3), 8u);
  mm_->unwatch(*diary);
}
INSTANTIATE_TEST_SUITE_P(, LiveDiscard,
                         ::testing::Values(Advice{"Dontneed", MADV_DONTNEED}, Advice{"Free", MADV_FREE},
                                           Advice{"DontneedLocked", 24}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_F(LiveHooks, MremapKeepsTheDataAndTellsFirst) {
  std::byte* at = map_filled(k64K, 30);
  std::byte* to = map_filled(k64K, 900);
  Apart<Diary> source(range_at(at, k64K));
  Apart<Diary> target(range_at(to, k64K));
  ASSERT_TRUE(mm_->watch(*source));
  ASSERT_TRUE(mm_->watch(*target));
  migrate(at, k64K);
  migrate(to, k64K);
  const long got = mm_->hook_mremap({u(at), k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, u(to)});
  EXPECT_EQ(got, static_cast<long>(u(to)));
  const Diary::Entry* left = source->last(HostEvent::kUnmap);
  ASSERT_NE(left, nullptr);
  EXPECT_TRUE(left->still_mapped);
  const Diary::Entry* replaced = target->last(HostEvent::kUnmap);
  ASSERT_NE(replaced, nullptr);
  EXPECT_FALSE(replaced->resident) << "told after the pages had arrived";
  EXPECT_EQ(mm_->counters().events.load(), 0u) << "seen by the event, which comes after the fact";
  expect_filled(to, 16, 30);
  EXPECT_EQ(released(), 2u);
  mm_->unwatch(*source);
  mm_->unwatch(*target);
}

TEST_F(LiveHooks, MremapAcrossOurSplitsGrowsInPlaceAndShrinks) {
  std::byte* at = map_filled(4 * k2M, 0);
  Apart<Diary> diary(range_at(at, 8 * k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at + k2M, k2M);
  munmap(at + 3 * k2M, k2M);  // room to grow into
  EXPECT_EQ(mm_->hook_mremap({u(at), 3 * k2M, 4 * k2M, MREMAP_MAYMOVE, 0}), static_cast<long>(u(at)));
  EXPECT_FALSE(diary->saw(HostEvent::kUnmap)) << "growing in place changes no page";
  expect_filled(at, 3ull * 512, 0);
  migrate(at + 2 * k2M, k2M);
  EXPECT_EQ(mm_->hook_mremap({u(at), 4 * k2M, 2 * k2M, 0, 0}), static_cast<long>(u(at)));
  const Diary::Entry* e = diary->last(HostEvent::kUnmap);
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->start, u(at) + 2 * k2M);
  expect_filled(at, 2ull * 512, 0);
  EXPECT_EQ(released(), 2u);
  mm_->unwatch(*diary);
}

TEST_F(LiveHooks, LockedMemoryComesHomeAndStays) {
  std::byte* at = map_filled(k64K, 2);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_mlock(u(at), k64K, 0), 0);
  EXPECT_TRUE(occupied(at));
  EXPECT_EQ(migrate_error(at, k64K), EBUSY);
  munlock(at, k64K);
  expect_filled(at, 16, 2);
}

// IGT's partial-atomic-remap: half of a mapping that was in VRAM gives way to locked memory; the other half
// is a mapping of its own then, and can move although its neighbour cannot.
TEST_F(LiveHooks, LockedNeighbourIsAMappingOfItsOwn) {
  constexpr std::uint64_t kHalf = k2M / 2;
  enum class Lock { kMmap, kMlock };
  for (Lock how : {Lock::kMmap, Lock::kMlock}) {
    std::byte* at = map_filled(k2M, 1);
    migrate(at, k2M);
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    ASSERT_EQ(
        mm_->hook_mmap({u(at), kHalf, PROT_READ | PROT_WRITE, flags | (how == Lock::kMmap ? MAP_LOCKED : 0), -1, 0}),
        static_cast<long>(u(at)));
    if (how == Lock::kMlock) {
      ASSERT_EQ(mm_->hook_mlock(u(at), kHalf, 0), 0);
    }
    EXPECT_EQ(word(at, k2M / kPageSize - 1), k2M / kPageSize);  // the rest comes home
    for (std::byte* part : {at, at + kHalf}) {
      auto vma = mm_->find_vma(HostVa(u(part)));
      ASSERT_TRUE(vma.has_value());
      EXPECT_EQ(vma->range.contains(range_at(at, k2M)), false);
      EXPECT_TRUE(vma->range.contains(range_at(part, kHalf)));
    }
    migrate(at + kHalf, k64K);
    EXPECT_EQ(migrate_error(at, k64K), EBUSY);
    expect_filled(at + kHalf, kHalf / kPageSize, 1 + kHalf / kPageSize);
    munlock(at, kHalf);
  }
}

// /proc/self/maps shows them as more of the same anonymous memory, but they cannot be registered: memory of
// the client's own userfaultfd, and droppable memory, which glibc 2.41 keeps beside what malloc gives.
TEST_F(LiveHooks, NeighbourThatCannotBeRegisteredKeepsNobodyFromMoving) {
  constexpr std::uint64_t kHalf = k2M / 2;
  constexpr std::uint64_t kQuarter = k2M / 4;
  constexpr long kMapDroppable = 0x08;  // Linux 6.11; a mapping type of its own
  constexpr long kFresh = MAP_ANONYMOUS | MAP_FIXED;
  auto replace = [&](std::byte* at, std::uint64_t bytes, long flags) {
    return mm_->hook_mmap({u(at), bytes, PROT_READ | PROT_WRITE, flags, -1, 0}) == static_cast<long>(u(at));
  };
  enum class Odd { kOtherUffd, kDroppable };
  for (Odd odd : {Odd::kOtherUffd, Odd::kDroppable}) {
    std::byte* at = map_filled(k2M, 1);
    migrate(at, k64K);  // registers the whole block
    std::byte* neighbour = at + kHalf;
    auto other = Uffd::open(UffdAccess::kKernelAndUser, UffdFeature::kNone);
    ASSERT_TRUE(other.has_value());
    if (!replace(neighbour, kPageSize, odd == Odd::kDroppable ? kMapDroppable | kFresh : MAP_PRIVATE | kFresh)) {
      ASSERT_EQ(odd, Odd::kDroppable);
      continue;  // a kernel without it
    }
    if (odd == Odd::kOtherUffd) {
      ASSERT_EQ(other->register_missing(range_at(neighbour, kPageSize)), 0);
    }
    std::byte* fresh = at + kQuarter;
    ASSERT_TRUE(replace(fresh, kQuarter, MAP_PRIVATE | kFresh));
    for (std::uint64_t i = 0; i < kQuarter / kPageSize; ++i) word(fresh, i) = 7 + i;
    migrate(fresh, k64K);
    expect_filled(fresh, kQuarter / kPageSize, 7);
    auto vma = mm_->find_vma(HostVa(u(fresh)));
    ASSERT_TRUE(vma.has_value());
    EXPECT_EQ(vma->range.end().value(), u(neighbour));
  }
}

TEST_F(LiveHooks, MlockallLeavesTheWindowsAlone) {
  std::byte* at = map_filled(k64K, 2);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_mlockall(MCL_CURRENT), 0);
  EXPECT_TRUE(occupied(at));
  EXPECT_FALSE(occupied(heap().window()));
  munlockall();
  migrate(at, k64K);
  expect_filled(at, 16, 2);
}

TEST_F(LiveHooks, ProcessMadviseOnItself) {
  std::byte* at = map_filled(k64K, 2);
  migrate(at, k64K);
  const long pidfd = raw_syscall(SYS_pidfd_open, getpid(), 0);
  ASSERT_GE(pidfd, 0);
  iovec vectors[2] = {{at, kPageSize}, {at + 2 * kPageSize, kPageSize}};
  EXPECT_EQ(mm_->hook_process_madvise(static_cast<int>(pidfd), number_of(vectors), 2, MADV_DONTNEED, 0),
            static_cast<long>(2 * kPageSize));
  EXPECT_EQ(word(at, 0), 0u);
  EXPECT_EQ(word(at, 1), 3u);
  EXPECT_EQ(word(at, 2), 0u);
  close(static_cast<int>(pidfd));
}

TEST_F(LiveHooks, SharedSegmentsAreAnnounced) {
  const int id = shmget(IPC_PRIVATE, k64K, IPC_CREAT | 0600);
  ASSERT_GE(id, 0);
  std::byte* at = map_filled(k64K, 2);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_shmat(id, u(at), SHM_REMAP), static_cast<long>(u(at)));
  EXPECT_EQ(diary->last(HostEvent::kUnmap)->end, u(at) + k64K);
  EXPECT_EQ(word(at, 1), 0u);
  EXPECT_EQ(released(), 1u);
  const std::size_t before = diary->count.load();
  EXPECT_EQ(mm_->hook_shmdt(u(at)), 0);
  EXPECT_EQ(diary->count.load(), before + 1);
  shmctl(id, IPC_RMID, nullptr);
  mm_->unwatch(*diary);
}

TEST_F(LiveHooks, BrkShrinkIsAnUnmap) {
  EXPECT_EQ(fork_and([] { return 0; }), 0);
  // In a child: this program's own heap must not be harmed by a broken brk.
  const pid_t pid = fork();
  if (pid == 0) {
    auto mm = LiveHostMm::create(LiveOptions{});
    if (!mm) _exit(2);
    const auto top = align_up(static_cast<std::uint64_t>((*mm)->hook_brk(0)), kPageSize);
    if ((*mm)->hook_brk(top + k64K) != static_cast<long>(top + k64K)) _exit(3);
    Apart<FakeHeap> vram(**mm, kOwner);
    Apart<Diary> diary(HostRange::of(HostVa(top), k2M));
    if (!(*mm)->watch(*diary)) _exit(4);
    *reinterpret_cast<std::uint64_t*>(top + kPageSize) = 1;
    DevmemAllocation& allocation = vram->take(k64K);
    if (!(*mm)->migrate_to_device(HostRange::of(HostVa(top), k64K), allocation, 0)) _exit(5);
    if ((*mm)->hook_brk(top) != static_cast<long>(top)) _exit(6);
    if (vram->released.load() != 1) _exit(7);
    _exit(diary->last(HostEvent::kUnmap) != nullptr && diary->last(HostEvent::kUnmap)->start == top ? 0 : 8);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

TEST_F(LiveHooks, UntrackedMemoryTakesNoNotice) {
  std::byte* at = map_filled(k64K, 2);
  EXPECT_FALSE(mm_->tracked(range_at(at, k64K)));
  EXPECT_EQ(mm_->hook_munmap(u(at), k64K), 0);
  EXPECT_FALSE(mapped(at));
  EXPECT_EQ(mm_->hook_syscall(SYS_getpid, {}), getpid());
}

}  // namespace
}  // namespace softxe::live
