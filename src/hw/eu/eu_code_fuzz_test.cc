// The fuzzer's body on seeded input: random words, changed forms, changed sources.
#include "hw/eu/eu_code_fuzz.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "hw/eu/eu_forms_fixture.h"
#include "hw/eu/eu_random_fixture.h"

namespace softxe {
namespace {

TEST(EuCodeFuzz, RandomWordsGoBothWays) {
  RandomWords words(1);
  for (int i = 0; i < 1'000'000; ++i) eu_code_both_ways(words.next());
}

TEST(EuCodeFuzz, WordsWithoutAnyStructureDoNotCrash) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 1'000'000; ++i) {
    const std::uint64_t halves[] = {random(), random()};
    eu_code_both_ways(std::as_bytes(std::span(halves)));
  }
}

TEST(EuCodeFuzz, FormsWithChangedBitsGoBothWays) {
  const std::vector<EuForm> forms = load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt");
  std::mt19937_64 random(3);
  for (int i = 0; i < 300'000; ++i) {
    std::vector<std::byte> bytes = forms[random() % forms.size()].bytes;
    for (std::uint64_t flips = random() % 4; flips > 0; --flips)
      bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
    if (random() % 8 == 0) bytes.resize(random() % bytes.size());
    eu_code_both_ways(bytes);
  }
}

TEST(EuCodeFuzz, ChangedSourcesDoNotCrashTheAssembler) {
  const std::vector<EuForm> forms = load_eu_forms(SOFTXE_SOURCE_DIR "/tests/data/eu/forms.txt");
  constexpr std::string_view kPieces[] = {"(",    ")",     "<",    ">",    ":",     ";",      ",",  ".",
                                          "[",    "]",     "{",    "}",    "-",     "a0",     "0x", "9999",
                                          "W",    "f0.0",  "null", "r255", "sat",   "\n",     " ",  "~",
                                          ".reg", ".simd", ":a0",  "mme9", ".data", "label:", "//", "&"};
  std::mt19937_64 random(4);
  for (int i = 0; i < 300'000; ++i) {
    std::string text = forms[random() % forms.size()].text;
    for (std::uint64_t changes = random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % (text.size() + 1);
      if (random() % 2 == 0) text.erase(at, random() % 4);
      text.insert(std::min(at, text.size()), kPieces[random() % std::size(kPieces)]);
    }
    eu_assemble_anything(text);
  }
}

}  // namespace
}  // namespace softxe
