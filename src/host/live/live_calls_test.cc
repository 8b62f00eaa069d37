// What a call really changes, what it leaves when it fails, and who hears of it (client_call.h): row by row.
#include <dirent.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include <thread>

#include "base/at_step.h"
#include "host/live/live_test_support.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {
namespace {

constexpr long kAnonFixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
constexpr long kRw = PROT_READ | PROT_WRITE;
constexpr long kSysMseal = 462;

class LiveCalls : public LiveTest {
 protected:
  static std::uint64_t u(const std::byte* p) { return number_of(p); }
  static std::uint64_t told_bytes(Diary& diary, HostEvent kind) {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < diary.count.load(); ++i) {
      const Diary::Entry& e = diary.entries[i];
      if (e.kind == kind) bytes += e.end - e.start;
    }
    return bytes;
  }
  static bool mapped(const std::byte* p) {
    unsigned char resident;
    return mincore(const_cast<std::byte*>(p), 1, &resident) == 0;
  }
  /// Migrates as often as others let it.
  void try_migrate(std::byte* at, std::uint64_t bytes) {
    DevmemAllocation& allocation = heap().take(bytes);
    if (!mm_->migrate_to_device(range_at(at, bytes), allocation, 0)) heap().give_back_unused(allocation);
  }
};

// --- calls that fail ------------------------------------------------------------------------------

/// A call on 16 pages that are in VRAM, which the kernel refuses. It has the pages' address and theirs alone.
struct Refused {
  const char* name;
  int err;
  long (*call)(LiveHostMm& mm, std::uint64_t at);
};

long map_over(LiveHostMm& mm, std::uint64_t at, long protection, long flags, long fd) {
  return mm.hook_mmap({at, k64K, protection, flags, fd, 0});
}
/// With as much address space as there is in use: nothing can grow.
template <typename Call>
long without_room(Call call) {
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  const rlimit none{.rlim_cur = k2M, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_AS, &none);
  const long result = call();
  setrlimit(RLIMIT_AS, &before);
  return result;
}

const Refused kRefused[] = {
    {"MmapOfNoDescriptor", EBADF,
     [](LiveHostMm& mm, std::uint64_t at) { return map_over(mm, at, PROT_READ, MAP_PRIVATE | MAP_FIXED, 9999); }},
    {"MmapOfADirectory", ENODEV,
     [](LiveHostMm& mm, std::uint64_t at) {
       const int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
       const long result = map_over(mm, at, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd);
       close(fd);
       return result;
     }},
    {"MmapOfAWriteOnlyFile", EACCES,
     [](LiveHostMm& mm, std::uint64_t at) {
       const int fd = open("/dev/shm", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
       const long result = map_over(mm, at, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd);
       close(fd);
       return result;
     }},
    {"MmapOfNoKind", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) { return map_over(mm, at, kRw, MAP_ANONYMOUS | MAP_FIXED, -1); }},
    {"MmapNoreplace", EEXIST,
     [](LiveHostMm& mm, std::uint64_t at) {
       return map_over(mm, at, kRw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
     }},
    {"MmapFixedNoreplace", EEXIST,
     [](LiveHostMm& mm, std::uint64_t at) { return map_over(mm, at, kRw, kAnonFixed | MAP_FIXED_NOREPLACE, -1); }},
    {"MmapWithoutRoom", ENOMEM,
     [](LiveHostMm& mm, std::uint64_t at) {
       return without_room([&] { return mm.hook_mmap({at, k2M + k2M / 2, kRw, kAnonFixed, -1, 0}); });
     }},
    {"MremapOfNothing", EFAULT,
     [](LiveHostMm& mm, std::uint64_t at) {
       return mm.hook_mremap({kPageSize, kPageSize, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, at});
     }},
    {"MremapOntoItself", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) {
       return mm.hook_mremap({at, k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, at + kPageSize});
     }},
    {"MremapWithAnUnknownFlag", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) {
       return mm.hook_mremap({at, k64K, 2 * k64K, 64, 0});
     }},
    {"MremapThatMayNotMove", ENOMEM,
     [](LiveHostMm& mm, std::uint64_t at) {
       mmap(reinterpret_cast<void*>(at + k2M), kPageSize, PROT_NONE, static_cast<int>(kAnonFixed), -1, 0);
       return mm.hook_mremap({at, k2M, 2 * k2M, 0, 0});
     }},
    {"RemapFilePages", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_remap_file_pages(at, k64K, 0, 0, 0); }},
    {"ShmatOfNoSegment", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_shmat(0x7fffffff, at, SHM_REMAP); }},
    {"ShmdtOfNoSegment", EINVAL, [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_shmdt(at); }},
    {"MprotectToNothingKnown", EINVAL,
     [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_mprotect(at, k64K, 0x10000); }},
    {"MadviseRemove", EINVAL, [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_madvise(at, k64K, MADV_REMOVE); }},
    {"Mlock2WithAnUnknownFlag", EINVAL, [](LiveHostMm& mm, std::uint64_t at) { return mm.hook_mlock(at, k64K, 0x80); }},
};

class LiveRefused : public LiveCalls, public ::testing::WithParamInterface<Refused> {};

TEST_P(LiveRefused, LosesNoStoreOfAnotherThread) {
  constexpr int kRounds = 300;
  std::byte* at = map_filled(k2M, 1);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> lost{0};
  std::thread writer([&] {
    for (std::uint64_t n = word(at, 3); !stop.load(); ++n) {
      if (word(at, 3) != n) lost.fetch_add(1);
      word(at, 3) = n + 1;
      if (word(at, 5) != 6) lost.fetch_add(1);
    }
  });
  for (int round = 0; round < kRounds && lost.load() == 0; ++round) {
    try_migrate(at, k64K);
    EXPECT_EQ(GetParam().call(*mm_, u(at)), -GetParam().err);
  }
  stop.store(true);
  writer.join();
  EXPECT_EQ(lost.load(), 0u);
  EXPECT_EQ(word(at, 15), 16u);
}

TEST_P(LiveRefused, LeavesTheDataAndTheMapping) {
  std::byte* at = map_filled(k2M, 1);
  migrate(at, k64K);
  EXPECT_EQ(GetParam().call(*mm_, u(at)), -GetParam().err);
  expect_filled(at, 512, 1);
  migrate(at, k64K);
  expect_filled(at, 512, 1);
}

INSTANTIATE_TEST_SUITE_P(, LiveRefused, ::testing::ValuesIn(kRefused),
                         [](const auto& param) { return std::string(param.param.name); });

// What is known to fail is told to nobody: with the ranges, attributes would go.
TEST_F(LiveCalls, MistakesInTheArgumentsAreToldToNobody) {
  std::byte* at = map_filled(k2M, 1);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  for (const Refused& refused : kRefused) {
    if (refused.err == ENOMEM) continue;  // that is known only afterwards
    EXPECT_EQ(refused.call(*mm_, u(at)), -refused.err) << refused.name;
    EXPECT_FALSE(diary->saw(HostEvent::kUnmap)) << refused.name;
  }
  mm_->unwatch(*diary);
}

TEST_F(LiveCalls, SealedMemoryStaysAndNobodyIsTold) {
  std::byte* at = map_filled(k64K, 1);
  std::byte* other = map_filled(k64K, 100);
  if (syscall(kSysMseal, at, k64K, 0) != 0) GTEST_SKIP() << "a kernel without mseal";
  mapped_.pop_back();  // cannot be unmapped any more
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  using Call = std::function<long()>;
  const Call calls[] = {
      [&] { return mm_->hook_munmap(u(at), k64K); },
      [&] {
        return mm_->hook_mmap({u(at), k64K, kRw, kAnonFixed, -1, 0});
      },
      [&] {
        return mm_->hook_mremap({u(other), k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, u(at)});
      },
      [&] {
        return mm_->hook_mremap({u(at), k64K, kPageSize, 0, 0});
      },
      [&] { return mm_->hook_mprotect(u(at), k64K, PROT_READ); },
  };
  for (const Call& call : calls) {
    migrate(at, k64K);
    EXPECT_EQ(call(), -EPERM);
    EXPECT_FALSE(diary->saw(HostEvent::kUnmap));
    expect_filled(at, 16, 1);
  }
  expect_filled(other, 16, 100);
  mm_->unwatch(*diary);
}

// The kernel posts the event of an unmap although mmap() has then found that memory is short.
TEST_F(LiveCalls, RawMmapThatFailsLateLosesNothing) {
  std::byte* at = map_filled(k64K, 1);
  migrate(at, k64K);
  EXPECT_EQ(without_room([&] { return raw_syscall(SYS_mmap, u(at), k2M + k2M / 2, kRw, kAnonFixed, -1, 0); }), -ENOMEM);
  mm_->submission_probe();
  expect_filled(at, 16, 1);
}

// Without a pool of huge pages the kernel finds that out when the old mapping is gone.
TEST_F(LiveCalls, MmapThatLeavesAGapLeavesNothingInVram) {
  std::byte* at = map_filled(2 * k2M, 1);
  migrate(at, k64K);
  constexpr long kHuge = kAnonFixed | MAP_HUGETLB;
  const long got = mm_->hook_mmap({u(at), kPageSize, kRw, kHuge, -1, 0});
  if (got != -ENOMEM) GTEST_SKIP() << "there are huge pages";
  EXPECT_EQ(mapped(at), false) << "as the kernel of this test left it";
  EXPECT_EQ(released(), 1u);
  EXPECT_EQ(word(at, 512), 513u);
}

TEST_F(LiveCalls, DiscardThatFailsHalfWayDiscardsThatHalf) {
  for (int advice : {MADV_DONTNEED, MADV_FREE}) {
    std::byte* at = map_filled(2 * k64K, 5);
    std::byte* model = map_filled(2 * k64K, 5);
    for (std::byte* p : {at, model}) ASSERT_EQ(mlock(p + k64K, k64K), 0);
    migrate(at, k64K);
    EXPECT_EQ(madvise(model, 2 * k64K, advice), -1);
    EXPECT_EQ(mm_->hook_madvise(u(at), 2 * k64K, advice), -EINVAL);
    if (advice == MADV_DONTNEED) {
      EXPECT_EQ(word(at, 0), word(model, 0));
    }
    EXPECT_EQ(word(at, 16), 21u);
    munlock(at + k64K, k64K);
  }
}

TEST_F(LiveCalls, DiscardThatIsRefusedAtOnceDiscardsNothing) {
  std::byte* at = map_filled(2 * k64K, 5);
  ASSERT_EQ(mlock(at, k64K), 0);
  migrate(at + k64K, k64K);
  EXPECT_EQ(mm_->hook_madvise(u(at), 2 * k64K, MADV_DONTNEED), -EINVAL);
  expect_filled(at, 32, 5);
  munlock(at, k64K);
}

TEST_F(LiveCalls, ProtectionThatMeetsAHoleHoldsForWhatCameBefore) {
  std::byte* at = map_filled(3 * k64K, 5);
  ASSERT_EQ(munmap(at + k64K, k64K), 0);
  migrate(at, k64K);
  EXPECT_EQ(mm_->hook_mprotect(u(at), 3 * k64K, PROT_READ), -ENOMEM);
  EXPECT_FALSE(mm_->find_vma(HostVa(u(at)))->writable);
  EXPECT_TRUE(mm_->find_vma(HostVa(u(at) + 2 * k64K))->writable);
  expect_filled(at, 16, 5);
}

TEST_F(LiveCalls, BreakBelowTheHeapIsRefusedAndToldToNobody) {
  static std::byte page[2 * kPageSize];  // of the program's data, below its break
  const std::uint64_t inside = align_up(number_of(page), kPageSize);
  Apart<Diary> diary(HostRange::of(HostVa(inside), kPageSize));
  ASSERT_TRUE(mm_->watch(*diary));
  const long before = mm_->hook_brk(0);
  EXPECT_EQ(mm_->hook_brk(inside), before);
  EXPECT_EQ(diary->count.load(), 0u);
  mm_->unwatch(*diary);
}

// --- what a call reaches --------------------------------------------------------------------------

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
