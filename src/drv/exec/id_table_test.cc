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

}  // namespace
}  // namespace softxe
