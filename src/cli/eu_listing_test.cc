// Listings of code: what `softxe disasm` prints, and that `softxe asm` reads it back.
#include "cli/eu_listing.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "hw/eu/eu_asm.h"

namespace softxe::cli {
namespace {

std::string file(const std::string& name) {
  std::ifstream stream(SOFTXE_SOURCE_DIR "/tests/data/eu/" + name);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<std::byte> code_of(std::string_view hex) {
  std::size_t line = 0;
  const auto code = code_of_hex(hex, line);
  EXPECT_TRUE(code) << "line " << line;
  return code.value_or(std::vector<std::byte>());
}

TEST(EuListing, CanonicalListingOfTheFormsIsTheirText) {
  std::string texts;
  std::istringstream lines(file("forms.txt"));
  for (std::string line; std::getline(lines, line);)
    if (line[0] != '#') texts += line.substr(line.find(' ') + 1) + "\n";
  const Listing listing = list_code(code_of(file("forms.txt")), EuTextStyle::kCanonical);
  EXPECT_EQ(listing.unreadable, 0U);
  EXPECT_EQ(listing.text, texts);
}

TEST(EuListing, CompleteListingAssemblesToTheSameBytes) {
  for (const char* name : {"forms.txt", "other_forms.txt"}) {
    const auto code = code_of(file(name));
    const Listing listing = list_code(code, EuTextStyle::kComplete);
    const auto again = eu_assemble(listing.text);
    ASSERT_TRUE(again) << again.error().line << ": " << again.error().why;
    EXPECT_EQ(*again, code) << name;
  }
}

TEST(EuListing, WhatIsNoInstructionIsListedWithItsPlaceAndReason) {
  const auto code =
      code_of("60000000000000000000000000000000\n30000000000000000000000000000000\n3000002000000000\n4000");
  for (const EuTextStyle style : {EuTextStyle::kCanonical, EuTextStyle::kComplete}) {
    const Listing listing = list_code(code, style);
    EXPECT_EQ(listing.unreadable, 3U);
    EXPECT_EQ(listing.text,
              "nop\n"
              ".data 30000000000000000000000000000000  // at 0x10: no such opcode\n"
              ".data 3000002000000000  // at 0x20: no such opcode\n"
              ".data 4000  // at 0x28: the bytes end within an instruction\n");
  }
}

TEST(EuListing, BitsThatMeanNothingStayInACompleteListing) {
  const auto code = code_of("60000000000000000000000000000001");
  EXPECT_EQ(list_code(code, EuTextStyle::kCanonical).text, "nop\n");
  EXPECT_EQ(list_code(code, EuTextStyle::kComplete).text, ".data 60000000000000000000000000000001  // nop\n");
}

TEST(EuListing, HexIsOneInstructionPerLine) {
  const std::string hex = "401ba0ae12c62010\n60000000000000000000000000000000\n";
  EXPECT_EQ(hex_of_code(code_of(hex)), hex);
  EXPECT_EQ(hex_of_code(code_of("# two\n  401ba0ae12c62010 add\r\n\n60000000000000000000000000000000")), hex);
  std::size_t line = 0;
  EXPECT_FALSE(code_of_hex("6000\n60zz\n", line));
  EXPECT_EQ(line, 2U);
}

}  // namespace
}  // namespace softxe::cli
