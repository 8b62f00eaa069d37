// The command streamer over the real memory path: page tables, TLB, faults served in the middle.
#include "hw/cs_engine_memory.h"

#include <gtest/gtest.h>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <sys/mman.h>

#include "hw/cs_streamer.h"

namespace softxe {
namespace {

class Sink final : public FaultSink {
 public:
  std::function<FaultReply(const PageFault&)> answer;
  FaultReply page_fault(const PageFault& fault) override { return answer(fault); }
  void livelock(const PageFault&, std::uint64_t) override {}
};

/// One block of VRAM at kVa, batch in its first page, data in its second; mapped on demand.
class CsEngineMemory : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = k2M;
  static constexpr std::uint64_t kVa = 0x4000'0000;
  static constexpr std::uint32_t kDataVa = kVa + 0x1000;

  static void SetUpTestSuite() { guarded_install_handler(); }
  CsEngineMemory() {
    map_ = mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SX_ASSERT(map_ != MAP_FAILED);
    vram_ = reinterpret_cast<std::byte*>(
        align_up(reinterpret_cast<std::uint64_t>(map_), kBytes));
    vram_map_.emplace(vram_, kBytes);
    memory_.mmu().bind_vm({.asid = 1, .table = &table_, .vram = &*vram_map_});
    sink_.answer = [this](const PageFault& fault) { return serve(fault); };
  }
  ~CsEngineMemory() override { munmap(map_, 2 * kBytes); }

  FaultReply serve(const PageFault& fault) {
    ++faults_;
    if (fault.page < GpuVa(kVa) || fault.page >= GpuVa(kVa + kBytes)) return FaultReply::kFail;
    PteRun run;
    run.kind = PteKind::kVram;
    run.address = fault.page.value() - kVa;
    run.bytes = kPageSize;
    run.writable = true;
    run.atomic_enable = true;
    auto update =
        table_.prepare_map(GpuRange::of(fault.page, kPageSize), std::span(&run, 1), MaxEntry::k4KiB);
    SX_ASSERT(update.has_value());
    InvalidationBatch batch(domain_);
    batch.add(table_.commit(std::move(*update)));
    batch.wait();
    return FaultReply::kRetry;
  }
  RunEnd run(std::initializer_list<std::uint32_t> dwords) {
    std::memcpy(vram_, std::data(dwords), dwords.size() * sizeof(std::uint32_t));
    EngineGpuMemory memory(memory_);
    context_.start_batch(GpuVa(kVa));
    return run_slice(context_, memory, engine_, {.commands = 1000}, kill_).end;
  }
  std::uint32_t data(std::uint64_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, vram_ + kPageSize + offset, sizeof value);
    return value;
  }

  void* map_ = nullptr;
  std::byte* vram_ = nullptr;
  std::optional<VramMap> vram_map_;
  InvalidationDomain domain_;
  TablePool pool_{64};
  PageTable table_{pool_, {}};
  Sink sink_;
  int faults_ = 0;
  ManualClock clock_;
  EngineMemory memory_{Mmu::Config{domain_, sink_, clock_, EngineId{1, 0, 0, 0}}};
  EngineInfo engine_{.clock = &clock_};
  CsContext context_;
  std::atomic<bool> kill_{false};
};

TEST_F(CsEngineMemory, EveryKindOfAccessWorksAfterItsFault) {
  const RunEnd end = run({
      0x10000002, kDataVa, 0, 41,                                  // store dword
      0x17810501, kDataVa, 0,                                      // atomic inc, R0 = old
      0x12080002, 0x600, kDataVa + 4, 0,                           // store R0
      0x10200003, kDataVa + 8, 0, 5, 6,                            // store qword
      0x17842709, kDataVa + 8, 0, 1, 0, 1, 0, 0, 0, 0, 0,          // atomic add of a qword
      0x56C00005, 15, 0, 0, kDataVa + 16, 0, 0xAB000000,           // fill
      0x56800008, 15, 0, 0, 0, kDataVa + 16, 0, kDataVa + 32, 0, 0,  // copy
      0x17840E09, kDataVa, 0, 42, 50, 0, 0, 0, 0, 0, 0,            // compare-exchange
      0x05000000,
  });
  EXPECT_EQ(end, RunEnd::kBatchDone);
  EXPECT_EQ(faults_, 2);
  EXPECT_EQ(data(0), 50u);
  EXPECT_EQ(data(4), 41u);
  EXPECT_EQ(data(8), 6u);
  EXPECT_EQ(data(12), 7u);
  EXPECT_EQ(data(16), 0xABABABABu);
  EXPECT_EQ(data(44), 0xABABABABu);
  EXPECT_EQ(data(48), 0u);
}

TEST_F(CsEngineMemory, ARefusedFaultEndsTheJob) {
  EXPECT_EQ(run({0x10000002, 0x1000, 0, 1, 0x05000000}), RunEnd::kPageFault);
  EXPECT_EQ(run({0x17800501, 0x1000, 0, 0x05000000}), RunEnd::kPageFault);
  EXPECT_EQ(run({0x56800008, 15, 0, 0, 0, 0x1000, 0, kDataVa, 0, 0}), RunEnd::kPageFault);
}

}  // namespace
}  // namespace softxe
