// Many small accesses as one: against bytes one by one, over every kind of page, with faults at every page.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "base/at_step.h"
#include "hw/eu/eu_engine_memory.h"
#include "hw/mmu_fixture.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

class MmuItems : public MmuTest {
 protected:
  /// 32 words from `start`, `step` bytes apart.
  std::vector<GpuVa> lanes(std::uint64_t start, std::uint64_t step, unsigned count = 32) {
    std::vector<GpuVa> va;
    for (unsigned k = 0; k < count; ++k) va.emplace_back(start + k * step);
    return va;
  }
  Status load(const std::vector<GpuVa>& va, std::uint32_t* to) {
    return memory_.load_items({.va = va, .item_bytes = 4, .element_bytes = 4}, reinterpret_cast<std::byte*>(to));
  }
  Status store(const std::vector<GpuVa>& va, const std::uint32_t* from) {
    return memory_.store_items({.va = va, .item_bytes = 4, .element_bytes = 4},
                               reinterpret_cast<const std::byte*>(from));
  }
  template <typename T>
  T& host(PteKind kind, std::uint64_t offset) {
    return *reinterpret_cast<T*>(bytes_of(kind) + offset);
  }
  std::array<std::uint32_t, 64> words_{};
};

TEST_F(MmuItems, LanesOfOnePageTakeOneWalkAndThenNone) {
  for (const PteKind kind : {PteKind::kVram, PteKind::kEngine, PteKind::kSystem}) {
    SCOPED_TRACE(static_cast<int>(kind));
    map(kVa, run(kind, 0, k2M));
    for (unsigned i = 0; i < 1024; ++i) host<std::uint32_t>(kind, 4 * i) = 5 * i;
    ASSERT_TRUE(load(lanes(kVa, 4), words_.data()));
    const std::uint64_t walks = memory_.mmu().walks();
    for (const std::uint64_t step : {4u, 0u, 124u}) {  // packed, one address, all over the page
      ASSERT_TRUE(load(lanes(kVa, step), words_.data()));
      for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(words_[k], 5 * k * (step / 4));
      ASSERT_TRUE(store(lanes(kVa, step), words_.data()));
    }
    EXPECT_EQ(memory_.mmu().walks(), walks);
    EXPECT_FALSE(memory_.mmu().inside());
  }
  EXPECT_TRUE(sink_.seen.empty());
}

TEST_F(MmuItems, AZappedPageIsAskedForAgain) {
  map(kVa, run(PteKind::kVram, 0, k2M));
  ASSERT_TRUE(load(lanes(kVa, 4), words_.data()));
  zap(kVa, kPageSize);
  EXPECT_EQ(load(lanes(kVa, 4), words_.data()).error().err, EFAULT);
  ASSERT_EQ(sink_.seen.size(), 1u);
  EXPECT_EQ(sink_.seen[0].page, GpuVa(kVa));
  // Another place under the same address: the old translation must not be used.
  host<std::uint32_t>(PteKind::kVram, kPageSize) = 77;
  map(kVa, run(PteKind::kVram, kPageSize, kPageSize));
  ASSERT_TRUE(load(lanes(kVa, 0), words_.data()));
  EXPECT_EQ(words_[31], 77u);
}

TEST_F(MmuItems, RandomItemsAreTheBytesOneByOne) {
  // Twelve pages of kinds that change from one to the next, neighbours in memory or not.
  static constexpr struct {
    PteKind kind;
    std::uint64_t offset;
  } kPages[] = {{PteKind::kVram, 0x5000},   {PteKind::kVram, 0x6000},   {PteKind::kVram, 0x1000},
                {PteKind::kSystem, 0x3000}, {PteKind::kSystem, 0x4000}, {PteKind::kEngine, 0x0000},
                {PteKind::kNull, 0},        {PteKind::kVram, 0x9000},   {PteKind::kSystem, 0xA000},
                {PteKind::kNull, 0},        {PteKind::kNull, 0},        {PteKind::kSystem, 0x2000}};
  for (unsigned p = 0; p < std::size(kPages); ++p) {
    map(kVa + p * kPageSize, run(kPages[p].kind, kPages[p].offset, kPageSize), MaxEntry::k4KiB);
  }
  const auto byte = [&](GpuVa va) -> std::byte* {
    const auto& page = kPages[(va.value() - kVa) >> kPageShift];
    if (page.kind == PteKind::kNull) return nullptr;
    return bytes_of(page.kind) + page.offset + (va.value() & (kPageSize - 1));
  };
  Prng random(3);
  for (unsigned step = 0; step < 10'000; ++step) {
    const auto element = static_cast<std::uint32_t>(1u << random.below(4));
    const std::uint32_t item = element * static_cast<std::uint32_t>(1 + random.below(64 / element));
    const std::uint64_t count = 1 + random.below(32);
    const std::uint64_t window = random.chance(1, 2) ? 200 : std::size(kPages) * kPageSize - 64;
    const std::uint64_t start = kVa + random.below(std::size(kPages) * kPageSize - 64 - window + 1);
    std::vector<GpuVa> va;
    const bool wide = random.chance(1, 4);  // two dwords in one mov
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t alignment = wide ? 8 : random.chance(1, 2) ? element : 1;
      va.emplace_back(std::max(kVa, align_down(start + random.below(window), alignment)));
    }
    std::array<std::byte, 2048> data{};
    std::array<std::byte, 2048> expected{};
    const MemoryItems items{.va = va, .item_bytes = item, .element_bytes = element};
    if (random.chance(1, 2)) {
      for (std::size_t i = 0; i < count * item; ++i) data[i] = static_cast<std::byte>(random.next());
      // Over one another, items of different kinds are not ordered; these tests store one value per byte.
      std::map<std::uint64_t, std::byte> model;
      for (std::size_t n = 0; n < count; ++n) {
        for (std::uint32_t b = 0; b < item; ++b) {
          auto [at, fresh] = model.emplace(va[n].value() + b, data[n * item + b]);
          data[n * item + b] = at->second;
        }
      }
      ASSERT_TRUE(memory_.store_items(items, data.data()));
      for (const auto& [at, value] : model) {
        const std::byte* b = byte(GpuVa(at));
        ASSERT_TRUE(b == nullptr || *b == value) << "step " << step;
      }
    } else {
      for (std::size_t n = 0; n < count; ++n) {
        for (std::uint32_t b = 0; b < item; ++b) {
          if (const std::byte* there = byte(va[n] + b)) expected[n * item + b] = *there;
        }
      }
      ASSERT_TRUE(memory_.load_items(items, data.data()));
      ASSERT_EQ(data, expected) << "step " << step;
    }
  }
  EXPECT_TRUE(sink_.seen.empty());
}

TEST_F(MmuItems, EveryMissingPageIsServedOnceAndOutsideSections) {
  sink_.answer = [&](const PageFault& f) {
    EXPECT_FALSE(memory_.mmu().inside());
    map(f.page.value(),
        run(f.page.value() / kPageSize % 2 == 0 ? PteKind::kVram : PteKind::kSystem, f.page.value() - kVa, kPageSize));
    return FaultReply::kRetry;
  };
  for (unsigned k = 0; k < 32; ++k) words_[k] = 100 + k;
  const std::vector<GpuVa> scattered = lanes(kVa + kPageSize - 2, kPageSize);  // each over an edge
  ASSERT_TRUE(store(scattered, words_.data()));
  EXPECT_EQ(sink_.seen.size(), 33u);
  std::array<std::uint32_t, 64> back{};
  ASSERT_TRUE(load(scattered, back.data()));
  for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(back[k], 100 + k);
  EXPECT_EQ(sink_.seen.size(), 33u);
}

TEST_F(MmuItems, AStoreThatMeetsAReadOnlyPageStoresNothingAtAll) {
  map(kVa, run(PteKind::kVram, 0, 8 * kPageSize));
  PteRun read_only = run(PteKind::kVram, 3 * kPageSize, kPageSize);
  read_only.writable = false;
  map(kVa + 3 * kPageSize, read_only);
  words_.fill(1);
  EXPECT_EQ(store(lanes(kVa, kPageSize, 8), words_.data()).error().err, EFAULT);
  ASSERT_EQ(sink_.seen.size(), 1u);
  EXPECT_EQ(sink_.seen[0].type, FaultType::kWriteViolation);
  EXPECT_EQ(sink_.seen[0].access, AccessType::kWrite);
  for (unsigned p = 0; p < 8; ++p) EXPECT_EQ(host<std::uint32_t>(PteKind::kVram, p * kPageSize), 0u) << p;
  EXPECT_TRUE(load(lanes(kVa, kPageSize, 8), words_.data())) << "it can be read";
}

TEST_F(MmuItems, WhatWasStoredBeforeAPageVanishedIsNotStoredAgain) {
  struct Row {
    const char* what;
    std::uint64_t start;
    std::uint64_t step;
    unsigned first_left;  ///< the lane that meets the hole
    bool known;           ///< to the TLB
  };
  // Page 1 is the hole; its entry still allows everything.
  const Row rows[] = {{"two pages, one distance", kVa + kPageSize - 64, 4, 16, true},
                      {"two pages, not known", kVa + kPageSize - 64, 4, 16, false},
                      {"many pages", kVa, kPageSize / 4, 4, true},
                      {"many pages, not known", kVa, kPageSize / 4, 4, false},
                      {"over the edge", kVa + kPageSize - 6, 4, 1, true},
                      {"over the edge, not known", kVa + kPageSize - 6, 4, 1, false}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    map(kVa, run(PteKind::kSystem, 0, 16 * kPageSize));
    zap(kVa, 16 * kPageSize);
    map(kVa, run(PteKind::kSystem, 0, 16 * kPageSize));
    if (row.known) {
      ASSERT_TRUE(load(lanes(row.start, row.step), words_.data()));
    }
    for (unsigned k = 0; k < 32; ++k) words_[k] = 100 + k;
    std::byte* hole = system_.base() + kPageSize;
    ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
    // The CPU has seen the lanes before the hole and puts something else there.
    const auto cpu_stores = [&] {
      for (unsigned k = 0; k < row.first_left; ++k) {
        const std::uint32_t mine = 9;
        std::memcpy(system_.base() + (row.start - kVa) + k * row.step, &mine, sizeof mine);
      }
    };
    sink_.seen.clear();
    sink_.answer = [&](const PageFault& f) {
      EXPECT_EQ(f.page, GpuVa(kVa + kPageSize));
      EXPECT_EQ(f.access, AccessType::kWrite);
      EXPECT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
      if (!row.known) cpu_stores();
      return FaultReply::kRetry;
    };
    // Where the TLB knew the pages: at once, before anything is tried again.
    AtStep at_once("hw.items.refused", 1, [&](int) { cpu_stores(); });
    ASSERT_TRUE(store(lanes(row.start, row.step), words_.data()));
    EXPECT_EQ(sink_.seen.size(), 1u);
    EXPECT_EQ(at_once.left(), row.known ? 0 : 1);
    for (unsigned k = 0; k < 32; ++k) {
      std::uint32_t found = 0;
      std::memcpy(&found, system_.base() + (row.start - kVa) + k * row.step, sizeof found);
      EXPECT_EQ(found, k < row.first_left ? 9 : 100 + k) << k;
    }
  }
}

TEST_F(MmuItems, ALoadWaitsForAPageThatVanishedAlsoBesideVram) {
  map(kVa, run(PteKind::kSystem, 0, 16 * kPageSize));
  for (unsigned p = 0; p < 16; ++p) host<std::uint32_t>(PteKind::kSystem, p * kPageSize) = p;
  host<std::uint32_t>(PteKind::kVram, 0) = 88;
  for (const unsigned in_vram : {0u, 8u}) {
    map(kVa + in_vram * kPageSize, run(PteKind::kVram, 0, kPageSize));
    ASSERT_TRUE(load(lanes(kVa, kPageSize, 16), words_.data()));  // the TLB knows them all
    for (const unsigned bad : {1u, 5u, 15u}) {
      std::byte* hole = system_.base() + bad * kPageSize;
      ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
      sink_.seen.clear();
      sink_.answer = [&](const PageFault& f) {
        EXPECT_EQ(f.page, GpuVa(kVa + bad * kPageSize));
        EXPECT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
        return FaultReply::kRetry;
      };
      ASSERT_TRUE(load(lanes(kVa, kPageSize, 16), words_.data()));
      EXPECT_EQ(sink_.seen.size(), 1u);
      for (unsigned p = 0; p < 16; ++p) EXPECT_EQ(words_[p], p == in_vram ? 88 : p);
    }
    map(kVa + in_vram * kPageSize, run(PteKind::kSystem, in_vram * kPageSize, kPageSize));
  }
}

TEST_F(MmuItems, ABurstKeepsItsSectionForVramAndLeavesItForTheProcess) {
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  map(kVa + k2M, run(PteKind::kSystem, 0, kPageSize));
  {
    const Mmu::Burst burst(memory_.mmu());
    for (int twice = 0; twice < 2; ++twice) {
      ASSERT_TRUE(load(lanes(kVa, 4), words_.data()));
      EXPECT_TRUE(memory_.mmu().inside());
      ASSERT_TRUE(load(lanes(kVa + k2M, 4), words_.data()));
      EXPECT_FALSE(memory_.mmu().inside());
    }
  }
  EXPECT_FALSE(memory_.mmu().inside());
}

// --- rights and atomics ---------------------------------------------------------------------------

std::uint32_t add(std::uint32_t found, std::uint32_t operand, std::uint32_t) { return found + operand; }

class MmuAtomicItems : public MmuItems {
 protected:
  Status add_items(const std::vector<GpuVa>& va, std::uint32_t* found, std::size_t& done) {
    return memory_.atomic_items(
        {.va = va, .apply = add, .operand = operands_.data(), .compare = operands_.data(), .found = found}, done);
  }
  MmuAtomicItems() {
    for (unsigned k = 0; k < operands_.size(); ++k) operands_[k] = k + 1;
  }
  std::array<std::uint32_t, 32> operands_{};
};

TEST_F(MmuAtomicItems, ATranslationThatIsKnownGivesNoMoreRightsThanItHas) {
  static constexpr struct {
    const char* what;
    bool writable;
    bool atomic_enable;
    bool stores;
    bool atomics;
    FaultType type;
  } kRows[] = {{"all", true, true, true, true, FaultType::kNotPresent},
               {"read-only", false, true, false, false, FaultType::kWriteViolation},
               {"no atomics", true, false, true, false, FaultType::kAtomicViolation}};
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.what);
    PteRun r = run(PteKind::kVram, 0, kPageSize);
    r.writable = row.writable;
    r.atomic_enable = row.atomic_enable;
    map(kVa, r);
    sink_.seen.clear();
    std::size_t done = 0;
    for (int twice = 0; twice < 2; ++twice) {
      ASSERT_TRUE(load(lanes(kVa, 4), words_.data()));
      EXPECT_EQ(store(lanes(kVa, 4), words_.data()).has_value(), row.stores);
      EXPECT_EQ(add_items(lanes(kVa, 4), words_.data(), done).has_value(), row.atomics);
      EXPECT_EQ(done, row.atomics ? 32u : 0u);
    }
    {
      // Kernels' quick ways, by page and by lane.
      EngineEuMemory kernels(memory_);
      EXPECT_EQ(kernels.reach(GpuVa(kVa), 4, AccessType::kRead), nullptr) << "outside of a burst";
      const Mmu::Burst hold(memory_.mmu());
      EXPECT_NE(kernels.reach(GpuVa(kVa), 4, AccessType::kRead), nullptr);
      EXPECT_EQ(kernels.reach(GpuVa(kVa), 4, AccessType::kWrite) != nullptr, row.stores);
      std::uint64_t at = kVa;
      EXPECT_EQ(kernels.reach_each(1, &at, 4, AccessType::kWrite), row.stores);
      EXPECT_EQ(kernels.reach(GpuVa(kVa + kPageSize - 2), 4, AccessType::kRead), nullptr) << "two pages";
    }
    for (const PageFault& f : sink_.seen) EXPECT_EQ(f.type, row.type);
    EXPECT_EQ(sink_.seen.size(), 2u * ((row.stores ? 0 : 1) + (row.atomics ? 0 : 1)));
    zap(kVa, kPageSize);
  }
}

TEST_F(MmuAtomicItems, AddOnceInOrderOnEveryKindOfPage) {
  for (const PteKind kind : {PteKind::kVram, PteKind::kEngine, PteKind::kSystem, PteKind::kNull}) {
    SCOPED_TRACE(static_cast<int>(kind));
    map(kVa, run(kind, 0, k2M));
    for (const std::uint64_t step : {0u, 4u, 4096u}) {  // one word, one page, many pages
      for (unsigned k = 0; k < 32 && kind != PteKind::kNull; ++k) host<std::uint32_t>(kind, k * step) = 1000;
      std::size_t done = 0;
      ASSERT_TRUE(add_items(lanes(kVa, step), words_.data(), done));
      EXPECT_EQ(done, 32u);
      std::uint32_t sum = 1000;
      for (unsigned k = 0; k < 32; ++k) {
        const std::uint32_t found = step == 0 ? sum : 1000;
        EXPECT_EQ(words_[k], kind == PteKind::kNull ? 0 : found) << k;
        sum += k + 1;
        if (kind != PteKind::kNull && step != 0) {
          EXPECT_EQ(host<std::uint32_t>(kind, k * step), 1001 + k);
        }
      }
    }
  }
}

TEST_F(MmuAtomicItems, APageThatVanishesOrIsRefusedStopsBehindWhatIsDone) {
  map(kVa, run(PteKind::kSystem, 0, k2M));
  std::size_t done = 0;
  ASSERT_TRUE(load(lanes(kVa, kPageSize), words_.data()));
  for (unsigned k = 0; k < 32; ++k) host<std::uint32_t>(PteKind::kSystem, k * kPageSize) = 0;
  std::byte* hole = system_.base() + 7 * kPageSize;
  ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
  EXPECT_EQ(add_items(lanes(kVa, kPageSize), words_.data(), done).error().err, EFAULT);
  EXPECT_EQ(done, 7u);
  ASSERT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
  for (unsigned k = 0; k < 32; ++k) EXPECT_EQ(host<std::uint32_t>(PteKind::kSystem, k * kPageSize), k < 7 ? k + 1 : 0);
  // The same, served: every lane once.
  ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
  sink_.answer = [&](const PageFault& f) {
    EXPECT_EQ(f.access, AccessType::kAtomic);
    EXPECT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
    return FaultReply::kRetry;
  };
  ASSERT_TRUE(add_items(lanes(kVa, kPageSize), words_.data(), done));
  EXPECT_EQ(done, 32u);
  for (unsigned k = 0; k < 32; ++k) {
    EXPECT_EQ(host<std::uint32_t>(PteKind::kSystem, k * kPageSize), k < 7 ? 2 * k + 2 : k + 1);
  }
}

TEST_F(MmuAtomicItems, AWordThatOthersKeepChangingIsWonInTheEnd) {
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  static std::uint32_t* word;
  static unsigned disturbed;
  word = &host<std::uint32_t>(PteKind::kVram, 40);
  *word = 0;
  disturbed = 0;
  const auto apply = [](std::uint32_t found, std::uint32_t operand, std::uint32_t) {
    if (operand == 11 && disturbed < 300) ++disturbed, ++*word;  // lane 10: someone else was faster
    return found + operand;
  };
  std::size_t done = 0;
  ASSERT_TRUE(load(lanes(kVa, 4), words_.data()));
  const std::vector<GpuVa> va = lanes(kVa, 4);
  ASSERT_TRUE(memory_.atomic_items(
      {.va = va, .apply = apply, .operand = operands_.data(), .compare = operands_.data(), .found = words_.data()},
      done));
  EXPECT_EQ(done, 32u);
  for (unsigned k = 0; k < 32; ++k) {
    EXPECT_EQ(words_[k], k == 10 ? 300 : 0) << k;
    EXPECT_EQ(host<std::uint32_t>(PteKind::kVram, 4 * k), k + 1 + (k == 10 ? 300 : 0)) << k;
  }
}

TEST_F(MmuAtomicItems, TwoWorkersAndTheCpuAddUp) {
  map(kVa, run(PteKind::kVram, 0, kPageSize));
  map(kVa + k2M, run(PteKind::kSystem, 0, kPageSize));
  constexpr unsigned kRounds = 2000;
  const std::uint32_t ones[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const auto work = [&] {
    EngineMemory memory({domain_, sink_, clock_, EngineId{}});
    memory.mmu().bind_vm({.asid = 5, .table = &table_, .vram = &vram_map_});
    std::uint32_t found[32];
    for (unsigned i = 0; i < kRounds; ++i) {
      for (const std::uint64_t page : {kVa, kVa + k2M}) {
        const std::vector<GpuVa> va = lanes(page, 0);
        std::size_t done = 0;
        ASSERT_TRUE(
            memory.atomic_items({.va = va, .apply = add, .operand = ones, .compare = ones, .found = found}, done));
      }
    }
  };
  std::thread other(work);
  std::thread cpu([&] {
    for (unsigned i = 0; i < kRounds; ++i)
      __atomic_fetch_add(&host<std::uint32_t>(PteKind::kSystem, 0), 1, __ATOMIC_SEQ_CST);
  });
  work();
  other.join();
  cpu.join();
  EXPECT_EQ(host<std::uint32_t>(PteKind::kVram, 0), 2 * 32 * kRounds);
  EXPECT_EQ(host<std::uint32_t>(PteKind::kSystem, 0), (2 * 32 + 1) * kRounds);
}

}  // namespace
}  // namespace softxe
