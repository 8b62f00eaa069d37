#include "base/spare_mappings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <span>

#include "base/engine_memory.h"

namespace softxe {
namespace {

constexpr std::uint64_t kBytes = 64 * 1024;

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{}; });
}

/// Where it was, as its owner has left it.
std::byte* written_and_gone(std::uint64_t bytes) {
  auto mapping = EngineMapping::reserve({.bytes = bytes});
  if (!mapping || !mapping->grow(bytes)) return nullptr;
  std::fill_n(mapping->data(), bytes, std::byte{1});
  return mapping->data();
}

// What is kept is kept for the rest of the process: each test in one of its own.
void expect_in_a_process(const char* what, bool (*holds)()) {
  EXPECT_EXIT(std::exit(holds() ? 0 : 1), testing::ExitedWithCode(0), "") << what;
}

TEST(SpareMappings, AreKeptOnRequestOnlyAndComeBackZeroed) {
  expect_in_a_process("nothing is kept", [] {
    return !SpareMappings::kept() && written_and_gone(kBytes) != nullptr &&
           SpareMappings::take(SpareMappings::Source::kEngine, kBytes).start == nullptr;
  });
  expect_in_a_process("the next one of this size is the last one, clean and usable", [] {
    SpareMappings::keep();
    const std::byte* before = written_and_gone(kBytes);
    auto again = EngineMapping::reserve({.bytes = kBytes});
    return again && again->data() == before && again->grow(kBytes) && all_zero({again->data(), kBytes});
  });
  expect_in_a_process("another size is another mapping", [] {
    SpareMappings::keep();
    const std::byte* before = written_and_gone(kBytes);
    auto other = EngineMapping::reserve({.bytes = 2 * kBytes});
    return other && other->data() != before;
  });
}

TEST(SpareMappings, LargeOnesAreKeptWhenTheirOwnerSaysThatTheyAreClean) {
  static constexpr std::uint64_t kLarge = 8ULL << 20;
  expect_in_a_process("not said", [] {
    SpareMappings::keep();
    return written_and_gone(kLarge) != nullptr &&
           SpareMappings::take(SpareMappings::Source::kEngine, kLarge).start == nullptr;
  });
  expect_in_a_process("said", [] {
    SpareMappings::keep();
    const std::byte* before = nullptr;
    {
      auto mapping = EngineMapping::reserve({.bytes = kLarge});
      before = mapping->data();
      SpareMappings::note_clean(before);
    }
    return SpareMappings::take(SpareMappings::Source::kEngine, kLarge).start == before;
  });
}

}  // namespace
}  // namespace softxe
