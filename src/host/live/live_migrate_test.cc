// Pages to VRAM and back in the real process.
#include <fcntl.h>
#include <sys/uio.h>

#include <functional>
#include <thread>

#include "base/step.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveMigrate : public LiveTest {};

TEST_F(LiveMigrate, PageInVramIsAbsentFromTheProcess) {
  std::byte* at = map_filled(k64K, 100);
  DevmemAllocation& allocation = migrate(at, k64K);
  EXPECT_EQ(allocation.present_count(), 16u);
  for (int i = 0; i < 16; ++i) {
    EXPECT_FALSE(occupied(at + i * kPageSize)) << i;
    EXPECT_TRUE(occupied(allocation.frame + i * kPageSize)) << i;
    EXPECT_EQ(word(allocation.frame, i), 100u + i);
  }
}

TEST_F(LiveMigrate, CpuTouchBringsTheWholeAllocationHome) {
  std::byte* at = map_filled(k64K, 7);
  DevmemAllocation& allocation = migrate(at, k64K);
  word(allocation.frame, 3) = 0xabcd;  // the GPU's store
  EXPECT_EQ(word(at, 3), 0xabcdu);
  EXPECT_EQ(released(), 1u);
  for (int i = 0; i < 16; ++i) {
    EXPECT_TRUE(occupied(at + i * kPageSize)) << i;
    EXPECT_FALSE(occupied(heap().window() + i * kPageSize)) << i;
  }
  EXPECT_EQ(heap().moved_pages.load(), 16u);
  EXPECT_EQ(heap().last_cause.load(), MoveCause::kCpuFault);
  EXPECT_EQ(word(at, 15), 22u);
}

struct SizeCase {
  const char* name;
  std::uint64_t bytes;
  bool huge_page;
  DmaMode dma;
};
class LiveMigrateSizes : public LiveTest, public ::testing::WithParamInterface<SizeCase> {};

TEST_P(LiveMigrateSizes, RoundTripsKeepEveryByte) {
  const SizeCase& c = GetParam();
  LiveOptions options;
  options.dma = c.dma;
  start(options);
  if (IsSkipped()) return;
  std::byte* at = map(c.bytes);
  if (c.huge_page) madvise(at, c.bytes, MADV_HUGEPAGE);
  for (std::uint64_t i = 0; i < c.bytes / 8; ++i) {
    reinterpret_cast<std::uint64_t*>(at)[i] = i * 0x9e3779b97f4a7c15u;
  }
  for (int round = 0; round < 5; ++round) {
    DevmemAllocation& allocation = migrate(at, c.bytes);
    ASSERT_FALSE(occupied(at));
    word(allocation.frame, 0) = word(allocation.frame, 0) + 1;
    if (round % 2 == 0) {
      ASSERT_TRUE(mm_->evict(allocation));
      ASSERT_TRUE(occupied(at));
    }
    ASSERT_EQ(word(at, 0), static_cast<std::uint64_t>(round) + 1);
    for (std::uint64_t i = 1; i < c.bytes / 8; ++i) {
      ASSERT_EQ(reinterpret_cast<std::uint64_t*>(at)[i], i * 0x9e3779b97f4a7c15u) << i;
    }
  }
  EXPECT_EQ(released(), 5u);
}
INSTANTIATE_TEST_SUITE_P(, LiveMigrateSizes,
                         ::testing::Values(SizeCase{"Move4K", kPageSize, false, DmaMode::kMove},
                                           SizeCase{"Move64K", k64K, false, DmaMode::kMove},
                                           SizeCase{"Move2M", k2M, false, DmaMode::kMove},
                                           SizeCase{"MoveHugePage", k2M, true, DmaMode::kMove},
                                           SizeCase{"Copy4K", kPageSize, false, DmaMode::kCopy},
                                           SizeCase{"Copy64K", k64K, false, DmaMode::kCopy},
                                           SizeCase{"Copy128K", 2 * k64K, false, DmaMode::kCopy},
                                           SizeCase{"Copy2M", k2M, false, DmaMode::kCopy},
                                           SizeCase{"CopyHugePage", k2M, true, DmaMode::kCopy}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_F(LiveMigrate, HolesBecomeZeroFilledVram) {
  std::byte* at = map(k64K);
  word(at, 5) = 55;
  DevmemAllocation& allocation = heap().take(k64K);
  auto counts = mm_->migrate_to_device(range_at(at, k64K), allocation, 0);
  ASSERT_TRUE(counts.has_value());
  EXPECT_EQ(counts->pages_moved, 1u);
  EXPECT_EQ(counts->pages_zero_filled, 15u);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(word(allocation.frame, i), i == 5 ? 55u : 0u);
  word(allocation.frame, 6) = 66;
  EXPECT_EQ(word(at, 6), 66u);
  EXPECT_EQ(word(at, 7), 0u);
}

// MADV_FREE before the memory is mirrored, or past the hooks: the pages keep that mark in VRAM, and under
// pressure the kernel drops them there. The client's own address would read zero then.
class LiveMigrateFreed : public LiveTest, public ::testing::WithParamInterface<DmaMode> {};

TEST_P(LiveMigrateFreed, PagesThatTheKernelDropsFromVramAreZero) {
  LiveOptions options;
  options.dma = GetParam();
  start(options);
  if (IsSkipped()) return;
  for (int round = 0; round < 3; ++round) {
    std::byte* at = map_filled(k64K, 100);
    ASSERT_EQ(madvise(at, k64K, MADV_FREE), 0);
    DevmemAllocation& allocation = migrate(at, k64K);
    ASSERT_EQ(madvise(allocation.frame, k64K, MADV_PAGEOUT), 0);
    if (GetParam() == DmaMode::kMove) {
      ASSERT_FALSE(occupied(allocation.frame)) << "the kernel kept a page that it may drop";
      EXPECT_EQ(word(allocation.frame, 3), 0u);
      EXPECT_GT(mm_->counters().vanished.load(), 0u);
    }
    word(allocation.frame, 5) = 55;
    if (round == 1) {
      ASSERT_TRUE(mm_->evict(allocation));
    }
    if (round == 2) {
      std::byte* more = map(2 * k64K);
      ASSERT_EQ(mremap(at, k64K, k64K, MREMAP_MAYMOVE | MREMAP_FIXED, more), more);
      at = more;
    }
    EXPECT_EQ(word(at, 5), 55u);
    EXPECT_TRUE(word(at, 7) == 0 || word(at, 7) == 107);
    EXPECT_EQ(mm_->hook_munmap(number_of(at), k64K), 0);
  }
}
INSTANTIATE_TEST_SUITE_P(, LiveMigrateFreed, ::testing::Values(DmaMode::kMove, DmaMode::kCopy),
                         [](const auto& param) { return param.param == DmaMode::kMove ? "Move" : "Copy"; });

// An engine that meets such a page inside a section is served on its own thread: whoever else could serve it may be
// waiting for the end of that section.
TEST_F(LiveMigrate, ADroppedPageIsServedWhereTheEngineMeetsIt) {
  std::byte* lazy = map_filled(k64K, 100);
  ASSERT_EQ(madvise(lazy, k64K, MADV_FREE), 0);
  DevmemAllocation& dropped = migrate(lazy, k64K);
  ASSERT_EQ(madvise(dropped.frame, k64K, MADV_PAGEOUT), 0);
  ASSERT_FALSE(occupied(dropped.frame)) << "the kernel kept a page that it may drop";
  std::byte* other = map_filled(k64K, 7);
  migrate(other, k64K);

  struct EndOfSection final : IntervalNotifier {
    using IntervalNotifier::IntervalNotifier;
    void invalidate(HostRange, HostEvent) override {
      awaited = true;
      while (!reached) std::this_thread::yield();
    }
    std::atomic<bool> awaited{false}, reached{false};
  } section(range_at(other, k64K));
  ASSERT_TRUE(mm_->watch(section));
  std::thread engine([&] {
    while (!section.awaited) std::this_thread::yield();
    word(dropped.frame, 3) = 5;
    section.reached = true;
  });
  EXPECT_EQ(word(other, 1), 8u);
  engine.join();
  mm_->unwatch(section);
  EXPECT_EQ(word(lazy, 3), 5u);
}

// MOVE splits a huge page where the target has a page table, even an empty one.
TEST_F(LiveMigrate, HugePageStaysWholeInAFrameUsedBefore) {
  PageMap pagemap = *PageMap::open();
  auto whole = [&](const std::byte* at) { return pagemap.maybe_huge(HostVa(number_of(at))); };
  auto huge_page = [&] {
    std::byte* at = map(k2M);
    madvise(at, k2M, MADV_HUGEPAGE);
    std::memset(at, 1, k2M);
    return at;
  };
  if (!whole(huge_page())) GTEST_SKIP() << "no huge page to be had";
  auto small_pages = [&](std::uint64_t bytes) {
    std::byte* at = map(k2M);
    madvise(at, k2M, MADV_NOHUGEPAGE);
    std::memset(at, 1, k2M);
    EXPECT_FALSE(whole(at));
    EXPECT_TRUE(mm_->evict(migrate(at, bytes)));
  };
  struct Row {
    const char* before;
    std::function<void()> use;
  };
  const Row rows[] = {
      {"nothing", [] {}},
      {"2 MiB of small pages", [&] { small_pages(k2M); }},
      {"a smaller range", [&] { small_pages(k64K); }},
      {"a smaller range, unmapped there",
       [&] {
         std::byte* at = map_filled(k64K, 0);
         migrate(at, k64K);
         EXPECT_EQ(mm_->hook_munmap(number_of(at), k64K), 0);
       }},
      {"a huge page, still whole", [&] { EXPECT_TRUE(mm_->evict(migrate(huge_page(), k2M))); }},
      {"a huge page, dropped in two parts",
       [&] {
         std::byte* at = huge_page();
         migrate(at, k2M);
         for (std::uint64_t part : {std::uint64_t{0}, k2M / 2})
           EXPECT_EQ(mm_->hook_madvise(number_of(at) + part, k2M / 2, MADV_DONTNEED), 0);
       }},
      {"a huge page of which a part was dropped",
       [&] {
         std::byte* at = huge_page();
         DevmemAllocation& allocation = migrate(at, k2M);
         EXPECT_EQ(mm_->hook_madvise(number_of(at), k64K, MADV_DONTNEED), 0);
         EXPECT_TRUE(mm_->evict(allocation));
       }},
  };
  for (const Row& row : rows) {
    row.use();
    std::byte* huge = huge_page();
    DevmemAllocation& allocation = migrate(huge, k2M);
    EXPECT_EQ(allocation.frame, heap().window()) << row.before;  // the same frame each time
    EXPECT_TRUE(whole(allocation.frame)) << row.before;
    EXPECT_EQ(word(huge, 7), 0x0101010101010101u) << row.before;
    EXPECT_TRUE(whole(huge)) << row.before;
  }
}

// A registered block is not looked at again: what a raw call did to the mapping, MOVE refuses.
TEST_F(LiveMigrate, RawProtectionOfAKnownBlockIsRefusedByMove) {
  std::byte* at = map_filled(k2M, 0);
  ASSERT_TRUE(mm_->evict(migrate(at, k2M)));  // stays registered
  mprotect(at + k64K, kPageSize, PROT_READ);  // no hook is told
  EXPECT_EQ(migrate_error(at, k2M), EBUSY);
  expect_filled(at, 512, 0);
  mprotect(at + k64K, kPageSize, PROT_READ | PROT_WRITE);
  migrate(at, k2M);
  expect_filled(at, 512, 0);
}

TEST_F(LiveMigrate, PartOfAHugePage) {
  std::byte* at = map(k2M);
  madvise(at, k2M, MADV_HUGEPAGE);
  for (std::uint64_t i = 0; i < 512; ++i) word(at, i) = i;
  migrate(at + 16 * kPageSize, kPageSize);
  EXPECT_TRUE(occupied(at + 15 * kPageSize));
  EXPECT_FALSE(occupied(at + 16 * kPageSize));
  expect_filled(at, 512, 0);
}

TEST_F(LiveMigrate, NeighboursOfOneBlockMigrateApart) {
  std::byte* at = map_filled(k2M, 0);
  migrate(at, kPageSize);
  migrate(at + k64K, k64K);
  migrate(at + kPageSize, kPageSize);
  EXPECT_EQ(word(at, 16), 16u);
  EXPECT_EQ(released(), 1u);  // brings only its own allocation home
  EXPECT_FALSE(occupied(at));
  EXPECT_FALSE(occupied(at + kPageSize));
  expect_filled(at, 512, 0);
}

TEST_F(LiveMigrate, BiggerMigrationTakesOverSmallerAllocations) {
  std::byte* at = map_filled(k64K, 0);
  DevmemAllocation& small = migrate(at + 4 * kPageSize, kPageSize);
  word(small.frame, 0) = 444;
  migrate(at, k64K);
  EXPECT_EQ(released(), 1u);
  EXPECT_EQ(word(at, 4), 444u);
  EXPECT_EQ(word(at, 5), 5u);
}

TEST_F(LiveMigrate, NotifierHearsMigrationsBothWays) {
  std::byte* at = map_filled(k64K, 0);
  Apart<Diary> diary(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*diary));
  const std::uint64_t before = mm_->read_begin(*diary);
  migrate(at, k64K);
  EXPECT_EQ(diary->count.load(), 1u);
  EXPECT_EQ(released(), 0u);
  EXPECT_NE(mm_->read_begin(*diary), before);
  EXPECT_EQ(word(at, 0), 0u);
  EXPECT_EQ(diary->count.load(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(diary->entries[i].kind, HostEvent::kMigrate);
    EXPECT_EQ(diary->entries[i].start, number_of(at));
    EXPECT_EQ(diary->entries[i].end, number_of(at) + k64K);
  }
  mm_->unwatch(*diary);
  migrate(at, k64K);
  EXPECT_EQ(diary->count.load(), 2u);
}

TEST_F(LiveMigrate, KernelAccessIsServed) {
  std::byte* at = map_filled(k64K, 0);
  migrate(at, k64K);
  const int zero = open("/dev/zero", O_RDONLY);
  EXPECT_EQ(read(zero, at + 2 * kPageSize, 8), 8);  // stores from kernel mode
  EXPECT_EQ(word(at, 2), 0u);
  EXPECT_EQ(word(at, 3), 3u);
  close(zero);
  migrate(at, k64K);
  std::uint64_t value = 0;
  iovec to{&value, 8};
  iovec from{at + 9 * kPageSize, 8};
  EXPECT_EQ(process_vm_readv(getpid(), &to, 1, &from, 1, 0), 8);
  EXPECT_EQ(value, 9u);
}

TEST_F(LiveMigrate, ResidencyDeadlineHoldsTheCpuBack) {
  std::byte* at = map_filled(kPageSize, 9);
  constexpr std::uint64_t kResidencyNs = 20'000'000;
  const std::uint64_t before = mm_->clock().now_ns();
  migrate(at, kPageSize, kResidencyNs);
  EXPECT_EQ(word(at, 0), 9u);
  EXPECT_GE(mm_->clock().now_ns() - before, kResidencyNs);
  EXPECT_GE(mm_->counters().parked.load(), 1u);
  // Eviction does not honour it.
  DevmemAllocation& allocation = migrate(at, kPageSize, 3'600'000'000'000);
  EXPECT_TRUE(mm_->evict(allocation));
  EXPECT_EQ(word(at, 0), 9u);
}

}  // namespace
}  // namespace softxe::live
