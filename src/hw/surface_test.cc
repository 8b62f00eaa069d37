// Layouts of tiled surfaces against the letters of the specification (spec/eu-images.md 5).
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "hw/surface.h"

namespace softxe {
namespace {

struct Layout {
  const char* name;
  Tiling tiling;
  SurfaceShape shape;
  std::uint32_t element_bytes;
  const char* letters;  ///< the highest bit of an offset first: each takes the next bit of its coordinate
};
constexpr Layout kLayouts[] = {
    {"x", Tiling::kX, SurfaceShape::k2d, 4, "YYYXXXXXXXXX"},
    {"tile4", Tiling::kTile4, SurfaceShape::k2d, 4, "YYXYXXYYXXXX"},
    {"tile64_1", Tiling::kTile64, SurfaceShape::k2d, 1, "YYYXYYXYXXYYXXXX"},
    {"tile64_2", Tiling::kTile64, SurfaceShape::k2d, 2, "YYXXYYXYXXYYXXXX"},
    {"tile64_4", Tiling::kTile64, SurfaceShape::k2d, 4, "YYXXYYXYXXYYXXXX"},
    {"tile64_8", Tiling::kTile64, SurfaceShape::k2d, 8, "YXXXYYXYXXYYXXXX"},
    {"tile64_16", Tiling::kTile64, SurfaceShape::k2d, 16, "YXXXYYXYXXYYXXXX"},
    {"volume_1", Tiling::kTile64, SurfaceShape::k3d, 1, "ZZZYYYZZXXYYXXXX"},
    {"volume_2", Tiling::kTile64, SurfaceShape::k3d, 2, "ZZZYYYZZXXYYXXXX"},
    {"volume_4", Tiling::kTile64, SurfaceShape::k3d, 4, "ZZYXYYZZXXYYXXXX"},
    {"volume_8", Tiling::kTile64, SurfaceShape::k3d, 8, "ZZYXXYZZXXYYXXXX"},
    {"volume_16", Tiling::kTile64, SurfaceShape::k3d, 16, "ZZYXXYZZXXYYXXXX"},
};

unsigned count(const char* letters, char letter) {
  unsigned n = 0;
  for (const char* c = letters; *c != 0; ++c) n += *c == letter ? 1 : 0;
  return n;
}

/// The tables of the specification, bit by bit.
std::uint64_t offset_by_letters(const Layout& layout, std::uint64_t pitch, std::uint64_t slice_rows, std::uint64_t x,
                                std::uint64_t y, std::uint64_t z) {
  const std::string letters = layout.letters;
  const std::uint64_t tw = 1ull << count(layout.letters, 'X');
  const std::uint64_t th = 1ull << count(layout.letters, 'Y');
  const std::uint64_t td = 1ull << count(layout.letters, 'Z');
  const std::uint64_t tile = 1ull << letters.size();
  std::uint64_t offset = ((z / td * ((slice_rows + th - 1) / th) + y / th) * (pitch / tw) + x / tw) * tile;
  if (td == 1) offset = (y / th * (pitch / tw) + x / tw) * tile + z * slice_rows * pitch;
  x %= tw;
  y %= th;
  z %= td;
  for (std::size_t bit = 0; bit < letters.size(); ++bit) {
    const char letter = letters[letters.size() - 1 - bit];
    std::uint64_t& from = letter == 'X' ? x : letter == 'Y' ? y : z;
    offset += (from & 1) << bit;
    from >>= 1;
  }
  return offset;
}

class Layouts : public ::testing::TestWithParam<Layout> {};

TEST_P(Layouts, AreWhatTheLettersSay) {
  const Layout& layout = GetParam();
  std::mt19937 random(7);
  for (unsigned i = 0; i < 4000; ++i) {
    const std::uint64_t pitch = (1 + random() % 5) << count(layout.letters, 'X');
    const std::uint64_t rows = (1 + random() % 90) * 4;
    const auto surface = Surface::make({.base = 0x10000,
                                        .pitch_bytes = pitch,
                                        .tiling = layout.tiling,
                                        .shape = layout.shape,
                                        .element_bytes = layout.element_bytes,
                                        .slice_rows = rows});
    ASSERT_TRUE(surface);
    const std::uint64_t x = random() % pitch, y = random() % 400, z = random() % 100;
    ASSERT_EQ(surface->address_of({x, y, z}), 0x10000 + offset_by_letters(layout, pitch, rows, x, y, z))
        << x << " " << y << " " << z << " pitch " << pitch << " rows " << rows;
    const std::uint64_t run = surface->run_bytes({x, y, z}, 1000);
    for (std::uint64_t b = 1; b < run; ++b) {
      ASSERT_EQ(surface->address_of({x + b, y, z}), surface->address_of({x, y, z}) + b);
    }
  }
}

TEST_P(Layouts, GiveEveryByteOfATileOnce) {
  const Layout& layout = GetParam();
  const std::uint64_t width = 1ull << count(layout.letters, 'X'), height = 1ull << count(layout.letters, 'Y'),
                      depth = 1ull << count(layout.letters, 'Z');
  const auto surface = Surface::make({.pitch_bytes = width,
                                      .tiling = layout.tiling,
                                      .shape = layout.shape,
                                      .element_bytes = layout.element_bytes,
                                      .slice_rows = height});
  ASSERT_TRUE(surface);
  std::vector<bool> seen(width * height * depth);
  for (std::uint64_t z = 0; z < depth; ++z) {
    for (std::uint64_t y = 0; y < height; ++y) {
      for (std::uint64_t x = 0; x < width; ++x) {
        const std::uint64_t at = surface->address_of({x, y, z});
        ASSERT_LT(at, seen.size());
        ASSERT_FALSE(seen[at]);
        seen[at] = true;
      }
    }
  }
}

TEST_P(Layouts, WantAPitchOfWholeTiles) {
  const Layout& layout = GetParam();
  Surface::Spec spec{.tiling = layout.tiling, .shape = layout.shape, .element_bytes = layout.element_bytes};
  const std::uint64_t width = 1ull << count(layout.letters, 'X');
  for (const std::uint64_t bad : {std::uint64_t{0}, width / 2, width + 16}) {
    spec.pitch_bytes = bad;
    EXPECT_FALSE(Surface::make(spec)) << bad;
  }
  spec.pitch_bytes = width * 3;
  EXPECT_TRUE(Surface::make(spec));
}

INSTANTIATE_TEST_SUITE_P(Surface, Layouts, ::testing::ValuesIn(kLayouts),
                         [](const auto& i) { return std::string(i.param.name); });

/// Offsets of the real driver's own library (spec/eu-images.md 5). `x` in elements.
TEST(SurfaceTest, WorkedOffsets) {
  static constexpr struct {
    Tiling tiling;
    SurfaceShape shape;
    std::uint32_t element;
    std::uint64_t pitch, rows, x, y, z, offset;
  } kRows[] = {
      {Tiling::kTile64, SurfaceShape::k2d, 1, 256, 0, 99, 49, 0, 0x2A93},
      {Tiling::kTile64, SurfaceShape::k2d, 2, 512, 0, 69, 39, 0, 0x513A},
      {Tiling::kTile64, SurfaceShape::k2d, 4, 1536, 0, 299, 199, 0, 0x591BC},
      {Tiling::kTile64, SurfaceShape::k2d, 4, 1536, 0, 5, 3, 0, 0x74},
      {Tiling::kTile64, SurfaceShape::k2d, 8, 1024, 0, 39, 11, 0, 0x24F8},
      {Tiling::kTile64, SurfaceShape::k2d, 16, 1024, 0, 63, 31, 0, 0x7FF0},
      {Tiling::kTile64, SurfaceShape::k3d, 1, 128, 64, 99, 39, 34, 0x706B3},
      {Tiling::kTile64, SurfaceShape::k3d, 4, 256, 32, 39, 19, 9, 0x1A17C},
      {Tiling::kTile64, SurfaceShape::k3d, 4, 256, 32, 33, 5, 3, 0x10714},
      {Tiling::kTile64, SurfaceShape::k3d, 16, 768, 48, 39, 39, 39, 0x1A4FF0},
      {Tiling::kTile4, SurfaceShape::k2d, 1, 128, 0, 20, 7, 0, 0x174},
      {Tiling::kTile4, SurfaceShape::k2d, 1, 128, 0, 100, 31, 0, 0xFB4},
  };
  for (const auto& row : kRows) {
    const auto surface = Surface::make({.pitch_bytes = row.pitch,
                                        .tiling = row.tiling,
                                        .shape = row.shape,
                                        .element_bytes = row.element,
                                        .slice_rows = row.rows});
    ASSERT_TRUE(surface);
    EXPECT_EQ(surface->address_of({row.x * row.element, row.y, row.z}), row.offset) << row.offset;
  }
}

TEST(SurfaceTest, LayersOfLinearSurfacesAreRowsApartAndIn1dElements) {
  Surface::Spec spec{.base = 0x1000, .pitch_bytes = 400, .element_bytes = 8, .slice_rows = 64};
  EXPECT_EQ(Surface::make(spec)->address_of({16, 3, 2}), 0x1000u + 16 + 3 * 400 + 2 * 64 * 400);
  spec.shape = SurfaceShape::k1d;
  EXPECT_EQ(Surface::make(spec)->address_of({16, 0, 2}), 0x1000u + 16 + 2 * 64 * 8);
}

TEST(SurfaceTest, ElementsThatAreNoPowerOfTwoHaveNoTiles) {
  EXPECT_FALSE(Surface::make({.pitch_bytes = 512, .tiling = Tiling::kTile64, .element_bytes = 12}));
  EXPECT_TRUE(Surface::make({.pitch_bytes = 512, .tiling = Tiling::kLinear, .element_bytes = 12}));
}

}  // namespace
}  // namespace softxe
