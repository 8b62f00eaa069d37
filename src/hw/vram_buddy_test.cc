// The buddy allocator: properties of single calls by table, long random runs against a page bitmap.
#include "hw/vram_buddy.h"

#include <gtest/gtest.h>
#include <bit>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

TEST(VramBuddy, TakesPowersOfTwoNaturallyAligned) {
  struct Case {
    std::uint64_t page, ask, get;
  };
  const Case cases[] = {
      {kPageSize, 1, kPageSize},
      {kPageSize, kPageSize, kPageSize},
      {kPageSize, 5000, 2 * kPageSize},
      {kPageSize, k64K, k64K},
      {kPageSize, k2M, k2M},
      {kPageSize, k1G, k1G},
      {k64K, 1, k64K},
      {k64K, k64K + 1, 2 * k64K},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.ask);
    VramBuddy buddy({.bytes = 4 * k1G, .visible_bytes = 4 * k1G, .page_bytes = c.page});
    auto pad = buddy.take(c.page, VramPlacement::kAny);  // spoils the natural start
    auto block = buddy.take(c.ask, VramPlacement::kAny);
    ASSERT_TRUE(block.has_value());
    EXPECT_EQ(block->size(), c.get);
    EXPECT_TRUE(block->start().is_aligned(c.get));
    buddy.check_invariants();
    buddy.give_back(*block);
    buddy.give_back(*pad);
    EXPECT_TRUE(buddy.take(4 * k1G, VramPlacement::kAny).has_value()) << "all merged again";
  }
}

TEST(VramBuddy, SmallBarIsLeftToThoseWhoNeedIt) {
  VramBuddy buddy({.bytes = 16 * k2M, .visible_bytes = 4 * k2M});
  auto high = buddy.take(k2M, VramPlacement::kPreferInvisible);
  auto low = buddy.take(k2M, VramPlacement::kVisibleOnly);
  ASSERT_TRUE(high && low);
  EXPECT_GE(high->start().value(), 4 * k2M);
  EXPECT_LT(low->end().value(), 4 * k2M + 1);
  for (int i = 0; i < 11; ++i) ASSERT_TRUE(buddy.take(k2M, VramPlacement::kAny).has_value());
  EXPECT_EQ(buddy.free_visible_bytes(), 3 * k2M) << "the invisible part went first";
  EXPECT_LT(buddy.take(k2M, VramPlacement::kAny)->start().value(), 4 * k2M);
  EXPECT_EQ(buddy.take(4 * k2M, VramPlacement::kVisibleOnly).error().err, ENOSPC);
  buddy.check_invariants();
}

TEST(VramBuddy, DoubleFreeAborts) {
  VramBuddy buddy({.bytes = k2M, .visible_bytes = k2M});
  auto block = buddy.take(kPageSize, VramPlacement::kAny);
  buddy.give_back(*block);
  EXPECT_DEATH(buddy.give_back(*block), "kTaken");
}

TEST(VramBuddy, AgreesWithABitmap) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Prng prng(seed);
    const std::uint64_t pages = 1000 + prng.below(3000);  // not a power of two
    const std::uint64_t visible = prng.chance(1, 2) ? pages : prng.below(pages);
    VramBuddy buddy({.bytes = pages * kPageSize, .visible_bytes = visible * kPageSize});
    std::vector<bool> used(pages);
    std::vector<DevRange> held;
    std::uint64_t used_pages = 0;
    for (int step = 0; step < 2000; ++step) {
      if (!held.empty() && prng.chance(1, 2)) {
        const std::size_t i = prng.below(held.size());
        const DevRange r = held[i];
        held[i] = held.back();
        held.pop_back();
        buddy.give_back(r);
        for (std::uint64_t p = 0; p < r.pages(); ++p) used[r.start().value() / kPageSize + p] = false;
        used_pages -= r.pages();
      } else {
        const std::uint64_t ask = 1ull << prng.below(9);
        const auto placement = static_cast<VramPlacement>(prng.below(3));
        const bool at_most = prng.chance(1, 4);
        auto r = at_most ? buddy.take_at_most(ask * kPageSize, placement) : buddy.take(ask * kPageSize, placement);
        const std::uint64_t limit = placement == VramPlacement::kVisibleOnly ? visible : pages;
        if (!r) {
          // Refused: there must be no aligned free block of that size (or no page, for at_most).
          const std::uint64_t n = at_most ? 1 : ask;
          for (std::uint64_t p = 0; p + n <= limit; p += n) {
            bool free = p >= visible || p + n <= visible;  // a block stays in its zone
            for (std::uint64_t k = 0; k < n; ++k) free = free && !used[p + k];
            ASSERT_FALSE(free) << "page " << p << " size " << n;
          }
        } else {
          ASSERT_TRUE(at_most ? r->pages() <= ask : r->pages() == ask);
          ASSERT_TRUE(r->start().is_aligned(r->size()));
          ASSERT_LE(r->end().value(), limit * kPageSize);
          for (std::uint64_t p = 0; p < r->pages(); ++p) {
            ASSERT_FALSE(used[r->start().value() / kPageSize + p]);
            used[r->start().value() / kPageSize + p] = true;
          }
          used_pages += r->pages();
          held.push_back(*r);
        }
      }
      ASSERT_EQ(buddy.free_bytes(), (pages - used_pages) * kPageSize);
      if (step % 50 == 0) buddy.check_invariants();
    }
    for (const DevRange& r : held) buddy.give_back(r);
    buddy.check_invariants();
    EXPECT_EQ(buddy.free_bytes(), pages * kPageSize);
  }
}

}  // namespace
}  // namespace softxe
