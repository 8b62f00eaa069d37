// The container: its rules, its index against std::map, and the promise that reserved insertions
// cannot fail.
#include "vm/va_space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "base/step.h"
#include "vm/va_test_model.h"

namespace softxe::test {
namespace {

/// Nodes without backing, one per page number; in the space only as the test says.
struct Nodes {
  VaNode& make(std::uint64_t first, std::uint64_t count) { return nodes.emplace_back(pages(first, count), nullptr, 0); }
  std::deque<VaNode> nodes;
};

void clear(VaSpace& space) {
  while (!space.empty()) space.remove(*space.begin());
}

TEST(VaSpace, InsertFollowsTheTableOfTheSpecification) {
  VaSpace space(pages(10, 100));
  Nodes n;
  EXPECT_TRUE(space.insert(n.make(20, 10)));
  struct Row {
    std::uint64_t first, count;
    int err;
  };
  const Row rows[] = {
      {9, 1, EINVAL},  {9, 5, EINVAL},  {109, 2, EINVAL}, {110, 1, EINVAL}, {0, 200, EINVAL}, {20, 10, EEXIST},
      {19, 2, EEXIST}, {29, 2, EEXIST}, {25, 1, EEXIST},  {15, 20, EEXIST}, {10, 10, 0},      {30, 80, 0},
  };
  for (const Row& row : rows) {
    const Status status = space.insert(n.make(row.first, row.count));
    EXPECT_EQ(status ? 0 : status.error().err, row.err) << row.first << "+" << row.count;
    space.validate();
  }
  EXPECT_EQ(space.size(), 3u);
  clear(space);
}

TEST(VaSpace, LookUps) {
  VaSpace space(pages(0, 100));
  Nodes n;
  VaNode& a = n.make(10, 10);
  VaNode& b = n.make(20, 10);
  VaNode& c = n.make(40, 10);
  for (VaNode* node : {&c, &a, &b}) ASSERT_TRUE(space.insert(*node));
  EXPECT_EQ(space.find_first(pages(0, 10)), nullptr);
  EXPECT_EQ(space.find_first(pages(0, 11)), &a);
  EXPECT_EQ(space.find_first(pages(19, 2)), &a);
  EXPECT_EQ(space.find_first(pages(20, 1)), &b);
  EXPECT_EQ(space.find_first(pages(30, 10)), nullptr);
  EXPECT_EQ(space.find_first(pages(30, 11)), &c);
  EXPECT_EQ(space.find_first(pages(50, 50)), nullptr);
  EXPECT_EQ(space.find_exact(pages(20, 10)), &b);
  EXPECT_EQ(space.find_exact(pages(20, 9)), nullptr);
  EXPECT_EQ(space.find_exact(pages(19, 11)), nullptr);
  EXPECT_EQ(space.find_covering(GpuVa(20 * kPageSize - 1)), &a);
  EXPECT_EQ(space.find_covering(GpuVa(20 * kPageSize)), &b);
  EXPECT_EQ(space.find_covering(GpuVa(30 * kPageSize)), nullptr);
  EXPECT_EQ(space.next(a), &b);
  EXPECT_EQ(space.next(b), &c);
  EXPECT_EQ(space.next(c), nullptr);
  EXPECT_EQ(space.prev(c), &b);
  EXPECT_EQ(space.prev(a), nullptr);
  clear(space);
  EXPECT_TRUE(space.empty());
  EXPECT_EQ(space.begin(), space.end());
}

TEST(VaSpace, WindowIsSeenButNotCountedAndNotMapped) {
  VaSpace space(pages(0, 64));
  ASSERT_TRUE(space.set_reserved_window(pages(16, 8)));
  Nodes n;
  EXPECT_TRUE(space.empty());
  EXPECT_EQ(space.insert(n.make(16, 1)).error().err, EINVAL);
  EXPECT_EQ(space.insert(n.make(0, 17)).error().err, EINVAL);
  ASSERT_TRUE(space.insert(n.make(8, 8)));
  EXPECT_EQ(space.size(), 1u);
  const VaNode* seen = space.find_first(pages(20, 1));
  ASSERT_NE(seen, nullptr);
  EXPECT_TRUE(space.is_reserved(*seen));
  EXPECT_EQ(seen->range(), pages(16, 8));
  space.validate();
  space.remove(*space.begin());
}

TEST(VaSpace, ReachesTheEndOfTheAddressSpace) {
  const std::uint64_t size_bytes = ~std::uint64_t{0} - kPageSize + 1;
  VaSpace space(GpuRange::of(GpuVa(0), size_bytes));
  VaNode all(GpuRange::of(GpuVa(0), size_bytes), nullptr, 0);
  ASSERT_TRUE(space.insert(all));
  EXPECT_EQ(space.find_covering(GpuVa(size_bytes - 1)), &all);
  EXPECT_EQ(space.find_covering(GpuVa(size_bytes)), nullptr);
  space.remove(all);
  VaNode last(GpuRange::of(GpuVa(size_bytes - 1), 1), nullptr, 0);
  ASSERT_TRUE(space.insert(last));
  EXPECT_EQ(space.find_first(GpuRange::of(GpuVa(0), size_bytes)), &last);
  EXPECT_EQ(space.find_first(GpuRange::of(GpuVa(0), size_bytes - 1)), nullptr);
  space.validate();
  space.remove(last);
}

// --- orders of insertion and removal: every shape of splitting and merging ----------------------

enum class Order { kAscending, kDescending, kRandom, kInsideOut };

std::vector<std::uint64_t> ordered(Order order, std::size_t count, Prng& prng) {
  std::vector<std::uint64_t> v(count);
  for (std::size_t i = 0; i < count; ++i) v[i] = i;
  if (order == Order::kDescending) std::reverse(v.begin(), v.end());
  if (order == Order::kRandom) {
    for (std::size_t i = count; i-- > 1;) std::swap(v[i], v[prng.below(i + 1)]);
  }
  if (order == Order::kInsideOut) {
    for (std::size_t i = 0; i < count; ++i) v[i] = i % 2 == 0 ? (count + i) / 2 : (count - 1 - i) / 2;
  }
  return v;
}

class VaSpaceOrder : public testing::TestWithParam<std::tuple<Order, Order>> {};

TEST_P(VaSpaceOrder, FillsAndDrains) {
  constexpr std::size_t kCount = 3000;  // three levels of blocks
  const auto [in, out] = GetParam();
  Prng prng(7);
  VaSpace space(pages(0, 2 * kCount));
  std::deque<VaNode> nodes;
  for (std::size_t i = 0; i < kCount; ++i) nodes.emplace_back(pages(2 * i, 1), nullptr, 0);
  std::size_t step = 0;
  for (std::uint64_t i : ordered(in, kCount, prng)) {
    ASSERT_TRUE(space.insert(nodes[i]));
    if (++step % 37 == 0) space.validate();
  }
  std::size_t seen = 0;
  for (const VaNode& node : space) EXPECT_EQ(&node, &nodes[seen++]);
  EXPECT_EQ(seen, kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(space.find_covering(GpuVa(2 * i * kPageSize)), &nodes[i]);
    EXPECT_EQ(space.find_covering(GpuVa((2 * i + 1) * kPageSize)), nullptr);
    EXPECT_EQ(space.prev(nodes[i]), i == 0 ? nullptr : &nodes[i - 1]);
  }
  for (std::uint64_t i : ordered(out, kCount, prng)) {
    space.remove(nodes[i]);
    if (++step % 37 == 0) space.validate();
  }
  EXPECT_TRUE(space.empty());
  space.validate();
}
INSTANTIATE_TEST_SUITE_P(
    All, VaSpaceOrder,
    testing::Combine(testing::Values(Order::kAscending, Order::kDescending, Order::kRandom, Order::kInsideOut),
                     testing::Values(Order::kAscending, Order::kDescending, Order::kRandom, Order::kInsideOut)));

/// Random insertions and removals in clusters, so that neighbouring blocks fill and run dry in
/// turns.
TEST(VaSpace, AgreesWithAnOrderedMap) {
  constexpr std::uint64_t kSpacePages = 4000;
  Prng prng(11);
  VaSpace space(pages(0, kSpacePages));
  std::map<std::uint64_t, std::unique_ptr<VaNode>> model;
  for (int step = 0; step < 20000; ++step) {
    const bool growing = (step / 2500) % 2 == 0;
    const std::uint64_t cluster = (static_cast<std::uint64_t>(step) / 300 * 617) % kSpacePages;
    const std::uint64_t page = (cluster + prng.below(400)) % kSpacePages;
    const auto found = model.find(page);
    EXPECT_EQ(space.find_covering(GpuVa(page * kPageSize)), found == model.end() ? nullptr : found->second.get());
    if (found == model.end() && (growing || prng.chance(1, 10))) {
      auto node = std::make_unique<VaNode>(pages(page, 1), nullptr, 0);
      ASSERT_TRUE(space.insert(*node));
      model.emplace(page, std::move(node));
    } else if (found != model.end() && (!growing || prng.chance(1, 10))) {
      space.remove(*found->second);
      model.erase(found);
    }
    if (step % 50 == 0) space.validate();
    ASSERT_EQ(space.size(), model.size());
  }
  clear(space);
}

// --- reservations -------------------------------------------------------------------------------

/// While a reservation is held, insertions and removals go through though every allocation fails.
TEST(VaSpace, ReservedInsertionsNeedNoMemory) {
  Prng prng(3);
  for (const std::size_t reserved : {1u, 2u, 3u, 7u, 50u, 400u, 3000u}) {
    constexpr std::uint64_t kSpacePages = 20000;
    VaSpace space(pages(0, kSpacePages));
    std::deque<VaNode> nodes;
    for (std::uint64_t i = 0; i < kSpacePages; ++i) nodes.emplace_back(pages(i, 1), nullptr, 0);
    std::vector<bool> mapped(kSpacePages);
    const std::size_t before = prng.below(6000);
    for (std::size_t i = 0; i < before; ++i) {
      const std::size_t page = prng.chance(1, 2) ? i : prng.below(kSpacePages);
      if (mapped[page]) continue;
      ASSERT_TRUE(space.insert(nodes[page]));
      mapped[page] = true;
    }
    Result<VaReservation> reservation = space.reserve(reserved);
    ASSERT_TRUE(reservation);
    FailNth failure("", 1, ENOMEM, FailNth::Repeat::kForever);
    StepHook* old = set_step_hook(&failure);
    while (reservation->left() > 0) {
      const std::size_t page = prng.below(kSpacePages);
      if (mapped[page]) {
        space.remove(nodes[page]);
      } else {
        space.insert(nodes[page], *reservation);
      }
      mapped[page] = !mapped[page];
    }
    set_step_hook(old);
    EXPECT_FALSE(failure.fired());
    space.validate();
    clear(space);
  }
}

/// The same while whole blocks run dry, are merged and fill again.
// An append splits without halving, so the block it leaves full may split again at once.
TEST(VaSpace, ReservedInsertionsNeedNoMemoryAfterAnAppend) {
  for (std::uint64_t filled : {29u, 58u, 29u * 29u}) {
    VaSpace space(pages(0, 1 << 20));
    Nodes n;
    for (std::uint64_t i = 0; i < filled; ++i) EXPECT_TRUE(space.insert(n.make(100 + 10 * i, 5)));
    for (std::size_t count : {2u, 4u, 8u}) {
      auto reservation = space.reserve(count);
      ASSERT_TRUE(reservation);
      FailNth no_memory("vm.va_index.grow", 1, ENOMEM, FailNth::Repeat::kForever);
      set_step_hook(&no_memory);
      const std::uint64_t end = (*std::prev(n.nodes.end())).end().value() / kPageSize;
      space.insert(n.make(end + 100000, 1), *reservation);
      for (std::size_t i = 1; i < count; ++i) {
        space.insert(n.make(100 + 10 * (7 * i + count) + 6, 1), *reservation);
      }
      set_step_hook(nullptr);
      space.validate();
    }
    clear(space);
  }
}

TEST(VaSpace, ReservationsSurviveMerges) {
  constexpr std::uint64_t kMappings = 1500;
  Prng prng(9);
  for (const std::size_t clump : {8u, 30u, 60u, 700u}) {
    VaSpace space(pages(0, kMappings));
    std::deque<VaNode> nodes;
    for (std::uint64_t i = 0; i < kMappings; ++i) nodes.emplace_back(pages(i, 1), nullptr, 0);
    for (VaNode& node : nodes) ASSERT_TRUE(space.insert(node));
    Result<VaReservation> reservation = space.reserve(3000);
    ASSERT_TRUE(reservation);
    FailNth failure("", 1, ENOMEM, FailNth::Repeat::kForever);
    StepHook* old = set_step_hook(&failure);
    while (reservation->left() >= clump) {
      const std::uint64_t first = prng.below(kMappings - clump + 1);
      for (std::size_t i = 0; i < clump; ++i) space.remove(nodes[first + i]);
      space.validate();
      for (std::size_t i = clump; i-- > 0;) space.insert(nodes[first + i], *reservation);
      space.validate();
    }
    set_step_hook(old);
    EXPECT_FALSE(failure.fired());
    clear(space);
  }
}

TEST(VaSpace, FailedReservationChangesNothing) {
  VaSpace space(pages(0, 1000));
  Nodes n;
  ASSERT_TRUE(space.insert(n.make(0, 1)));
  FailNth failure("vm.va_index.grow", 2, ENOMEM, FailNth::Repeat::kForever);
  StepHook* old = set_step_hook(&failure);
  const Result<VaReservation> reservation = space.reserve(100);
  const Status status = space.insert(n.make(2, 1));  // what is spare is enough for this one
  set_step_hook(old);
  ASSERT_FALSE(reservation);
  EXPECT_EQ(reservation.error().err, ENOMEM);
  EXPECT_TRUE(status);
  EXPECT_EQ(space.size(), 2u);
  space.validate();
  clear(space);
}

/// A split may move what is left over into the next block; it must be found there.
TEST(VaSpace, SpliceAcrossTheBorderOfBlocks) {
  for (std::uint64_t wide = 0; wide < 90; ++wide) {
    VaSpace space(pages(0, 1000));
    Nodes n;
    for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(space.insert(n.make(4 * i, 2)));
    // Frees eight neighbours and maps all their pages at once, wherever the border of blocks is.
    for (std::uint64_t i = wide; i < wide + 8; ++i) space.remove(*space.find_exact(pages(4 * i, 2)));
    VaNode& old = n.make(4 * wide, 32);
    ASSERT_TRUE(space.insert(old));
    Result<VaReservation> reservation = space.reserve(3);
    VaNode& tail = n.make(4 * wide + 30, 2);
    VaIndex::Hint hint;
    static_cast<void>(space.overlapping(old.range(), hint));
    VaIndex::Fresh tail_only;
    tail_only.add(tail);
    space.splice(hint, {&old, &old, 1}, tail_only, *reservation);
    space.validate();
    EXPECT_EQ(space.find_first(pages(4 * wide, 32)), &tail);
    VaNode& left = n.make(4 * wide + 30, 1);
    VaNode& right = n.make(4 * wide + 31, 1);
    VaIndex::Fresh halves;
    halves.add(right);
    halves.add(left);
    space.splice(hint, {&tail, &tail, 1}, halves, *reservation);
    EXPECT_EQ(reservation->left(), 0u);
    space.validate();
    EXPECT_EQ(space.next(left), &right);
    clear(space);
  }
}

/// Requests cut what they touch; runs of all lengths, over one border of blocks and over several.
/// Every third hint is that of the request before.
TEST(VaSpace, SplicesAgreeWithAnOrderedMap) {
  constexpr std::uint64_t kSpacePages = 6000;
  Prng prng(13);
  VaSpace space(pages(0, kSpacePages));
  std::map<std::uint64_t, std::unique_ptr<VaNode>> model;
  VaIndex::Hint hint;
  for (int step = 0; step < 20000; ++step) {
    const std::uint64_t count = 1 + prng.below(prng.chance(1, 100) ? 400 : 8);
    const std::uint64_t first = prng.below(kSpacePages - count + 1);
    const GpuRange range = pages(first, count);
    VaIndex::Hint found;
    VaIndex::Run gone;
    for (VaNode& node : space.overlapping(range, found)) gone.add(node);
    VaIndex::Fresh fresh;
    std::vector<std::unique_ptr<VaNode>> made;
    const auto make = [&](GpuVa start, GpuVa end) {
      made.push_back(std::make_unique<VaNode>(GpuRange::between(start, end), nullptr, 0));
      fresh.add(*made.back());
    };
    if (gone.count > 0 && gone.last->end() > range.end()) make(range.end(), gone.last->end());
    if (prng.chance(2, 3)) make(range.start(), range.end());
    if (gone.count > 0 && gone.first->start() < range.start()) {
      make(gone.first->start(), range.start());
    }
    Result<VaReservation> reservation = space.reserve(fresh.count());
    ASSERT_TRUE(reservation);
    space.splice(step % 3 == 0 ? hint : found, gone, fresh, *reservation);
    EXPECT_EQ(reservation->left(), 0u);
    hint = found;
    if (gone.count > 0) {
      const std::uint64_t last = gone.last->start().value();
      model.erase(model.find(gone.first->start().value()), model.upper_bound(last));
    }
    for (auto& node : made) model.emplace(node->start().value(), std::move(node));
    ASSERT_EQ(space.size(), model.size());
    if (step % 20 == 0) {
      space.validate();
      auto expected = model.begin();
      for (const VaNode& node : space) ASSERT_EQ(&node, (expected++)->second.get());
    }
  }
  clear(space);
}

// --- costs and broken callers -------------------------------------------------------------------

TEST(VaSpace, IndexStaysWithinItsShareOfTheMemoryBudget) {
  // 160 bytes per mapping (design) less 112 for the mapping itself.
  constexpr std::size_t kCount = 50000;
  Prng prng(5);
  VaSpace space(pages(0, kCount));
  std::deque<VaNode> nodes;
  for (std::size_t i = 0; i < kCount; ++i) nodes.emplace_back(pages(i, 1), nullptr, 0);
  for (std::uint64_t i : ordered(Order::kRandom, kCount, prng)) ASSERT_TRUE(space.insert(nodes[i]));
  EXPECT_LT(space.index_bytes(), 48 * kCount);
  clear(space);
  EXPECT_LE(space.index_bytes(), 20u * 512);  // the spare blocks
}

TEST(VaSpaceDeathTest, AbortsOnBrokenInvariants) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  VaSpace space(pages(0, 100));
  Nodes n;
  VaNode& a = n.make(10, 10);
  ASSERT_TRUE(space.insert(a));
  Result<VaReservation> reservation = space.reserve(1);
  EXPECT_DEATH(space.insert(n.make(15, 10), *reservation), "");
  EXPECT_DEATH(space.insert(n.make(95, 10), *reservation), "");
  EXPECT_DEATH(space.remove(n.make(10, 10)), "");
  for (const GpuRange& range : {pages(5, 6), pages(15, 1), pages(19, 10)}) {
    VaIndex::Hint hint;
    static_cast<void>(space.overlapping(range, hint));
    VaNode node(range, nullptr, 0);
    VaIndex::Fresh fresh;
    fresh.add(node);
    EXPECT_DEATH(space.splice(hint, {}, fresh, *reservation), "");
    EXPECT_DEATH(space.splice({}, {}, fresh, *reservation), "");
  }
  space.remove(a);
  EXPECT_DEATH(space.remove(a), "");
}

}  // namespace
}  // namespace softxe::test
