// SVM end to end on the real process: what the simulated tests show, shown on live memory.
#include "drv/live_device_fixture.h"

#include <atomic>
#include <cstring>
#include <thread>

namespace softxe {
namespace {

TEST_F(LiveSvm, APageInVramIsAbsentFromTheProcessAndComesBackWithItsBytes) {
  char* memory = map(k2M);
  for (std::size_t i = 0; i < k2M; i += 64) memory[i] = static_cast<char>(i >> 6);
  ASSERT_TRUE(gpu().store(va(memory + 128), std::uint32_t{0xabcd1234}));
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
  EXPECT_EQ(device().vram(0).usage().used_bytes, 0u);
}

TEST_F(LiveSvm, PingPongKeepsEveryIncrement) {
  char* memory = map(k2M);
  auto* word = reinterpret_cast<std::uint32_t*>(memory);
  for (std::uint32_t i = 0; i < 50; ++i) {
    ++*word;
    std::uint32_t value = 0;
    ASSERT_TRUE(gpu().load(va(word), value));
    ASSERT_EQ(value, 2 * i + 1);
    ASSERT_TRUE(gpu().store(va(word), value + 1));
  }
  EXPECT_EQ(*word, 100u);
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_count), 50u);
}

TEST_F(LiveSvm, MunmapIsSeenCollectedAndResetBeforeTheNextMappingIsUsed) {
  // Far below what the kernel hands out: nobody else may take the hole that the munmap leaves.
  char* memory = static_cast<char*>(mmap(reinterpret_cast<void*>(0x100'0000'0000), 2 * k2M, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  const auto at = reinterpret_cast<std::uint64_t>(memory);
  auto advised = madvise(vm(), GpuRange::of(GpuVa(at), k2M), SetAtomic{AtomicAccess::kDevice});
  ASSERT_TRUE(advised);
  ASSERT_TRUE(gpu().store(va(memory), std::uint32_t{1}));
  EXPECT_EQ(vm().vm.vma_count(), 3u);
  ASSERT_EQ(mm().hook_munmap(at, k2M), 0);
  EXPECT_EQ(device().vram(0).usage().used_bytes, 0u);
  device().flush_collector(vm());
  EXPECT_EQ(vm().vm.vma_count(), 1u) << "reset and merged";
  void* again = mmap(memory, k2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(again, memory);
  std::uint32_t value = 1;
  ASSERT_TRUE(gpu().load(va(memory), value));
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
    ASSERT_TRUE(gpu().atomic32(
        va(memory), {.apply = [](std::uint32_t found, std::uint32_t operand, std::uint32_t) { return found + operand; },
                     .operand = 1}));
  }
  cpu.join();
  EXPECT_EQ(word->load(), 2 * kRounds);
}

TEST_F(LiveSvm, AnUnmappedAddressIsARecordedFault) {
  char* memory = map(k2M);
  ASSERT_EQ(mm().hook_munmap(reinterpret_cast<std::uint64_t>(memory), k2M), 0);
  EXPECT_FALSE(gpu().store(va(memory), std::uint32_t{1}));
  EXPECT_EQ(vm().vm.fault_records().size(), 1u);
}

TEST_F(LiveSvm, E8_AClientsMappingOfABufferObjectIsNoSharedMemory) {
  GemCreateRequest request;
  request.size_bytes = k2M;
  request.placement = 1;
  auto bo = GemBo::create(device().bo_memory(), request, nullptr);
  ASSERT_TRUE(bo);
  void* at = mmap(nullptr, k2M, PROT_READ | PROT_WRITE, MAP_SHARED, (*bo)->memfd(), 0);
  ASSERT_NE(at, MAP_FAILED);
  EXPECT_FALSE(gpu().store(va(at), std::uint32_t{1}));
  munmap(at, k2M);
}

TEST_F(LiveSvm, SharedMemoryIsUsedInPlace) {
  char* memory = static_cast<char*>(mmap(nullptr, k2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  memory[0] = 3;
  ASSERT_TRUE(gpu().store(va(memory + 8), std::uint32_t{4}));
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_count), 0u);
  EXPECT_EQ(count(Counter::svm_migrate_to_vram_failed_count), 0u) << "nobody tries";
  EXPECT_EQ(memory[8], 4);
  munmap(memory, k2M);
}

}  // namespace
}  // namespace softxe
