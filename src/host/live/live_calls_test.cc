// What a call really changes, and who hears of it (client_call.h): row by row.
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

TEST_F(LiveCalls, HugeMappingReplacesWholeHugePages) {
  std::byte* at = map_filled(k2M, 7);
  Apart<Diary> diary(range_at(at, 2 * k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  for (long flags : {kAnonFixed | MAP_HUGETLB | MAP_NORESERVE, kAnonFixed | MAP_HUGETLB | MAP_NORESERVE | 21l << 26}) {
    const std::uint64_t before = told_bytes(*diary, HostEvent::kUnmap);
    ASSERT_EQ(mm_->hook_mmap({u(at), kPageSize, kRw, flags, -1, 0}), static_cast<long>(u(at)));
    EXPECT_EQ(told_bytes(*diary, HostEvent::kUnmap) - before, k2M);
  }
  const int file = static_cast<int>(syscall(SYS_memfd_create, "huge", 4u /* MFD_HUGETLB */));
  ASSERT_GE(file, 0);
  const std::uint64_t before = told_bytes(*diary, HostEvent::kUnmap);
  ASSERT_EQ(mm_->hook_mmap({u(at), kPageSize, kRw, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, 0}),
            static_cast<long>(u(at)));
  EXPECT_EQ(told_bytes(*diary, HostEvent::kUnmap) - before, k2M);
  close(file);
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, MovedHugeMappingReplacesWholeHugePages) {
  std::byte* at = map_filled(k2M, 7);
  std::byte* huge = map(k2M);
  ASSERT_EQ(mmap(huge, k2M, kRw, static_cast<int>(kAnonFixed | MAP_HUGETLB | MAP_NORESERVE), -1, 0), huge);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at + k64K, k64K);
  ASSERT_EQ(mm_->hook_mremap({u(huge), kPageSize, kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED, u(at)}),
            static_cast<long>(u(at)));
  EXPECT_EQ(told_bytes(*diary, HostEvent::kUnmap), k2M);
  EXPECT_EQ(released(), 1u);
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, MremapOfNoBytesMapsSharedMemoryASecondTime) {
  std::byte* at = map_filled(k64K, 7);
  Apart<Diary> diary(range_at(at, k64K));
  ASSERT_TRUE(mm_->watch(*diary));
  migrate(at, k64K);
  auto* shared =
      static_cast<std::byte*>(mmap(nullptr, k64K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  word(shared, 0) = 42;
  EXPECT_EQ(mm_->hook_mremap({u(shared), 0, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, u(at)}), static_cast<long>(u(at)));
  EXPECT_EQ(word(at, 0), 42u);
  const Diary::Entry* told = diary->last(HostEvent::kUnmap);
  ASSERT_NE(told, nullptr);
  EXPECT_TRUE(told->still_mapped);
  EXPECT_FALSE(told->resident) << "told after the fact";
  EXPECT_EQ(mm_->counters().events.load(), 0u);
  EXPECT_EQ(released(), 1u);
  munmap(shared, k64K);
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, MremapOfNoBytesOfPrivateMemoryIsAMistake) {
  std::byte* at = map_filled(k64K, 7);
  std::byte* source = map_filled(k64K, 70);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_mremap({u(source), 0, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, u(at)}), -EINVAL);
  expect_filled(at, 16, 7);
}

TEST_F(LiveCalls, MremapThatKeepsTheOldMappingLeavesItEmpty) {
  constexpr unsigned long kDontunmap = 4;
  std::byte* at = map_filled(k64K, 7);
  std::byte* to = map_filled(k64K, 70);
  migrate(at, k64K);
  migrate(to, k64K);
  EXPECT_EQ(mm_->hook_mremap({u(at), k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED | kDontunmap, u(to)}),
            static_cast<long>(u(to)));
  expect_filled(to, 16, 7);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(word(at, i), 0u);
  migrate(at, k64K);
}

TEST_F(LiveCalls, ShmdtTakesEveryPieceOfItsSegmentAndNothingElse) {
  const int id = shmget(IPC_PRIVATE, 4 * k64K, 0600 | IPC_CREAT);
  std::byte* room = map(k2M);
  ASSERT_EQ(shmat(id, room, SHM_REMAP), room);
  shmctl(id, IPC_RMID, nullptr);
  Apart<Diary> diary(range_at(room, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  ASSERT_EQ(mm_->hook_mprotect(u(room) + 3 * k64K, k64K, PROT_READ), 0);
  // The first piece goes, and memory of the client's takes the place of the second.
  ASSERT_EQ(munmap(room, k64K), 0);
  ASSERT_EQ(mmap(room + k64K, k64K, kRw, static_cast<int>(kAnonFixed), -1, 0), room + k64K);
  word(room, 16) = 9;
  const std::uint64_t before = told_bytes(*diary, HostEvent::kUnmap);
  migrate(room + k64K, k64K);
  EXPECT_EQ(mm_->hook_shmdt(u(room)), 0);
  EXPECT_EQ(told_bytes(*diary, HostEvent::kUnmap) - before, 2 * k64K);
  EXPECT_EQ(diary->last(HostEvent::kUnmap)->start, u(room) + 2 * k64K);
  EXPECT_FALSE(mapped(room + 2 * k64K));
  EXPECT_FALSE(mapped(room + 3 * k64K));
  EXPECT_EQ(word(room, 16), 9u);
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, ShmatOfASegmentOfHugePagesReplacesWholeHugePages) {
  const int id = shmget(IPC_PRIVATE, kPageSize, 0600 | IPC_CREAT | SHM_HUGETLB | SHM_NORESERVE);
  if (id < 0) GTEST_SKIP() << "no segments of huge pages here";
  std::byte* at = map_filled(2 * k2M, 7);
  Apart<Diary> diary(range_at(at, 2 * k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  const long got = mm_->hook_shmat(id, u(at), SHM_REMAP);
  shmctl(id, IPC_RMID, nullptr);
  ASSERT_EQ(got, static_cast<long>(u(at)));
  EXPECT_EQ(told_bytes(*diary, HostEvent::kUnmap), k2M);
  mm_->unwatch(*diary);
}

// --- process_madvise ------------------------------------------------------------------------------

class LiveVectors : public LiveCalls {
 protected:
  void SetUp() override {
    LiveCalls::SetUp();
    pidfd_ = static_cast<int>(raw_syscall(SYS_pidfd_open, getpid(), 0));
  }
  void TearDown() override {
    close(pidfd_);
    LiveCalls::TearDown();
  }
  long advise(const void* vector, std::uint64_t count, int advice) {
    return mm_->hook_process_madvise(pidfd_, number_of(vector), count, advice, 0);
  }
  long plain(const void* vector, std::uint64_t count, int advice) const {
    return raw_syscall(SYS_process_madvise, pidfd_, vector, count, advice, 0);
  }

  int pidfd_ = -1;
};

TEST_F(LiveVectors, OneThatCannotBeReadIsEfault) {
  std::byte* at = map_filled(k64K, 1);
  migrate(at, k64K);
  std::byte* edge = map(2 * kPageSize);
  ASSERT_EQ(mprotect(edge + kPageSize, kPageSize, PROT_NONE), 0);
  auto* last = reinterpret_cast<iovec*>(edge + kPageSize - sizeof(iovec));
  *last = {at, kPageSize};
  const void* const nowhere[] = {nullptr, reinterpret_cast<void*>(0x1000), edge + kPageSize};
  for (const void* vector : nowhere) {
    EXPECT_EQ(plain(vector, 1, MADV_COLD), -EFAULT);
    EXPECT_EQ(advise(vector, 1, MADV_COLD), -EFAULT);
  }
  EXPECT_EQ(advise(last, 2, MADV_DONTNEED), -EFAULT) << "the second entry";
  expect_filled(at, 16, 1);
  EXPECT_EQ(advise(last, 1, MADV_DONTNEED), static_cast<long>(kPageSize));
  EXPECT_EQ(word(at, 0), 0u);
}

TEST_F(LiveVectors, OneInVramIsRead) {
  std::byte* at = map_filled(k64K, 1);
  std::byte* memory = map_filled(k64K, 1);
  *reinterpret_cast<iovec*>(memory) = {at, kPageSize};
  migrate(memory, k64K);
  migrate(at, k64K);
  EXPECT_EQ(advise(memory, 1, MADV_DONTNEED), static_cast<long>(kPageSize));
  EXPECT_EQ(word(at, 0), 0u);
  EXPECT_EQ(word(at, 1), 2u);
}

TEST_F(LiveVectors, AnswersAndEffectsAreTheKernels) {
  struct Case {
    const char* name;
    int advice;
    std::vector<iovec> entries;  ///< relative to the memory
  };
  auto entry = [](std::uint64_t at, std::uint64_t bytes) { return iovec{reinterpret_cast<void*>(at), bytes}; };
  const Case cases[] = {
      {"two pages", MADV_DONTNEED, {entry(0, kPageSize), entry(4 * kPageSize, kPageSize)}},
      {"an empty entry", MADV_DONTNEED, {entry(0, 0), entry(kPageSize, kPageSize)}},
      {"not aligned", MADV_DONTNEED, {entry(0, kPageSize), entry(4 * kPageSize + 1, kPageSize)}},
      {"not aligned at first", MADV_DONTNEED, {entry(8, kPageSize), entry(4 * kPageSize, kPageSize)}},
      {"a length that is none", MADV_DONTNEED, {entry(0, kPageSize), entry(0, ~0ull)}},
      {"an odd length", MADV_DONTNEED, {entry(0, 100), entry(2 * kPageSize, kPageSize)}},
      {"beyond the end", MADV_DONTNEED, {entry(15 * kPageSize, 2 * kPageSize), entry(0, kPageSize)}},
      {"advice that is none", 4711, {entry(0, kPageSize)}},
      {"pages out", MADV_PAGEOUT, {entry(0, k64K)}},
      {"cold", MADV_COLD, {entry(0, k64K)}},
  };
  for (const Case& c : cases) {
    std::byte* at = map_filled(k64K, 1);
    std::byte* model = map_filled(k64K, 1);
    migrate(at, k64K);
    auto moved_to = [&](std::byte* base) {
      std::vector<iovec> entries = c.entries;
      for (iovec& e : entries) e.iov_base = base + reinterpret_cast<std::uint64_t>(e.iov_base);
      return entries;
    };
    EXPECT_EQ(advise(moved_to(at).data(), c.entries.size(), c.advice),
              plain(moved_to(model).data(), c.entries.size(), c.advice))
        << c.name;
    for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(word(at, i), word(model, i)) << c.name << ", page " << i;
  }
}

}  // namespace
}  // namespace softxe::live
