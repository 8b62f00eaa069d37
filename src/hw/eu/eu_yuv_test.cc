// Images of YUV formats: random ones against a model of one pixel at a time, and what is refused by name.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "hw/eu/eu_image.h"
#include "hw/eu/eu_image_naive_rig.h"
#include "hw/eu/eu_send_rig.h"

namespace softxe {
namespace {

constexpr std::uint64_t kMemory = 0x4000'0000;
constexpr std::size_t kTexels = 1 << 18;
constexpr std::uint32_t kImageState = 0x40, kBorder = 0x100, kSampler = 0x200, kTable = 0x400;
constexpr unsigned kCoordinates = 10, kAnswer = 30;

/// Bytes of two pixels by letter, and a plane of bytes for NV12.
struct YuvFormat {
  std::uint32_t code;
  const char* order;
};
constexpr YuvFormat kYuvFormats[] = {{0x182, "YUYV"}, {0x183, "VYUY"}, {0x18F, "YVYU"}, {0x190, "UYVY"}, {0x1A5, ""}};

class EuYuvTest : public ::testing::Test {
 protected:
  EuYuvTest() : memory_(kMemory, kTexels + 0x1000) {
    for (std::byte& byte : memory_.bytes()) byte = static_cast<std::byte>(random_());
    constexpr GpuVa kStates(kMemory + kTexels);
    rig_.group.restart({.surface_state = kStates,
                        .bindless_surface_state = kStates,
                        .dynamic_state = kStates,
                        .bindless_sampler = kStates,
                        .samplers = kSampler,
                        .binding_table = kStates + kTable,
                        .va_bits = 48});
    put(kTable + 4 * 5, kImageState);
  }
  void put(std::uint32_t at, std::uint32_t word) { std::memcpy(memory_.at(kMemory + kTexels + at), &word, 4); }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  /// An image of any of the formats, of even size as they must have.
  void draw_image() {
    yuv_ = &kYuvFormats[below(std::size(kYuvFormats))];
    format_ = {yuv_->code, planar() ? "R" : "RG", 'u', 8, false};
    image_ = {};
    image_.format = &format_;
    image_.tile = below(2) == 0 ? 3 : 0;
    image_.width = 2 + 2 * below(70);
    image_.height = 2 + 2 * below(40);
    image_.base = kMemory + 4096;
    image_.pitch = (image_.width * format_.bytes() + 127) / 128 * 128;
    colours_y_ = (image_.height + 31) / 32 * 32 + 2 * below(3);
    colours_x_ = below(2) == 0 ? 0 : 128 * below(2);
    if (colours_x_ != 0) image_.pitch += 128;
    image_.select[3] = planar() ? 1 : 7;
  }
  bool planar() const { return yuv_->order[0] == 0; }
  void bind() {
    auto words = image_.state();
    if (planar()) words[6] = colours_y_ | colours_x_ << 16;
    for (unsigned i = 0; i < 16; ++i) put(kImageState + 4 * i, words[i]);
  }
  double byte_at(std::uint64_t va) { return std::to_integer<unsigned>(*memory_.at(va)) / 255.0; }
  /// Red is V, green Y, blue U.
  naive::Color pixel(const std::array<std::int64_t, 3>& i, double border) {
    if (i[0] < 0 || i[1] < 0) return {border, border, border, 1};
    const auto x = static_cast<std::uint64_t>(i[0]);
    const auto y = static_cast<std::uint64_t>(i[1]);
    if (planar()) {
      const std::uint64_t colours = image_.address(colours_x_ + x / 2 * 2, colours_y_ + y / 2, 0);
      return {byte_at(colours + 1), byte_at(image_.address(x, y, 0)), byte_at(colours), 1};
    }
    const std::string order = yuv_->order;
    const std::uint64_t pair = image_.address(x / 2 * 2, y, 0);
    const auto of = [&](std::size_t at) { return byte_at(pair + at); };
    return {of(order.find('V')), of(x % 2 == 0 ? order.find('Y') : order.rfind('Y')), of(order.find('U')), 1};
  }
  EuSendResult send(std::uint32_t code) {
    EuInst inst = EuSendRig::inst({.sfid = EuSfid::kSmpl,
                                   .desc = 5u | code << 12 | 1u << 17 | 4u << 20 | 3u << 25,
                                   .dst = kAnswer,
                                   .src0 = kCoordinates});
    EuEnv env = rig_.env_over(memory_);
    return eu_send(rig_.thread(), inst, env);
  }
  void compare(const naive::Color& want, unsigned lane, double tolerance) {
    for (unsigned c = 0; c < 4; ++c) {
      ASSERT_NEAR(rig_.get<float>(kAnswer + c, lane), want[c], tolerance)
          << "channel " << c << " of format " << std::hex << yuv_->code;
    }
  }

  std::mt19937 random_{1505};
  naive::Memory memory_;
  EuSendRig rig_;
  const YuvFormat* yuv_ = nullptr;
  naive::Format format_{};
  naive::Image image_;
  unsigned colours_x_ = 0;
  unsigned colours_y_ = 0;
};

TEST_F(EuYuvTest, LoadsGiveVInRedYInGreenUInBlue) {
  for (unsigned round = 0; round < 2000; ++round) {
    draw_image();
    bind();
    std::array<std::array<std::int64_t, 3>, 16> at{};
    for (unsigned n = 0; n < 16; ++n) {
      // One beyond the edge now and then.
      at[n] = {below(image_.width + 1), below(image_.height + 1), 0};
      for (unsigned d = 0; d < 3; ++d) {
        rig_.put<std::uint32_t>(kCoordinates + d, n, static_cast<std::uint32_t>(at[n][d]));
      }
      if (at[n][0] == image_.width) at[n][0] = -1;
      if (at[n][1] == image_.height) at[n][1] = -1;
    }
    ASSERT_EQ(send(0x1A).kind, EuSendKind::kDone);
    for (unsigned n = 0; n < 16; ++n) ASSERT_NO_FATAL_FAILURE(compare(pixel(at[n], 0), n, 1e-6));
  }
}

TEST_F(EuYuvTest, SamplesAgreeWithOnePixelAtATime) {
  for (unsigned round = 0; round < 2000; ++round) {
    draw_image();
    bind();
    naive::Sampler s;
    static constexpr unsigned kWraps[] = {0, 1, 2, 4};
    for (unsigned& wrap : s.wrap) wrap = kWraps[below(4)];
    s.linear = below(2) == 0;
    s.normalized = below(2) == 0;
    for (unsigned i = 0; i < 4; ++i) put(kSampler + 4 * i, s.state(kBorder)[i]);
    for (unsigned c = 0; c < 4; ++c) put(kBorder + 4 * c, 0);
    std::array<std::array<float, 3>, 16> at{};
    for (unsigned n = 0; n < 16; ++n) {
      const unsigned size[] = {image_.width, image_.height};
      for (unsigned d = 0; d < 2; ++d) {
        const double place = static_cast<double>(below(3 * size[d])) - size[d] + (1 + below(63)) / 64.0;
        at[n][d] = static_cast<float>(s.normalized ? place / size[d] : place);
        rig_.put<float>(kCoordinates + d, n, at[n][d]);
      }
    }
    ASSERT_EQ(send(0x18).kind, EuSendKind::kDone);
    for (unsigned n = 0; n < 16; ++n) {
      const naive::Color want = naive::sample_of(image_, s, at[n], [&](const auto& i) { return pixel(i, s.border); });
      ASSERT_NO_FATAL_FAILURE(compare(want, n, s.linear ? 2e-3 : 1e-6));
    }
  }
}

TEST_F(EuYuvTest, StatesOfTheRuntimeSayWhereThePlanesAre) {
  // Dumped (spec/eu-images.md 3): NV12 and YUYV of 64 x 32.
  const auto nv12 = eu_image_of({{0x26953000, 0, 0x001F003F, 0x0000007F, 0, 0xF00, 0x20, 0x09710000}}, ~0ull >> 16);
  ASSERT_TRUE(nv12);
  EXPECT_EQ(nv12->format->yuv, EuYuv::kPlanar);
  EXPECT_EQ(nv12->colours_y, 32u);
  EXPECT_EQ(nv12->level[0].width, 64u);
  const auto yuyv = eu_image_of({{0x26097000, 0, 0x001F003F, 0x0000007F, 0, 0, 0, 0x09770000}}, ~0ull >> 16);
  ASSERT_TRUE(yuyv);
  EXPECT_EQ(yuyv->format->yuv, EuYuv::kPacked);
  EXPECT_EQ(yuyv->selected[0], EuChannel::kThird);
}

TEST_F(EuYuvTest, WhatYuvImagesDoNotHaveIsNamed) {
  const auto why = [](std::array<std::uint32_t, 16> words) {
    const auto image = eu_image_of({words}, ~0ull >> 16);
    return image ? std::string() : image.error().reason;
  };
  const std::array<std::uint32_t, 16> plain{0x26097000, 0, 0x001F003F, 0x0000007F, 0, 0, 0, 0x09770000};
  EXPECT_EQ(why(plain), "");
  auto words = plain;
  words[0] = (words[0] & 0x1FFF'FFFF) | 2u << 29;
  EXPECT_EQ(why(words), "image message to a YUV image that is not 2D, or has mip levels");
  words = plain;
  words[5] = 2;
  EXPECT_EQ(why(words), "image message to a YUV image that is not 2D, or has mip levels");
  words = plain;
  words[0] = (words[0] & 0x1FFF'0FFF) | 4u << 29;
  EXPECT_EQ(why(words), "image message to a YUV buffer");
  // Typed messages, loads too: the runtime reads such images only by the sampler.
  draw_image();
  bind();
  EuEnv env = rig_.env_over(memory_);
  const EuSendResult typed = eu_send(
      rig_.thread(),
      EuSendRig::inst({.sfid = EuSfid::kTgm, .desc = 0x6400'F502, .ext_desc = 5u << 24, .dst = 40, .src0 = 10}), env);
  EXPECT_EQ(typed.kind, EuSendKind::kUnsupported);
  EXPECT_STREQ(typed.reason, "image message: typed access to a YUV format");
}

}  // namespace
}  // namespace softxe
