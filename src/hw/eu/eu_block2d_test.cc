// 2D blocks: layouts written out by hand, and random ones against a model that goes element by element.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "hw/eu/eu_send_rig.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // __int128 in the generator
#include "base/prng.h"
#pragma GCC diagnostic pop

namespace softxe {
namespace {

constexpr std::uint64_t kVa = 0x7F00'0000'1000;

struct Block {
  unsigned width = 32;  ///< of the matrix, bytes
  unsigned height = 8;
  unsigned pitch = 64;
  int x = 0;
  int y = 0;
  unsigned block_width = 4;
  unsigned block_height = 4;
  unsigned blocks = 1;
};

constexpr unsigned kPlain = 0;
constexpr unsigned kVnni = 1u << 7;
constexpr unsigned kTransposed = 1u << 15;

class EuBlock2dTest : public ::testing::Test {
 protected:
  EuBlock2dTest() { rig_.memory.map(kVa, 8 * kPageSize); }

  EuSendResult send(const Block& b, std::uint32_t desc, std::uint32_t ext_desc = 0) {
    rig_.put<std::uint64_t>(1, 0, kVa | 0xFFFF'0000'0000'0000);  // canonical
    const std::uint32_t words[] = {
        b.width - 1,
        b.height - 1,
        b.pitch - 1,
        static_cast<std::uint32_t>(b.x),
        static_cast<std::uint32_t>(b.y),
        (b.block_width - 1) | (b.block_height - 1) << 8 | (b.blocks - 1) << 16 | 0xFFFu << 20};
    for (unsigned i = 0; i < 6; ++i) rig_.put<std::uint32_t>(1, 2 + i, words[i]);
    const bool store = (desc & 0x3F) == 7;
    return rig_.send(EuSendRig::inst(
        {.desc = desc, .ext_desc = ext_desc, .channels = 1, .dst = store ? EuSendRig::kNull : 10, .src1 = 10}));
  }
  /// Element (y, x) of the matrix holds y * 16 + x.
  void number_matrix(const Block& b, unsigned size) {
    for (unsigned y = 0; y < b.height; ++y) {
      for (unsigned x = 0; x < b.width / size; ++x) {
        const std::uint64_t value = y * 16 + x;
        for (unsigned i = 0; i < size; ++i) {
          rig_.memory.at(kVa + y * b.pitch + x * size + i) = static_cast<std::byte>(value >> (8 * i));
        }
      }
    }
  }
  std::string registers(unsigned count, unsigned size) {
    std::string text;
    for (unsigned i = 0; i < count; ++i) {
      std::uint64_t value = 0;
      std::memcpy(&value, rig_.thread().grf.data() + 10 * kEuGrfBytes + i * size, size);
      char number[20];
      std::snprintf(number, sizeof number, "%s%lx", i == 0 ? "" : " ", value);
      text += number;
    }
    return text;
  }

  EuSendRig rig_;
};

TEST_F(EuBlock2dTest, LoadsStandInRegistersAsTheTableShows) {
  static constexpr struct {
    const char* what;
    unsigned size;
    unsigned order;
    Block block;
    std::uint32_t ext_desc;
    unsigned shown;
    const char* text;
  } kRows[] = {
      {"plain", 4, kPlain, {.x = 1, .y = 2, .block_width = 4, .block_height = 2}, 0, 8, "21 22 23 24 31 32 33 34"},
      {"a width of three takes four", 4, kPlain, {.block_width = 3, .block_height = 2}, 0, 8, "0 1 2 0 10 11 12 0"},
      {"two blocks, each from a register",
       4,
       kPlain,
       {.block_width = 2, .block_height = 1, .blocks = 2},
       0,
       18,
       "0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 2 3"},
      {"over the left and upper edge",
       4,
       kPlain,
       {.x = -1, .y = -1, .block_width = 2, .block_height = 2},
       0,
       4,
       "0 0 0 0"},
      {"over the right edge", 4, kPlain, {.x = 6, .y = 1, .block_width = 4, .block_height = 1}, 0, 4, "16 17 0 0"},
      {"offsets of the descriptor",
       4,
       kPlain,
       {.x = 3, .y = 0, .block_width = 2, .block_height = 1},
       0x3FFu << 12 | 2u << 22,
       2,
       "22 23"},
      {"transposed", 4, kTransposed, {.block_width = 2, .block_height = 4}, 0, 8, "0 10 20 30 1 11 21 31"},
      {"transposed, a height of three takes four",
       4,
       kTransposed,
       {.block_width = 2, .block_height = 3},
       0,
       8,
       "0 10 20 0 1 11 21 0"},
      {"VNNI of words: two rows", 2, kVnni, {.block_width = 2, .block_height = 4}, 0, 8, "0 10 1 11 20 30 21 31"},
      {"VNNI of bytes: four rows", 1, kVnni, {.block_width = 2, .block_height = 4}, 0, 8, "0 10 20 30 1 11 21 31"},
      {"qwords", 8, kPlain, {.x = 1, .block_width = 2, .block_height = 2}, 0, 4, "1 2 11 12"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.what);
    number_matrix(row.block, row.size);
    const auto code = static_cast<std::uint32_t>(std::countr_zero(row.size));
    ASSERT_EQ(send(row.block, 3 | code << 9 | row.order, row.ext_desc).kind, EuSendKind::kDone);
    EXPECT_EQ(registers(row.shown, row.size), row.text);
  }
}

TEST_F(EuBlock2dTest, TooMuchDataAndStoresOfSeveralBlocksAreIllegal) {
  EXPECT_EQ(send({.block_width = 64, .block_height = 33}, 3 | 0 << 9).kind, EuSendKind::kIllegal);
  EXPECT_EQ(send({.block_width = 256, .block_height = 1, .blocks = 1}, 3 | 3 << 9).kind, EuSendKind::kIllegal);
  EXPECT_EQ(send({.blocks = 2}, 7 | 2 << 9).kind, EuSendKind::kIllegal);
}

/// Every element for itself, from the text of spec/eu-isa.md 9.1.
TEST_F(EuBlock2dTest, RandomBlocksAreWhatAModelSays) {
  Prng random(7);
  const auto below = [&](std::uint64_t n) { return static_cast<unsigned>(random.below(n)); };
  const auto power = [](unsigned n) {
    unsigned p = 1;
    while (p < n) p *= 2;
    return p;
  };
  unsigned done = 0;
  for (unsigned step = 0; step < 20'000; ++step) {
    const unsigned code = below(4), size = 1u << code;
    const bool store = random.chance(1, 3);
    const unsigned order = store ? kPlain : std::array{kPlain, kVnni, kTransposed}[below(3)];
    Block b{.width = 1 + below(100), .height = 1 + below(20), .pitch = 128};
    b.x = static_cast<int>(below(60)) - 20, b.y = static_cast<int>(below(30)) - 10;
    b.block_width = 1 + below(64 / size), b.block_height = 1 + below(32), b.blocks = store ? 1 : 1 + below(4);
    for (unsigned i = 0; i < 64; ++i) rig_.memory.put<std::uint64_t>(kVa + below(20 * 128 / 8) * 8, random.next());
    for (unsigned i = 0; i < 256; ++i) rig_.put<std::uint64_t>(10, i, random.next());
    const auto memory = rig_.memory.pages;
    const auto before = rig_.thread().grf;
    const EuSendResult result = send(b, (store ? 7u : 3u) | code << 9 | order);
    const unsigned e = order == kVnni && size < 4 ? 4 / size : 1;
    const unsigned rows = order == kTransposed ? b.block_width : (b.block_height + e - 1) / e * e;
    const unsigned row = power(order == kTransposed ? b.block_height : b.block_width);
    const unsigned block_bytes = (rows * row * size + 63) / 64 * 64;
    if (block_bytes * b.blocks > 2048 || b.block_width * b.blocks * size > 512) {
      ASSERT_EQ(result.kind, EuSendKind::kIllegal);
      continue;
    }
    ASSERT_EQ(result.kind, EuSendKind::kDone) << result.reason;
    ++done;
    auto expected_memory = memory;
    std::vector<std::byte> expected(b.blocks * block_bytes);
    if (store) std::memcpy(expected.data(), before.data() + 640, expected.size());
    for (unsigned k = 0; k < b.blocks; ++k) {
      for (unsigned y = 0; y < b.block_height; ++y) {
        for (unsigned x = 0; x < b.block_width; ++x) {
          const int sx = b.x + static_cast<int>(k * b.block_width + x), sy = b.y + static_cast<int>(y);
          if (sx < 0 || sy < 0 || sx >= static_cast<int>(b.width / size) || sy >= static_cast<int>(b.height)) continue;
          const unsigned place = order == kTransposed ? x * row + y
                                 : order == kVnni     ? (y / e) * row * e + x * e + y % e
                                                      : y * row + x;
          for (unsigned i = 0; i < size; ++i) {
            const std::uint64_t va = kVa + static_cast<unsigned>(sy) * b.pitch + static_cast<unsigned>(sx) * size + i;
            std::byte& in_memory = expected_memory.at(va >> 12)[va & 4095];
            std::byte& in_register = expected[k * block_bytes + place * size + i];
            if (store) in_memory = in_register;
            if (!store) in_register = in_memory;
          }
        }
      }
    }
    ASSERT_EQ(std::memcmp(rig_.thread().grf.data() + 640, expected.data(), expected.size()), 0) << step;
    ASSERT_EQ(rig_.memory.pages, expected_memory) << step;
  }
  EXPECT_GT(done, 5000u);
}

}  // namespace
}  // namespace softxe
