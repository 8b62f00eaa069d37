#include "hw/eu/eu_format.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>

#include "hw/eu/eu_half.h"

namespace softxe {

namespace {

constexpr EuChannel k0 = EuChannel::kFirst, k1 = EuChannel::kSecond, k2 = EuChannel::kThird, k3 = EuChannel::kFourth,
                    kZ = EuChannel::kZero, kO = EuChannel::kOne;
using Channels = std::array<EuChannel, 4>;
constexpr Channels kR{k0, kZ, kZ, kO}, kRg{k0, k1, kZ, kO}, kRgba{k0, k1, k2, k3}, kBgra{k2, k1, k0, k3},
    kA{kZ, kZ, kZ, k0}, kI{k0, k0, k0, k0}, kL{k0, k0, k0, kO}, kYuv{k2, k0, k1, kO};
constexpr EuNumeric kUn = EuNumeric::kUnorm, kSn = EuNumeric::kSnorm, kUi = EuNumeric::kUint, kSi = EuNumeric::kSint,
                    kF = EuNumeric::kFloat, kSrgb = EuNumeric::kSrgb;
constexpr EuYuv kPacked = EuYuv::kPacked;
constexpr std::array<std::uint8_t, 4> kYuyv{0, 2, 1, 3}, kVyuy{1, 3, 2, 0}, kYvyu{0, 2, 3, 1}, kUyvy{1, 3, 0, 2};

/// Code, number, components, their bits, bytes of an element, channels, whether it is stored to. Ascending.
constexpr EuFormat kFormats[] = {
    {0x000, kF, 4, 32, 16, kRgba, true},  {0x001, kSi, 4, 32, 16, kRgba, true},
    {0x002, kUi, 4, 32, 16, kRgba, true}, {0x080, kUn, 4, 16, 8, kRgba, true},
    {0x081, kSn, 4, 16, 8, kRgba, true},  {0x082, kSi, 4, 16, 8, kRgba, true},
    {0x083, kUi, 4, 16, 8, kRgba, true},  {0x084, kF, 4, 16, 8, kRgba, true},
    {0x085, kF, 2, 32, 8, kRg, true},     {0x086, kSi, 2, 32, 8, kRg, true},
    {0x087, kUi, 2, 32, 8, kRg, true},    {0x088, kF, 1, 32, 8, kR, false},  // the other 32 bits are the stencil's
    {0x0C0, kUn, 4, 8, 4, kBgra, true},   {0x0C1, kSrgb, 4, 8, 4, kBgra, false},
    {0x0C7, kUn, 4, 8, 4, kRgba, true},   {0x0C8, kSrgb, 4, 8, 4, kRgba, false},
    {0x0C9, kSn, 4, 8, 4, kRgba, true},   {0x0CA, kSi, 4, 8, 4, kRgba, true},
    {0x0CB, kUi, 4, 8, 4, kRgba, true},   {0x0CC, kUn, 2, 16, 4, kRg, true},
    {0x0CD, kSn, 2, 16, 4, kRg, true},    {0x0CE, kSi, 2, 16, 4, kRg, true},
    {0x0CF, kUi, 2, 16, 4, kRg, true},    {0x0D0, kF, 2, 16, 4, kRg, true},
    {0x0D6, kSi, 1, 32, 4, kR, true},     {0x0D7, kUi, 1, 32, 4, kR, true},
    {0x0D8, kF, 1, 32, 4, kR, true},      {0x0D9, EuNumeric::kUnorm24, 1, 32, 4, kR, false},
    {0x0E3, kF, 1, 32, 4, kI, false},     {0x0E4, kF, 1, 32, 4, kL, false},
    {0x0E5, kF, 1, 32, 4, kA, true},      {0x106, kUn, 2, 8, 2, kRg, true},
    {0x107, kSn, 2, 8, 2, kRg, true},     {0x108, kSi, 2, 8, 2, kRg, true},
    {0x109, kUi, 2, 8, 2, kRg, true},     {0x10A, kUn, 1, 16, 2, kR, true},
    {0x10B, kSn, 1, 16, 2, kR, true},     {0x10C, kSi, 1, 16, 2, kR, true},
    {0x10D, kUi, 1, 16, 2, kR, true},     {0x10E, kF, 1, 16, 2, kR, true},
    {0x111, kUn, 1, 16, 2, kI, false},    {0x112, kUn, 1, 16, 2, kL, false},
    {0x113, kUn, 1, 16, 2, kA, true},     {0x115, kF, 1, 16, 2, kI, false},
    {0x116, kF, 1, 16, 2, kL, false},     {0x117, kF, 1, 16, 2, kA, true},
    {0x140, kUn, 1, 8, 1, kR, true},      {0x141, kSn, 1, 8, 1, kR, true},
    {0x142, kSi, 1, 8, 1, kR, true},      {0x143, kUi, 1, 8, 1, kR, true},
    {0x144, kUn, 1, 8, 1, kA, true},      {0x145, kUn, 1, 8, 1, kI, false},
    {0x146, kUn, 1, 8, 1, kL, false},
};
constexpr EuFormat kYuvFormats[] = {
    {0x182, kUn, 3, 8, 2, kYuv, false, kPacked, kYuyv}, {0x183, kUn, 3, 8, 2, kYuv, false, kPacked, kVyuy},
    {0x18F, kUn, 3, 8, 2, kYuv, false, kPacked, kYvyu}, {0x190, kUn, 3, 8, 2, kYuv, false, kPacked, kUyvy},
    {0x1A5, kUn, 3, 8, 1, kYuv, false, EuYuv::kPlanar},
};

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
float number(std::uint32_t raw) { return std::bit_cast<float>(raw); }

// --- raw components -------------------------------------------------------------------------------

template <typename T>
void unpack(const EuFormat& format, const std::byte* elements, unsigned count, EuComponents& to) {
  for (unsigned k = 0; k < format.components; ++k) {
    const std::byte* from = elements + k * sizeof(T);
    for (unsigned n = 0; n < count; ++n) {
      T value;
      std::memcpy(&value, from + n * format.bytes, sizeof value);
      using Wide = std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>;
      to[k][n] = static_cast<std::uint32_t>(static_cast<Wide>(value));
    }
  }
}

void unpack(const EuFormat& format, const std::byte* elements, unsigned count, EuComponents& to) {
  const bool is_signed = format.numeric == EuNumeric::kSnorm || format.numeric == EuNumeric::kSint;
  switch (format.component_bits) {
    case 8:
      return is_signed ? unpack<std::int8_t>(format, elements, count, to)
                       : unpack<std::uint8_t>(format, elements, count, to);
    case 16:
      return is_signed ? unpack<std::int16_t>(format, elements, count, to)
                       : unpack<std::uint16_t>(format, elements, count, to);
    default: return unpack<std::uint32_t>(format, elements, count, to);
  }
}

template <typename T>
void pack(const std::uint32_t* from, unsigned bytes, unsigned count, std::byte* to) {
  for (unsigned n = 0; n < count; ++n) {
    const auto value = static_cast<T>(from[n]);
    std::memcpy(to + n * bytes, &value, sizeof value);
  }
}

// --- numbers --------------------------------------------------------------------------------------

/// Largest magnitude of a normalized component.
float unorm_max(const EuFormat& format) { return static_cast<float>(format.component_bits == 8 ? 0xFF : 0xFFFF); }
float snorm_max(const EuFormat& format) { return static_cast<float>(format.component_bits == 8 ? 0x7F : 0x7FFF); }

/// x^2.4 without a library: the twelfth power of the fifth root, by Newton's method.
constexpr double power_2_4(double x) {
  double root = 1;
  for (int i = 0; i < 64; ++i) root -= (root - x / (root * root * root * root)) / 5;
  const double square = root * root;
  const double fourth = square * square;
  return fourth * fourth * fourth;
}
constexpr std::array<float, 256> kLinearOfSrgb = [] {
  std::array<float, 256> table{};
  for (unsigned c = 0; c < table.size(); ++c) {
    const double coded = c / 255.0;
    table[c] = static_cast<float>(coded <= 0.04045 ? coded / 12.92 : power_2_4((coded + 0.055) / 1.055));
  }
  return table;
}();

void decode_component(const EuFormat& format, unsigned component, unsigned count, std::uint32_t* v) {
  switch (format.numeric) {
    case EuNumeric::kUint:
    case EuNumeric::kSint: return;
    case EuNumeric::kUnorm24:
      for (unsigned n = 0; n < count; ++n) v[n] = bits(static_cast<float>(v[n] & 0xFF'FFFF) / 0xFF'FFFF);
      return;
    case EuNumeric::kFloat:
      if (format.component_bits == 32) return;
      for (unsigned n = 0; n < count; ++n) v[n] = bits(eu_float_of_half(static_cast<std::uint16_t>(v[n])));
      return;
    case EuNumeric::kSnorm: {
      const float max = snorm_max(format);
      for (unsigned n = 0; n < count; ++n) {
        v[n] = bits(std::max(static_cast<float>(static_cast<std::int32_t>(v[n])) / max, -1.0f));
      }
      return;
    }
    case EuNumeric::kSrgb:
      if (component < 3) {
        for (unsigned n = 0; n < count; ++n) v[n] = bits(kLinearOfSrgb[v[n]]);
        return;
      }
      [[fallthrough]];  // alpha is no colour
    case EuNumeric::kUnorm: {
      const float max = unorm_max(format);
      for (unsigned n = 0; n < count; ++n) v[n] = bits(static_cast<float>(static_cast<std::int32_t>(v[n])) / max);
      return;
    }
  }
}

/// NaN becomes 0; rounded by the host, to nearest even.
std::uint32_t normalized(std::uint32_t raw, float low, float max) {
  const float value = number(raw);
  if (value != value) return 0;
  return static_cast<std::uint32_t>(static_cast<std::int32_t>(std::rint(double{std::clamp(value, low, 1.0f)} * max)));
}

std::uint32_t encode_component(const EuFormat& format, std::uint32_t raw) {
  const unsigned width = format.component_bits;
  switch (format.numeric) {
    case EuNumeric::kUint: return width == 32 ? raw : std::min(raw, (1u << width) - 1);
    case EuNumeric::kSint: {
      if (width == 32) return raw;
      const std::int32_t limit = 1 << (width - 1);
      return static_cast<std::uint32_t>(std::clamp(static_cast<std::int32_t>(raw), -limit, limit - 1));
    }
    case EuNumeric::kFloat: return width == 32 ? raw : eu_half_of_float(number(raw));
    case EuNumeric::kSnorm: return normalized(raw, -1.0f, snorm_max(format));
    case EuNumeric::kUnorm: return normalized(raw, 0.0f, unorm_max(format));
    case EuNumeric::kSrgb:
    case EuNumeric::kUnorm24: break;
  }
  return 0;
}

}  // namespace

const EuFormat* eu_find_format(std::uint32_t code) {
  using Formats = std::span<const EuFormat>;
  const Formats formats = code < kYuvFormats[0].code ? Formats(kFormats) : Formats(kYuvFormats);
  const auto found = std::lower_bound(formats.begin(), formats.end(), code,
                                      [](const EuFormat& format, std::uint32_t c) { return format.code < c; });
  return found != formats.end() && found->code == code ? &*found : nullptr;
}

void eu_decode_elements(const EuFormat& format, const std::byte* elements, unsigned count, EuComponents& to) {
  unpack(format, elements, count, to);
  for (unsigned k = 0; k < format.components; ++k) decode_component(format, k, count, to[k].data());
}

void eu_decode_yuv(const EuFormat& format, const EuYuvElements& from, unsigned count, EuComponents& to) {
  const auto byte = [](const std::byte* at) { return std::to_integer<std::uint32_t>(*at); };
  for (unsigned n = 0; n < count; ++n) {
    if (format.yuv == EuYuv::kPacked) {
      const std::byte* const pair = from.elements + 4 * n;
      to[0][n] = byte(pair + format.order[from.odd >> n & 1]);
      to[1][n] = byte(pair + format.order[2]);
      to[2][n] = byte(pair + format.order[3]);
    } else {
      to[0][n] = byte(from.elements + n);
      to[1][n] = byte(from.colours + 2 * n);
      to[2][n] = byte(from.colours + 2 * n + 1);
    }
  }
  for (unsigned k = 0; k < 3; ++k) decode_component(format, k, count, to[k].data());
}

void eu_encode_elements(const EuFormat& format, const EuComponents& from, unsigned count, std::byte* elements) {
  for (unsigned k = 0; k < format.components; ++k) {
    const auto& channel = from[format.channel_of(k)];
    std::array<std::uint32_t, kEuChannelsMax> raw;
    for (unsigned n = 0; n < count; ++n) raw[n] = encode_component(format, channel[n]);
    std::byte* const to = elements + k * format.component_bits / 8;
    switch (format.component_bits) {
      case 8: pack<std::uint8_t>(raw.data(), format.bytes, count, to); break;
      case 16: pack<std::uint16_t>(raw.data(), format.bytes, count, to); break;
      default: pack<std::uint32_t>(raw.data(), format.bytes, count, to); break;
    }
  }
}

}  // namespace softxe
