// A model of images for tests: one texel at a time, in double, from OpenCL's text and the letters of the
// specification. Nothing of the code under test in it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "hw/eu/eu_memory.h"

namespace softxe::naive {

/// What is stored of a texel: channels by letter in the order of memory, and how they are numbers.
struct Format {
  std::uint32_t code;
  const char* channels;  ///< of RGBA; I and L are their own
  char kind;             ///< u n: UNORM, s: SNORM, U: UINT, S: SINT, f: float, g: sRGB
  unsigned bits;
  bool stored;
  unsigned bytes() const { return static_cast<unsigned>(std::strlen(channels)) * bits / 8; }
  bool integer() const { return kind == 'U' || kind == 'S'; }
};
inline constexpr Format kFormats[] = {
    {0x000, "RGBA", 'f', 32, true}, {0x001, "RGBA", 'S', 32, true}, {0x002, "RGBA", 'U', 32, true},
    {0x080, "RGBA", 'u', 16, true}, {0x081, "RGBA", 's', 16, true}, {0x082, "RGBA", 'S', 16, true},
    {0x083, "RGBA", 'U', 16, true}, {0x084, "RGBA", 'f', 16, true}, {0x085, "RG", 'f', 32, true},
    {0x086, "RG", 'S', 32, true},   {0x087, "RG", 'U', 32, true},   {0x0C0, "BGRA", 'u', 8, true},
    {0x0C1, "BGRA", 'g', 8, false}, {0x0C7, "RGBA", 'u', 8, true},  {0x0C8, "RGBA", 'g', 8, false},
    {0x0C9, "RGBA", 's', 8, true},  {0x0CA, "RGBA", 'S', 8, true},  {0x0CB, "RGBA", 'U', 8, true},
    {0x0CC, "RG", 'u', 16, true},   {0x0CD, "RG", 's', 16, true},   {0x0CE, "RG", 'S', 16, true},
    {0x0CF, "RG", 'U', 16, true},   {0x0D0, "RG", 'f', 16, true},   {0x0D6, "R", 'S', 32, true},
    {0x0D7, "R", 'U', 32, true},    {0x0D8, "R", 'f', 32, true},    {0x0E3, "I", 'f', 32, false},
    {0x0E4, "L", 'f', 32, false},   {0x0E5, "A", 'f', 32, true},    {0x106, "RG", 'u', 8, true},
    {0x107, "RG", 's', 8, true},    {0x108, "RG", 'S', 8, true},    {0x109, "RG", 'U', 8, true},
    {0x10A, "R", 'u', 16, true},    {0x10B, "R", 's', 16, true},    {0x10C, "R", 'S', 16, true},
    {0x10D, "R", 'U', 16, true},    {0x10E, "R", 'f', 16, true},    {0x111, "I", 'u', 16, false},
    {0x112, "L", 'u', 16, false},   {0x113, "A", 'u', 16, true},    {0x115, "I", 'f', 16, false},
    {0x116, "L", 'f', 16, false},   {0x117, "A", 'f', 16, true},    {0x140, "R", 'u', 8, true},
    {0x141, "R", 's', 8, true},     {0x142, "R", 'S', 8, true},     {0x143, "R", 'U', 8, true},
    {0x144, "A", 'u', 8, true},     {0x145, "I", 'u', 8, false},    {0x146, "L", 'u', 8, false},
};

struct Image {
  unsigned type = 1;  ///< 0: 1D, 1: 2D, 2: 3D, 4: buffer
  bool array = false;
  unsigned tile = 0;  ///< 0 linear, 1 Tile64, 2 X, 3 Tile4
  const Format* format = &kFormats[0];
  unsigned width = 1, height = 1, depth = 1;
  std::uint64_t pitch = 0, slice_rows = 0, base = 0;
  unsigned select[4] = {4, 5, 6, 7};

  unsigned dimensions() const { return type == 4 ? 1 : type + 1; }

  std::array<std::uint32_t, 16> state() const {
    std::array<std::uint32_t, 16> w{};
    w[0] = type << 29 | (array ? 1u << 28 : 0) | format->code << 18 | tile << 12;
    w[1] = static_cast<std::uint32_t>(slice_rows / 4);
    w[2] = (height - 1) << 16 | (width - 1);
    w[3] = static_cast<std::uint32_t>(pitch - 1) | (depth - 1) << 21;
    w[5] = tile == 1 ? 0xF00 : 0;
    if (type == 4) {
      w[2] = ((width - 1) & 0x7F) | ((width - 1) >> 7 & 0x3FFF) << 16;
      w[3] = (format->bytes() - 1) | (width - 1) >> 21 << 21;
    }
    w[7] = select[0] << 25 | select[1] << 22 | select[2] << 19 | select[3] << 16;
    w[8] = static_cast<std::uint32_t>(base);
    w[9] = static_cast<std::uint32_t>(base >> 32) | 0xFFFF'0000;
    return w;
  }

  std::string letters() const {
    if (tile == 2) return "YYYXXXXXXXXX";
    if (tile == 3) return "YYXYXXYYXXXX";
    const unsigned b = format->bytes();
    if (type == 2) return b <= 2 ? "ZZZYYYZZXXYYXXXX" : b == 4 ? "ZZYXYYZZXXYYXXXX" : "ZZYXXYZZXXYYXXXX";
    return b == 1 ? "YYYXYYXYXXYYXXXX" : b <= 4 ? "YYXXYYXYXXYYXXXX" : "YXXXYYXYXXYYXXXX";
  }

  std::uint64_t address(std::uint64_t x, std::uint64_t y, std::uint64_t z) const {
    const unsigned b = format->bytes();
    x *= b;
    if (type == 4) return base + x;
    if (type == 0) return base + x + z * slice_rows * b;
    if (tile == 0) return base + x + y * pitch + z * slice_rows * pitch;
    const std::string text = letters();
    const auto side = [&](char c) { return std::uint64_t{1} << std::count(text.begin(), text.end(), c); };
    const std::uint64_t tw = side('X'), th = side('Y'), td = side('Z'), bytes = std::uint64_t{1} << text.size();
    std::uint64_t at = base + (y / th * (pitch / tw) + x / tw) * bytes;
    at += td == 1 ? z * slice_rows * pitch : z / td * ((slice_rows + th - 1) / th) * (pitch / tw) * bytes;
    x %= tw, y %= th, z %= td;
    for (std::size_t bit = 0; bit < text.size(); ++bit) {
      std::uint64_t& from = text[text.size() - 1 - bit] == 'X' ? x : text[text.size() - 1 - bit] == 'Y' ? y : z;
      at += (from & 1) << bit;
      from >>= 1;
    }
    return at;
  }
  /// Bytes from the base that its texels can lie in.
  std::uint64_t extent() const { return address(width - 1, height - 1, depth - 1) + 65536 - base; }
};

inline double half_value(std::uint32_t h) {
  const double sign = (h & 0x8000) != 0 ? -1 : 1;
  const int exponent = static_cast<int>(h >> 10 & 31);
  const double fraction = (h & 0x3FF) / 1024.0;
  return sign * (exponent == 0 ? fraction * 0x1p-14 : (1 + fraction) * std::ldexp(1.0, exponent - 15));
}
inline std::uint32_t half_bits(double value) {
  const std::uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  const double a = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7E00;
  if (a >= 65520) return sign | 0x7C00;
  int exponent = 0;
  std::frexp(a, &exponent);
  const int e = std::max(exponent, -13);
  const double steps = std::nearbyint(std::ldexp(a, 11 - e));
  return sign | static_cast<std::uint32_t>(steps + (e + 13) * 1024.0);
}

using Color = std::array<double, 4>;  ///< numbers; of integer formats whole ones

inline double channel(const Format& f, char letter, std::uint32_t raw) {
  const double top = static_cast<double>((std::uint64_t{1} << f.bits) - 1);
  const double number = static_cast<std::int32_t>(raw << (32 - f.bits)) >> (32 - f.bits);
  switch (f.kind) {
    case 'U': return raw;
    case 'S': return number;
    case 's': return std::max(-1.0, number / static_cast<double>((1u << (f.bits - 1)) - 1));
    case 'f': {
      if (f.bits == 16) return half_value(raw);
      float value;
      std::memcpy(&value, &raw, 4);
      return value;
    }
    case 'g':
      if (letter != 'A') return raw / top <= 0.04045 ? raw / top / 12.92 : std::pow((raw / top + 0.055) / 1.055, 2.4);
      return raw / top;
    default: return raw / top;
  }
}

/// Channels R, G, B, A of a texel whose bytes are `bytes`; without bytes those of the border, of one colour.
inline Color color(const Format& f, const std::byte* bytes, double border = 0) {
  Color c{0, 0, 0, 1};
  for (unsigned k = 0; f.channels[k] != 0; ++k) {
    std::uint32_t raw = 0;
    if (bytes != nullptr) std::memcpy(&raw, bytes + k * f.bits / 8, f.bits / 8);
    const double v = bytes != nullptr ? channel(f, f.channels[k], raw) : border;
    switch (f.channels[k]) {
      case 'R': c[0] = v; break;
      case 'G': c[1] = v; break;
      case 'B': c[2] = v; break;
      case 'A': c[3] = v; break;
      case 'L': c[0] = c[1] = c[2] = v; break;
      default: c = {v, v, v, v}; break;
    }
    if (f.channels[k] == 'A' && std::strlen(f.channels) == 1) c[0] = c[1] = c[2] = 0;
  }
  return c;
}

inline Color selected(const Image& image, const Color& c) {
  Color to{};
  for (unsigned i = 0; i < 4; ++i) to[i] = image.select[i] < 4 ? image.select[i] : c[image.select[i] - 4];
  return to;
}

/// Memory of a test in one piece.
class Memory final : public EuMemory {
 public:
  Memory(std::uint64_t base, std::size_t bytes) : base_(base), bytes_(bytes) {}
  std::byte* at(std::uint64_t va) { return &bytes_.at(va - base_); }
  std::vector<std::byte>& bytes() { return bytes_; }
  Status load(const MemoryItems& items, std::byte* to) override {
    for (const GpuVa va : items.va) {
      if (va.value() < base_ || va.value() - base_ + items.item_bytes > bytes_.size())
        return fail(EFAULT, "test: outside");
      std::memcpy(to, at(va.value()), items.item_bytes);
      to += items.item_bytes;
    }
    return {};
  }
  Status store(const MemoryItems& items, const std::byte* from) override {
    for (const GpuVa va : items.va) {
      if (va.value() < base_ || va.value() - base_ + items.item_bytes > bytes_.size())
        return fail(EFAULT, "test: outside");
      std::memcpy(at(va.value()), from, items.item_bytes);
      from += items.item_bytes;
    }
    return {};
  }
  Status atomics(const EuAtomics&, std::size_t&) override { return fail(EFAULT, "test: no atomics"); }

 private:
  std::uint64_t base_;
  std::vector<std::byte> bytes_;
};

struct Sampler {
  unsigned wrap[3] = {2, 2, 2};  ///< 0 repeat, 1 mirror, 2 edge, 4 border
  bool linear = false;
  bool normalized = false;
  double border = 0;

  std::array<std::uint32_t, 4> state(std::uint32_t border_offset) const {
    return {0x10100000u | (linear ? 1u << 14 | 1u << 17 : 0), 0x000E0000, border_offset,
            wrap[0] << 6 | wrap[1] << 3 | wrap[2] | (normalized ? 0 : 1u << 10)};
  }
};

/// OpenCL 3.0, 8.2: an index along an axis; -1 outside.
inline std::int64_t index_of(const Sampler& s, unsigned wrap, std::int64_t i, std::int64_t size) {
  if (wrap == 2) return std::clamp<std::int64_t>(i, 0, size - 1);
  if (wrap == 4) return i < 0 || i >= size ? -1 : i;
  if (wrap == 0 && s.normalized) return i < 0 ? i + size : i > size - 1 ? i - size : i;
  if (wrap == 1 && s.normalized) return std::clamp<std::int64_t>(i, 0, size - 1);
  // Of whole coordinates: not in OpenCL.
  const std::int64_t period = wrap == 0 ? size : 2 * size;
  const std::int64_t p = ((i % period) + period) % period;
  return p < size ? p : 2 * size - 1 - p;
}
inline double place_of(const Sampler& s, unsigned wrap, double u, double size) {
  if (!s.normalized) return u;
  if (wrap == 0) return (u - std::floor(u)) * size;
  if (wrap == 1) return std::fabs(u - 2 * std::nearbyint(u / 2)) * size;
  return u * size;
}

inline Color texel(Memory& memory, const Image& image, const std::array<std::int64_t, 3>& i, double border) {
  for (const std::int64_t one : i) {
    if (one < 0) return color(*image.format, nullptr, border);
  }
  return color(*image.format,
               memory.at(image.address(static_cast<std::uint64_t>(i[0]), static_cast<std::uint64_t>(i[1]),
                                       static_cast<std::uint64_t>(i[2]))));
}

/// `texel_at` is the colour at whole coordinates, of which one may be -1.
template <typename Texel>
Color sample_of(const Image& image, const Sampler& s, const std::array<float, 3>& at, const Texel& texel_at) {
  const unsigned dims = image.dimensions();
  const std::int64_t size[] = {image.width, image.height, image.depth};
  std::array<std::int64_t, 3> fixed{};
  if (image.array) {
    fixed[2] =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(std::nearbyint(double{at[dims]})), 0, image.depth - 1);
  }
  const bool linear = s.linear && !image.format->integer();
  Color sum{};
  for (unsigned tap = 0; tap < (linear ? 1u << dims : 1u); ++tap) {
    std::array<std::int64_t, 3> i = fixed;
    double weight = 1;
    for (unsigned d = 0; d < dims; ++d) {
      const double place = place_of(s, s.wrap[d], at[d], static_cast<double>(size[d])) - (linear ? 0.5 : 0);
      const double below = std::floor(place);
      const bool second = (tap >> d & 1) != 0;
      if (linear) weight *= second ? place - below : 1 - (place - below);
      i[d] = index_of(s, s.wrap[d], static_cast<std::int64_t>(below) + (second ? 1 : 0), size[d]);
    }
    const Color c = texel_at(i);
    for (unsigned k = 0; k < 4; ++k) sum[k] += weight * c[k];
  }
  return selected(image, sum);
}
inline Color sample(Memory& memory, const Image& image, const Sampler& s, const std::array<float, 3>& at) {
  return sample_of(image, s, at, [&](const auto& i) { return texel(memory, image, i, s.border); });
}

/// The bytes that a store of `raw` (registers of R, G, B, A) makes of a texel.
inline void encode(const Format& f, const std::array<std::uint32_t, 4>& raw, std::byte* to) {
  for (unsigned k = 0; f.channels[k] != 0; ++k) {
    const std::uint32_t word = raw[std::string("RGBA").find(f.channels[k])];
    float real;
    std::memcpy(&real, &word, 4);
    std::int64_t value = 0;
    const auto top = static_cast<std::int64_t>((std::uint64_t{1} << f.bits) - 1);
    const std::int64_t signed_top = top >> 1;
    switch (f.kind) {
      case 'U': value = std::min<std::int64_t>(word, top); break;
      case 'S': value = std::clamp<std::int64_t>(static_cast<std::int32_t>(word), -signed_top - 1, signed_top); break;
      case 'f': value = f.bits == 32 ? word : half_bits(real); break;
      case 's':
        if (!std::isnan(real))
          value = std::llrint(std::clamp(double{real}, -1.0, 1.0) * static_cast<double>(signed_top));
        break;
      default:
        if (!std::isnan(real)) value = std::llrint(std::clamp(double{real}, 0.0, 1.0) * static_cast<double>(top));
        break;
    }
    std::memcpy(to + k * f.bits / 8, &value, f.bits / 8);
  }
}

}  // namespace softxe::naive
