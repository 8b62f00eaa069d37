// Who waits for whom at a buffer object, with a line per case (spec/uapi.md 18).
#include <gtest/gtest.h>

#include "drv/exec/implicit_fences.h"

namespace softxe {
namespace {

using Use = ImplicitFences::Use;
constexpr Use kRead = Use::kRead, kWrite = Use::kWrite;

struct Row {
  const char* claim;
  std::vector<Use> added;  ///< one pending fence each
  Use use;
  std::vector<bool> waits_for;
};

const Row kRows[] = {
    {"nobody was there", {}, kWrite, {}},
    {"a reader waits for a writer", {kWrite}, kRead, {true}},
    {"a reader does not wait for a reader", {kRead}, kRead, {false}},
    {"a writer waits for a reader", {kRead}, kWrite, {true}},
    {"a writer waits for a writer", {kWrite}, kWrite, {true}},
    {"a reader waits for all writers and no reader", {kRead, kWrite, kRead, kWrite}, kRead, {false, true, false, true}},
    {"a writer waits for everybody", {kRead, kWrite, kRead}, kWrite, {true, true, true}},
};

TEST(ImplicitFences, WhoWaitsForWhom) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.claim);
    // Signalled in order, each in its turn the last one that is missing.
    for (std::size_t last = 0; last < row.added.size(); ++last) {
      ImplicitFences fences;
      std::vector<FencePtr> added;
      for (const Use use : row.added) fences.add(added.emplace_back(Fence::pending()), use);
      const FencePtr before = fences.before(row.use);
      for (std::size_t i = 0; i < added.size(); ++i) {
        if (i != last) added[i]->signal();
      }
      EXPECT_EQ(before->signalled(), !row.waits_for[last]) << "while number " << last << " is pending";
      added[last]->signal();
      EXPECT_TRUE(before->signalled());
    }
    if (row.added.empty()) {
      EXPECT_TRUE(ImplicitFences().before(row.use)->signalled());
    }
  }
}

TEST(ImplicitFences, WhatComesLaterIsNotWaitedFor) {
  ImplicitFences fences;
  const FencePtr first = Fence::pending(), second = Fence::pending();
  fences.add(first, kWrite);
  const FencePtr before = fences.before(kWrite);
  fences.add(second, kWrite);
  first->signal();
  EXPECT_TRUE(before->signalled());
  EXPECT_FALSE(fences.before(kRead)->signalled());
}

TEST(ImplicitFences, OnlyAFailureThatIsStillToComeIsPassedOn) {
  ImplicitFences fences;
  const FencePtr failed = Fence::pending(), fails = Fence::pending();
  fences.add(failed, kWrite);
  failed->signal(EIO);
  EXPECT_EQ(fences.before(kWrite)->error(), 0) << "the object is free, whatever became of that work";
  fences.add(fails, kWrite);
  const FencePtr before = fences.before(kRead);
  fails->signal(ECANCELED);
  EXPECT_EQ(before->error(), ECANCELED);
}

TEST(ImplicitFences, TheOldestFailureIsTheOneThatIsTold) {
  ImplicitFences fences;
  std::vector<FencePtr> added;
  for (int i = 0; i < 5; ++i) fences.add(added.emplace_back(Fence::pending()), kWrite);
  added[0]->signal();
  fences.add(added.emplace_back(Fence::pending()), kWrite);
  const FencePtr before = fences.before(kWrite);
  for (int i = 5; i > 0; --i) added[i]->signal(100 + i);
  EXPECT_EQ(before->error(), 101);
}

TEST(ImplicitFences, KeepsNoMoreThanWhatIsPending) {
  ImplicitFences fences;
  const FencePtr pending = Fence::pending();
  for (int i = 0; i < 100; ++i) {
    fences.add(pending, kRead);
    const FencePtr passing = Fence::pending();
    fences.add(passing, kWrite);
    passing->signal();
    fences.add(Fence::signalled_stub(), kWrite);
  }
  EXPECT_EQ(fences.size(), 1u);
  EXPECT_TRUE(fences.before(kRead)->signalled());
  fences.add(pending, kWrite);
  EXPECT_EQ(fences.size(), 1u);
  EXPECT_FALSE(fences.before(kRead)->signalled()) << "who read it writes it, too";
  fences.add(pending, kRead);
  EXPECT_FALSE(fences.before(kRead)->signalled()) << "and still does";
}

}  // namespace
}  // namespace softxe
