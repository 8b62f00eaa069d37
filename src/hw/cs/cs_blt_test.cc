// Blits against naive models: what is copied and filled, tiled layouts, and that steps are bounded.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "hw/cs/cs_fake_memory.h"
#include "hw/cs/cs_streamer.h"

namespace softxe {
namespace {

using Dwords = std::vector<std::uint32_t>;
using K = CsStepKind;

constexpr std::uint32_t kBatch = 0x10000;
constexpr std::uint32_t kSrc = 0x100000;
constexpr std::uint32_t kDst = 0x200000;
constexpr std::uint32_t kBack = 0x300000;
constexpr std::uint64_t kWindow = 0x20000;
constexpr std::uint32_t kEnd = 0x05000000;

std::uint8_t source_byte(std::uint64_t i) { return static_cast<std::uint8_t>(1 + (i * 7 + i / 251) % 255); }

struct Machine {
  Machine() {
    memory.map(kBatch);
    for (const std::uint32_t at : {kSrc, kDst, kBack}) memory.map(at, kWindow);
    for (std::uint64_t i = 0; i < kWindow; ++i) memory.put_byte(kSrc + i, source_byte(i));
    engine.clock = &clock;
  }
  CsStep run(const Dwords& blit) {
    Dwords batch = blit;
    batch.push_back(kEnd);
    memory.put(kBatch, batch);
    context.start_batch(GpuVa(kBatch));
    steps = 0;
    CsStep step;
    do {
      step = cs_step(context, memory, engine);
      ++steps;
    } while (step.kind == K::kContinue && steps < 10000);
    return step;
  }

  ManualClock clock;
  FakeCsMemory memory;
  CsEngine engine{.engine_class = CsEngineClass::kCopy,
                  .mmio_base = 0x22000,
                  .reference_clock_hz = 19'200'000,
                  .va_bits = 48,
                  .clock = nullptr};
  CsContext context;
  int steps = 0;
};

/// The target afterwards holds, at `to` + y * to_pitch + x, the source's byte from + y * from_pitch
/// + x for all of the rectangle, and 0 around it. With `fill` >= 0 that byte instead.
struct Case {
  const char* name;
  Dwords blit;
  std::uint64_t width, rows;
  std::uint64_t to, to_pitch;
  std::uint64_t from, from_pitch;
  int fill = -1;
};
std::ostream& operator<<(std::ostream& os, const Case& c) { return os << c.name; }

class Blits : public ::testing::TestWithParam<Case> {};

TEST_P(Blits, WriteExactlyTheRectangle) {
  Machine m;
  const Case& c = GetParam();
  const CsStep step = m.run(c.blit);
  ASSERT_EQ(step.kind, K::kBatchDone) << step.reason;
  std::vector<std::uint8_t> model(kWindow, 0);
  for (std::uint64_t y = 0; y < c.rows; ++y) {
    for (std::uint64_t x = 0; x < c.width; ++x) {
      model[c.to + y * c.to_pitch + x] =
          c.fill >= 0 ? static_cast<std::uint8_t>(c.fill) : source_byte(c.from + y * c.from_pitch + x);
    }
  }
  for (std::uint64_t i = 0; i < kWindow; ++i) {
    ASSERT_EQ(m.memory.byte(kDst + i), model[i]) << "at " << i;
  }
}

constexpr std::uint32_t xy(std::uint32_t x, std::uint32_t y) { return y << 16 | x; }

const Case kBlits[] = {
    {"mem_copy_byte", {0x56800008, 0x368, ~0u, ~0u, ~0u, kSrc + 3, 0, kDst + 5, 0, 0}, 0x369, 1, 5, 0, 3, 0},
    {"mem_copy_one", {0x56800008, 0, 0, 0, 0, kSrc, 0, kDst, 0, 0}, 1, 1, 0, 0, 0, 0},
    {"mem_copy_page", {0x56880008, 15, 0, 0, 0, kSrc, 0, kDst, 0, 0}, 4096, 1, 0, 0, 0, 0},
    {"mem_copy_matrix", {0x56820008, 9, 4, 19, 29, kSrc, 0, kDst, 0, 0}, 10, 5, 0, 30, 0, 20},
    {"mem_set_linear", {0x56c00005, 0xfffd, ~0u, ~0u, kDst + 1, 0, 0xab000000}, 0xfffe, 1, 1, 0, 0, 0, 0xab},
    {"mem_set_matrix", {0x56c20005, 6, 9, 99, kDst, 0, 0x11000018}, 7, 10, 0, 100, 0, 0, 0x11},
    {"fast_copy",
     {0x50800008, 3u << 24 | 256, xy(2, 3), xy(12, 9), kDst, 0, xy(1, 4), 128, kSrc, 0},
     40,
     6,
     3 * 256 + 8,
     256,
     4 * 128 + 4,
     128},
    {"fast_copy_8_bit",
     {0x50800008, 256, xy(2, 3), xy(12, 9), kDst, 0, xy(1, 4), 128, kSrc, 0},
     10,
     6,
     3 * 256 + 2,
     256,
     4 * 128 + 1,
     128},
    {"fast_copy_empty", {0x50800008, 256, xy(2, 3), xy(2, 9), kDst, 0, 0, 128, kSrc, 0}, 0, 0, 0, 0, 0, 0},
    {"block_copy_12",
     {0x5050000a, 255, xy(2, 3), xy(12, 9), kDst, 0, 0, xy(1, 4), 127, kSrc, 0, 0},
     40,
     6,
     3 * 256 + 8,
     256,
     4 * 128 + 4,
     128},
    {"block_copy_22_offsets",
     {0x50480014, 255, xy(0, 0), xy(12, 9), kDst, 0, xy(2, 1), xy(0, 0), 127, kSrc, 0,
      xy(3, 2),   0,   0,        0,         0,    0, 0,        0,        0,   0,    0},
     24,
     9,
     256 + 4,
     256,
     2 * 128 + 6,
     128},
    {"fast_color_32",
     {0x5110000e, 255, xy(2, 3), xy(12, 9), kDst, 0, 0, 0x5a5a5a5a, 0, 0, 0, 0, 0, 0, 0, 0},
     40,
     6,
     3 * 256 + 8,
     256,
     0,
     0,
     0x5a},
};
INSTANTIATE_TEST_SUITE_P(Linear, Blits, ::testing::ValuesIn(kBlits),
                         [](const auto& i) { return std::string(i.param.name); });

TEST(CsBlitTest, AColourIsRepeatedPixelByPixel) {
  Machine m;
  ASSERT_EQ(m.run({0x5118000e, 255, 0, xy(3, 1), kDst, 0, 0, 0x03020100, 0x07060504, 0, 0, 0, 0, 0, 0, 0}).kind,
            K::kBatchDone);
  for (std::uint32_t i = 0; i < 24; ++i) EXPECT_EQ(m.memory.byte(kDst + i), i % 8);
  EXPECT_EQ(m.memory.byte(kDst + 24), 0);
}

TEST(CsBlitTest, Refusals) {
  const Dwords refused[] = {
      {0x54c00008, 0, 0, 0, 0, 0, 0, 0, 0, 0},                                              // XY_SRC_COPY
      {0x52000003, 0, 0, 0, 0},                                                             // CTRL_SURF
      {0x50800008, 2u << 24, 0, xy(1, 1), kDst, 0, 0, 0, kSrc, 0},                          // depth
      {0x50802008, 3u << 24 | 100, 0, xy(1, 1), kDst, 0, 0, 128, kSrc, 0},                  // X pitch
      {0x5050000a, 1u << 29 | 255, 0, xy(1, 1), kDst, 0, 0, 0, 127, kSrc, 0, 0},            // compressed
      {0x5118000e, 1u << 29 | 255, 0, xy(3, 1), kDst, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0},  // compressed
      {0x5050100a, 255, 0, xy(1, 1), kDst, 0, 0, 0, 127, kSrc, 0, 0},                       // resolve
      {0x5050000b, 255, 0, xy(1, 1), kDst, 0, 0, 0, 127, kSrc, 0, 0, 0},                    // 13 dwords
      {0x568a0008, 15, 0, 0, 0, kSrc, 0, kDst, 0, 0},                                       // page and matrix
      {0x50500014, 255, 0, xy(1, 1), kDst, 0, 0, 0, 127, kSrc, 0, 0, 0, 0, 0, 0, 1u << 29, 1, 0, 0, 0, 0},  // mip level
      {0x50600014, 3u << 30 | 127, 0, xy(1, 1), kDst, 0, 0, 0, 127, kSrc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
       0},                                         // 96 bits tiled
      {0x56800007, 0, 0, 0, 0, kSrc, 0, kDst, 0},  // short
  };
  for (const Dwords& blit : refused) {
    Machine m;
    const CsStep step = m.run(blit);
    EXPECT_EQ(step.kind, K::kBadCommand) << std::hex << blit[0];
    EXPECT_STRNE(step.reason, "");
  }
}

TEST(CsBlitTest, LongCopiesTakeBoundedSteps) {
  Machine m;
  const std::uint64_t bytes = 5ull * 1024 * 1024;
  m.memory.map(0x1000000, bytes);
  m.memory.map(0x2000000, bytes);
  m.memory.put_byte(0x1000000 + bytes - 1, 9);
  const Dwords blit = {0x56880008, static_cast<std::uint32_t>(bytes / 256 - 1), 0, 0, 0, 0x1000000, 0, 0x2000000, 0, 0};
  EXPECT_EQ(m.run(blit).kind, K::kBatchDone);
  EXPECT_EQ(m.steps, 3 + 1);
  EXPECT_EQ(m.memory.longest(), k2M);
  EXPECT_EQ(m.memory.byte(0x2000000 + bytes - 1), 9);
}

TEST(CsBlitTest, AFaultInTheMiddleNamesTheCommand) {
  Machine m;
  m.memory.map(0x1000000, k2M);
  const CsStep step = m.run({0x56c00005, 0x2fffff, 0, 0, 0x1000000, 0, 0x07000000});
  EXPECT_EQ(step.kind, K::kPageFault);
  EXPECT_EQ(step.header, 0x56c00005u);
  EXPECT_EQ(step.address.value(), kBatch);
  EXPECT_EQ(m.memory.byte(0x1000000 + k2M - 1), 7);
  m.memory.map(0x1000000 + k2M, k1G / 1024);
  EXPECT_EQ(cs_step(m.context, m.memory, m.engine).kind, K::kContinue) << "the rest";
  EXPECT_EQ(m.memory.byte(0x1000000 + 0x2fffff), 7);
}

/// Tiling codes of XY_FAST_COPY_BLT and the pitch in dwords of a surface of 1024 bytes.
struct Tiled {
  const char* name;
  std::uint32_t field;
  Tiling tiling;
};
const Tiled kTiled[] = {{"x", 1, Tiling::kX}, {"tile4", 2, Tiling::kTile4}, {"tile64", 3, Tiling::kTile64}};

/// What the runtime sends for slice 1 of a 3D image of 40 x 20 x 10 floats: a linear side, and one of Tile64 whose base
/// is that of the whole image.
TEST(CsBlitTest, ASliceOfA3dImageGoesToItsPlaceInTheTiles) {
  Machine m;
  const std::uint32_t kImage = 0x800000;
  m.memory.map(kImage, 2 * 20 * 65536);
  ASSERT_EQ(
      m.run({0x50500014, 0xC000003F, 0,          0x00140028, kImage,     0, 0, 0, 0x0000009F, kSrc, 0, 0, 0, 0, 0, 0,
             0x4009C013, 0x01200080, 0x00200F00, 0x2009C013, 0x01200050, 0})
          .kind,
      K::kBatchDone);
  const auto image = Surface::make({.base = kImage,
                                    .pitch_bytes = 256,
                                    .tiling = Tiling::kTile64,
                                    .shape = SurfaceShape::k3d,
                                    .element_bytes = 4,
                                    .slice_rows = 32});
  ASSERT_TRUE(image);
  for (std::uint64_t y = 0; y < 20; ++y) {
    for (std::uint64_t x = 0; x < 160; ++x) {
      ASSERT_EQ(m.memory.byte(image->address_of({x, y, 1})), source_byte(y * 160 + x)) << x << " " << y;
      ASSERT_EQ(m.memory.byte(image->address_of({x, y, 0})), 0) << "another slice";
    }
  }
}

/// Element sizes by the depth code, with pitches (in dwords - 1) of one tile each.
TEST(CsBlitTest, Tile64GoesByTheSizeOfAnElementInBothDirections) {
  static constexpr struct {
    std::uint32_t depth, bytes, pitch_dwords;
  } kRows[] = {{0, 1, 64}, {1, 2, 128}, {2, 4, 128}, {3, 8, 256}, {5, 16, 256}};
  for (const auto& row : kRows) {
    Machine m;
    const std::uint32_t linear = 64 * row.bytes, header = 0x50400014 | row.depth << 19,
                        tiled = 3u << 30 | (row.pitch_dwords - 1);
    ASSERT_EQ(m.run({header, tiled, xy(1, 3), xy(34, 23), kDst,         0, 0, xy(2, 1),     linear - 1, kSrc, 0, 0,
                     0,      0,     0,        0,          1u << 29 | 1, 0, 0, 1u << 29 | 1, 0,          0})
                  .kind,
              K::kBatchDone);
    const auto to = Surface::make(
        {.base = kDst, .pitch_bytes = row.pitch_dwords * 4, .tiling = Tiling::kTile64, .element_bytes = row.bytes});
    ASSERT_TRUE(to);
    for (std::uint64_t y = 0; y < 20; ++y) {
      for (std::uint64_t x = 0; x < 33 * row.bytes; ++x) {
        ASSERT_EQ(m.memory.byte(to->address_of({row.bytes + x, 3 + y})),
                  source_byte((1 + y) * linear + 2 * row.bytes + x))
            << row.bytes;
      }
    }
    ASSERT_EQ(m.run({header, linear - 1, xy(2, 1), xy(35, 21), kBack,        0, 0, xy(1, 3),     tiled, kDst, 0, 0,
                     0,      0,          0,        0,          1u << 29 | 1, 0, 0, 1u << 29 | 1, 0,     0})
                  .kind,
              K::kBatchDone);
    for (std::uint64_t i = linear + 2 * row.bytes; i < linear + 35 * row.bytes; ++i)
      ASSERT_EQ(m.memory.byte(kBack + i), source_byte(i));
  }
}

/// The array index of a 2D surface is a layer: as many rows away as its distance field says.
TEST(CsBlitTest, ALayerOfAnArrayIsItsDistanceInRowsAway) {
  Machine m;
  const std::uint32_t rows = 32;
  ASSERT_EQ(m.run({0x50500014,
                   255,
                   0,
                   xy(4, 2),
                   kDst,
                   0,
                   0,
                   0,
                   255,
                   kSrc,
                   0,
                   0,
                   0,
                   0,
                   0,
                   0,
                   1u << 29 | 1,
                   rows / 4 << 4,
                   3u << 21,
                   1u << 29 | 1,
                   rows / 4 << 4,
                   1u << 21})
                .kind,
            K::kBatchDone);
  for (std::uint64_t x = 0; x < 16; ++x) {
    EXPECT_EQ(m.memory.byte(kDst + 3 * rows * 256 + x), source_byte(rows * 256 + x));
    EXPECT_EQ(m.memory.byte(kDst + x), 0);
  }
}

TEST(CsBlitTest, TiledRoundTripsAreTheIdentity) {
  for (const Tiled& t : kTiled) {
    Machine m;
    // 30 x 100 pixels of 4 bytes at (5, 9) of the tiled surface.
    ASSERT_EQ(
        m.run({0x50800008 | t.field << 13, 3u << 24 | 256, xy(5, 9), xy(35, 109), kDst, 0, xy(1, 2), 512, kSrc, 0})
            .kind,
        K::kBatchDone)
        << t.name;
    ASSERT_EQ(
        m.run({0x50800008 | t.field << 20, 3u << 24 | 512, xy(1, 2), xy(31, 102), kBack, 0, xy(5, 9), 256, kDst, 0})
            .kind,
        K::kBatchDone)
        << t.name;
    bool moved = false;
    for (std::uint64_t y = 2; y < 102; ++y) {
      for (std::uint64_t x = 4; x < 124; ++x) {
        const std::uint64_t at = y * 512 + x;
        ASSERT_EQ(m.memory.byte(kBack + at), source_byte(at)) << t.name << " " << x << "," << y;
        moved = moved || m.memory.byte(kDst + (y + 7) * 1024 + x + 16) != source_byte(at);
      }
    }
    EXPECT_TRUE(moved) << t.name << ": the surface in between is linear";
  }
}

}  // namespace
}  // namespace softxe
