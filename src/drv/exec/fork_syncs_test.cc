// What a fork child is given of its parent's syncobjs and fences. Here both sides are one process: the copies
// must not need anything of the originals but the board.
#include "drv/exec/fork_syncs.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"
#include "base/prng.h"

namespace softxe {
namespace {

TEST(ForkSyncs, WhatWasSignalledIsWithItsError) {
  ForkSyncs syncs;
  EXPECT_EQ(syncs.copy(SyncobjPtr()), nullptr);
  EXPECT_EQ(syncs.copy(std::make_shared<Syncobj>())->head(), nullptr) << "an empty one is empty";
  const auto failed = std::make_shared<Syncobj>();
  failed->replace(Fence::signalled_stub(EIO));
  const SyncobjPtr copy = syncs.copy(failed);
  ASSERT_NE(copy->head(), nullptr);
  EXPECT_NE(copy->head(), failed->head()) << "a fence of its own";
  EXPECT_TRUE(copy->head()->signalled());
  EXPECT_EQ(copy->head()->error(), EIO);
  EXPECT_FALSE(syncs.has_pending()) << "nothing to watch";
}

TEST(ForkSyncs, OneObjectHasOneCopyWhateverNamesIt) {
  ForkSyncs syncs;
  const auto object = std::make_shared<Syncobj>();
  const auto other = std::make_shared<Syncobj>();
  const FencePtr fence = Fence::pending();
  object->replace(fence);
  other->replace(fence);
  EXPECT_EQ(syncs.copy(object), syncs.copy(object));
  EXPECT_NE(syncs.copy(object), syncs.copy(other));
  EXPECT_EQ(syncs.copy(object)->head(), syncs.copy(other)->head());
  EXPECT_EQ(syncs.copy(fence), syncs.copy(object)->head()) << "a sync_file of it, too";
}

TEST(ForkSyncs, WhatHappensToOneSideIsNotSeenByTheOther) {
  ForkSyncs syncs;
  const auto object = std::make_shared<Syncobj>(Syncobj::Initially::kSignalled);
  const SyncobjPtr copy = syncs.copy(object);
  object->replace(nullptr);
  EXPECT_NE(copy->head(), nullptr);
  copy->replace(Fence::pending());
  EXPECT_EQ(object->head(), nullptr);
}

/// Every answer that a client can ask a timeline for.
std::string answers(const Syncobj& object, std::uint64_t points) {
  std::string text = std::to_string(object.query(Syncobj::Query::kLastSignalled)) + "/" +
                     std::to_string(object.query(Syncobj::Query::kLastSubmitted));
  for (std::uint64_t point = 0; point <= points; ++point) {
    const FencePtr fence = object.find(point);
    text += fence == nullptr ? '-' : fence->signalled() ? 's' : 'p';
  }
  return text;
}

// Points are added in and out of order, work ends in any order, before and after the copy.
TEST(ForkSyncs, ATimelineAnswersAsTheOriginalWhateverIsDoneWhen) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Prng prng(seed);
    const auto object = std::make_shared<Syncobj>();
    std::vector<FencePtr> works;
    const auto end_one = [&] { works[prng.below(works.size())]->signal(prng.below(3) == 0 ? EIO : 0); };
    const std::uint64_t count = 1 + prng.below(8);
    for (std::uint64_t i = 0; i < count; ++i) {
      works.push_back(Fence::pending());
      object->add_point(prng.below(8) == 0 ? 0 : 1 + prng.below(12), works.back());
      if (prng.below(2) == 0) end_one();
    }
    const auto board = std::make_unique<ForkSyncs>();
    const SyncobjPtr copy = board->copy(object);
    ASSERT_EQ(answers(*copy, 14), answers(*object, 14)) << "seed " << seed;
    for (int i = 0; i < 20; ++i) {
      end_one();
      board->pass_on();
      ASSERT_EQ(answers(*copy, 14), answers(*object, 14)) << "seed " << seed;
    }
    for (const FencePtr& work : works) work->signal();
    board->pass_on();
    ASSERT_EQ(answers(*copy, 14), answers(*object, 14)) << "seed " << seed;
  }
}

TEST(ForkSyncs, TheWatchEndsWhenNothingIsPendingAnyMore) {
  ForkSyncs syncs;
  const FencePtr first = Fence::pending(), second = Fence::pending();
  const FencePtr copies[] = {syncs.copy(first), syncs.copy(second)};
  syncs.open_parent();
  ASSERT_TRUE(syncs.has_pending());
  std::thread watcher([&] { syncs.watch(); });
  first->signal();
  second->signal(ETIME);
  watcher.join();
  EXPECT_TRUE(all_signalled(copies));
  EXPECT_EQ(copies[0]->error(), 0);
  EXPECT_EQ(copies[1]->error(), ETIME);
}

TEST(SignalBoard, WhatAParentThatEndedLeftPendingIsCanceled) {
  const auto board = *SignalBoard::make();
  const FencePtr done = Fence::pending(), never = Fence::pending();
  const FencePtr copies[] = {Fence::pending(), Fence::pending()};
  ASSERT_TRUE(SignalBoard::relay(board, done, copies[0]));
  ASSERT_TRUE(SignalBoard::relay(board, never, copies[1]));
  unsigned looks = 0;
  board->watch([&] {
    if (++looks == 2) done->signal(EIO);  // its last word
    return looks < 2;
  });
  EXPECT_EQ(copies[0]->error(), EIO) << "what the parent did before its end counts";
  EXPECT_TRUE(copies[1]->signalled());
  EXPECT_EQ(copies[1]->error(), ECANCELED);
}

TEST(SignalBoard, OneThatIsFullSaysSo) {
  const auto board = *SignalBoard::make();
  const FencePtr original = Fence::pending();
  std::size_t taken = 0;
  while (SignalBoard::relay(board, original, Fence::pending())) ++taken;
  EXPECT_EQ(taken, 16383u);
  ForkSyncs syncs;
  std::vector<FencePtr> originals;
  for (std::size_t i = 0; i <= taken; ++i) originals.push_back(Fence::pending());
  for (std::size_t i = 0; i < taken; ++i) ASSERT_FALSE(syncs.copy(originals[i])->signalled());
  EXPECT_EQ(syncs.copy(originals[taken])->error(), ECANCELED) << "rather an error than a wait for ever";
}

}  // namespace
}  // namespace softxe
