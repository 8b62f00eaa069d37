// EuFormat: the formats of images, one row each: what an element's bytes are, and what becomes of them in a register
// (spec/eu-images.md 4).
//
// Elements become components, side by side as in memory: floats, or integers of 32 bits. Which channel a component is,
// and what channels without one read as, is the format's `channels`. Values are bits of registers; those of floats
// are worked out with the host's rounding mode, so callers hold a HostFloatScope.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "hw/eu/eu_thread.h"

namespace softxe {

/// How a component's bits are a number.
enum class EuNumeric : std::uint8_t { kUnorm, kSnorm, kUint, kSint, kFloat, kSrgb, kUnorm24 };

/// A channel of the four that messages give and take: a component, or a constant.
enum class EuChannel : std::uint8_t { kFirst = 0, kSecond = 1, kThird = 2, kFourth = 3, kZero = 4, kOne = 5 };

/// How brightness and colour of a YUV format stand in memory. Components are Y, U, V.
enum class EuYuv : std::uint8_t {
  kNone,
  kPacked,  ///< two pixels side by side are four bytes, and have one colour
  kPlanar,  ///< a plane of Y, below it one of U and V, two bytes for every two by two pixels
};

struct EuFormat {
  std::uint16_t code;
  EuNumeric numeric;
  std::uint8_t components;
  std::uint8_t component_bits;        ///< 8, 16, 32
  std::uint8_t bytes;                 ///< of an element; of YUV formats: of a pixel, without a plane of colours
  std::array<EuChannel, 4> channels;  ///< red, green, blue, alpha
  bool writable;
  EuYuv yuv = EuYuv::kNone;
  std::array<std::uint8_t, 4> order{};  ///< kPacked: which of the four bytes are Y of the left, of the right, U, V

  /// What is read at once.
  unsigned item_bytes() const { return yuv == EuYuv::kPacked ? 4 : bytes; }
  /// The channel that a component is; of several the first.
  unsigned channel_of(unsigned component) const {
    for (unsigned c = 0; c < 3; ++c) {
      if (static_cast<unsigned>(channels[c]) == component) return c;
    }
    return 3;
  }

  bool integer() const { return numeric == EuNumeric::kUint || numeric == EuNumeric::kSint; }
  /// "1" in a channel without component.
  std::uint32_t one() const { return integer() ? 1 : 0x3F80'0000; }
};

/// Null: no format that images have here.
const EuFormat* eu_find_format(std::uint32_t code);

/// Components of up to 32 elements: [component][element].
using EuComponents = std::array<std::array<std::uint32_t, kEuChannelsMax>, 4>;

/// Elements stand one behind the other, `format.bytes` each.
void eu_decode_elements(const EuFormat& format, const std::byte* elements, unsigned count, EuComponents& to);

/// Of YUV formats. `elements` are items; `colours` those of the other plane, if there is one. Bit n of `odd`: the right
/// one of two pixels.
struct EuYuvElements {
  const std::byte* elements = nullptr;
  const std::byte* colours = nullptr;
  std::uint32_t odd = 0;
};
void eu_decode_yuv(const EuFormat& format, const EuYuvElements& from, unsigned count, EuComponents& to);

/// Clamps and rounds as stores do: integers saturate, NaN is 0, to nearest even. `from` are channels.
void eu_encode_elements(const EuFormat& format, const EuComponents& from, unsigned count, std::byte* elements);

}  // namespace softxe
