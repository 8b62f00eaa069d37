#include "base/guarded.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace softxe {
namespace {

class Guarded : public ::testing::Test {
 protected:
  void SetUp() override {
    guarded_install_handler();
    page_ = static_cast<char*>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(page_, MAP_FAILED);
    ASSERT_EQ(munmap(page_ + 4096, 4096), 0);
  }
  void TearDown() override { munmap(page_, 4096); }
  char* hole() const { return page_ + 4096; }
  char* page_ = nullptr;
};

TEST_F(Guarded, EveryRoutineReportsAHole) {
  std::uint32_t v32 = 0;
  std::uint64_t v64 = 0;
  EXPECT_FALSE(guarded_load32(hole(), v32));
  EXPECT_FALSE(guarded_load64(hole(), v64));
  EXPECT_FALSE(guarded_store32(hole(), 1));
  EXPECT_FALSE(guarded_store64(hole(), 1));
  EXPECT_FALSE(guarded_cmpxchg32(hole(), v32, 1));
  EXPECT_FALSE(guarded_cmpxchg64(hole(), v64, 1));
  EXPECT_FALSE(guarded_copy(page_, hole(), 16));
  EXPECT_FALSE(guarded_copy(hole() - 8, page_, 16));
  EXPECT_FALSE(guarded_fill(hole() - 8, 0xff, 16));
}

TEST_F(Guarded, ValuesGoThrough) {
  std::uint32_t v32 = 0;
  std::uint64_t v64 = 7;
  EXPECT_TRUE(guarded_store32(page_, 41));
  EXPECT_TRUE(guarded_load32(page_, v32));
  EXPECT_EQ(v32, 41u);
  EXPECT_TRUE(guarded_cmpxchg32(page_, v32, 42));
  EXPECT_EQ(v32, 41u);
  EXPECT_TRUE(guarded_cmpxchg64(page_, v64, 1));
  EXPECT_EQ(v64, 42u) << "a failed exchange returns what it found";
  EXPECT_TRUE(guarded_fill(page_ + 8, 0xab, 4));
  EXPECT_TRUE(guarded_copy(page_, page_ + 8, 4));
  EXPECT_TRUE(guarded_load32(page_, v32));
  EXPECT_EQ(v32, 0xababababu);
}

TEST_F(Guarded, LanesSayHowManyAreLeft) {
  std::uint64_t at[8];
  for (std::uint64_t i = 0; i < 8; ++i) at[i] = reinterpret_cast<std::uint64_t>(hole()) - 40 + 8 * i;  // 5 are there
  for (const std::size_t bytes : {1u, 2u, 4u, 8u}) {
    SCOPED_TRACE(bytes);
    for (int i = 0; i < 40; ++i) page_[4056 + i] = static_cast<char>(i);
    char buffer[64] = {};
    EXPECT_EQ(guarded_gather({at, 0, 8}, buffer, bytes), 3u);
    EXPECT_EQ(guarded_gather({at, 0, 5}, buffer, bytes), 0u);
    for (std::size_t i = 0; i < 5 * bytes; ++i) EXPECT_EQ(buffer[i], static_cast<char>(i / bytes * 8 + i % bytes));
    for (char& c : buffer) c = static_cast<char>(c + 100);
    EXPECT_EQ(guarded_scatter({at, 0, 8}, buffer, bytes), 3u);
    EXPECT_EQ(guarded_scatter({at, 0, 5}, buffer, bytes), 0u);
    for (std::size_t i = 0; i < 40; ++i) {
      EXPECT_EQ(page_[4056 + i], static_cast<char>(i % 8 < bytes ? i + 100 : i)) << i;
    }
  }
  const std::uint64_t delta = std::uint64_t{0} - 4096;
  std::uint64_t far = reinterpret_cast<std::uint64_t>(page_) + 4096;
  std::uint32_t word = 0;
  EXPECT_EQ(guarded_gather({&far, delta, 1}, &word, 4), 0u) << "the distance may be negative";
}

}  // namespace
}  // namespace softxe
