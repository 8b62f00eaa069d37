// What the tests of the live backend share: a VRAM heap, a notifier that keeps a diary, memory to migrate.
//
// Everything the fault thread may touch (heap, notifier) is in mappings of its own, never in memory
// that a test migrates.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <vector>

#include "host/live/live_host_mm.h"

namespace softxe::live {

/// T in a mapping of its own.
template <typename T>
class Apart {
 public:
  template <typename... Args>
  explicit Apart(Args&&... args) {
    void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    object_ = ::new (memory) T(static_cast<Args&&>(args)...);
  }
  ~Apart() {
    object_->~T();
    munmap(static_cast<void*>(object_), bytes());
  }
  Apart(const Apart&) = delete;
  Apart& operator=(const Apart&) = delete;
  T* operator->() { return object_; }
  T& operator*() { return *object_; }

 private:
  static std::size_t bytes() { return align_up(sizeof(T), kPageSize); }
  T* object_;
};

/// VRAM without eviction: blocks are handed out in order, released allocations are counted.
class FakeHeap final : public DevmemHeap {
 public:
  static constexpr std::uint64_t kBytes = 64 * k2M;

  FakeHeap(LiveHostMm& mm, OwnerGroup group) : group_(group), window_(*mm.make_window(kBytes)) {}

  OwnerGroup owner() const override { return group_; }
  std::uint64_t page_bytes() const override { return kPageSize; }
  void release(DevmemAllocation& allocation) override {
    EXPECT_EQ(allocation.present_count(), 0u);
    *static_cast<bool*>(allocation.heap_private) = false;
    released.fetch_add(1);
  }
  void moved_to_system(const DevmemAllocation&, const MovedHome& moved) override {
    moved_pages.fetch_add(moved.pages);
    last_cause.store(moved.cause);
  }

  /// Slot i: one allocation at VRAM offset 2 MiB * i; free again after release().
  DevmemAllocation& take(std::uint64_t bytes) {
    DevmemAllocation* taken = try_take(bytes);
    SX_ASSERT(taken != nullptr);  // the test's VRAM is full
    return *taken;
  }
  /// Null: VRAM is full.
  DevmemAllocation* try_take(std::uint64_t bytes) {
    for (std::size_t i = 0; i < kSlots; ++i) {
      if (used_[i].exchange(true)) continue;
      DevmemAllocation& a = slots_[i];
      a = DevmemAllocation{};
      a.heap = this;
      a.block = DevRange::of(DevPa(i * k2M), bytes);
      a.frame = window_ + i * k2M;
      a.heap_private = &used_[i];
      static_assert(sizeof(std::atomic<bool>) == sizeof(bool));
      return &a;
    }
    return nullptr;
  }
  void give_back_unused(DevmemAllocation& a) { *static_cast<bool*>(a.heap_private) = false; }
  std::byte* window() const { return window_; }

  std::atomic<std::uint64_t> released{0};
  std::atomic<std::uint64_t> moved_pages{0};
  std::atomic<MoveCause> last_cause{MoveCause::kTeardown};

 private:
  static constexpr std::size_t kSlots = kBytes / k2M;
  OwnerGroup group_;
  std::byte* window_;
  std::atomic<bool> used_[kSlots] = {};
  DevmemAllocation slots_[kSlots];
};

/// Keeps what it was told, and how the first page stood at that moment.
class Diary final : public IntervalNotifier {
 public:
  struct Entry {
    std::uint64_t start;
    std::uint64_t end;
    HostEvent kind;
    bool still_mapped;
    bool resident;  ///< false for a page that is in VRAM
  };
  explicit Diary(HostRange window) : IntervalNotifier(window) {}
  void invalidate(HostRange range, HostEvent kind) override {
    unsigned char resident = 0;
    const bool mapped = mincore(reinterpret_cast<void*>(range.start().value()), 1, &resident) == 0;
    const std::size_t i = count.load();
    if (i < std::size(entries)) {
      entries[i] = Entry{range.start().value(), range.end().value(), kind, mapped, (resident & 1) != 0};
      count.store(i + 1);
    }
  }
  bool saw(HostEvent kind) const {
    for (std::size_t i = 0; i < count.load(); ++i) {
      if (entries[i].kind == kind) return true;
    }
    return false;
  }
  const Entry* last(HostEvent kind) const {
    for (std::size_t i = count.load(); i-- > 0;) {
      if (entries[i].kind == kind) return &entries[i];
    }
    return nullptr;
  }

  std::atomic<std::size_t> count{0};
  Entry entries[256];
};

inline bool occupied(const void* address) {
  static const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::uint64_t word = 0;
  const auto at = static_cast<off_t>((number_of(address) >> kPageShift) * sizeof word);
  EXPECT_EQ(pread(fd, &word, sizeof word, at), static_cast<ssize_t>(sizeof word));
  return (word >> 62) != 0;
}

/// A fresh LiveHostMm for each test, with a heap, and an alarm: a deadlock ends the program.
class LiveTest : public ::testing::Test {
 protected:
  static constexpr unsigned kWatchdogSeconds = 30;
  static constexpr OwnerGroup kOwner{1};

  void SetUp() override {
    alarm(kWatchdogSeconds);
    guarded_install_handler();
    start(LiveOptions{});
  }
  void TearDown() override {
    // In a child of fork the parent's instance is dead; leave it alone.
    finish();
    alarm(0);
  }
  void start(const LiveOptions& options) {
    finish();
    const LadderReport ladder = probe(DefectProbe::kSkip);
    if (ladder.rung != Rung::kFull) {
      GTEST_SKIP() << "rung " << rung_name(ladder.rung) << " (errno " << ladder.refusal_errno
                   << "): live memory needs userfaultfd with MOVE and kernel faults";
    }
    auto made = LiveHostMm::create(options);
    ASSERT_TRUE(made.has_value()) << made.error().why;
    mm_ = std::move(*made);
    heap_ = new Apart<FakeHeap>(*mm_, kOwner);
  }
  void finish() {
    if (mm_ != nullptr) {
      EXPECT_EQ(mm_->counters().doubled.load(), doubled_expected_);
    }
    mm_.reset();
    delete heap_;
    heap_ = nullptr;
    for (const HostRange& r : mapped_) munmap(reinterpret_cast<void*>(r.start().value()), r.size());
    mapped_.clear();
  }

  /// Anonymous private memory, 2 MiB aligned, in a mapping that has no like neighbour.
  std::byte* map(std::uint64_t bytes) {
    const std::uint64_t room = align_up(bytes, k2M) + 2 * k2M;
    auto* raw =
        static_cast<std::byte*>(mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mapped_.push_back(range_at(raw, room));
    auto* at = reinterpret_cast<std::byte*>(align_up(number_of(raw) + kPageSize, k2M));
    EXPECT_EQ(mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
    return at;
  }
  /// The same, with every page's first word set to its number plus `seed`.
  std::byte* map_filled(std::uint64_t bytes, std::uint64_t seed) {
    std::byte* at = map(bytes);
    for (std::uint64_t i = 0; i < bytes / kPageSize; ++i) word(at, i) = seed + i;
    return at;
  }
  static volatile std::uint64_t& word(std::byte* at, std::uint64_t page) {
    return *reinterpret_cast<volatile std::uint64_t*>(at + page * kPageSize);
  }
  static void expect_filled(std::byte* at, std::uint64_t pages, std::uint64_t seed) {
    for (std::uint64_t i = 0; i < pages; ++i) {
      ASSERT_EQ(word(at, i), seed + i) << "page " << i;
    }
  }
  DevmemAllocation& migrate(std::byte* at, std::uint64_t bytes, std::uint64_t residency_ns = 0) {
    DevmemAllocation& allocation = heap().take(bytes);
    auto result = mm_->migrate_to_device(range_at(at, bytes), allocation, residency_ns);
    EXPECT_TRUE(result.has_value()) << result.error().why;
    return allocation;
  }
  int migrate_error(std::byte* at, std::uint64_t bytes) {
    DevmemAllocation& allocation = heap().take(bytes);
    auto result = mm_->migrate_to_device(range_at(at, bytes), allocation, 0);
    EXPECT_EQ(allocation.present_count() == 0, !result.has_value());
    if (result) return 0;
    heap().give_back_unused(allocation);
    return result.error().err;
  }
  FakeHeap& heap() { return **heap_; }
  /// A CPU touch goes on as soon as its page is there; this waits for the rest of the fault's service.
  std::uint64_t released() {
    mm_->submission_probe();
    return heap().released.load();
  }

  std::uint64_t doubled_expected_ = 0;
  LiveHostMm::Owner mm_;
  Apart<FakeHeap>* heap_ = nullptr;
  std::vector<HostRange> mapped_;
};

constexpr long kAnonFixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
constexpr long kRw = PROT_READ | PROT_WRITE;

/// For tests of the client's calls.
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

}  // namespace softxe::live
