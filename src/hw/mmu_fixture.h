// What tests of the MMU share: memory of every kind, a page table over it, and a sink with a script.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <functional>
#include <vector>

#include "hw/mmu_memory.h"

namespace softxe {

inline constexpr std::uint64_t kVramBytes = 4 * k2M;

/// Anonymous memory, 2M aligned.
class Pages {
 public:
  explicit Pages(std::uint64_t bytes) : bytes_(bytes + k2M) {
    map_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    SX_ASSERT(map_ != MAP_FAILED);
    base_ = reinterpret_cast<std::byte*>(align_up(reinterpret_cast<std::uint64_t>(map_), k2M));
  }
  ~Pages() { munmap(map_, bytes_); }
  std::byte* base() const { return base_; }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(base_); }

 private:
  std::uint64_t bytes_;
  void* map_;
  std::byte* base_;
};

class ScriptedSink final : public FaultSink {
 public:
  std::function<FaultReply(const PageFault&)> answer = [](const PageFault&) { return FaultReply::kFail; };
  std::vector<PageFault> seen;
  std::uint64_t livelock_rounds = 0;

  FaultReply page_fault(const PageFault& fault) override {
    if (seen.size() < 1000) seen.push_back(fault);
    return answer(fault);
  }
  void livelock(const PageFault&, std::uint64_t rounds) override { livelock_rounds = rounds; }
};

class MmuTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { guarded_install_handler(); }
  static constexpr std::uint64_t kVa = 0x4000'0000;

  MmuTest() { memory_.mmu().bind_vm({.asid = 5, .table = &table_, .vram = &vram_map_}); }

  PteRun run(PteKind kind, std::uint64_t offset, std::uint64_t bytes) {
    PteRun r;
    r.kind = kind;
    r.bytes = bytes;
    r.writable = true;
    r.atomic_enable = true;
    if (kind == PteKind::kVram) r.address = offset;
    if (kind == PteKind::kSystem) r.address = system_.address() + offset;
    if (kind == PteKind::kEngine) r.address = engine_.address() + offset;
    return r;
  }
  void map(std::uint64_t va, const PteRun& r, MaxEntry max = MaxEntry::k1GiB) {
    auto update = table_.prepare_map(GpuRange::of(GpuVa(va), r.bytes), std::span(&r, 1), max);
    ASSERT_TRUE(update.has_value());
    pay(table_.commit(std::move(*update)));
  }
  void pay(PagesAffected&& affected) {
    InvalidationBatch batch(domain_);
    batch.add(std::move(affected));
    batch.wait();
  }
  void zap(std::uint64_t va, std::uint64_t bytes) { pay(table_.zap(GpuRange::of(GpuVa(va), bytes))); }
  std::byte* bytes_of(PteKind kind) {
    return kind == PteKind::kVram     ? window_.base()
           : kind == PteKind::kSystem ? system_.base()
           : kind == PteKind::kEngine ? engine_.base()
                                      : nullptr;
  }

  Pages window_{kVramBytes};
  Pages system_{kVramBytes};
  Pages engine_{kVramBytes};
  VramMap vram_map_{window_.base(), kVramBytes};
  InvalidationDomain domain_;
  TablePool pool_{1024};
  PageTable table_{pool_, {}};
  ScriptedSink sink_;
  ManualClock clock_;
  Mmu::Config config_{domain_, sink_, clock_, EngineId{3, 1, 0, 0}};
  EngineMemory memory_{config_};
};

}  // namespace softxe
