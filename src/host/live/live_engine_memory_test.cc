// The runtime's own memory is not the client's: arena, windows, reservations (base/engine_memory.h).
#include <sys/uio.h>

#include <csignal>
#include <fstream>
#include <string>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

class LiveEngineMemory : public LiveTest {
 protected:
  static constexpr std::uint64_t kBytes = 16 * k2M;

  /// A range of the runtime's that is like no memory of the client's: the middle of a window nothing was moved to.
  HostRange wild() { return range_at(*mm_->make_window(kBytes) + kBytes / 2, k64K); }

  /// The flags of the kernel's mapping at `at`, as /proc/self/smaps shows them.
  static std::string flags_at(const void* at) {
    std::ifstream smaps("/proc/self/smaps");
    bool here = false;
    for (std::string line; std::getline(smaps, line);) {
      std::uint64_t start = 0;
      std::uint64_t end = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2)
        here = start <= number_of(at) && number_of(at) < end;
      if (here && line.starts_with("VmFlags:")) return line;
    }
    return {};
  }
};

TEST_F(LiveEngineMemory, IsNotMappedForWhoeverAsks) {
  const HostRange windows = wild();
  const struct {
    const char* name;
    HostRange range;
  } rows[] = {{"a window", windows}, {"the arena", HostRange::of(HostVa(number_of(mm_.get())), k64K)}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(mm_->find_vma(row.range.start()).error().err, ENOENT);
    EXPECT_EQ(mm_->next_mapped(row.range).error().err, ENOENT);
    EXPECT_FALSE(mm_->populated(row.range, kOwner));
    PageHomes homes;
    for (const auto intent : {CollectRequest::Intent::kRead, CollectRequest::Intent::kWrite}) {
      EXPECT_EQ(mm_->collect(row.range, {.intent = intent}, homes).error().err, EFAULT);
    }
    EXPECT_EQ(migrate_error(reinterpret_cast<std::byte*>(row.range.start().value()), k64K), ENOENT);
  }
}

// The kernel joins neighbours that are equal, as jemalloc's are: MAP_NORESERVE.
TEST_F(LiveEngineMemory, EndsWhereAClientsMappingBegins) {
  std::byte* window = *mm_->make_window(kBytes);
  std::byte* neighbour = window + kBytes;
  ASSERT_EQ(mmap(neighbour, k2M, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0),
            neighbour);
  for (const int advice : {MADV_DONTDUMP, MADV_DONTFORK}) ASSERT_EQ(madvise(neighbour, k2M, advice), 0);
  word(neighbour, 0) = 9;
  const auto vma = mm_->find_vma(HostVa(number_of(neighbour)));
  ASSERT_TRUE(vma) << vma.error().why;
  EXPECT_EQ(vma->kind, CpuVma::Kind::kAnonPrivate);
  EXPECT_EQ(vma->range.start(), HostVa(number_of(neighbour)));
  DevmemAllocation& allocation = migrate(neighbour, k2M);
  EXPECT_EQ(allocation.present_count(), 512u);
  EXPECT_EQ(word(neighbour, 0), 9u);
  munmap(neighbour, k2M);
}

TEST_F(LiveEngineMemory, AWildPointerIntoAWindowIsAnErrorOfItsUser) {
  const HostRange range = wild();
  auto* at = reinterpret_cast<char*>(range.start().value());
  char byte = 0;
  const iovec local{&byte, 1};
  const iovec remote{at, 1};
  EXPECT_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), -1);
  EXPECT_EQ(errno, EFAULT);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_EQ(write(ends[1], at, 1), -1);
  EXPECT_EQ(errno, EFAULT);
  close(ends[0]);
  close(ends[1]);
  EXPECT_EQ(errno_of(raw_syscall(SYS_madvise, at, k64K, MADV_POPULATE_READ)), EFAULT);
  std::uint64_t word = 0;
  EXPECT_FALSE(guarded_load64(at, word));
  EXPECT_FALSE(guarded_store64(at, word));
}

TEST_F(LiveEngineMemory, AWildLoadEndsTheClientByASignal) {
  auto* at = reinterpret_cast<volatile char*>(wild().start().value());
  const auto by_signal = [](int status) { return WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT; };
  // In the window itself: a child of fork has none.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT({ static_cast<void>(*at); }, by_signal, "");
}

TEST_F(LiveEngineMemory, LockingEverythingFillsNoReservation) {
  std::byte* window = *mm_->make_window(kBytes);
  const auto arena = engine_memory_at_or_above(HostVa(number_of(mm_.get())));
  ASSERT_TRUE(arena);
  auto* end_of_arena = reinterpret_cast<std::byte*>(arena->end().value() - kPageSize);
  for (const int flags : {MCL_CURRENT, MCL_CURRENT | MCL_FUTURE}) {
    ASSERT_EQ(raw_syscall(SYS_mlockall, flags), 0);
    std::byte* later = *mm_->make_window(kBytes);
    raw_syscall(SYS_munlockall);
    for (const std::byte* at : {window, window + kBytes - kPageSize, end_of_arena, later}) EXPECT_FALSE(occupied(at));
  }
}

TEST_F(LiveEngineMemory, IsLeftOutOfCoreFiles) {
  EXPECT_NE(flags_at(*mm_->make_window(kBytes)).find(" dd"), std::string::npos);
  EXPECT_NE(flags_at(mm_.get()).find(" dd"), std::string::npos);
}

TEST_F(LiveEngineMemory, WindowsComeBack) {
  std::byte* first = *mm_->make_window(kBytes);
  mm_->drop_window(first);
  for (int i = 0; i < 1000; ++i) {
    const auto window = mm_->make_window(kBytes);
    ASSERT_TRUE(window) << "window " << i << ": " << window.error().why;
    EXPECT_EQ(*window, first) << "its address space was not given back";
    mm_->drop_window(*window);
  }
}

TEST_F(LiveEngineMemory, AWindowThatHoldsPagesStays) {
  std::byte* at = map_filled(k64K, 5);
  DevmemAllocation& allocation = migrate(at, k64K);
  mm_->drop_window(allocation.frame - (allocation.block.start().value()));
  expect_filled(at, k64K / kPageSize, 5);
}

/// VRAM of many single pages.
class PageHeap final : public DevmemHeap {
 public:
  PageHeap(LiveHostMm& mm, std::size_t pages) : window_(*mm.make_window(pages * kPageSize)), pages_(pages) {
    for (std::size_t i = 0; i < pages; ++i) {
      pages_[i].heap = this;
      pages_[i].block = DevRange::of(DevPa(i * kPageSize), kPageSize);
      pages_[i].frame = window_ + i * kPageSize;
    }
  }
  OwnerGroup owner() const override { return OwnerGroup{1}; }
  std::uint64_t page_bytes() const override { return kPageSize; }
  void release(DevmemAllocation&) override {}
  void moved_to_system(const DevmemAllocation&, const MovedHome&) override {}
  DevmemAllocation& page(std::size_t i) { return pages_[i]; }

 private:
  std::byte* window_;
  std::vector<DevmemAllocation> pages_;
};

// Every second block of one mapping goes to VRAM, then the others; by default a process may have 65530 mappings.
// Memory that the GPU touches first has no page when it is registered: for the kernel such parts do not join later,
// and the budget counts what there really is.
TEST_F(LiveEngineMemory, MappingsOfTheProcessDoNotGrowWithTheBlocksInVram) {
  constexpr std::uint64_t kBlocks = 12'000;
  const ProcMaps maps = *ProcMaps::open(MapsSource::kBest);
  for (const bool cpu_first : {true, false}) {
    SCOPED_TRACE(cpu_first);
    start(LiveOptions{});
    if (IsSkipped()) return;
    void* room =
        mmap(nullptr, kBlocks * k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(room, MAP_FAILED);
    mapped_.push_back(range_at(room, kBlocks * k2M));
    auto* at = static_cast<std::byte*>(room);
    Apart<PageHeap> vram(*mm_, kBlocks);
    const std::size_t before = maps.count();
    std::size_t most = 0;
    std::size_t refused = 0;
    for (std::uint64_t n = 0; n < kBlocks; ++n) {
      const std::uint64_t i = n < kBlocks / 2 ? 2 * n : 2 * (n - kBlocks / 2) + 1;
      if (cpu_first) word(at + i * k2M, 0) = i;
      if (!mm_->migrate_to_device(range_at(at + i * k2M, kPageSize), vram->page(i), 0)) ++refused;
      if (!cpu_first) word(at + i * k2M, 0) = i;  // home again
      if (n % 1000 == 0) most = std::max(most, maps.count() - before);
    }
    EXPECT_LE(most, 65530u / (cpu_first ? 16 : 2) + 16);
    EXPECT_EQ(refused, 0u);
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      ASSERT_EQ(word(at + i * k2M, 0), i);
      ASSERT_EQ(word(at + i * k2M + k64K, 0), 0u);
    }
    finish();  // before its heap goes
  }
}

TEST_F(LiveEngineMemory, MemoryCallsOfTheClientMeetAHole) {
  std::byte* window = *mm_->make_window(k2M);
  std::byte* mine = window - 2 * kPageSize;  // ends one page before the window
  ASSERT_EQ(mmap(mine, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
            mine);
  mapped_.push_back(range_at(mine, kPageSize));
  const auto at = static_cast<long>(number_of(mine));
  const auto there = static_cast<long>(number_of(window));
  const long both = 3 * kPageSize;
  const long page = kPageSize;
  const struct {
    const char* name;
    long number;
    std::array<long, 6> args;
    long result;
  } rows[] = {
      {"mprotect", SYS_mprotect, {there, page, PROT_NONE}, -ENOMEM},
      {"mprotect from before", SYS_mprotect, {at, both, PROT_READ}, -ENOMEM},
      {"mlock", SYS_mlock, {there, page}, -ENOMEM},
      {"madvise", SYS_madvise, {there, page, MADV_DONTNEED}, -ENOMEM},
      {"mremap", SYS_mremap, {there, page, 2 * page, MREMAP_MAYMOVE}, -EFAULT},
      {"mremap onto it", SYS_mremap, {at, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, there}, -ENOMEM},
      {"mmap over it", SYS_mmap, {there, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0}, -ENOMEM},
      {"munmap", SYS_munmap, {there, page}, 0},
      {"munmap from before", SYS_munmap, {at, both}, 0},
  };
  for (const auto& row : rows) EXPECT_EQ(mm_->hook_syscall(row.number, row.args), row.result) << row.name;
  unsigned char resident = 0;
  EXPECT_EQ(mincore(window, kPageSize, &resident), 0) << "the window is gone";
  EXPECT_EQ(mincore(mine, kPageSize, &resident), -1) << "the client's page is there";
}

}  // namespace
}  // namespace softxe::live
