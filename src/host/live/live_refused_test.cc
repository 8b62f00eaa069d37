// Calls that fail, or fail half-way: what was there stays, for other threads too; what Linux did is done.
#include <sys/resource.h>
#include <sys/shm.h>

#include <functional>
#include <thread>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

constexpr long kSysMseal = 462;

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

}  // namespace
}  // namespace softxe::live
