// Messages to images one by one: states of the real runtime, what is refused by name, queries, faults.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>

#include "hw/eu/eu_float_mode.h"
#include "hw/eu/eu_image.h"
#include "hw/eu/eu_image_naive_rig.h"
#include "hw/eu/eu_sampler_state.h"
#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kVaMask = (std::uint64_t{1} << 48) - 1;

TEST(EuImageState, StatesOfTheRuntimeAreReadAsTheImagesThatTheyDescribe) {
  // Dumped states (spec/eu-images.md 3); dwords that are not there are zero. Sizes, format, place of (1, 1, 1).
  static constexpr struct {
    std::array<std::uint32_t, 8> words;
    unsigned coordinates;
    bool array;
    std::uint32_t width, height, depth, bytes;
    Surface::Point point;
    std::uint64_t offset;
  } kRows[] = {
      {{0x20015000, 0, 0x001F003F, 0x000003FF, 0, 0xF00, 0, 0x09770000}, 2, false, 64, 32, 1, 16, {16, 1, 0}, 0x50},
      {{0x34355000, 0x20, 0x00270045, 0x004001FF, 0x100, 0xF00, 0, 0x08070000},
       2,
       true,
       70,
       40,
       3,
       2,
       {2, 1, 1},
       0x10012},
      {{0x43615000, 8, 0x00130027, 0x012000FF, 0x480, 0xF00, 0, 0x08070000}, 3, false, 40, 20, 10, 4, {4, 1, 1}, 0x114},
      {{0x031DC000, 0, 0x000003E7, 0x00000FFF, 0, 0, 0, 0x09770000}, 1, false, 1000, 1, 1, 4, {4, 0, 0}, 4},
      {{0x120DC000, 0x10, 0x00000031, 0x006001FF, 0x180, 0, 0, 0x09770000}, 1, true, 50, 1, 4, 8, {8, 0, 1}, 512 + 8},
      {{0x831DC000, 0, 0x00070067, 0x00000003, 0, 0, 0, 0x09770000}, 1, false, 1000, 1, 1, 4, {4, 0, 0}, 4},
      {{0x231DC000, 0, 0x00130063, 0x0000018F, 0, 0, 0, 0x09770000}, 2, false, 100, 20, 1, 4, {4, 1, 0}, 404},
      {{0x24295000, 0, 0x001F003F, 0x000001FF, 0, 0xF00, 0, 0x08010000}, 2, false, 64, 32, 1, 2, {2, 1, 0}, 0x12},
      {{0x20015200, 0, 0x000B0027, 0x000003FF, 0, 0xF00, 0, 0x09770000}, 2, false, 40, 12, 1, 16, {16, 1, 0}, 0x50},
      {{0x20095200, 0, 0x000B0027, 0x000003FF, 0, 0xF00, 0, 0x09770000}, 2, false, 40, 12, 1, 16, {16, 1, 0}, 0x50},
      {{0x231D5200, 0, 0x000B0027, 0x000001FF, 0, 0xF00, 0, 0x0D610000}, 2, false, 40, 12, 1, 4, {4, 1, 0}, 0x14},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(testing::Message() << std::hex << row.words[0]);
    EuSurfaceState state;
    std::copy(row.words.begin(), row.words.end(), state.words.begin());
    state.words[8] = 0x10000;
    state.words[9] = 0xFFFF8002;
    const auto image = eu_image_of(state, kVaMask);
    ASSERT_TRUE(image);
    EXPECT_EQ(image->coordinates, row.coordinates);
    EXPECT_EQ(image->array, row.array);
    EXPECT_EQ(image->level[0].width, row.width);
    EXPECT_EQ(image->level[0].height, row.height);
    EXPECT_EQ(image->level[0].depth, row.depth);
    EXPECT_EQ(image->format->bytes, row.bytes);
    EXPECT_EQ(image->memory.address_of(row.point), 0x8002'0001'0000 + row.offset);
  }
}

/// 512 x 256 elements of four bytes with five levels, as the runtime describes it: three levels of whole tiles, two in
/// a tail.
TEST(EuImageState, MipLevelsStandBelowAndBesideEachOther) {
  EuSurfaceState state{{0x231D5000, 96, 0x00FF01FF, 0x7FF, 0, 0x304, 0, 0x09770000}};
  const auto image = eu_image_of(state, kVaMask);
  ASSERT_TRUE(image);
  static constexpr struct {
    std::uint64_t x_bytes, y;
    std::uint32_t width, height;
  } kLevels[] = {
      {0, 0, 512, 256}, {0, 256, 256, 128}, {1024, 256, 128, 64}, {1024 + 256, 384, 64, 32}, {1024, 384 + 64, 32, 16}};
  ASSERT_EQ(image->levels, 5u);
  for (unsigned number = 0; number < 5; ++number) {
    EXPECT_EQ(image->level[number].x_bytes, kLevels[number].x_bytes) << number;
    EXPECT_EQ(image->level[number].y, kLevels[number].y) << number;
    EXPECT_EQ(image->level[number].width, kLevels[number].width) << number;
    EXPECT_EQ(image->level[number].height, kLevels[number].height) << number;
  }
  state.words[5] |= 2u << 4;
  EXPECT_EQ(eu_image_of(state, kVaMask)->first_level, 2u);
  state.words[5] |= 5u << 4;
  EXPECT_FALSE(eu_image_of(state, kVaMask)) << "there is no level 7";
}

/// The runtime's own for an array of 4 times 70 elements with five levels: layers are 288 elements apart.
TEST(EuImageState, MipLevelsIn1dStandInARow) {
  const auto image = eu_image_of({{0x135dc000, 0x48, 0x45, 0x0060017f, 0x180, 4, 0, 0x09770000}}, kVaMask);
  ASSERT_TRUE(image);
  static constexpr std::uint64_t kElements[] = {0, 96, 160, 192, 224};
  for (unsigned number = 0; number < 5; ++number) {
    EXPECT_EQ(image->level[number].x_bytes, kElements[number] * 4) << number;
    EXPECT_EQ(image->level[number].y, 0u);
  }
  EXPECT_EQ(image->memory.z_part(1), 288u * 4);
}

/// No byte belongs to two levels, whatever the size, in 1D, 2D and 3D.
TEST(EuImageState, MipLevelsShareNoBytes) {
  for (const std::uint32_t type : {0u, 1u, 2u}) {
    for (const std::uint32_t format : {0x143u, 0xCBu, 0x002u}) {
      for (const std::uint32_t width : {1u, 30u, 64u, 130u}) {
        // The tail begins where a level fits into half a tile (spec/eu-images.md 5); in 1D there is none.
        const std::uint32_t bytes = format == 0x143 ? 1 : format == 0xCB ? 4 : 16;
        const std::uint32_t half = type == 2    ? (bytes == 1   ? 32
                                                   : bytes == 4 ? 16
                                                                : 8)
                                   : bytes == 1 ? 128
                                   : bytes == 4 ? 64
                                                : 32;
        std::uint32_t tail = 0;
        while ((width >> tail) > half) ++tail;
        const std::uint32_t tile = type == 0 ? 0 : 1;
        EuSurfaceState state{{type << 29 | format << 18 | 3u << 14 | tile << 12, 256 / 4, 15u << 16 | (width - 1),
                              16383 | 7u << 21, 0, tail << 8 | 4}};
        const auto image = eu_image_of(state, kVaMask);
        ASSERT_TRUE(image);
        std::set<std::uint64_t> seen;
        std::size_t elements = 0;
        for (unsigned number = 0; number < image->levels; ++number) {
          const EuImage::Level& level = image->level[number];
          for (std::uint32_t z = 0; z < level.depth; ++z) {
            for (std::uint32_t y = 0; y < level.height; ++y) {
              for (std::uint32_t x = 0; x < level.width; ++x, ++elements) {
                seen.insert(image->memory.address_of({level.x_bytes + std::uint64_t{x} * bytes, level.y + y, z}));
              }
            }
          }
        }
        EXPECT_EQ(seen.size(), elements) << "type " << type << " format " << format << " width " << width;
      }
    }
  }
}

class EuSamplerTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kImage = 0x1'0000'0000;
  static constexpr std::uint64_t kDynamic = 0x7300'0000, kBindlessSamplers = 0x7400'0000;
  static constexpr std::uint32_t kState = 0x40;

  EuSamplerTest() {
    rig_.group.restart({.surface_state = GpuVa(EuSendRig::kSurfaces),
                        .bindless_surface_state = GpuVa(EuSendRig::kBindless),
                        .dynamic_state = GpuVa(kDynamic),
                        .bindless_sampler = GpuVa(kBindlessSamplers),
                        .samplers = 0x40,
                        .binding_table = GpuVa(EuSendRig::kTable),
                        .va_bits = 48});
    for (const std::uint64_t page : {EuSendRig::kSurfaces, EuSendRig::kTable, kDynamic, kBindlessSamplers}) {
      rig_.memory.map(page, kPageSize);
    }
    rig_.memory.map(kImage, 64 * kPageSize);
    rig_.memory.put<std::uint32_t>(EuSendRig::kTable + 4 * 2, kState | 1);
    image_.format = format(0x0D8);
    image_.width = 64, image_.height = 64, image_.pitch = kPageSize;
    image_.base = kImage;
    bind(image_.state());
    put_sampler(kDynamic + 0x40, naive::Sampler{}.state(0));
    for (std::uint64_t y = 0; y < 64; ++y) {
      for (std::uint64_t x = 0; x < 64; ++x)
        rig_.memory.put<float>(kImage + y * kPageSize + 4 * x, static_cast<float>(100 * y + x));
    }
  }
  static const naive::Format* format(std::uint32_t code) {
    return std::find_if(std::begin(naive::kFormats), std::end(naive::kFormats),
                        [&](const auto& f) { return f.code == code; });
  }
  void bind(const std::array<std::uint32_t, 16>& words) {
    for (unsigned i = 0; i < 16; ++i) rig_.memory.put<std::uint32_t>(EuSendRig::kSurfaces + kState + 4 * i, words[i]);
  }
  void put_sampler(std::uint64_t at, const std::array<std::uint32_t, 4>& words) {
    for (unsigned i = 0; i < 4; ++i) rig_.memory.put<std::uint32_t>(at + 4 * i, words[i]);
  }
  /// Parameters from r10 on, 16 lanes, answer in r30 to r33; the header is r9.
  EuSendResult message(std::uint32_t code, std::uint32_t more = 0, unsigned parameters = 3) {
    const bool header = (more >> 19 & 1) != 0;
    const std::uint32_t desc = 2u | code << 12 | 1u << 17 | 4u << 20 | (parameters + (header ? 1 : 0)) << 25;
    return rig_.send(EuSendRig::inst({.sfid = EuSfid::kSmpl, .desc = desc | more, .dst = 30, .src0 = header ? 9 : 10}));
  }
  EuSendResult store() {
    return rig_.send(
        EuSendRig::inst({.sfid = EuSfid::kTgm, .desc = 0x6400'F506, .ext_desc = 2u << 24, .src0 = 10, .src1 = 40}));
  }
  std::string reason(const EuSendResult& result) {
    static constexpr const char* kKinds[] = {"done", "ended", "fault", "illegal", "unsupported"};
    const std::string kind = kKinds[static_cast<unsigned>(result.kind)];
    return result.kind < EuSendKind::kFault ? kind : kind + ": " + result.reason;
  }

  EuSendRig rig_;
  naive::Image image_;
};

constexpr std::uint32_t kSample = 0x18, kLoad = 0x1A, kInfo = 0x0A;

TEST_F(EuSamplerTest, SizesAreWhatTheClientAskedFor) {
  static constexpr struct {
    unsigned type;
    bool array;
    unsigned width, height, depth;
    std::array<std::uint32_t, 3> want;
  } kRows[] = {
      {0, false, 1000, 1, 1, {1000, 0, 0}}, {0, true, 50, 1, 4, {50, 4, 0}},
      {1, false, 64, 32, 1, {64, 32, 0}},   {1, true, 70, 40, 3, {70, 40, 3}},
      {2, false, 40, 20, 10, {40, 20, 10}}, {4, false, 100000, 1, 1, {100000, 0, 0}},
  };
  for (const auto& row : kRows) {
    naive::Image image = image_;
    image.type = row.type, image.array = row.array;
    image.width = row.width, image.height = row.height, image.depth = row.depth;
    bind(image.state());
    for (unsigned lane = 0; lane < 16; ++lane) rig_.put<std::uint32_t>(10, lane, lane == 5 ? 1 : 0);
    ASSERT_EQ(reason(message(kInfo, 0, 1)), "done");
    for (unsigned c = 0; c < 3; ++c) {
      EXPECT_EQ(rig_.get<std::uint32_t>(30 + c, 0), row.want[c]);
      EXPECT_EQ(rig_.get<std::uint32_t>(30 + c, 15), row.want[c]);
      EXPECT_EQ(rig_.get<std::uint32_t>(30 + c, 5), 0u) << "a level that is not there";
    }
  }
}

/// Levels are told apart by what they hold: level n has 1000 n + its column everywhere.
TEST_F(EuSamplerTest, LevelsAreChosenAndMixedAsTheSamplerSays) {
  auto words = image_.state();
  words[2] = 15u << 16 | 15;
  words[5] = 0xF03;  // four levels
  bind(words);
  const auto image = eu_image_of({words}, kVaMask);
  ASSERT_TRUE(image);
  for (unsigned number = 0; number < 4; ++number) {
    const EuImage::Level& level = image->level[number];
    for (unsigned y = 0; y < level.height; ++y) {
      for (unsigned x = 0; x < level.width; ++x) {
        rig_.memory.put<float>(image->memory.address_of({level.x_bytes + std::uint64_t{x} * 4, level.y + y}),
                               1000.0f * static_cast<float>(number));
      }
    }
  }
  naive::Sampler s;
  s.normalized = true;
  auto state = s.state(0);
  for (unsigned lane = 0; lane < 16; ++lane) {
    rig_.put<float>(10, lane, 0.25f * static_cast<float>(lane) - 0.5f);  // the level comes first
    rig_.put<float>(11, lane, 0.5f);
    rig_.put<float>(12, lane, 0.5f);
  }
  // Nearest: ties go down. Linear: by the fraction. None: the first. All within the sampler's limits and the image's.
  const auto nearest = [](float lod) { return lod <= 0.5f ? 0.0f : lod <= 1.5f ? 1.0f : lod <= 2.5f ? 2.0f : 3.0f; };
  const auto linear = [](float lod) { return std::clamp(lod, 0.0f, 3.0f); };
  const auto check = [&](std::uint32_t mip, const auto& want) {
    state[0] = (state[0] & ~(3u << 20)) | mip << 20;
    put_sampler(kDynamic + 0x40, state);
    ASSERT_EQ(reason(message(0x02)), "done");
    for (unsigned lane = 0; lane < 16; ++lane) {
      EXPECT_FLOAT_EQ(rig_.get<float>(30, lane), 1000.0f * want(0.25f * static_cast<float>(lane) - 0.5f))
          << mip << " lane " << lane;
    }
  };
  check(1, nearest);
  check(3, linear);
  check(0, [](float) { return 0.0f; });
  state[1] = 256u << 20 | 512u << 8;  // levels 1 to 2
  check(3, [](float lod) { return std::clamp(lod, 1.0f, 2.0f); });
}

TEST_F(EuSamplerTest, ABufferOfAllEntriesThatAStateCanSayHasThem) {
  auto words = image_.state();
  words[0] = (words[0] & 0x1FFF'FFFF) | 4u << 29;
  words[2] = 0x3FFF'3FFF;
  words[3] = 0xFFE0'0003;
  bind(words);
  for (unsigned lane = 0; lane < 16; ++lane) rig_.put<std::uint32_t>(10, lane, lane == 0 ? 0xFFFF'FFFF : lane);
  ASSERT_EQ(reason(message(kLoad)), "done");
  EXPECT_EQ(rig_.get<float>(30, 5), 5.0f);
  EXPECT_EQ(rig_.get<float>(30, 0), 0.0f);
}

TEST_F(EuSamplerTest, AnAnswerHasAsManyChannelsAsRegisters) {
  for (unsigned r = 30; r < 35; ++r) rig_.put<std::uint32_t>(r, 0, 0xAAAA);
  rig_.put<std::uint32_t>(10, 0, 0);
  // 0x0212A0FC of the compiler: one register.
  const std::uint32_t desc = 2u | kInfo << 12 | 1u << 17 | 1u << 20 | 1u << 25;
  ASSERT_EQ(reason(rig_.send(EuSendRig::inst({.sfid = EuSfid::kSmpl, .desc = desc, .dst = 30, .src0 = 10}))), "done");
  EXPECT_EQ(rig_.get<std::uint32_t>(30, 0), 64u);
  EXPECT_EQ(rig_.get<std::uint32_t>(31, 0), 0xAAAAu);
}

TEST_F(EuSamplerTest, HalvesStandSideBySide) {
  for (unsigned lane = 0; lane < 16; ++lane) {
    rig_.put<float>(10, lane, 3.5f + static_cast<float>(lane));
    rig_.put<float>(11, lane, 2.5f);
    rig_.put<float>(12, lane, 0);
    rig_.put<std::uint32_t>(30, lane, 0xBBBBBBBB);
  }
  ASSERT_EQ(reason(message(kSample, 1u << 30)), "done");
  for (unsigned lane = 0; lane < 16; ++lane) {
    EXPECT_EQ(rig_.get<std::uint16_t>(30, lane), naive::half_bits(203.0 + lane));
    EXPECT_EQ(rig_.get<std::uint16_t>(33, lane), naive::half_bits(1));
    EXPECT_EQ(rig_.get<std::uint16_t>(30, 16 + lane), 0xBBBB) << "the other half of the register";
  }
}

TEST_F(EuSamplerTest, SamplersAreFoundByTheThreadsPointerOrTheHeaders) {
  naive::Sampler linear;
  linear.linear = true;
  put_sampler(kDynamic + 0x80 + 16 * 3, linear.state(0));
  put_sampler(kBindlessSamplers + 0x90, linear.state(0));
  rig_.put<float>(10, 0, 10.75f);
  rig_.put<float>(11, 0, 2.5f);
  rig_.put<std::uint32_t>(9, 2, 0);
  ASSERT_EQ(reason(message(kSample)), "done");
  EXPECT_EQ(rig_.get<float>(30, 0), 210.0f) << "the thread's: nearest";
  rig_.put<std::uint32_t>(9, 3, 0x80 | 0x1E);  // low bits mean nothing
  ASSERT_EQ(reason(message(kSample, 1u << 19 | 3u << 8)), "done");
  EXPECT_EQ(rig_.get<float>(30, 0), 210.25f);
  rig_.put<std::uint32_t>(9, 3, 0x91);
  ASSERT_EQ(reason(message(kSample, 1u << 19)), "done");
  EXPECT_EQ(rig_.get<float>(30, 0), 210.25f);
}

TEST_F(EuSamplerTest, ANullSurfaceReadsZeroAndDropsStores) {
  bind({7u << 29});
  for (const std::uint32_t code : {kSample, kLoad, kInfo}) {
    for (unsigned c = 0; c < 4; ++c) rig_.put<std::uint32_t>(30 + c, 3, 5);
    ASSERT_EQ(reason(message(code)), "done");
    for (unsigned c = 0; c < 4; ++c) EXPECT_EQ(rig_.get<std::uint32_t>(30 + c, 3), 0u);
  }
  const auto before = rig_.memory.pages;
  ASSERT_EQ(reason(store()), "done");
  EXPECT_EQ(rig_.memory.pages, before);
}

TEST_F(EuSamplerTest, WhatIsNotHadIsNamedAndChangesNothing) {
  static constexpr struct {
    unsigned dword;
    std::uint32_t change;
    const char* reason;
  } kRows[] = {
      {0, 2u << 14, "unsupported: sampler with an anisotropic filter"},
      {0, 2u << 17, "unsupported: sampler with an anisotropic filter"},
      {0, 3u << 20, "unsupported: sampler with a mip filter that does not exist"},
      {3, 1u << 9 | 1u << 22, "unsupported: sampler that takes the minimum or maximum"},
      {2, 2u, "unsupported: sampler that does not decode sRGB"},
      {3, 3u << 6, "unsupported: sampler with an address mode that OpenCL does not have"},
      {3, 5u << 3, "unsupported: sampler with an address mode that OpenCL does not have"},
      {3, 7u, "unsupported: sampler with an address mode that OpenCL does not have"},
  };
  const auto before = rig_.thread().grf;
  for (const auto& row : kRows) {
    naive::Sampler plain;
    for (unsigned& wrap : plain.wrap) wrap = 0;
    auto words = plain.state(0);
    words[row.dword] ^= row.change;
    put_sampler(kDynamic + 0x40, words);
    EXPECT_EQ(reason(message(kSample)), row.reason);
  }
  put_sampler(kDynamic + 0x40, naive::Sampler{}.state(0));
  auto buffer = image_.state();
  buffer[0] = (buffer[0] & 0x1FFF'FFFF) | 4u << 29;
  buffer[3] = 3;
  bind(buffer);
  EXPECT_EQ(reason(message(kSample)), "unsupported: sampler message: sample of a buffer");
  EXPECT_EQ(rig_.thread().grf, before);
  for (const std::uint32_t code : {0xC8u, 0xC1u, 0x145u, 0x146u, 0x0E3u, 0x111u, 0x116u}) {
    image_.format = format(code);
    bind(image_.state());
    EXPECT_EQ(reason(store()), "unsupported: image message: typed store to a format that is only read") << code;
  }
  EXPECT_EQ(rig_.memory.effects, 0u);
}

TEST_F(EuSamplerTest, RegistersThatAreNotThereAreIllegal) {
  const std::string want = "illegal: message with registers that the thread does not have";
  const std::uint32_t desc = 2u | kLoad << 12 | 1u << 17 | 4u << 20 | 3u << 25;
  EXPECT_EQ(reason(rig_.send(EuSendRig::inst({.sfid = EuSfid::kSmpl, .desc = desc, .dst = 126, .src0 = 10}))), want);
  EXPECT_EQ(reason(rig_.send(EuSendRig::inst({.sfid = EuSfid::kSmpl, .desc = desc, .dst = 30, .src0 = 127}))), want);
  EXPECT_EQ(reason(rig_.send(EuSendRig::inst(
                {.sfid = EuSfid::kTgm, .desc = 0x6400'F506, .ext_desc = 2u << 24, .src0 = 10, .src1 = 125}))),
            want);
  EXPECT_EQ(
      reason(rig_.send(EuSendRig::inst({.sfid = EuSfid::kSmpl, .desc = desc, .channels = 32, .dst = 30, .src0 = 10}))),
      "illegal: sampler message with more lanes than rows");
}

TEST_F(EuSamplerTest, AnImageAcrossTheEndOfTheAddressSpaceIsIllegal) {
  image_.base = 0xFFFF'FFFF'FFFE;
  bind(image_.state());
  rig_.put<std::uint32_t>(10, 0, 0);
  EXPECT_EQ(reason(message(kLoad)), "illegal: image message across the end of the address space");
  EXPECT_EQ(reason(store()), "illegal: image message across the end of the address space");
}

/// Each row of the image has a page of its own, and so have the states.
TEST_F(EuSamplerTest, AFaultAtAnyPageLeavesEverythingAsItWas) {
  naive::Sampler s;
  s.linear = true;
  s.wrap[0] = s.wrap[1] = s.wrap[2] = 4;
  put_sampler(kDynamic + 0x40, s.state(0xFC0));
  const std::uint64_t pages[] = {EuSendRig::kTable,      EuSendRig::kSurfaces,  kDynamic, kImage,
                                 kImage + 3 * kPageSize, kImage + 9 * kPageSize};
  for (const std::uint64_t bad : pages) {
    for (unsigned lane = 0; lane < 16; ++lane) {
      rig_.put<float>(10, lane, 4.25f);
      rig_.put<float>(11, lane, static_cast<float>(lane));
      rig_.put<float>(12, lane, 0);
      rig_.put<std::uint32_t>(30, lane, 77);
    }
    const auto before = rig_.thread().grf;
    rig_.memory.refusals[bad >> kPageShift] = 2;
    EXPECT_EQ(message(kSample).kind, EuSendKind::kFault);
    EXPECT_EQ(rig_.thread().grf, before);
    EXPECT_EQ(message(kSample).kind, EuSendKind::kFault);
    ASSERT_EQ(reason(message(kSample)), "done");
    for (unsigned lane = 1; lane < 16; ++lane) {
      EXPECT_FLOAT_EQ(rig_.get<float>(30, lane), 100.0f * (static_cast<float>(lane) - 0.5f) + 3.75f) << lane;
    }
  }
  for (const std::uint64_t bad : {kImage, kImage + 3 * kPageSize, kImage + 15 * kPageSize}) {
    for (unsigned lane = 0; lane < 16; ++lane) {
      rig_.put<std::uint32_t>(10, lane, 1);
      rig_.put<std::uint32_t>(11, lane, lane);
      rig_.put<float>(40, lane, static_cast<float>(lane) + 0.5f);
    }
    const std::uint64_t effects = rig_.memory.effects;
    rig_.memory.refusals[bad >> kPageShift] = 1;
    EXPECT_EQ(store().kind, EuSendKind::kFault);
    EXPECT_EQ(rig_.memory.effects, effects) << "a fault stores nothing";
    ASSERT_EQ(reason(store()), "done");
    for (unsigned lane = 0; lane < 16; ++lane)
      EXPECT_EQ(rig_.memory.get<float>(kImage + lane * kPageSize + 4), static_cast<float>(lane) + 0.5f);
  }
}

TEST_F(EuSamplerTest, NothingOutsideIsEverTouched) {
  naive::Sampler s;
  s.linear = true;
  s.wrap[0] = s.wrap[1] = s.wrap[2] = 4;
  put_sampler(kDynamic + 0x40, s.state(0xFC0));
  image_.base = 0x2'0000'0000;  // nothing is there
  bind(image_.state());
  for (unsigned lane = 0; lane < 16; ++lane) {
    rig_.put<float>(10, lane, -5.0f);
    rig_.put<float>(11, lane, 2.0f);
  }
  EXPECT_EQ(reason(message(kSample)), "done");
  EXPECT_EQ(reason(message(kLoad)), "done") << "bits of floats are far outside";
  EXPECT_EQ(reason(store()), "done");
}

/// The state that the kernel rounds with is not the sampler's.
TEST_F(EuSamplerTest, TheThreadsRoundingMeansNothing) {
  naive::Sampler s;
  s.linear = true;
  put_sampler(kDynamic + 0x40, s.state(0));
  for (unsigned lane = 0; lane < 16; ++lane) {
    rig_.put<float>(10, lane, 1.3f + 0.77f * static_cast<float>(lane));
    rig_.put<float>(11, lane, 2.1f);
  }
  ASSERT_EQ(reason(message(kSample)), "done");
  std::array<std::uint32_t, 16> plain;
  for (unsigned lane = 0; lane < 16; ++lane) plain[lane] = rig_.get<std::uint32_t>(30, lane);
  for (const EuRounding rounding : {EuRounding::kUp, EuRounding::kDown, EuRounding::kZero}) {
    const HostFloatScope scope(host_float_control(rounding, EuDenormals::kFlush));
    ASSERT_EQ(reason(message(kSample)), "done");
    for (unsigned lane = 0; lane < 16; ++lane) EXPECT_EQ(rig_.get<std::uint32_t>(30, lane), plain[lane]);
  }
}

}  // namespace
}  // namespace softxe
