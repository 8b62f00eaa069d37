// The deadlocks of spec/live-memory.md 4, each as a situation that must end (a watchdog ends it otherwise),
// and the kernel's MOVE defect of 7.3.
#include <pthread.h>

#include <cstdlib>
#include <thread>

#include "base/raw_syscall.h"
#include "host/live/live_test_support.h"

namespace softxe::live {
namespace {

thread_local int tls_of_this_thread;

/// Runs a function of the test inside a callback, that is with the mm lock held.
class Callback final : public IntervalNotifier {
 public:
  using Fn = void (*)(void* context);
  Callback(HostRange window, Fn fn, void* context) : IntervalNotifier(window), fn_(fn), context_(context) {}
  void invalidate(HostRange, HostEvent) override {
    if (!done_.exchange(true)) fn_(context_);
  }

 private:
  Fn fn_;
  void* context_;
  std::atomic<bool> done_{false};
};

class LiveHazards : public LiveTest {
 protected:
  /// Tries to put every page of the C heap into VRAM; returns how many went.
  std::uint64_t migrate_c_heap() {
    // Some chunks, so that the heap has free lists, a top chunk, and pages in use.
    void* volatile probe_chunk = std::malloc(1000);
    auto vma = mm_->find_vma(HostVa(number_of(probe_chunk)));
    std::free(probe_chunk);
    if (!vma) return 0;
    std::uint64_t moved = 0;
    for (HostVa at = vma->range.start(); at < vma->range.end() && moved < 48; at += k64K) {
      const std::uint64_t bytes = std::min(k64K, vma->range.end() - at);
      if (bytes != k64K) break;
      DevmemAllocation& allocation = heap().take(bytes);
      auto result = mm_->migrate_to_device(HostRange::of(at, bytes), allocation, 0);
      if (result) {
        ++moved;
      } else {
        heap().give_back_unused(allocation);
      }
    }
    return moved;
  }
};

TEST_F(LiveHazards, BookkeepingIsNotOnTheClientsHeap) {
  EXPECT_GT(migrate_c_heap(), 0u);
  const std::uint64_t before = mm_->counters().cpu_faults.load();
  std::vector<std::string> strings;
  strings.reserve(2000);
  for (int i = 0; i < 2000; ++i) strings.push_back(std::to_string(i) + std::string(40, 'x'));
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(strings[i].substr(0, strings[i].find('x')), std::to_string(i));
  EXPECT_GT(mm_->counters().cpu_faults.load(), before);
}

TEST_F(LiveHazards, FaultInsideMallocNeedsNoMalloc) {
  for (int round = 0; round < 20; ++round) {
    migrate_c_heap();
    // Two threads fault inside the allocator, with the lock of its main arena held or wanted.
    auto churn = [] {
      for (std::size_t i = 0; i < 200; ++i) {
        void* volatile a = std::malloc(16 + i * 7);
        void* volatile b = std::malloc(100'000);
        *static_cast<volatile char*>(a) = 1;
        *static_cast<volatile char*>(b) = 1;
        std::free(a);
        std::free(b);
      }
    };
    std::thread other(churn);
    churn();
    other.join();
  }
}

TEST_F(LiveHazards, PinnedHolesAreTheKernelsBusiness) {
  // The engine's own memory beside a client's, in one mapping: its first touch of a page, with the mm
  // lock held, must not wait for the reader, whatever was registered or pinned first.
  constexpr std::uint64_t kHole = 200;
  for (const bool pin_first : {true, false}) {
    std::byte* at = map(k2M);
    for (std::uint64_t i = 0; i < 16; ++i) word(at, i) = i;
    const HostRange pinned = range_at(at + 100 * kPageSize, 200 * kPageSize);
    if (pin_first) mm_->pin(pinned);
    migrate(at, k64K);
    if (!pin_first) mm_->pin(pinned);
    Apart<Callback> callback(
        range_at(at, k2M), [](void* context) { word(static_cast<std::byte*>(context), kHole) = 7; }, at);
    ASSERT_TRUE(mm_->watch(*callback));
    EXPECT_EQ(migrate_error(at + 104 * kPageSize, k64K), EBUSY);
    expect_filled(at, 16, 0);  // calls back, on the reader
    EXPECT_EQ(word(at, kHole), 7u);
    mm_->unwatch(*callback);
  }
}

TEST_F(LiveHazards, ReaderStandsOnPinnedMemory) {
  // The callback of a CPU touch runs on the reader thread: look where its stack and its TLS are.
  struct Seen {
    std::atomic<std::uint64_t> stack{0};
    std::atomic<std::uint64_t> tls{0};
  };
  Apart<Seen> seen;
  std::byte* at = map_filled(k64K, 3);
  migrate(at, k64K);
  Apart<Callback> callback(
      range_at(at, k2M),
      [](void* context) {
        int here;
        auto& s = *static_cast<Seen*>(context);
        s.stack.store(number_of(&here));
        s.tls.store(number_of(&tls_of_this_thread));
      },
      &*seen);
  ASSERT_TRUE(mm_->watch(*callback));
  EXPECT_EQ(word(at, 1), 4u);
  mm_->unwatch(*callback);
  ASSERT_NE(seen->stack.load(), number_of(nullptr));
  EXPECT_NE(seen->tls.load(), number_of(&tls_of_this_thread)) << "served on this thread?";
  for (std::uint64_t a : {seen->stack.load(), seen->tls.load()}) {
    auto* page = reinterpret_cast<std::byte*>(align_down(a, kPageSize));
    EXPECT_NE(migrate_error(page, kPageSize), 0);
    EXPECT_TRUE(occupied(page));
  }
}

/// A client thread on a stack of the test's choice, stopped and started by flags.
struct OnOwnStack {
  LiveHostMm* mm;
  std::byte* victim;
  std::atomic<int> phase{0};
  long result = -1;

  static void* main(void* self) {
    auto& s = *static_cast<OnOwnStack*>(self);
    s.phase.store(1);
    while (s.phase.load() != 2) sched_yield();  // meanwhile its stack and TLS go to VRAM
    s.result = s.mm->hook_munmap(number_of(s.victim), k64K);
    s.phase.store(3);
    while (s.phase.load() != 4) sched_yield();
    return nullptr;
  }
};

TEST_F(LiveHazards, ThreadEntersTheEngineOnAStackInVram) {
  constexpr std::uint64_t kStack = 512ULL * 1024;
  std::byte* stack = map(kStack);
  Apart<OnOwnStack> thread;
  thread->mm = mm_.get();
  thread->victim = map_filled(k64K, 0);
  migrate(thread->victim, k64K);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, kStack);
  pthread_t id;
  ASSERT_EQ(pthread_create(&id, &attributes, OnOwnStack::main, &*thread), 0);
  while (thread->phase.load() != 1) sched_yield();
  DevmemAllocation& allocation = heap().take(kStack);
  ASSERT_TRUE(mm_->migrate_to_device(range_at(stack, kStack), allocation, 0));
  thread->phase.store(2);
  while (thread->phase.load() != 3) sched_yield();
  EXPECT_EQ(thread->result, 0);
  // It has been inside: from now on its stack stays.
  EXPECT_EQ(migrate_error(stack + kStack - k64K, k64K), EBUSY);
  EXPECT_TRUE(occupied(stack + kStack - kPageSize));
  thread->phase.store(4);
  pthread_join(id, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST_F(LiveHazards, ReaderDoesNotWaitForTheLock) {
  struct Context {
    LiveHostMm* mm;
    std::byte* absent;
    std::atomic<bool> inside{false};
    std::atomic<bool> touched{false};
  };
  Apart<Context> context;
  context->mm = mm_.get();
  context->absent = map_filled(k64K, 8);
  std::byte* other = map_filled(k64K, 0);
  migrate(context->absent, k64K);
  std::thread toucher([&] {
    while (!context->inside.load()) sched_yield();
    EXPECT_EQ(word(context->absent, 3), 11u);
    context->touched.store(true);
  });
  // With the lock held: let the other thread fault, until the reader has met the lock.
  Apart<Callback> callback(
      range_at(other, k2M),
      [](void* c) {
        auto& x = *static_cast<Context*>(c);
        x.inside.store(true);
        while (x.mm->counters().deferred.load() == 0) raw_syscall(SYS_sched_yield);
      },
      &*context);
  ASSERT_TRUE(mm_->watch(*callback));
  migrate(other, k64K);
  toucher.join();
  EXPECT_TRUE(context->touched.load());
  mm_->unwatch(*callback);
}

TEST_F(LiveHazards, EventIsReadWhileItsCauserHoldsTheLock) {
  // The lock's owner sits in a raw munmap of registered memory: only a READ lets it go on.
  std::byte* registered = map_filled(k64K, 8);
  std::byte* other = map_filled(k64K, 20);
  migrate(registered, k64K);
  Apart<Callback> callback(
      range_at(other, k2M),
      [](void* c) {
        // Twice: a reader that waits for the lock after its first read never gets to the second.
        raw_syscall(SYS_munmap, static_cast<std::byte*>(c), k64K / 2);
        raw_syscall(SYS_munmap, static_cast<std::byte*>(c) + k64K / 2, k64K / 2);
      },
      registered);
  ASSERT_TRUE(mm_->watch(*callback));
  migrate(other, k64K);
  mm_->submission_probe();
  EXPECT_GE(mm_->counters().events.load(), 2u);
  EXPECT_EQ(released(), 1u);
  expect_filled(other, 16, 20);
  mm_->unwatch(*callback);
}

TEST_F(LiveHazards, FillDuringAnEventIsRetried) {
  // One thread causes events without pause; the fills of another's faults meet EAGAIN.
  std::byte* noisy = map_filled(k2M, 0);
  std::byte* quiet = map_filled(k64K, 0);
  migrate(noisy, kPageSize);  // keeps the block registered
  std::jthread noise([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) madvise(noisy + k64K, kPageSize, MADV_DONTNEED);
  });
  const std::uint64_t end_ns = mm_->clock().now_ns() + 3'000'000'000;
  std::uint64_t rounds = 0;
  while (mm_->clock().now_ns() < end_ns && (mm_->counters().eagain.load() < 20 || rounds < 200)) {
    DevmemAllocation& allocation = migrate(quiet, k64K);
    word(allocation.frame, 5) = ++rounds;
    if (rounds % 2 == 0) {  // the fill on this thread, or on the reader's
      ASSERT_TRUE(mm_->evict(allocation));
    }
    ASSERT_EQ(word(quiet, 5), rounds);
    mm_->submission_probe();
  }
  noise.request_stop();
  noise.join();
  EXPECT_GE(mm_->counters().eagain.load(), 1u);
  EXPECT_EQ(word(noisy, 0), 0u);
}

TEST_F(LiveHazards, MemoryRightAboveAThreadsStackMayMove) {
  // Two mappings of one kind beside each other are one for the kernel; only the stack is pinned.
  std::byte* stack = map_filled(2 * k2M, 3);
  std::byte* data = stack + k2M;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstack(&attributes, stack, k2M), 0);
  pthread_t thread;
  const auto enter_engine = [](void* mm) -> void* {
    static_cast<LiveHostMm*>(mm)->submission_probe();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, enter_engine, mm_.get()), 0);
  pthread_attr_destroy(&attributes);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  migrate(data, k64K);
  expect_filled(data, k64K / kPageSize, 3 + k2M / kPageSize);
}

/// Starts the writer of the next round a moment before the pages are moved.
class Trigger final : public IntervalNotifier {
 public:
  explicit Trigger(HostRange window) : IntervalNotifier(window) {}
  void invalidate(HostRange, HostEvent kind) override {
    if (kind != HostEvent::kMigrate || !armed.exchange(false)) return;
    round.fetch_add(1);
    for (std::uint64_t i = spins_ = (spins_ + 37) % 700; i != 0; --i) asm volatile("pause");
  }
  std::atomic<bool> armed{false};
  std::atomic<std::uint64_t> round{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};

 private:
  std::uint64_t spins_ = 0;
};

TEST_F(LiveHazards, MoveThatDeniesHavingMovedLosesNothing) {
  // Source page = zero page while another thread writes it: kernels with the defect answer EEXIST
  // for pages that did move.
  std::byte* at = map(k64K);
  Apart<Trigger> trigger(range_at(at, k2M));
  ASSERT_TRUE(mm_->watch(*trigger));
  std::thread writer([&] {
    for (std::uint64_t seen = 0; !trigger->stop.load();) {
      const std::uint64_t now = trigger->round.load();
      if (now == seen) continue;
      word(at, 0) = seen = now;
      trigger->done.store(now);
    }
  });
  const std::uint64_t end_ns = mm_->clock().now_ns() + 2'000'000'000;
  std::uint64_t round = 0;
  bool intact = true;
  while (intact && mm_->clock().now_ns() < end_ns) {
    const std::uint64_t pages = 1 + round % 4;
    mm_->hook_madvise(number_of(at), pages * kPageSize, MADV_DONTNEED);
    intact = word(at, 0) == 0;  // maps the zero page
    for (std::uint64_t i = 1; i < pages; ++i) word(at, i) = round * 8 + i;
    ++round;
    trigger->armed.store(true);
    DevmemAllocation& allocation = heap().take(pages * kPageSize);
    if (!mm_->migrate_to_device(range_at(at, pages * kPageSize), allocation, 0)) {
      heap().give_back_unused(allocation);
    }
    intact = intact && word(at, pages - 1) < ~0ull;  // brings the pages home; the writer too goes on
    while (trigger->done.load() != round) sched_yield();
    intact = intact && word(at, 0) == round;
    for (std::uint64_t i = 1; i < pages; ++i) intact = intact && word(at, i) == (round - 1) * 8 + i;
    mm_->submission_probe();
  }
  trigger->stop.store(true);
  writer.join();
  mm_->unwatch(*trigger);
  EXPECT_TRUE(intact) << "in round " << round;
  std::printf("%lu rounds, %lu times EEXIST of a page that moved\n", round, mm_->counters().moved_eexist.load());
}

}  // namespace
}  // namespace softxe::live
