#include "vm/va_slab.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/prng.h"

namespace softxe {
namespace {

struct Counted {
  explicit Counted(int& count, std::uint64_t number) : alive(count), value(number) { ++alive; }
  ~Counted() { --alive; }
  int& alive;
  std::uint64_t value;
};

TEST(VaSlab, TheLastPlaceGivenBackIsTheNextOne) {
  int alive = 0;
  VaSlab<Counted> slab;
  Counted* first = slab.make(alive, 1u);
  Counted* second = slab.make(alive, 2u);
  EXPECT_EQ(first + 1, second);
  slab.drop(*first);
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(slab.make(alive, 3u), first);
  EXPECT_EQ(second->value, 2u);
  slab.drop(*first);
  slab.drop(*second);
  EXPECT_EQ(alive, 0);
}

TEST(VaSlab, NodesKeepTheirValuesWhateverComesAndGoes) {
  int alive = 0;
  VaSlab<Counted> slab;
  std::vector<Counted*> nodes;
  Prng random(1);
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    if (nodes.empty() || random.below(5) < 3) {
      nodes.push_back(slab.make(alive, 0u));
      nodes.back()->value = reinterpret_cast<std::uint64_t>(nodes.back());
    } else {
      std::swap(nodes[random.below(nodes.size())], nodes.back());
      ASSERT_EQ(nodes.back()->value, reinterpret_cast<std::uint64_t>(nodes.back()));
      slab.drop(*nodes.back());
      nodes.pop_back();
    }
    ASSERT_EQ(slab.alive(), nodes.size());
  }
  EXPECT_EQ(std::set<Counted*>(nodes.begin(), nodes.end()).size(), nodes.size());
  EXPECT_EQ(static_cast<std::size_t>(alive), nodes.size());
  for (Counted* node : nodes) slab.drop(*node);
}

}  // namespace
}  // namespace softxe
