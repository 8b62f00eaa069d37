// Which loads stores explain.
#include "explore/history.h"

#include <gtest/gtest.h>

namespace softxe::explore {
namespace {

using Result = History::Result;
constexpr Bytes kWord{0x1000, 4};

History::Store stores(std::uint32_t value) { return {.where = kWord, .low = value}; }

TEST(History, UntouchedMemoryIsZero) {
  History history;
  EXPECT_EQ(history.loaded(kWord, 0, history.now()), "");
  EXPECT_NE(history.loaded(kWord, 1, history.now()), "");
}

TEST(History, AStoreBeforeTheLoadIsSeen) {
  History history;
  history.ended(history.begins(stores(7)), Result::kDone);
  EXPECT_EQ(history.loaded(kWord, 7, history.now()), "");
  EXPECT_EQ(history.loaded(kWord, 0, history.now()), "the word at 0x1000 is 0x0; stores explain 0x7");
}

TEST(History, AStoreBesideTheLoadMayBeSeenOrNot) {
  History history;
  const std::uint64_t began = history.now();
  const std::size_t store = history.begins(stores(7));
  EXPECT_EQ(history.loaded(kWord, 0, began), "");
  EXPECT_EQ(history.loaded(kWord, 7, began), "");
  history.ended(store, Result::kDone);
  EXPECT_EQ(history.loaded(kWord, 0, began), "");
}

TEST(History, TwoStoresBesideEachOtherAreInEitherOrder) {
  History history;
  const std::size_t one = history.begins(stores(1));
  const std::size_t two = history.begins(stores(2));
  history.ended(one, Result::kDone);
  history.ended(two, Result::kDone);
  EXPECT_EQ(history.loaded(kWord, 1, history.now()), "");
  EXPECT_EQ(history.loaded(kWord, 2, history.now()), "");
  EXPECT_NE(history.loaded(kWord, 0, history.now()), "");
}

TEST(History, AnOverwrittenStoreExplainsNothing) {
  History history;
  history.ended(history.begins(stores(1)), Result::kDone);
  history.ended(history.begins(stores(2)), Result::kDone);
  EXPECT_NE(history.loaded(kWord, 1, history.now()), "");
}

TEST(History, AStoreThatFailedMayHaveHappened) {
  History history;
  history.ended(history.begins(stores(1)), Result::kDone);
  history.ended(history.begins(stores(2)), Result::kUnknown);
  EXPECT_EQ(history.loaded(kWord, 1, history.now()), "");
  EXPECT_EQ(history.loaded(kWord, 2, history.now()), "");
}

TEST(History, HalvesOfEightBytesHaveTheirOwnValues) {
  History history;
  history.ended(history.begins({.where = {0x1000, 8}, .low = 1, .high = 2}), Result::kDone);
  EXPECT_EQ(history.loaded({0x1000, 8}, 0x2'0000'0001, history.now()), "");
  EXPECT_NE(history.loaded({0x1000, 8}, 0x1'0000'0002, history.now()), "");
  EXPECT_EQ(history.words(), (std::vector<std::uint64_t>{0x1000, 0x1004}));
}

}  // namespace
}  // namespace softxe::explore
