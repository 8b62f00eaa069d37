// Rows of spec/svm.md 10.5 and spec/vm.md 10.2 that are about threads and real pages: R10, B19, B41.
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include "base/at_step.h"
#include "drv/live_device_fixture.h"

namespace softxe {
namespace {

using LiveRows = LiveSvm;

TEST_F(LiveRows, R10_ManyThreadsThatTouchOneVramPageCauseOneMigration) {
  constexpr unsigned kThreads = 16;
  for (std::uint32_t round = 1; round <= 10; ++round) {
    char* memory = map(k2M);
    ASSERT_TRUE(gpu().store(va(memory), round));
    const auto faults = count(Counter::svm_cpu_fault_count);
    std::atomic<unsigned> ready{0};
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        ready.fetch_add(1);
        while (ready.load() != kThreads) {
        }
        std::uint32_t seen = 0;
        memcpy(&seen, memory, sizeof seen);
        if (seen != round) wrong.fetch_add(1);
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(count(Counter::svm_cpu_fault_count), faults + 1) << "round " << round;
  }
}

// A page that is gone while its mapping stays: the fault of the next access is answered at once, with a record.
TEST_F(LiveRows, AFileThatShrinksUnderAValidRangeIsAFault) {
  for (const int sharing : {MAP_SHARED, MAP_PRIVATE}) {
    SCOPED_TRACE(sharing);
    const int fd = memfd_create("shrinks", MFD_CLOEXEC);
    ASSERT_EQ(syscall(SYS_ftruncate, fd, k2M), 0);
    auto* at = static_cast<char*>(mmap(nullptr, k2M, PROT_READ | PROT_WRITE, sharing, fd, 0));
    ASSERT_NE(at, MAP_FAILED);
    ASSERT_TRUE(gpu().store(va(at + 8192), 9u));
    ASSERT_EQ(syscall(SYS_ftruncate, fd, kPageSize), 0);
    const auto faults = count(Counter::gpu_fault_count);
    const auto records = vm().vm.fault_records().size();
    const Status store = gpu().store(va(at + 8192), 10u);
    ASSERT_FALSE(store.has_value());
    EXPECT_EQ(store.error().err, EFAULT);
    EXPECT_LT(count(Counter::gpu_fault_count), faults + 10);
    EXPECT_EQ(vm().vm.fault_records().size(), records + 1);
    ASSERT_EQ(syscall(SYS_ftruncate, fd, k2M), 0);
    EXPECT_TRUE(gpu().store(va(at + 8192), 11u)) << "the page is there again";
    EXPECT_EQ(at[8192], 11);
    munmap(at, k2M);
    ::close(fd);
  }
}

// What the mapping of a userptr says is asked by the access itself.
TEST_F(LiveRows, AUserptrThatRefusesIsAFaultUntilItsMemoryAllowsIt) {
  char* memory = map(k2M);
  constexpr std::uint64_t kAt = 0x2000'0000;
  const HostVa from(reinterpret_cast<std::uint64_t>(memory));
  const BindOp op{.range = {GpuVa(kAt), k2M}, .pat_index = 2, .what = BindMap{.backing = BindUserptr{from}}};
  const ResolvedBind bind{.op = op, .range = GpuRange::of(GpuVa(kAt), k2M), .bo = {}};
  ASSERT_TRUE(vm_bind(device(), vm(), std::span(&bind, 1), BindRun::kExecute));
  const auto protect = [&](int rights) { ASSERT_EQ(syscall(SYS_mprotect, memory, k2M, rights), 0); };
  const auto store = [&](std::uint32_t value) { return gpu().store(GpuVa(kAt), value); };
  std::uint32_t seen = 0;

  ASSERT_TRUE(store(5));
  const auto faults = count(Counter::gpu_fault_count);
  protect(PROT_READ);
  EXPECT_EQ(store(6).error().err, EFAULT);
  ASSERT_TRUE(gpu().load(GpuVa(kAt), seen));
  EXPECT_EQ(seen, 5u);
  protect(PROT_NONE);
  EXPECT_EQ(gpu().load(GpuVa(kAt), seen).error().err, EFAULT);
  protect(PROT_READ | PROT_WRITE);
  EXPECT_TRUE(store(7));
  EXPECT_LT(count(Counter::gpu_fault_count), faults + 10);
  EXPECT_EQ(vm().vm.fault_records().size(), 2u);
}

// An engine has translated an address and is held up before its access: until it is through, the pages stay. The
// munmap finds no entry to zap, because somebody else has just taken them away and waits for the engine.
TEST_F(LiveRows, R36_MunmapWaitsForTheEnginesThatAnotherZapWaitsFor) {
  const struct {
    const char* who;
    std::function<void(std::uint64_t at)> zaps;
  } rows[] = {
      {"advice",
       [&](std::uint64_t at) {
         ASSERT_TRUE(madvise(vm(), GpuRange::of(GpuVa(at), k2M), SetAtomic{AtomicAccess::kDevice}));
       }},
      {"advice for a part, which removes the range",
       [&](std::uint64_t at) {
         ASSERT_TRUE(madvise(vm(), GpuRange::of(GpuVa(at), k64K), SetAtomic{AtomicAccess::kDevice}));
       }},
      {"closing the VM", [&](std::uint64_t) { close(); }},
  };
  InvalidationDomain& domain = device().invalidations();
  EngineSlot& slot = domain.register_engine();
  for (const auto& row : rows) {
    SCOPED_TRACE(row.who);
    char* block = map(k2M);
    const std::uint64_t at = reinterpret_cast<std::uint64_t>(block);
    // In system memory: what is in VRAM goes home before its range is removed, which waits by itself.
    const PreferredLocation ram{
        .devmem_fd = kPreferDefaultSystem, .policy = MigrationPolicy::kAllPages, .pagemap = nullptr};
    ASSERT_TRUE(madvise(vm(), GpuRange::of(GpuVa(at), k2M), SetPreferred{ram}));
    ASSERT_TRUE(gpu().store(va(block), std::uint32_t{7}));
    gpu().mmu().leave();

    EngineSection engine(domain, slot);
    engine.enter();
    std::atomic<bool> flushing{false}, gone{false};
    AtStep zapped("hw.tlb.invalidate", 1, [&](int) { flushing = true; });
    std::thread zapper([&] { row.zaps(at); });
    while (!flushing) std::this_thread::yield();
    std::thread unmapper([&] {
      EXPECT_EQ(mm().hook_munmap(at, k2M), 0);
      gone = true;
    });
    for (int i = 0; i < 1000 && !gone; ++i) std::this_thread::yield();
    EXPECT_FALSE(gone);
    engine.leave();
    unmapper.join();
    zapper.join();
  }
  domain.unregister_engine(slot);
}

TEST_F(LiveRows, B19_AMunmapStormWhileTheVmCloses) {
  for (int round = 0; round < 5; ++round) {
    auto vm = *device().create_vm({.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
    ResolvedBind bind{
        .op = {.range = {GpuVa(0), vm->vm.size_bytes()}, .pat_index = 2, .what = BindMap{.backing = BindMirror{}}},
        .range = GpuRange::of(GpuVa(0), vm->vm.size_bytes()),
        .bo = {}};
    ASSERT_TRUE(vm_bind(device(), *vm, std::span(&bind, 1), BindRun::kExecute));
    EngineMemory gpu(Mmu::Config{.domain = device().invalidations(),
                                 .faults = device().faults(),
                                 .clock = mm().clock(),
                                 .engine = {.engine_class = 1}});
    gpu.mmu().bind_vm({.asid = vm->vm.config().asid, .table = &vm->vm.table(0), .vram = &device().vram_map(0)});
    std::vector<char*> blocks;
    for (int i = 0; i < 12; ++i) {
      blocks.push_back(map(k2M));
      ASSERT_TRUE(gpu.store(va(blocks.back()), std::uint32_t{7}));
    }
    gpu.mmu().unbind_vm();
    std::atomic<bool> go{false};
    std::thread storm([&] {
      while (!go.load()) {
      }
      // Through the hook, as the patched libc would: the notifier hears of each before it happens.
      for (char* block : blocks) mm().hook_munmap(reinterpret_cast<std::uint64_t>(block), k2M);
    });
    go.store(true);
    device().close_vm(vm);
    storm.join();
    EXPECT_TRUE(vm->vm.closed());
    EXPECT_EQ(vm->vm.table(0).present_pages(), 0u);
  }
}

TEST_F(LiveRows, B41_BothSidesOfACutUserptrReachTheMemoryThatReplacedIt) {
  auto vm = *device().create_vm({.scratch = false, .long_running = false, .fault_mode = false, .no_overcommit = false});
  char* memory = map(k2M);
  memset(memory, 1, k2M);
  const GpuRange at = GpuRange::of(GpuVa(k2M), k2M);
  auto run = [&](const BindOp& op, GpuRange range) {
    ResolvedBind bind{.op = op, .range = range, .bo = {}};
    return vm_bind(device(), *vm, std::span(&bind, 1), BindRun::kExecute);
  };
  ASSERT_TRUE(run({.range = {at.start(), at.size()},
                   .pat_index = 2,
                   .what = BindMap{.backing = BindUserptr{HostVa(reinterpret_cast<std::uint64_t>(memory))}}},
                  at));
  const GpuRange middle = GpuRange::of(at.start() + k64K, k64K);
  ASSERT_TRUE(run({.range = {middle.start(), middle.size()}, .pat_index = 2, .what = BindUnmap{}}, middle));
  ASSERT_EQ(mmap(memory, k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memory);
  memset(memory, 2, k2M);
  memset(memory + k2M - kPageSize, 3, kPageSize);
  EngineMemory gpu(Mmu::Config{.domain = device().invalidations(),
                               .faults = device().faults(),
                               .clock = mm().clock(),
                               .engine = {.engine_class = 1}});
  gpu.mmu().bind_vm({.asid = vm->vm.config().asid, .table = &vm->vm.table(0), .vram = &device().vram_map(0)});
  std::uint32_t seen = 0;
  ASSERT_TRUE(gpu.load(at.start(), seen));
  EXPECT_EQ(seen, 0x02020202u);
  ASSERT_TRUE(gpu.load(at.end() - 4, seen));
  EXPECT_EQ(seen, 0x03030303u);
  EXPECT_FALSE(gpu.load(middle.start(), seen)) << "unbound";
  gpu.mmu().unbind_vm();
  device().close_vm(vm);
}

/// A client that serves its own missing pages: every page arrives full of 0x55.
class OwnPager {
 public:
  OwnPager(char* memory, std::size_t bytes) {
    fd_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register area{};
    area.range = {reinterpret_cast<std::uint64_t>(memory), bytes};
    area.mode = UFFDIO_REGISTER_MODE_MISSING;
    ok_ = fd_ >= 0 && ioctl(fd_, UFFDIO_API, &api) == 0 && ioctl(fd_, UFFDIO_REGISTER, &area) == 0;
    if (ok_) thread_ = std::thread([this] { serve(); });
  }
  ~OwnPager() {
    stop_.store(true);
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  bool ok() const { return ok_; }
  unsigned served() const { return served_.load(); }

 private:
  void serve() {
    std::vector<char> page(kPageSize, 0x55);
    while (!stop_.load()) {
      pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      uffd_msg message{};
      if (read(fd_, &message, sizeof message) != sizeof message) continue;
      uffdio_copy copy{};
      copy.dst = align_down(message.arg.pagefault.address, kPageSize);
      copy.src = reinterpret_cast<std::uint64_t>(page.data());
      copy.len = kPageSize;
      if (ioctl(fd_, UFFDIO_COPY, &copy) == 0) served_.fetch_add(1);
    }
  }
  int fd_ = -1;
  bool ok_ = false;
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> served_{0};
  std::thread thread_;
};

TEST_F(LiveRows, R34_MemoryThatTheClientPagesItselfIsUsedInPlace) {
  char* memory = map(k2M);
  OwnPager pager(memory, k2M);
  ASSERT_TRUE(pager.ok());
  std::uint32_t seen = 0;
  ASSERT_TRUE(gpu().load(va(memory + k64K), seen));
  EXPECT_EQ(seen, 0x55555555u) << "what the client's pager put there, not zero";
  EXPECT_GT(pager.served(), 0u);
  EXPECT_TRUE(present(memory + k64K)) << "it cannot migrate: the descriptor is the client's";
  ASSERT_TRUE(gpu().store(va(memory), 7u));
  memcpy(&seen, memory, sizeof seen);
  EXPECT_EQ(seen, 7u);
}

/// Jobs whose end is a test's to say.
class JobsThatEndLate final : public JobControl {
 public:
  using Drain = std::function<void(const std::function<void()>& meanwhile)>;
  explicit JobsThatEndLate(Drain drain) : drain_(std::move(drain)) {}
  void drain(const std::function<void()>& meanwhile) override { drain_(meanwhile); }
  std::shared_ptr<void> stop() override { return nullptr; }
  void rebind_later(std::shared_ptr<void>) override {}

 private:
  const Drain drain_;
};

// The munmap of a userptr holds the mm lock and waits for the jobs of its VM. One of them touches memory that another
// VM has moved to VRAM: the reader cannot bring it home without the lock, so the munmap does.
TEST_F(LiveRows, AMunmapThatWaitsForJobsServesTheTouchesTheyWaitFor) {
  auto other = *device().create_vm({});
  char* unmapped = map(k2M);
  char* moved = map(k2M);
  memset(unmapped, 1, k2M);
  ASSERT_TRUE(gpu().store(va(moved), std::uint32_t{7}));
  gpu().mmu().leave();
  ASSERT_FALSE(present(moved));
  std::atomic<bool> draining{false}, done{false}, given_up{false};
  other->jobs = std::make_unique<JobsThatEndLate>([&](const std::function<void()>& meanwhile) {
    draining = true;
    const std::uint64_t end = mm().clock().now_ns() + 10'000'000'000;
    while (!done && !given_up) {
      meanwhile();
      given_up = mm().clock().now_ns() > end;
    }
  });
  auto userptr = watch_userptr(device(), *other, HostVa(reinterpret_cast<std::uint64_t>(unmapped)), k2M);
  ASSERT_TRUE(userptr);
  std::thread job([&] {
    while (!draining) std::this_thread::yield();
    std::uint32_t seen = 0;
    EXPECT_TRUE(guarded_load32(moved, seen));
    EXPECT_EQ(seen, 7u);
    done = true;
  });
  EXPECT_EQ(mm().hook_munmap(reinterpret_cast<std::uint64_t>(unmapped), k2M), 0);
  EXPECT_FALSE(given_up);
  job.join();
  userptr->reset();
  device().close_vm(other);
}

}  // namespace
}  // namespace softxe
