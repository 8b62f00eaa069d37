#include "drv/exec/sw_sync.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace softxe {
namespace {

FenceName name_of(const char* text) {
  FenceName name{};
  std::string(text).copy(name.data(), name.size() - 1);
  return name;
}

// One line per case: the timeline advances by each number in turn; the fences then show what their points say.
TEST(SwTimeline, FencesSignalWhenTheTimelineReachesTheirPoint) {
  struct Case {
    std::vector<std::uint32_t> before;  ///< advances before the fence is made
    std::uint32_t point;
    std::vector<std::uint32_t> after;
    int status;  ///< 0 active, 1 signalled
  };
  const Case cases[] = {
      {{}, 0, {}, 1},
      {{}, 1, {}, 0},
      {{}, 1, {1}, 1},
      {{}, 2, {1}, 0},
      {{}, 2, {1, 1}, 1},
      {{5}, 5, {}, 1},
      {{5}, 3, {}, 1},
      {{5}, 6, {}, 0},
      {{0xffffffff}, 1, {}, 0},  // wraps round: 2 ahead
      {{0xffffffff}, 1, {2}, 1},
      {{}, 0x7fffffff, {0x7ffffffe}, 0},
      {{}, 0x7fffffff, {0xfffffffe}, 1},  // advanced in two parts: the point is not jumped over
  };
  for (const Case& c : cases) {
    SwTimeline timeline(name_of("t"));
    for (const std::uint32_t by : c.before) timeline.advance(by);
    const auto file = *timeline.create_fence(c.point);
    for (const std::uint32_t by : c.after) timeline.advance(by);
    EXPECT_EQ(file->status(), c.status) << "point " << c.point;
  }
}

TEST(SwTimeline, SignalsInTheOrderOfThePoints) {
  SwTimeline timeline(name_of("t"));
  std::string order;
  std::vector<std::shared_ptr<SyncFile>> files;
  for (const std::uint32_t point : {3u, 1u, 2u}) {
    files.push_back(*timeline.create_fence(point));
    files.back()->fence()->on_signal([&order, point] { order += std::to_string(point); });
  }
  timeline.advance(3);
  EXPECT_EQ(order, "123");
}

TEST(SwTimeline, ItsEndFailsWhatIsPending) {
  std::shared_ptr<SyncFile> done;
  std::shared_ptr<SyncFile> left;
  {
    SwTimeline timeline(name_of("t"));
    done = *timeline.create_fence(1);
    left = *timeline.create_fence(2);
    timeline.advance(1);
  }
  EXPECT_EQ(done->status(), 1);
  EXPECT_EQ(left->status(), -ENOENT);
}

TEST(SwTimeline, AMergeKeepsTheLaterFenceOfATimelineAndOneOfEachOther) {
  SwTimeline a(name_of("a"));
  SwTimeline b(name_of("b"));
  const auto a1 = *a.create_fence(1);
  const auto a2 = *a.create_fence(2);
  const auto b1 = *b.create_fence(1);
  const auto later = *SyncFile::merge(*a2, *a1);
  ASSERT_EQ(later->parts().size(), 1u);
  EXPECT_EQ(later->parts()[0].seqno, 2u);
  const auto both = *SyncFile::merge(*a1, *b1);
  ASSERT_EQ(both->parts().size(), 2u);
  EXPECT_STREQ(both->parts()[1].timeline.data(), "b");
  EXPECT_STREQ(both->parts()[1].driver, "sw_sync");
  a.advance(1);
  EXPECT_EQ(both->status(), 0) << "one of two";
  EXPECT_EQ(later->status(), 0) << "the later point decides";
  b.advance(1);
  EXPECT_EQ(both->status(), 1);
  EXPECT_EQ((*SyncFile::merge(*both, *both))->parts().size(), 2u) << "the same fence is one";
}

}  // namespace
}  // namespace softxe
