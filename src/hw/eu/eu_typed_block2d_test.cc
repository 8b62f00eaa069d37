// 2D blocks of images: where elements stand under each tiling, what lies outside, which surfaces are refused.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hw/eu/eu_image.h"
#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kImage = 0x1'0000'0000;
constexpr std::uint32_t kStateOffset = 0x40;
constexpr unsigned kLinear = 0, kTile64 = 1, kX = 2, kTile4 = 3;
constexpr std::uint32_t kR8 = 0x140, kRgba8 = 0xC7, kRgba32f = 0x000;

struct Image {
  unsigned tile = kLinear;
  std::uint32_t format = kR8;
  unsigned width = 128;  ///< elements
  unsigned height = 64;
  unsigned pitch = 512;
};
struct Block {
  int x = 0;  ///< bytes
  int y = 0;
  unsigned width = 4;
  unsigned height = 1;
};

std::array<std::uint32_t, 16> state_of(const Image& image) {
  std::array<std::uint32_t, 16> words{};
  words[0] = 1u << 29 | image.format << 18 | image.tile << 12;
  words[2] = (image.height - 1) << 16 | (image.width - 1);
  words[3] = image.pitch - 1;
  words[8] = static_cast<std::uint32_t>(kImage);
  words[9] = static_cast<std::uint32_t>(kImage >> 32) | 0xFFFF'0000;  // canonical
  return words;
}

/// From the letters of spec/eu-images.md 5: highest address bit first, each X and Y takes the next bit of its own.
std::uint64_t offset_in(const char* letters, std::uint64_t x, std::uint64_t y) {
  const std::string text = letters;
  std::uint64_t offset = 0;
  for (std::size_t bit = 0; bit < text.size(); ++bit) {
    std::uint64_t& from = text[text.size() - 1 - bit] == 'X' ? x : y;
    offset |= (from & 1) << bit;
    from >>= 1;
  }
  return offset;
}
std::uint64_t offset_of(const Image& image, std::uint64_t x, std::uint64_t y) {
  if (image.tile == kLinear) return y * image.pitch + x;
  const bool x_tile = image.tile == kX;
  const std::uint64_t width = x_tile ? 512 : 128, height = x_tile ? 8 : 32;
  return (y / height * (image.pitch / width) + x / width) * 4096 +
         offset_in(x_tile ? "YYYXXXXXXXXX" : "YYXYXXYYXXXX", x % width, y % height);
}

class EuTypedBlock2dTest : public ::testing::Test {
 protected:
  EuTypedBlock2dTest() {
    rig_.memory.map(kImage, 32 * kPageSize);
    rig_.memory.map(EuSendRig::kTable, kPageSize);
    rig_.memory.map(EuSendRig::kSurfaces, kPageSize);
    rig_.memory.put<std::uint32_t>(EuSendRig::kTable + 4 * 3, kStateOffset | 1);
    for (std::uint64_t i = 0; i < 32 * kPageSize; ++i) {
      rig_.memory.at(kImage + i) = static_cast<std::byte>(i * 31 + i / 256 * 7);
    }
  }
  void bind(const std::array<std::uint32_t, 16>& words) {
    for (unsigned i = 0; i < 16; ++i) {
      rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces + kStateOffset + 4 * i, words[i]);
    }
  }
  EuInst inst(const Block& b, bool store, int src1) {
    for (unsigned i = 0; i < 8; ++i) rig_.put<std::uint32_t>(4, i, 0xDEAD'BEEF);
    rig_.put<std::uint32_t>(4, 5, static_cast<std::uint32_t>(b.x));
    rig_.put<std::uint32_t>(4, 6, static_cast<std::uint32_t>(b.y));
    rig_.put<std::uint16_t>(4, 14, static_cast<std::uint16_t>((b.width - 1) | (b.height - 1) << 8));
    return EuSendRig::inst({.sfid = EuSfid::kTgm,
                            .desc = store ? 0x64000007u : 0x62100003u,
                            .ext_desc = 0x0300'0000,
                            .channels = 16,
                            .dst = store ? EuSendRig::kNull : 5,
                            .src0 = 4,
                            .src1 = src1});
  }
  EuSendResult load(const Block& b) { return rig_.send(inst(b, false, EuSendRig::kNull)); }
  /// Data in r5, behind the address, unless src1 names others.
  EuSendResult store(const Block& b, int src1 = EuSendRig::kNull) { return rig_.send(inst(b, true, src1)); }
  std::string reason(const EuSendResult& result) {
    static constexpr const char* kKinds[] = {"done", "ended", "fault", "illegal", "unsupported"};
    const std::string kind = kKinds[static_cast<unsigned>(result.kind)];
    return result.kind < EuSendKind::kFault ? kind : kind + ": " + result.reason;
  }

  EuSendRig rig_;
};

TEST_F(EuTypedBlock2dTest, WorkedOffsetsOfTile4) {
  Image image{.tile = kTile4, .pitch = 128};
  EXPECT_EQ(offset_of(image, 20, 7), 0x174u);
  EXPECT_EQ(offset_of(image, 100, 31), 0xFB4u);
  const auto decoded = eu_image_of({state_of(image)}, (std::uint64_t{1} << 48) - 1);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->memory.address_of({20, 7}), kImage + 0x174);
  EXPECT_EQ(decoded->memory.address_of({100, 31}), kImage + 0xFB4);
}

TEST_F(EuTypedBlock2dTest, BlocksAreWhatTheLettersSay) {
  static constexpr Image kImages[] = {{.tile = kLinear, .pitch = 500},
                                      {.tile = kX, .pitch = 1024},
                                      {.tile = kTile4, .pitch = 256},
                                      {.tile = kTile4, .format = kRgba8, .width = 30, .height = 63, .pitch = 128},
                                      {.tile = kLinear, .format = kRgba32f, .width = 7, .height = 5, .pitch = 112},
                                      {.tile = kX, .width = 125, .height = 61}};
  // Whole ones, over each edge, at odd bytes, with widths that registers round up, and outside altogether.
  static constexpr Block kBlocks[] = {
      {0, 0, 16, 1},   {16, 3, 64, 8},   {96, 20, 64, 32}, {-8, -2, 16, 4},  {3, 5, 7, 3},
      {60, 58, 12, 9}, {100, 2, 60, 12}, {5000, 0, 4, 1},  {0, -50, 16, 20}, {0, 0, 3, 2},
  };
  for (const Image& image : kImages) {
    bind(state_of(image));
    const unsigned element = image.format == kRgba8 ? 4 : image.format == kRgba32f ? 16 : 1;
    for (const Block& b : kBlocks) {
      SCOPED_TRACE(testing::Message() << "tile " << image.tile << " x " << b.x << " y " << b.y);
      unsigned row = 4;
      while (row < b.width) row *= 2;
      std::vector<std::byte> expected((row * b.height + 63) / 64 * 64);
      for (unsigned i = 0; i < 2048 + 1; ++i) rig_.put<std::uint8_t>(5, i, 0xAA);
      auto pages = rig_.memory.pages;
      const auto each = [&](const auto& body) {
        for (unsigned j = 0; j < b.height; ++j) {
          for (unsigned i = 0; i < b.width; ++i) {
            const int x = b.x + static_cast<int>(i), y = b.y + static_cast<int>(j);
            if (x < 0 || y < 0 || x >= static_cast<int>(image.width * element)) continue;
            if (y >= static_cast<int>(image.height)) continue;
            const std::uint64_t va = kImage + offset_of(image, static_cast<unsigned>(x), static_cast<unsigned>(y));
            body(pages.at(va >> kPageShift)[va % kPageSize], j * row + i);
          }
        }
      };
      each([&](std::byte& memory, unsigned at) { expected[at] = memory; });
      ASSERT_EQ(reason(load(b)), "done");
      EXPECT_EQ(std::memcmp(rig_.thread().grf.data() + 5 * kEuGrfBytes, expected.data(), expected.size()), 0);
      EXPECT_EQ(std::to_integer<unsigned>(rig_.thread().grf[5 * kEuGrfBytes + expected.size()]), 0xAAu);

      for (unsigned i = 0; i < 2048; ++i) rig_.put<std::uint8_t>(5, i, static_cast<std::uint8_t>(i * 5 + 1));
      each([&](std::byte& memory, unsigned at) { memory = static_cast<std::byte>(at * 5 + 1); });
      ASSERT_EQ(reason(store(b)), "done");
      EXPECT_EQ(rig_.memory.pages, pages);
    }
  }
}

TEST_F(EuTypedBlock2dTest, StoresTakeTheirDataFromSrc1OrBehindTheAddress) {
  bind(state_of({}));
  rig_.put<std::uint32_t>(5, 0, 0x1111'1111);
  rig_.put<std::uint32_t>(9, 0, 0x9999'9999);
  ASSERT_EQ(reason(store({})), "done");
  EXPECT_EQ(rig_.memory.get<std::uint32_t>(kImage), 0x1111'1111u);
  ASSERT_EQ(reason(store({}, 9)), "done");
  EXPECT_EQ(rig_.memory.get<std::uint32_t>(kImage), 0x9999'9999u);
}

TEST_F(EuTypedBlock2dTest, ANullSurfaceReadsZeroAndDropsStores) {
  bind({7u << 29});
  rig_.put<std::uint32_t>(5, 0, 1);
  const auto before = rig_.memory.pages;
  ASSERT_EQ(reason(store({})), "done");
  EXPECT_EQ(rig_.memory.pages, before);
  ASSERT_EQ(reason(load({})), "done");
  EXPECT_EQ(rig_.get<std::uint32_t>(5, 0), 0u);
}

TEST_F(EuTypedBlock2dTest, AViewOfAnArrayBeginsAtItsFirstLayer) {
  auto words = state_of({.pitch = 512});
  words[0] |= 1u << 28;
  words[1] = 16 / 4;  // rows from layer to layer
  words[4] = 2u << 18;
  bind(words);
  rig_.memory.put<std::uint32_t>(kImage + 2 * 16 * 512, 0x1234'5678);
  ASSERT_EQ(reason(load({})), "done");
  EXPECT_EQ(rig_.get<std::uint32_t>(5, 0), 0x1234'5678u);
}

TEST_F(EuTypedBlock2dTest, SurfacesThatAreNotHadAreNamedAndChangeNothing) {
  static constexpr struct {
    unsigned dword;
    std::uint32_t set;
    std::uint32_t clear;
    const char* reason;
  } kRows[] = {
      {0, 0, 7u << 29 | 3u << 12, "unsupported: 2D block message to an image that is not 2D"},  // 1D
      {0, 2u << 29 | kTile64 << 12, 7u << 29 | 3u << 12, "unsupported: 2D block message to an image that is not 2D"},
      {0, 3u << 29, 7u << 29, "unsupported: image message to a surface that is no image"},
      {0, 0x1A6u << 18, 0x1FFu << 18, "unsupported: image message to an image of this format"},
      {0, 0x182u << 18, 0x1FFu << 18, "unsupported: 2D block message to a YUV image"},
      {1, 1u << 19, 0, "illegal: image message to a mip level that its image does not have"},
      {4, 1u << 3, 0, "unsupported: image message to a multisampled image"},
      {5, 1u << 4, 0, "illegal: image message to a mip level that its image does not have"},
      {3, 63, 0x3FFFF, "illegal: the pitch of a tiled surface is not a number of tiles"},
      {9, 2, 0xFFFF, "fault: test: page is not there"},
  };
  const auto before = rig_.thread().grf;
  for (const auto& row : kRows) {
    auto words = state_of({.tile = kTile4});
    words[row.dword] = (words[row.dword] & ~row.clear) | row.set;
    bind(words);
    EXPECT_EQ(reason(load({})), row.reason);
    EXPECT_EQ(reason(store({})), row.reason);
  }
  EXPECT_EQ(rig_.memory.effects, 0u);
  EXPECT_EQ(std::memcmp(rig_.thread().grf.data() + 5 * kEuGrfBytes, before.data() + 5 * kEuGrfBytes, 512), 0);
  bind(state_of({}));
  EXPECT_EQ(reason(load({.width = 65})), "illegal: 2D block message with more data than registers");
  EXPECT_EQ(reason(load({.width = 64, .height = 33})), "illegal: 2D block message with more data than registers");
}

}  // namespace
}  // namespace softxe
