// Calls that run past the mm lock: through the hooks' filter, or seen by no hook.
#include <functional>
#include <thread>

#include "base/at_step.h"
#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LivePassing : public LiveTest {};

TEST_F(LivePassing, NothingMigratesUnderACallThatTheFilterLetPass) {
  constexpr std::uint64_t kBytes = k64K;
  struct Row {
    const char* call;
    std::function<long(std::uint64_t at)> run;
  };
  const Row rows[] = {
      {"munmap", [&](std::uint64_t at) { return mm_->hook_munmap(at, kBytes); }},
      {"mmap over it",
       [&](std::uint64_t at) {
         return mm_->hook_mmap({at, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0});
       }},
      {"mremap away",
       [&](std::uint64_t at) {
         return mm_->hook_mremap({at, kBytes, kBytes, MREMAP_MAYMOVE, 0});
       }},
      {"mremap over it",
       [&](std::uint64_t at) {
         const std::uint64_t from = number_of(map(kBytes));
         return mm_->hook_mremap({from, kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, at});
       }},
      {"DONTNEED", [&](std::uint64_t at) { return mm_->hook_madvise(at, kBytes, MADV_DONTNEED); }},
      {"mprotect", [&](std::uint64_t at) { return mm_->hook_mprotect(at, kBytes, PROT_READ); }},
  };
  for (const Row& row : rows) {
    std::byte* at = map_filled(kBytes, 9);
    ASSERT_FALSE(mm_->tracked(range_at(at, kBytes)));
    int err = 0;
    AtStep under("live.hook.passing", 1, [&](int) { err = migrate_error(at, kBytes); });
    EXPECT_GE(row.run(number_of(at)), 0) << row.call;
    EXPECT_EQ(under.left(), 0) << row.call;
    EXPECT_EQ(err, EBUSY) << row.call;
    mm_->submission_probe();
  }
}

// The event has been read, but the migration that holds the lock has not dealt with it.
TEST_F(LivePassing, MemoryMappedAnewBehindAnUnseenMunmapIsNotTakenForTheOld) {
  std::byte* at = map_filled(k64K, 1);
  ASSERT_TRUE(mm_->evict(migrate(at, k64K)));
  int err = 0;
  {
    AtStep race("live.migrate.admit", 1, [&](int) {
      std::thread([&] {
        raw_syscall(SYS_munmap, at, k64K);
        raw_syscall(SYS_mmap, at, k64K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                    0);
        for (std::uint64_t i = 0; i < 16; ++i) word(at, i) = 500 + i;
      }).join();
    });
    err = migrate_error(at, k64K);
    EXPECT_EQ(race.left(), 0);
  }
  EXPECT_EQ(err, EBUSY);
  expect_filled(at, 16, 500);
  EXPECT_EQ(migrate_error(at, k64K), 0) << "the new mapping may migrate";
  expect_filled(at, 16, 500);
}

}  // namespace
}  // namespace softxe::live
