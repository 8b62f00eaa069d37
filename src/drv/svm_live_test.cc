// SVM end to end on the real process: what the simulated tests show, shown on live memory.
//
// Needs userfaultfd with MOVE (the full rung). On a lower rung the tests are skipped by name, and a skip
// never counts as a pass.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/guarded.h"
#include "drv/device.h"
#include "drv/vm_ops.h"
#include "host/live/live_host_mm.h"
#include "hw/mmu_memory.h"
#include "svm/madvise.h"

namespace softxe {
namespace {

/// Does the process have a page at this address right now?
bool present(const void* at) {
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::uint64_t entry = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) / kPageSize;
  const ssize_t got = pread(fd, &entry, sizeof entry, static_cast<off_t>(page * sizeof entry));
  close(fd);
  return got == sizeof entry && (entry >> 63) != 0;
}

class LiveSvm : public ::testing::Test {
 protected:
  void SetUp() override {
    guarded_install_handler();
    auto made = live::LiveHostMm::create({});
    ASSERT_TRUE(made) << made.error().why;
    mm_ = std::move(*made);
    if (mm_->rung() != live::Rung::kFull) GTEST_SKIP() << "no userfaultfd MOVE on this machine";
    DeviceOptions options;
    options.config = default_config(kProfileBmg, 0);
    options.config.vram_bytes = options.config.visible_bytes = 64ull << 20;
    options.reset = ResetMode::kAlways;
    auto device = Device::create(*mm_, migrate_lock_, options);
    ASSERT_TRUE(device);
    device_ = std::move(*device);
    auto vm = device_->create_vm(
        {.scratch = false, .long_running = true, .fault_mode = true, .no_overcommit = false});
    ASSERT_TRUE(vm);
    vm_ = *vm;
    ResolvedBind bind{.op = {.range = {GpuVa(0), vm_->vm.size_bytes()},
                             .pat_index = 2,
                             .what = BindMap{.backing = BindMirror{}}},
                      .range = GpuRange::of(GpuVa(0), vm_->vm.size_bytes()),
                      .bo = {}};
    ASSERT_TRUE(vm_bind(*device_, *vm_, std::span(&bind, 1), BindRun::kExecute));
    gpu_ = std::make_unique<EngineMemory>(Mmu::Config{.domain = device_->invalidations(),
                                                      .faults = device_->faults(),
                                                      .clock = mm_->clock(),
                                                      .engine = {.engine_class = 1}});
    gpu_->mmu().bind_vm({.asid = vm_->vm.config().asid,
                         .table = &vm_->vm.table(0),
                         .vram = &device_->vram_map(0)});
  }
  void TearDown() override {
    gpu_.reset();
    if (vm_) device_->close_vm(vm_);
    vm_.reset();
    mm_.reset();
    device_.reset();
  }

  /// A 2M-aligned anonymous mapping.
  char* map(std::size_t bytes) {
    char* at = static_cast<char*>(mmap(nullptr, bytes + k2M, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return reinterpret_cast<char*>(align_up(reinterpret_cast<std::uint64_t>(at), k2M));
  }
  static GpuVa va(const void* at) { return GpuVa(reinterpret_cast<std::uint64_t>(at)); }
  std::uint64_t count(Counter c) const { return device_->counters().get(c); }

  MigrateLock migrate_lock_{"migrate"};
  live::LiveHostMm::Owner mm_;
  std::unique_ptr<Device> device_;
  std::shared_ptr<VmContext> vm_;
  std::unique_ptr<EngineMemory> gpu_;
};

TEST_F(LiveSvm, APageInVramIsAbsentFromTheProcessAndComesBackWithItsBytes) {
  char* memory = map(k2M);
  for (std::size_t i = 0; i < k2M; i += 64) memory[i] = static_cast<char>(i >> 6);
  ASSERT_TRUE(gpu_->store(va(memory + 128), std::uint32_t{0xabcd1234}));
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_count), 1u);
  for (std::size_t i = 0; i < k2M; i += kPageSize) {
    ASSERT_FALSE(present(memory + i)) << "page " << i / kPageSize << " is still in the process";
  }
  std::uint32_t seen = 0;
  memcpy(&seen, memory + 128, sizeof seen);
  EXPECT_EQ(seen, 0xabcd1234u);
  EXPECT_TRUE(present(memory + 128));
  EXPECT_EQ(count(Counter::svm_cpu_fault_count), 1u);
  for (std::size_t i = 0; i < k2M; i += 64) {
    if (i == 128) continue;
    ASSERT_EQ(memory[i], static_cast<char>(i >> 6));
  }
  EXPECT_EQ(device_->vram(0).usage().used_bytes, 0u);
}

TEST_F(LiveSvm, PingPongKeepsEveryIncrement) {
  char* memory = map(k2M);
  auto* word = reinterpret_cast<std::uint32_t*>(memory);
  for (std::uint32_t i = 0; i < 50; ++i) {
    ++*word;
    std::uint32_t value = 0;
    ASSERT_TRUE(gpu_->load(va(word), value));
    ASSERT_EQ(value, 2 * i + 1);
    ASSERT_TRUE(gpu_->store(va(word), value + 1));
  }
  EXPECT_EQ(*word, 100u);
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_count), 50u);
}

TEST_F(LiveSvm, MunmapIsSeenCollectedAndResetBeforeTheNextMappingIsUsed) {
  char* memory = map(2 * k2M);
  const auto at = reinterpret_cast<std::uint64_t>(memory);
  auto advised = madvise(*vm_, GpuRange::of(GpuVa(at), k2M), SetAtomic{AtomicAccess::kDevice});
  ASSERT_TRUE(advised);
  ASSERT_TRUE(gpu_->store(va(memory), std::uint32_t{1}));
  EXPECT_EQ(vm_->vm.vma_count(), 3u);
  ASSERT_EQ(mm_->hook_munmap(at, k2M), 0);
  EXPECT_EQ(device_->vram(0).usage().used_bytes, 0u);
  device_->flush_collector(*vm_);
  EXPECT_EQ(vm_->vm.vma_count(), 1u) << "reset and merged";
  void* again = mmap(memory, k2M, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(again, memory);
  std::uint32_t value = 1;
  ASSERT_TRUE(gpu_->load(va(memory), value));
  EXPECT_EQ(value, 0u) << "never old data";
}

TEST_F(LiveSvm, GpuAtomicAndCpuAtomicLoseNothing) {
  char* memory = map(k2M);
  auto* word = reinterpret_cast<std::atomic<std::uint32_t>*>(memory);
  constexpr std::uint32_t kRounds = 300;
  std::thread cpu([&] {
    for (std::uint32_t i = 0; i < kRounds; ++i) word->fetch_add(1);
  });
  for (std::uint32_t i = 0; i < kRounds; ++i) {
    ASSERT_TRUE(gpu_->atomic32(va(memory), {.apply = [](std::uint32_t found, std::uint32_t operand,
                                                        std::uint32_t) { return found + operand; },
                                            .operand = 1}));
  }
  cpu.join();
  EXPECT_EQ(word->load(), 2 * kRounds);
}

TEST_F(LiveSvm, AnUnmappedAddressIsARecordedFault) {
  char* memory = map(k2M);
  ASSERT_EQ(mm_->hook_munmap(reinterpret_cast<std::uint64_t>(memory), k2M), 0);
  EXPECT_FALSE(gpu_->store(va(memory), std::uint32_t{1}));
  EXPECT_EQ(vm_->vm.fault_records().size(), 1u);
}

TEST_F(LiveSvm, E8_AClientsMappingOfABufferObjectIsNoSharedMemory) {
  GemCreateRequest request;
  request.size_bytes = k2M;
  request.placement = 1;
  auto bo = GemBo::create(device_->bo_memory(), request, nullptr);
  ASSERT_TRUE(bo);
  void* at = mmap(nullptr, k2M, PROT_READ | PROT_WRITE, MAP_SHARED, (*bo)->memfd(), 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_FALSE(gpu_->store(va(at), std::uint32_t{1}));
  munmap(at, k2M);
}

TEST_F(LiveSvm, SharedMemoryIsUsedInPlace) {
  char* memory = static_cast<char*>(
      mmap(nullptr, k2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  memory[0] = 3;
  ASSERT_TRUE(gpu_->store(va(memory + 8), std::uint32_t{4}));
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_count), 0u);
  EXPECT_EQ(memory[8], 4);
  munmap(memory, k2M);
}

}  // namespace
}  // namespace softxe
