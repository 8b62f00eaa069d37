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

}  // namespace
}  // namespace softxe
