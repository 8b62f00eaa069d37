// Copies and fills against a naive model, tiled layouts against their description.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/prng.h"
#include "hw/cs_test_rig.h"
#include "hw/cs_tiling.h"

namespace softxe {
namespace {

constexpr GpuVa kFrom{0x1000000};
constexpr GpuVa kTo{0x4000000};
constexpr std::uint64_t kSurfaceBytes = 1024 * 1024;

std::uint32_t low(GpuVa va) { return static_cast<std::uint32_t>(va.value()); }

/// A source full of random bytes and a target full of 0xEE.
struct BlitRig : CsRig {
  BlitRig() : BlitRig(kSurfaceBytes) {}
  explicit BlitRig(std::uint64_t bytes) : bytes_(bytes) {
    memory.map(kFrom, bytes);
    memory.map(kTo, bytes);
    Prng prng(3);
    for (std::uint64_t i = 0; i < bytes; i += 8) {
      memory.poke(kFrom + i, prng.next());
      memory.poke(kTo + i, 0xEEEEEEEEEEEEEEEEu);
    }
  }
  std::uint8_t from(std::uint64_t offset) { return memory.peek<std::uint8_t>(kFrom + offset); }
  std::uint8_t to(std::uint64_t offset) { return memory.peek<std::uint8_t>(kTo + offset); }
  /// How many bytes of the target are not 0xEE any more, or happen to be.
  std::uint64_t differing(const std::vector<std::uint8_t>& expected) {
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < expected.size(); ++i) count += to(i) != expected[i] ? 1 : 0;
    return count;
  }
  std::uint64_t bytes_;
};

struct Rows {
  std::uint64_t width, rows, from_pitch, to_pitch;
  std::uint64_t from_start = 0, to_start = 0;
};

std::vector<std::uint8_t> model_copy(BlitRig& rig, const Rows& r) {
  std::vector<std::uint8_t> image(rig.bytes_, 0xEE);
  for (std::uint64_t y = 0; y < r.rows; ++y)
    for (std::uint64_t x = 0; x < r.width; ++x)
      image[r.to_start + y * r.to_pitch + x] = rig.from(r.from_start + y * r.from_pitch + x);
  return image;
}

struct CopyCase {
  const char* name;
  std::vector<std::uint32_t> batch;
  Rows model;
};

TEST(CsBlitter, Copies) {
  const std::uint32_t f = low(kFrom), t = low(kTo);
  const CopyCase cases[] = {
      {"bytes", {0x56800008, 99, 0xffffffff, 0xffffffff, 0, f + 3, 0, t + 5, 0, 0}, {100, 1, 0, 0, 3, 5}},
      {"one byte", {0x56800008, 0, 0, 0, 0, f, 0, t, 0, 0}, {1, 1, 0, 0}},
      {"pages", {0x56880008, 16, 0, 0, 0, f, 0, t, 0, 0}, {17 * 256, 1, 0, 0}},
      {"matrix", {0x56820008, 29, 9, 99, 49, f, 0, t, 0, 0}, {30, 10, 100, 50}},
      {"matrix without gaps", {0x56820008, 29, 9, 29, 29, f, 0, t, 0, 0}, {30, 10, 30, 30}},
      {"fast copy, 32 bits",
       {0x50800008, 3u << 24 | 256, 2u << 16 | 1, 5u << 16 | 11, t, 0, 4u << 16 | 3, 512, f, 0},
       {40, 3, 512, 256, 4 * 512 + 12, 2 * 256 + 4}},
      {"fast copy, 128 bits", {0x50800008, 5u << 24 | 256, 0, 2u << 16 | 3, t, 0, 0, 256, f, 0},
       {48, 2, 256, 256}},
      {"fast copy, empty", {0x50800008, 256, 5, 2u << 16 | 5, t, 0, 0, 256, f, 0}, {0, 0, 0, 0}},
      {"block copy, 16 bits with offsets",
       {0x5048000A, 255, 0, 3u << 16 | 4, t, 0, 2u << 16 | 1, 0, 511, f, 0, 1u << 16 | 5},
       {8, 3, 512, 256, 512 + 10, 2 * 256 + 2}},
      {"block copy, extended form",
       {0x50500014, 255, 0, 3u << 16 | 4, t, 0, 0, 0, 255, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
       {16, 3, 256, 256}},
      {"block copy, 96 bits", {0x5060000A, 255, 0, 2u << 16 | 4, t, 0, 0, 0, 255, f, 0, 0}, {48, 2, 256, 256}},
  };
  for (const CopyCase& c : cases) {
    SCOPED_TRACE(c.name);
    BlitRig rig;
    rig.load(c.batch);
    const RunResult got = rig.run();
    EXPECT_EQ(got.end, RunEnd::kBatchDone) << got.culprit.reason;
    EXPECT_EQ(got.stats.bytes_moved, c.model.width * c.model.rows);
    EXPECT_EQ(rig.differing(model_copy(rig, c.model)), 0u);
  }
}

struct FillCase {
  const char* name;
  std::vector<std::uint32_t> batch;
  Rows model;
  std::vector<std::uint8_t> pattern;
};

TEST(CsBlitter, Fills) {
  const std::uint32_t t = low(kTo);
  const FillCase cases[] = {
      {"linear", {0x56C00005, 99, 7, 7, t + 1, 0, 0xAB000000}, {100, 1, 0, 0, 0, 1}, {0xAB}},
      {"matrix", {0x56C20005, 9, 4, 63, t, 0, 0xAB000008}, {10, 5, 0, 64}, {0xAB}},
      {"colour, 8 bits",
       {0x5100000E, 63, 1u << 16 | 2, 3u << 16 | 9, t, 0, 0, 0x12, 0, 0, 0, 0, 0, 0, 0, 0},
       {7, 2, 0, 64, 0, 64 + 2}, {0x12}},
      {"colour, 32 bits",
       {0x5110000E, 63, 0, 3u << 16 | 4, t, 0, 0, 0x44332211, 0, 0, 0, 0, 0, 0, 0, 0},
       {16, 3, 0, 64}, {0x11, 0x22, 0x33, 0x44}},
      {"colour, 64 bits", {0x5118000E, 63, 0, 1u << 16 | 2, t, 0, 0, 0x04030201, 0x08070605, 0, 0, 0, 0, 0, 0, 0},
       {16, 1, 0, 64}, {1, 2, 3, 4, 5, 6, 7, 8}},
  };
  for (const FillCase& c : cases) {
    SCOPED_TRACE(c.name);
    BlitRig rig;
    rig.load(c.batch);
    const RunResult got = rig.run();
    EXPECT_EQ(got.end, RunEnd::kBatchDone) << got.culprit.reason;
    std::vector<std::uint8_t> image(rig.bytes_, 0xEE);
    for (std::uint64_t y = 0; y < c.model.rows; ++y)
      for (std::uint64_t x = 0; x < c.model.width; ++x)
        image[c.model.to_start + y * c.model.to_pitch + x] = c.pattern[x % c.pattern.size()];
    EXPECT_EQ(rig.differing(image), 0u);
  }
}

TEST(CsBlitter, Refusals) {
  struct RefusalCase {
    const char* reason;
    std::vector<std::uint32_t> batch;
  };
  const std::uint32_t f = low(kFrom), t = low(kTo);
  const RefusalCase cases[] = {
      {"MEM_COPY type", {0x56840008, 0, 0, 0, 0, f, 0, t, 0, 0}},
      {"matrix in page mode", {0x568A0008, 0, 0, 0, 0, f, 0, t, 0, 0}},
      {"MEM_SET type", {0x56C40005, 0, 0, 0, t, 0, 0}},
      {"colour depth", {0x50800008, 2u << 24, 0, 1u << 16 | 1, t, 0, 0, 4, f, 0}},
      {"Tile64", {0x50806008, 128, 0, 1u << 16 | 1, t, 0, 0, 4, f, 0}},
      {"tile width", {0x50802008, 127, 0, 1u << 16 | 1, t, 0, 0, 4, f, 0}},
      {"special mode", {0x5040100A, 3, 0, 1, t, 0, 0, 0, 3, f, 0, 0}},
      {"compressed", {0x5040000A, 1u << 29 | 3, 0, 1, t, 0, 0, 0, 3, f, 0, 0}},
      {"colour depth of a fill", {0x5120000E, 63, 0, 1, t, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
      {"CCS", {0x52000003, f, 0, t, 0}},
      {"older parts", {0x54C00008, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
      {"older parts", {0x54000005, 0, 0, 0, 0, 0, 0}},
      {"shorter", {0x56800007, 0, 0, 0, 0, f, 0, t, 0}},
  };
  for (const RefusalCase& c : cases) {
    SCOPED_TRACE(c.reason);
    BlitRig rig;
    rig.load(c.batch);
    const RunResult got = rig.run();
    EXPECT_EQ(got.end, RunEnd::kBadCommand);
    EXPECT_NE(std::string(got.culprit.reason).find(c.reason), std::string::npos)
        << got.culprit.reason;
    EXPECT_EQ(rig.to(0), 0xEE);
  }
}

TEST(CsBlitter, CopyIntoUnmappedFaults) {
  BlitRig rig;
  rig.load({0x56880008, 31, 0, 0, 0, low(kFrom), 0, low(kTo + kSurfaceBytes - kPageSize), 0, 0});
  EXPECT_EQ(rig.run().end, RunEnd::kPageFault);
  EXPECT_EQ(rig.memory.faulted_at, kTo + kSurfaceBytes);
}

TEST(CsBlitter, ALongCopyStopsBetweenChunksAndGoesOn) {
  constexpr std::uint64_t kBytes = 3 * k2M / 2;
  BlitRig rig(kBytes);
  rig.load({0x56880008, kBytes / 256 - 1, 0, 0, 0, low(kFrom), 0, low(kTo), 0, 0});
  EXPECT_EQ(rig.step_once().kind, StepKind::kContinue);
  EXPECT_EQ(rig.stats.bytes_moved, kBlitStepBytes);
  EXPECT_EQ(rig.stats.commands, 0u);
  EXPECT_EQ(rig.context.position(), CsRig::kBatch);
  EXPECT_EQ(rig.to(kBlitStepBytes), 0xEE);
  // The rest survives a kill that comes too late, and a batch patched meanwhile.
  rig.memory.poke(CsRig::kBatch, 0x1F800000u);
  rig.kill = true;
  EXPECT_EQ(rig.run().end, RunEnd::kKilled);
  EXPECT_EQ(rig.to(kBlitStepBytes), 0xEE);
  rig.kill = false;
  EXPECT_EQ(rig.run({.commands = 1}).end, RunEnd::kBudget);
  EXPECT_EQ(rig.context.position(), CsRig::kBatch + 40);
  for (std::uint64_t i = 0; i < kBytes; i += 997) ASSERT_EQ(rig.to(i), rig.from(i)) << i;
  EXPECT_EQ(rig.to(kBytes - 1), rig.from(kBytes - 1));
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
}

TEST(CsBlitter, AbandonedCopyIsForgotten) {
  constexpr std::uint64_t kBytes = 2 * k2M;
  BlitRig rig(kBytes);
  rig.load({0x56880008, kBytes / 256 - 1, 0, 0, 0, low(kFrom), 0, low(kTo), 0, 0});
  rig.step_once();
  rig.load({0x56800008, 0, 0, 0, 0, low(kFrom), 0, low(kTo + kBytes - 1), 0, 0});
  EXPECT_EQ(rig.run().end, RunEnd::kBatchDone);
  EXPECT_EQ(rig.to(kBytes - 1), rig.from(0));
  EXPECT_EQ(rig.to(kBytes - 2), 0xEE);
}

TEST(CsTiling, LayoutsAreBijections) {
  for (const Tiling tiling : {Tiling::kLinear, Tiling::kX, Tiling::kTile4}) {
    constexpr std::uint64_t kPitch = 1024, kRows = 64;
    std::set<std::uint64_t> seen;
    for (std::uint64_t y = 0; y < kRows; ++y) {
      for (std::uint64_t x = 0; x < kPitch; ++x) {
        const SurfaceOffset at = surface_offset(tiling, kPitch, {x, y});
        ASSERT_LT(at.offset, kPitch * kRows);
        ASSERT_TRUE(seen.insert(at.offset).second);
        if (at.contiguous_bytes > 1 && x + 1 < kPitch) {
          ASSERT_EQ(surface_offset(tiling, kPitch, {x + 1, y}).offset, at.offset + 1);
        }
      }
    }
  }
}

TEST(CsTiling, KnownPlaces) {
  struct PlaceCase {
    Tiling tiling;
    std::uint64_t x, y, offset;
  };
  const PlaceCase cases[] = {
      {Tiling::kX, 511, 0, 511},        {Tiling::kX, 0, 1, 512},
      {Tiling::kX, 512, 0, 4096},       {Tiling::kX, 0, 8, 2 * 4096},
      {Tiling::kTile4, 15, 0, 15},      {Tiling::kTile4, 0, 1, 16},
      {Tiling::kTile4, 16, 0, 64},      {Tiling::kTile4, 0, 4, 256},
      {Tiling::kTile4, 64, 0, 512},     {Tiling::kTile4, 0, 8, 1024},
      {Tiling::kTile4, 64, 4, 768},     {Tiling::kTile4, 0, 16, 2048},
      {Tiling::kTile4, 128, 0, 4096},   {Tiling::kTile4, 0, 32, 8 * 4096},
  };
  for (const PlaceCase& c : cases)
    EXPECT_EQ(surface_offset(c.tiling, 1024, {c.x, c.y}).offset, c.offset) << c.x << "," << c.y;
}

TEST(CsBlitter, TiledRoundTrips) {
  const std::uint32_t f = low(kFrom), t = low(kTo);
  const GpuVa middle_va = kFrom + 512 * 1024;
  const std::uint32_t m = low(middle_va);
  for (const std::uint32_t tiling : {1u, 2u}) {
    SCOPED_TRACE(tiling);
    BlitRig rig;
    const std::uint32_t corner = 37u << 16 | 200;  // 200 x 37 texels of 32 bits, pitch 1024 bytes
    rig.load({0x50800008 | tiling << 13, 3u << 24 | 256, 0, corner, m, 0, 0, 1024, f, 0,  // in
              0x50800008 | tiling << 20, 3u << 24 | 1024, 0, corner, t, 0, 0, 256, m, 0});  // out
    const RunResult got = rig.run();
    EXPECT_EQ(got.end, RunEnd::kBatchDone) << got.culprit.reason;
    EXPECT_EQ(rig.differing(model_copy(rig, {800, 37, 1024, 1024})), 0u);
    const Tiling layout = tiling == 1 ? Tiling::kX : Tiling::kTile4;
    const SurfaceOffset at = surface_offset(layout, 1024, {4 * 150, 30});
    EXPECT_EQ(rig.memory.peek<std::uint32_t>(middle_va + at.offset),
              rig.memory.peek<std::uint32_t>(kFrom + 30 * 1024 + 4 * 150));
  }
}

}  // namespace
}  // namespace softxe
