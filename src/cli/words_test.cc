#include "cli/words.h"

#include <gtest/gtest.h>

namespace softxe::cli {
namespace {

TEST(Words, TheNearWordIsOneOrTwoSlipsAway) {
  const std::vector<std::string> verbs{"run", "doctor", "report", "disasm", "asm"};
  struct Row {
    const char* typed;
    const char* meant;  ///< empty: none
  };
  for (const Row& row : {Row{"rnu", "run"},  // swapped
                         Row{"rn", "run"},   // left out
                         Row{"dcotor", "doctor"}, Row{"reprot", "report"}, Row{"dissasm", "disasm"},
                         Row{"doktr", "doctor"},  // two slips in a long word
                         Row{"ren", "run"}, Row{"rex", ""}, Row{"frobnicate", ""}, Row{"", ""}}) {
    const std::string expected = *row.meant == '\0' ? "" : std::string("; did you mean ") + row.meant + "?";
    EXPECT_EQ(near_word(row.typed, verbs), expected) << row.typed;
  }
}

TEST(Words, SizesOfVramAreChecked) {
  for (const char* right : {"2M", "64M", "4G", "1T", "0x200000", "2097152", "64MiB", "64m", "12220M"}) {
    EXPECT_EQ(wrong_size(right), "") << right;
  }
  for (const char* wrong :
       {"", "x", "-2M", "1.5G", "2X", "1M", "3M", "5000", "0", "2T", "99999999999999999999", "2M "}) {
    EXPECT_NE(wrong_size(wrong), "") << wrong;
  }
}

TEST(Words, SizesAreShownInTheLargestUnit) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(2 << 20), "2 MiB");
  EXPECT_EQ(size_text(0x2fb800000), "11.9 GiB");
  EXPECT_EQ(size_text(1ull << 40), "1 TiB");
}

}  // namespace
}  // namespace softxe::cli
