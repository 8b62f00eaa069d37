// collect, populated, migrate_to_system: where pages stand, and what becomes of those that stand elsewhere.
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveCollect : public LiveTest {
 protected:
  Status collect(std::byte* at, CollectRequest request) { return mm_->collect(range_at(at, k64K), request, homes_); }
  static constexpr auto kRead = CollectRequest::Intent::kRead;
  static constexpr auto kWrite = CollectRequest::Intent::kWrite;
  PageHomes homes_;
};

TEST_F(LiveCollect, SystemPagesAreFaultedInAtTheirAddress) {
  std::byte* at = map(k64K);
  ASSERT_TRUE(collect(at, {kWrite, kOwner}));
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(homes_[i].where, PageHome::Where::kSystem);
    EXPECT_EQ(homes_[i].system, at + i * kPageSize);
    EXPECT_TRUE(homes_[i].writable);
    EXPECT_TRUE(occupied(at + i * kPageSize));
  }
}

TEST_F(LiveCollect, OwnVramStaysForeignVramComesHome) {
  std::byte* at = map_filled(k64K, 10);
  DevmemAllocation& allocation = migrate(at + 4 * kPageSize, kPageSize);
  ASSERT_TRUE(collect(at, {kWrite, kOwner}));
  EXPECT_EQ(homes_[4].where, PageHome::Where::kDevice);
  EXPECT_EQ(homes_[4].allocation, &allocation);
  EXPECT_EQ(homes_[4].device, allocation.block.start());
  EXPECT_EQ(homes_[5].system, at + 5 * kPageSize);
  EXPECT_EQ(released(), 0u);
  for (OwnerGroup other : {OwnerGroup{2}, OwnerGroup::kNobody}) {
    migrate(at + 8 * kPageSize, kPageSize);
    ASSERT_TRUE(collect(at, {kWrite, other}));
    EXPECT_EQ(homes_[4].where, PageHome::Where::kSystem);
    EXPECT_EQ(homes_[8].where, PageHome::Where::kSystem);
    EXPECT_TRUE(occupied(at + 8 * kPageSize));
  }
  expect_filled(at, 16, 10);
}

TEST_F(LiveCollect, HoleBesideVramIsFilledByTheReader) {
  std::byte* at = map(k64K);
  word(at, 0) = 1;
  migrate(at, kPageSize);  // the block stays registered: the holes of the rest go through the reader
  ASSERT_TRUE(collect(at, {kWrite, kOwner}));
  EXPECT_EQ(homes_[0].where, PageHome::Where::kDevice);
  for (int i = 1; i < 16; ++i) EXPECT_TRUE(occupied(at + i * kPageSize));
  EXPECT_FALSE(occupied(at));
}

TEST_F(LiveCollect, DeadlineOfForeignPagesIsHonoured) {
  std::byte* at = map_filled(k64K, 10);
  const std::uint64_t before = mm_->clock().now_ns();
  migrate(at, kPageSize, 10'000'000);
  ASSERT_TRUE(collect(at, {kWrite, OwnerGroup::kNobody}));
  EXPECT_GE(mm_->clock().now_ns() - before, 10'000'000u);
  DevmemAllocation& allocation = migrate(at, kPageSize, 3'600'000'000'000);
  auto late = collect(at, {kWrite, OwnerGroup::kNobody});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().err, EBUSY);
  EXPECT_TRUE(mm_->evict(allocation));
}

TEST_F(LiveCollect, RefusesWhatTheCpuCouldNotTouch) {
  std::byte* hole = map_filled(k64K, 0);
  munmap(hole + 3 * kPageSize, kPageSize);
  std::byte* closed = map_filled(k64K, 0);
  mprotect(closed + 15 * kPageSize, kPageSize, PROT_NONE);
  const int fd = memfd_create("short", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, kPageSize), 0);
  auto* beyond = static_cast<std::byte*>(mmap(nullptr, k64K, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  std::byte* read_only = map_filled(k64K, 0);
  mprotect(read_only, k64K, PROT_READ);
  struct Row {
    const char* what;
    std::byte* at;
    CollectRequest::Intent intent;
    int err;
  };
  const Row rows[] = {{"hole", hole, kRead, EFAULT},
                      {"no permission", closed, kRead, EFAULT},
                      {"beyond the end of a file", beyond, kRead, EFAULT},
                      {"read only, to write", read_only, kWrite, EFAULT},
                      {"read only, to read", read_only, kRead, 0}};
  for (const Row& row : rows) {
    auto status = collect(row.at, {row.intent, kOwner});
    EXPECT_EQ(status ? 0 : status.error().err, row.err) << row.what;
  }
  EXPECT_FALSE(homes_[0].writable);
  munmap(beyond, k64K);
  close(fd);
}

TEST_F(LiveCollect, OnlyPagesTheCpuMayStoreToAreWritable) {
  std::byte* at = map_filled(k64K, 0);
  migrate(at + 8 * kPageSize, kPageSize);
  mprotect(at + 2 * kPageSize, 3 * kPageSize, PROT_READ);
  ASSERT_TRUE(collect(at, {kRead, kOwner}));
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(homes_[i].writable, i < 2 || i > 4) << i;
  EXPECT_EQ(homes_.runs().size(), 5u);  // 0-1, 2-4, 5-7, 8 in VRAM, 9-15
  EXPECT_EQ(homes_.pages(), 16u);
}

TEST_F(LiveCollect, Populated) {
  std::byte* at = map_filled(k64K, 0);
  const HostRange range = range_at(at, k64K);
  EXPECT_TRUE(mm_->populated(range, kOwner));
  migrate(at + kPageSize, kPageSize);
  EXPECT_TRUE(mm_->populated(range, kOwner));
  EXPECT_FALSE(mm_->populated(range, OwnerGroup{2}));
  EXPECT_FALSE(occupied(at + kPageSize)) << "asking moves nothing";
  mm_->hook_madvise(number_of(at) + 7 * kPageSize, kPageSize, MADV_DONTNEED);
  EXPECT_FALSE(mm_->populated(range, kOwner));
}

TEST_F(LiveCollect, MigrateToSystemEmptiesTheRange) {
  std::byte* at = map_filled(k64K, 40);
  migrate(at, 2 * kPageSize);
  migrate(at + 8 * kPageSize, kPageSize);
  ASSERT_TRUE(mm_->migrate_to_system(range_at(at, k64K), MoveCause::kRangeEvict, Residency::kHonour));
  EXPECT_EQ(heap().released.load(), 2u);
  EXPECT_EQ(heap().last_cause.load(), MoveCause::kRangeEvict);
  EXPECT_TRUE(mm_->populated(range_at(at, k64K), OwnerGroup::kNobody));
  migrate(at, kPageSize, 3'600'000'000'000);
  EXPECT_EQ(mm_->migrate_to_system(range_at(at, k64K), MoveCause::kRangeEvict, Residency::kHonour).error().err, EBUSY);
  EXPECT_TRUE(mm_->migrate_to_system(range_at(at, k64K), MoveCause::kEviction, Residency::kIgnore));
  expect_filled(at, 16, 40);
}

TEST_F(LiveCollect, NextMapped) {
  std::byte* at = map(k64K);
  const std::uint64_t hole = number_of(at) + kPageSize;
  munmap(at + kPageSize, kPageSize);
  EXPECT_EQ(mm_->next_mapped(range_at(at + kPageSize, k64K))->value(), hole + kPageSize);
  EXPECT_EQ(mm_->next_mapped(range_at(at + kPageSize, kPageSize)).error().err, ENOENT);
  EXPECT_EQ(mm_->next_mapped(range_at(at + 3 * kPageSize, kPageSize))->value(), number_of(at) + 3 * kPageSize);
}

}  // namespace
}  // namespace softxe::live
