// Lowest free id first, from 1 (spec/uapi.md 2), against a naive model.
#include "drv/exec/id_table.h"

#include <gtest/gtest.h>
#include <map>
#include <memory>

#include "base/prng.h"

namespace softxe {
namespace {

TEST(IdTable, AgreesWithAMapOfAllIds) {
  Prng prng(7);
  IdTable<std::shared_ptr<int>> table(40);
  std::map<std::uint32_t, std::shared_ptr<int>> model;
  for (int i = 0; i < 5000; ++i) {
    if (prng.chance(11, 20)) {
      std::uint32_t want = 1;
      while (model.count(want) != 0) ++want;
      auto object = std::make_shared<int>(i);
      const auto got = table.add(object);
      if (want > 40) {
        EXPECT_EQ(got.error().err, ENOSPC);
      } else {
        ASSERT_EQ(*got, want);
        model[want] = object;
      }
    } else {
      const auto id = static_cast<std::uint32_t>(prng.below(44));
      const auto it = model.find(id);
      ASSERT_EQ(table.find(id), it == model.end() ? nullptr : it->second);
      ASSERT_EQ(table.remove(id), it == model.end() ? nullptr : it->second);
      model.erase(id);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  EXPECT_EQ(table.all().size(), model.size());
  EXPECT_EQ(table.drain().size(), model.size());
  EXPECT_EQ(*table.add(std::make_shared<int>(0)), 1u);
}

TEST(IdTable, AForkChildKeepsTheNumbersOfItsParent) {
  using Table = IdTable<std::shared_ptr<int>>;
  Table parents;
  for (int i = 1; i <= 5; ++i) ASSERT_EQ(*parents.add(std::make_shared<int>(i)), static_cast<std::uint32_t>(i));
  parents.remove(2);
  Table child;
  EXPECT_EQ(child.inherit(parents.slots(),
                          [](const std::shared_ptr<int>& object) {
                            return *object == 4 ? nullptr : std::make_shared<int>(*object * 10);
                          }),
            1u);
  EXPECT_EQ(*child.find(1), 10);
  EXPECT_EQ(child.find(2), nullptr);
  EXPECT_EQ(*child.find(3), 30);
  EXPECT_EQ(child.find(4), nullptr) << "given nothing";
  EXPECT_EQ(child.remove(4), nullptr) << "and not to be freed";
  EXPECT_EQ(*child.find(5), 50);
  EXPECT_EQ(*child.add(std::make_shared<int>(0)), 2u) << "free in the parent";
  EXPECT_EQ(*child.add(std::make_shared<int>(0)), 6u) << "4 never means something else";
  EXPECT_EQ(*parents.find(3), 3) << "the parent's is untouched";
}

}  // namespace
}  // namespace softxe
