// Lost-update stress (spec/live-memory.md 2.2): CPU and GPU increment counters while pages travel.
//
// Every page has a plain counter per CPU writer, an atomic one shared by both, and a plain one of the
// GPU. Whatever the interleaving, at the end each counter equals the number of increments. The control
// shows that the same workload finds a migration by naive copying out.
#include <thread>

#include "base/prng.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

constexpr std::size_t kPlain0 = 0;
constexpr std::size_t kPlain1 = 1;
constexpr std::size_t kAtomic = 2;
constexpr std::size_t kGpu = 3;
constexpr std::size_t kCounters = 4;

volatile std::uint64_t& counter(std::byte* page, std::size_t index) {
  return reinterpret_cast<volatile std::uint64_t*>(page)[index];
}

/// One GPU context: short sections, in which a translation that was checked stays good.
class FakeEngine final : public IntervalNotifier {
 public:
  FakeEngine(LiveHostMm& mm, HostRange window) : IntervalNotifier(window), mm_(mm) {}

  void invalidate(HostRange, HostEvent) override {
    // The sequence has moved already: an engine that enters from now on leaves again.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const std::uint64_t seen = active_.load();
    while (seen % 2 == 1 && active_.load() == seen) sched_yield();
  }

  /// Adds one to a word of `page` as the GPU would. False: could not be translated this time.
  bool increment(std::byte* page, std::size_t index) {
    PageHomes homes;
    const std::uint64_t sequence = mm_.read_begin(*this);
    const auto range = range_at(page, kPageSize);
    if (!mm_.collect(range, {CollectRequest::Intent::kWrite, OwnerGroup{1}}, homes)) return false;
    const PageHome home = homes[0];
    active_.fetch_add(1);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const bool valid = this->sequence() == sequence;
    const bool device = home.where == PageHome::Where::kDevice;
    if (valid && device) {
      std::byte* frame = home.allocation->frame + (home.device - home.allocation->block.start());
      counter(frame, index) = counter(frame, index) + 1;
      vram_accesses.fetch_add(1, std::memory_order_relaxed);
    }
    active_.fetch_add(1);
    // System memory by its real address and outside the section: the CPU's MMU is the TLB.
    if (valid && !device) counter(home.system, index) = counter(home.system, index) + 1;
    return valid;
  }

  std::atomic<std::uint64_t> vram_accesses{0};

 private:
  LiveHostMm& mm_;
  std::atomic<std::uint64_t> active_{0};
};

struct StressCase {
  const char* name;
  std::uint64_t chunk_bytes;
  std::uint64_t chunks;
  bool huge_page;
  DmaMode dma;
};

class Totals {
 public:
  explicit Totals(std::uint64_t pages) : counts_(pages * kCounters) {}
  std::atomic<std::uint64_t>& at(std::uint64_t page, std::size_t index) { return counts_[page * kCounters + index]; }
  /// Sum over all counters of (increments made - increments found).
  std::uint64_t lost(std::byte* base) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < counts_.size(); ++i) {
      const std::uint64_t found = counter(base + i / kCounters * kPageSize, i % kCounters);
      sum += counts_[i].load() > found ? counts_[i].load() - found : found - counts_[i].load();
    }
    return sum;
  }

 private:
  std::vector<std::atomic<std::uint64_t>> counts_;
};

/// The CPU's part; `plain` is this writer's own counter. Returns backward reads.
std::uint64_t write_until(std::atomic<bool>& stop, std::byte* base, std::uint64_t pages, std::size_t plain,
                          Totals& totals) {
  Prng prng(plain + 1);
  std::uint64_t backward = 0;
  std::vector<std::uint64_t> seen(pages);
  while (!stop.load(std::memory_order_relaxed)) {
    const std::uint64_t page = prng.below(pages);
    std::byte* at = base + page * kPageSize;
    for (int i = 0; i < 8; ++i) {
      const std::uint64_t now = counter(at, plain);
      if (now < seen[page]) ++backward;
      counter(at, plain) = now + 1;
      seen[page] = now + 1;
      __atomic_fetch_add(const_cast<std::uint64_t*>(&counter(at, kAtomic)), 1, __ATOMIC_SEQ_CST);
    }
    totals.at(page, plain).fetch_add(8, std::memory_order_relaxed);
    totals.at(page, kAtomic).fetch_add(8, std::memory_order_relaxed);
  }
  return backward;
}

class LiveStress : public LiveTest, public ::testing::WithParamInterface<StressCase> {};

TEST_P(LiveStress, NoUpdateIsLost) {
  const StressCase& c = GetParam();
  LiveOptions options;
  options.dma = c.dma;
  start(options);
  if (IsSkipped()) return;
  const std::uint64_t bytes = c.chunk_bytes * c.chunks;
  const std::uint64_t pages = bytes / kPageSize;
  std::byte* base = map(bytes);
  if (c.huge_page) madvise(base, bytes, MADV_HUGEPAGE);
  std::memset(base, 0, bytes);
  Totals totals(pages);
  Apart<FakeEngine> engine(*mm_, range_at(base, bytes));
  ASSERT_TRUE(mm_->watch(*engine));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> backward{0};
  std::thread writer0([&] { backward += write_until(stop, base, pages, kPlain0, totals); });
  std::thread writer1([&] { backward += write_until(stop, base, pages, kPlain1, totals); });
  std::thread gpu([&] {
    Prng prng(77);
    while (!stop.load()) {
      const std::uint64_t page = prng.below(pages);
      if (engine->increment(base + page * kPageSize, kGpu)) totals.at(page, kGpu).fetch_add(1);
    }
  });
  Prng prng(5);
  std::uint64_t out = 0;
  const std::uint64_t end_ns = mm_->clock().now_ns() + 1'200'000'000;
  while (mm_->clock().now_ns() < end_ns) {
    const auto chunk = range_at(base + prng.below(c.chunks) * c.chunk_bytes, c.chunk_bytes);
    if (prng.chance(1, 4)) {
      static_cast<void>(mm_->migrate_to_system(chunk, MoveCause::kRangeEvict, Residency::kIgnore));
      continue;
    }
    DevmemAllocation& allocation = heap().take(c.chunk_bytes);
    if (mm_->migrate_to_device(chunk, allocation, 0)) {
      ++out;
    } else {
      heap().give_back_unused(allocation);
    }
  }
  stop.store(true);
  writer0.join();
  writer1.join();
  gpu.join();
  EXPECT_EQ(totals.lost(base), 0u);
  EXPECT_EQ(backward.load(), 0u);
  EXPECT_GT(out, 0u);
  EXPECT_GT(mm_->counters().pages_home.load(), 0u);
  std::printf("%lu migrations, %lu pages home, %lu GPU increments in VRAM, %lu deferred, %lu EEXIST moved\n", out,
              mm_->counters().pages_home.load(), engine->vram_accesses.load(), mm_->counters().deferred.load(),
              mm_->counters().moved_eexist.load());
  mm_->unwatch(*engine);
}
INSTANTIATE_TEST_SUITE_P(, LiveStress,
                         ::testing::Values(StressCase{"Move4K", kPageSize, 16, false, DmaMode::kMove},
                                           StressCase{"Move64K", k64K, 8, false, DmaMode::kMove},
                                           StressCase{"Move2M", k2M, 2, false, DmaMode::kMove},
                                           StressCase{"MoveHugePage", k2M, 2, true, DmaMode::kMove},
                                           StressCase{"Copy4K", kPageSize, 16, false, DmaMode::kCopy},
                                           StressCase{"Copy64K", k64K, 8, false, DmaMode::kCopy},
                                           StressCase{"CopyHugePage", k2M, 2, true, DmaMode::kCopy}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_F(LiveStress, ControlNaiveCopyLosesUpdates) {
  constexpr std::uint64_t kPages = 16;
  std::byte* base = map(kPages * kPageSize);
  std::memset(base, 0, kPages * kPageSize);
  std::vector<std::byte> vram(kPageSize);
  Totals totals(kPages);
  std::uint64_t lost = 0;
  for (int round = 0; round < 40 && lost == 0; ++round) {
    std::atomic<bool> stop{false};
    std::thread writer0([&] { write_until(stop, base, kPages, kPlain0, totals); });
    std::thread writer1([&] { write_until(stop, base, kPages, kPlain1, totals); });
    const std::uint64_t end_ns = mm_->clock().now_ns() + 50'000'000;
    Prng prng(static_cast<std::uint64_t>(round));
    while (mm_->clock().now_ns() < end_ns) {
      std::byte* page = base + prng.below(kPages) * kPageSize;
      std::memcpy(vram.data(), page, kPageSize);
      madvise(page, kPageSize, MADV_DONTNEED);
      std::memcpy(page, vram.data(), kPageSize);
    }
    stop.store(true);
    writer0.join();
    writer1.join();
    lost = totals.lost(base);
  }
  EXPECT_GT(lost, 0u) << "the workload cannot see lost updates";
}

}  // namespace
}  // namespace softxe::live
