// Many small accesses as one: against bytes one by one, over every kind of page, with faults at every page.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <vector>

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
  for (unsigned step = 0; step < 20'000; ++step) {
    const auto element = static_cast<std::uint32_t>(1u << random.below(4));
    const std::uint32_t item = element * static_cast<std::uint32_t>(1 + random.below(64 / element));
    const std::uint64_t count = 1 + random.below(32);
    const std::uint64_t window = random.chance(1, 2) ? 200 : std::size(kPages) * kPageSize - 64;
    const std::uint64_t start = kVa + random.below(std::size(kPages) * kPageSize - 64 - window + 1);
    std::vector<GpuVa> va;
    for (std::uint64_t i = 0; i < count; ++i) {
      va.emplace_back(random.chance(1, 2) ? align_down(start + random.below(window), element)
                                          : start + random.below(window));
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
  };
  // Page 1 is the hole; its entry still allows everything.
  const Row rows[] = {{"two pages, one distance", kVa + kPageSize - 64, 4, 16},
                      {"page by page", kVa, kPageSize / 4, 4},
                      {"over the edge", kVa + kPageSize - 6, 4, 1}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    map(kVa, run(PteKind::kSystem, 0, 16 * kPageSize));
    ASSERT_TRUE(load(lanes(row.start, row.step), words_.data()));  // the TLB knows the pages
    for (unsigned k = 0; k < 32; ++k) words_[k] = 100 + k;
    std::byte* hole = system_.base() + kPageSize;
    ASSERT_EQ(mprotect(hole, kPageSize, PROT_NONE), 0);
    sink_.seen.clear();
    sink_.answer = [&](const PageFault& f) {
      EXPECT_EQ(f.page, GpuVa(kVa + kPageSize));
      EXPECT_EQ(f.access, AccessType::kWrite);
      EXPECT_EQ(mprotect(hole, kPageSize, PROT_READ | PROT_WRITE), 0);
      // The CPU has seen the lanes before the hole and puts something else there.
      for (unsigned k = 0; k < row.first_left; ++k) {
        const std::uint32_t mine = 9;
        std::memcpy(system_.base() + (row.start - kVa) + k * row.step, &mine, sizeof mine);
      }
      return FaultReply::kRetry;
    };
    ASSERT_TRUE(store(lanes(row.start, row.step), words_.data()));
    EXPECT_EQ(sink_.seen.size(), 1u);
    for (unsigned k = 0; k < 32; ++k) {
      std::uint32_t found = 0;
      std::memcpy(&found, system_.base() + (row.start - kVa) + k * row.step, sizeof found);
      EXPECT_EQ(found, k < row.first_left ? 9 : 100 + k) << k;
    }
  }
}

TEST_F(MmuItems, ALoadWaitsForAPageThatVanished) {
  map(kVa, run(PteKind::kSystem, 0, 16 * kPageSize));
  map(kVa + 8 * kPageSize, run(PteKind::kVram, 0, kPageSize));
  for (unsigned p = 0; p < 16; ++p) host<std::uint32_t>(PteKind::kSystem, p * kPageSize) = p;
  host<std::uint32_t>(PteKind::kVram, 0) = 88;
  for (const unsigned bad : {0u, 5u, 15u}) {
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
    for (unsigned p = 0; p < 16; ++p) EXPECT_EQ(words_[p], p == 8 ? 88 : p);
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

}  // namespace
}  // namespace softxe
