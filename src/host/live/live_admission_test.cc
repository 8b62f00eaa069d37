// What may migrate, and migrations that fail: nothing has changed.
#include <fcntl.h>
#include <sys/uio.h>

#include <functional>
#include <thread>

#include "base/step.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveAdmission : public LiveTest {};

TEST_F(LiveAdmission, WhatCannotMoveIsRefusedAndStays) {
  struct Row {
    const char* what;
    int err;
    std::byte* at;
    std::uint64_t bytes;
  };
  auto shared =
      static_cast<std::byte*>(mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::byte* read_only = map_filled(kPageSize, 3);
  mprotect(read_only, kPageSize, PROT_READ);
  std::byte* locked = map_filled(kPageSize, 4);
  mlock(locked, kPageSize);
  std::byte* short_one = map_filled(kPageSize, 5);
  std::byte* pinned = map_filled(k64K, 6);
  mm_->pin(range_at(pinned + kPageSize, kPageSize));
  std::byte* hole = map(kPageSize);
  munmap(hole, kPageSize);
  std::byte on_stack[kPageSize];
  auto stack = reinterpret_cast<std::byte*>(align_down(number_of(on_stack), kPageSize));
  const Row rows[] = {
      {"shared anonymous", EBUSY, shared, kPageSize},   {"read only", EBUSY, read_only, kPageSize},
      {"locked in memory", EBUSY, locked, kPageSize},   {"spans mappings", EINVAL, short_one, 2 * kPageSize},
      {"holds a pinned page", EBUSY, pinned, k64K},     {"nothing there", ENOENT, hole, kPageSize},
      {"this thread's stack", EBUSY, stack, kPageSize}, {"a device window", ENOENT, heap().window(), kPageSize},
  };
  for (const Row& row : rows) EXPECT_EQ(migrate_error(row.at, row.bytes), row.err) << row.what;
  EXPECT_EQ(word(read_only, 0), 3u);
  EXPECT_EQ(word(locked, 0), 4u);
  expect_filled(pinned, 16, 6);
  munmap(shared, kPageSize);
}

TEST_F(LiveAdmission, RefusalInTheMiddleUndoesEverything) {
  for (DmaMode dma : {DmaMode::kMove, DmaMode::kCopy}) {
    LiveOptions options;
    options.dma = dma;
    start(options);
    if (IsSkipped()) return;
    std::byte* at = map_filled(k64K, 50);
    madvise(at + 3 * kPageSize, kPageSize, MADV_DONTNEED);  // a hole before the trouble
    ASSERT_EQ(madvise(at + 9 * kPageSize, kPageSize, 102 /* GUARD_INSTALL */), 0);
    EXPECT_EQ(migrate_error(at, k64K), EBUSY);
    for (int i = 0; i < 16; ++i) {
      EXPECT_FALSE(occupied(heap().window() + i * kPageSize)) << i;
      if (i != 3 && i != 9) {
        EXPECT_EQ(word(at, i), 50u + i);
      }
    }
    EXPECT_EQ(word(at, 3), 0u);
  }
}

TEST_F(LiveAdmission, InjectedFailuresUndoEverything) {
  struct Row {
    const char* step;
    std::uint64_t nth;
  };
  // The third move comes after a gap, a piece of an older allocation, and stands before the last gap.
  const Row rows[] = {{"live.migrate.admit", 1},
                      {"live.migrate.register", 1},
                      {"live.migrate.move", 1},
                      {"live.migrate.move", 2},
                      {"live.migrate.move", 3}};
  for (DmaMode dma : {DmaMode::kMove, DmaMode::kCopy}) {
    for (const Row& row : rows) {
      LiveOptions options;
      options.dma = dma;
      start(options);
      if (IsSkipped()) return;
      std::byte* at = map_filled(k64K, 50);
      DevmemAllocation& old = heap().take(kPageSize);
      // The older migration would register the block.
      if (std::strcmp(row.step, "live.migrate.register") != 0) {
        ASSERT_TRUE(mm_->migrate_to_device(range_at(at + 4 * kPageSize, kPageSize), old, 0));
        word(old.frame, 0) = 1234;
      }
      FailNth hook(row.step, row.nth, ENOMEM);
      set_step_hook(&hook);
      const int err = migrate_error(at, k64K);
      set_step_hook(nullptr);
      EXPECT_TRUE(hook.fired()) << row.step << row.nth;
      EXPECT_EQ(err, ENOMEM);
      if (old.present_count() != 0) {
        EXPECT_FALSE(occupied(at + 4 * kPageSize)) << row.step << row.nth;
        EXPECT_EQ(word(old.frame, 0), 1234u);
        EXPECT_EQ(word(at, 4), 1234u);
      }
      for (int i = 0; i < 16; ++i) {
        if (i != 4) {
          EXPECT_EQ(word(at, i), 50u + i);
        }
      }
    }
  }
}

TEST_F(LiveAdmission, ForeignVramIsNotTaken) {
  Apart<FakeHeap> other(*mm_, OwnerGroup{2});
  std::byte* at = map_filled(k64K, 0);
  DevmemAllocation& theirs = other->take(kPageSize);
  ASSERT_TRUE(mm_->migrate_to_device(range_at(at + kPageSize, kPageSize), theirs, 0));
  EXPECT_EQ(migrate_error(at, k64K), EBUSY);
  EXPECT_FALSE(occupied(at + kPageSize));
  EXPECT_TRUE(occupied(at));
  expect_filled(at, 16, 0);
  // A page that came home wakes this thread before the reader has written that down; it needs the heap for it.
  EXPECT_TRUE(mm_->evict(theirs));
}

TEST_F(LiveAdmission, LogicalMappingHidesOurSplits) {
  std::byte* at = map_filled(4 * k2M, 0);
  const HostRange whole = range_at(at, 4 * k2M);
  for (MapsSource source : {MapsSource::kBest, MapsSource::kTextOnly}) {
    LiveOptions options;
    options.maps = source;
    mm_.reset();
    auto mm = LiveHostMm::create(options);
    ASSERT_TRUE(mm.has_value());
    Apart<FakeHeap> vram(**mm, kOwner);
    DevmemAllocation& allocation = vram->take(k2M);
    ASSERT_TRUE((*mm)->migrate_to_device(range_at(at + k2M, k2M), allocation, 0));
    for (std::uint64_t offset : {std::uint64_t{0}, k2M, 2 * k2M, 4 * k2M - 1}) {
      auto vma = (*mm)->find_vma(HostVa(number_of(at) + offset));
      ASSERT_TRUE(vma.has_value());
      EXPECT_EQ(vma->range, whole) << offset;
      EXPECT_EQ(vma->kind, CpuVma::Kind::kAnonPrivate);
    }
    auto beyond = (*mm)->find_vma(HostVa(number_of(at) + 4 * k2M));
    EXPECT_TRUE(!beyond || !beyond->readable);
    EXPECT_TRUE((*mm)->evict(allocation));  // the heap goes before the HostMm here
  }
}

TEST_F(LiveAdmission, KindsOfMappings) {
  const int fd = memfd_create("kinds", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(fd, kPageSize), 0);
  void* shm = mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, fd, 0);
  void* null_device = mmap(nullptr, kPageSize, PROT_READ, MAP_PRIVATE, open("/dev/zero", O_RDONLY), 0);
  auto kind = [&](const void* p) {
    auto vma = mm_->find_vma(HostVa(number_of(p)));
    return vma ? static_cast<int>(vma->kind) : -1;
  };
  auto is = [](CpuVma::Kind k) { return static_cast<int>(k); };
  EXPECT_EQ(kind(shm), is(CpuVma::Kind::kShmem));
  EXPECT_EQ(kind(null_device), is(CpuVma::Kind::kFile));
  EXPECT_EQ(kind(reinterpret_cast<void*>(&probe)), is(CpuVma::Kind::kFile));
  EXPECT_EQ(kind(map(kPageSize)), is(CpuVma::Kind::kAnonPrivate));
  EXPECT_EQ(kind(heap().window()), -1) << "the runtime's memory is nobody's";
  EXPECT_EQ(kind(nullptr), -1);
}

TEST_F(LiveAdmission, RungNoneRefusesAndStaysCorrect) {
  LiveOptions options;
  options.highest_rung = Rung::kNone;
  start(options);
  if (IsSkipped()) return;
  std::byte* at = map_filled(k64K, 1);
  EXPECT_EQ(migrate_error(at, k64K), EBUSY);
  PageHomes homes;
  ASSERT_TRUE(mm_->collect(range_at(at, k64K), {}, homes));
  EXPECT_EQ(homes[3].system, at + 3 * kPageSize);
}

TEST_F(LiveAdmission, UserOnlyRungMigratesNamedRangesOnly) {
  LiveOptions options;
  options.highest_rung = Rung::kUserOnly;
  start(options);
  if (IsSkipped()) return;
  std::byte* at = map_filled(k64K, 1);
  EXPECT_EQ(migrate_error(at, k64K), EBUSY);
  ASSERT_TRUE(mm_->allow_migration(range_at(at, k64K)));
  migrate(at, k64K);
  EXPECT_FALSE(occupied(at));
  expect_filled(at, 16, 1);
}

TEST_F(LiveAdmission, UserOnlyRungForgetsNamesWhenTheMemoryIsUnmapped) {
  LiveOptions options;
  options.highest_rung = Rung::kUserOnly;
  start(options);
  if (IsSkipped()) return;
  std::byte* at = map_filled(3 * k64K, 1);
  ASSERT_TRUE(mm_->allow_migration(range_at(at, 3 * k64K)));
  ASSERT_TRUE(mm_->allow_migration(range_at(at, 3 * k64K))) << "twice is once";
  void* again = reinterpret_cast<void*>(
      mm_->hook_syscall(SYS_mmap, {reinterpret_cast<long>(at + k64K), static_cast<long>(k64K), PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0}));
  ASSERT_EQ(again, at + k64K);
  std::memset(again, 2, k64K);
  EXPECT_EQ(migrate_error(at + k64K, k64K), EBUSY) << "the new mapping was never named";
  migrate(at, k64K);
  migrate(at + 2 * k64K, k64K);
  EXPECT_FALSE(occupied(at));
  EXPECT_FALSE(occupied(at + 2 * k64K));
  expect_filled(at, 16, 1);
  ASSERT_FALSE(mm_->allow_migration(HostRange::of(HostVa(0x10000), 1ull << 46))) << "everything is no name";
}

}  // namespace
}  // namespace softxe::live
