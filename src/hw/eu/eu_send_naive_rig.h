// A naive model of data port messages, for tests: one channel, one element, one byte at a time, written from the
// text of spec/eu-isa.md 9.1 alone. It shares no code with what it checks.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

namespace softxe {

/// Values as a mathematician sees them. A double holds every half and float, and their sums exactly enough.
class NaiveFloat {
 public:
  static double of(std::uint64_t bits, unsigned bytes) {
    if (bytes == 8) return as<double>(bits);
    if (bytes == 4) return static_cast<double>(as<float>(bits));
    const auto exponent = static_cast<int>(bits >> 10 & 31);
    const auto fraction = static_cast<int>(bits & 1023);
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == 31) return fraction != 0 ? std::nan("") : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024 + fraction, exponent - 25);
  }
  static std::uint64_t bits(double value, unsigned bytes) {
    if (bytes == 8) return from(value);
    if (bytes == 4) return from(static_cast<float>(value));
    const std::uint64_t sign = std::signbit(value) ? 0x8000 : 0;
    if (std::isnan(value)) return sign | 0x7E00;
    const double size = std::fabs(value);
    if (size == 0.0) return sign;
    if (size >= 65520.0) return sign | 0x7C00;
    int exponent = 0;
    std::frexp(size, &exponent);  // size = [0.5, 1) * 2^exponent
    const int unit = std::max(exponent - 11, -24);
    const auto count = static_cast<std::uint64_t>(std::nearbyint(std::ldexp(size, -unit)));
    if (unit == -24) return sign | count;  // a denormal, or just not
    return sign | ((static_cast<std::uint64_t>(unit + 25) << 10) + (count - 1024));
  }

 private:
  template <typename F>
  static double as(std::uint64_t bits) {
    F value;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<double>(value);
  }
  template <typename F>
  static std::uint64_t from(F value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
  }
};

inline std::uint64_t naive_atomic(unsigned op, unsigned bytes, std::uint64_t old, std::uint64_t a, std::uint64_t cmp) {
  const unsigned width = bytes * 8;
  const std::uint64_t all = width == 64 ? ~0ull : (1ull << width) - 1;
  const auto as_signed = [&](std::uint64_t v) { return static_cast<std::int64_t>(v << (64 - width)) >> (64 - width); };
  const double f = NaiveFloat::of(old, bytes);
  const double g = NaiveFloat::of(a, bytes);
  switch (op) {
    case 0x08: return (old + 1) & all;
    case 0x09: return (old - 1) & all;
    case 0x0A: return old;
    case 0x0B: return a;
    case 0x0C: return (old + a) & all;
    case 0x0D: return (old - a) & all;
    case 0x0E: return as_signed(old) < as_signed(a) ? old : a;
    case 0x0F: return as_signed(old) > as_signed(a) ? old : a;
    case 0x10: return old < a ? old : a;
    case 0x11: return old > a ? old : a;
    case 0x12: return old == cmp ? a : old;
    case 0x13:
    case 0x14: {
      // The first NaN stays, made quiet.
      const std::uint64_t quiet = bytes == 2 ? 0x200 : bytes == 4 ? 0x40'0000 : 0x8'0000'0000'0000;
      if (std::isnan(f)) return old | quiet;
      if (std::isnan(g)) return a | quiet;
      return NaiveFloat::bits(op == 0x13 ? f + g : f - g, bytes);
    }
    case 0x15: return std::isnan(g) || f <= g ? old : a;
    case 0x16: return std::isnan(g) || f >= g ? old : a;
    case 0x17: return f == NaiveFloat::of(cmp, bytes) ? a : old;
    case 0x18: return old & a;
    case 0x19: return old | a;
    default: return old ^ a;
  }
}

struct NaiveMessage {
  bool slm = false;
  std::uint32_t desc = 0;
  std::uint32_t ext_desc = 0;  ///< or the register's value
  std::uint32_t offset_word = 0;
  unsigned channels = 16;  ///< execution size
  std::uint32_t mask = 0;  ///< of the instruction's channels
  unsigned dst = 0;        ///< first byte in the register file
  unsigned src0 = 0;
  unsigned src1 = 0;
  bool dst_null = false;
  unsigned hw_id = 0;
};

class NaiveMachine {
 public:
  enum class Outcome { kDone, kFault };

  std::vector<std::uint8_t> grf;
  std::vector<std::uint8_t> slm;
  using Page = std::array<std::uint8_t, 4096>;
  std::map<std::uint64_t, Page> memory;  ///< by va >> 12; what is missing faults
  std::uint64_t general = 0, surfaces = 0, bindless = 0, table = 0;
  std::uint32_t done = 0;  ///< channels of an atomic that were done before a fault

  Outcome run(const NaiveMessage& message) {
    m_ = message;
    before_ = grf;
    fault_ = false;
    done = 0;
    const unsigned op = field(5, 0);
    const bool load = op < 4;
    if (m_.mask == 0 || (load && m_.dst_null)) return Outcome::kDone;
    open();
    if (!fault_) {
      if (op >= 8) {
        atomics(op);
      } else {
        lanes(op, /*change=*/false);
        if (!fault_) lanes(op, /*change=*/true);
      }
    }
    return fault_ ? Outcome::kFault : Outcome::kDone;
  }

 private:
  static std::uint32_t cut(std::uint32_t word, unsigned high, unsigned low) {
    std::uint32_t value = 0;
    for (unsigned b = low; b <= high; ++b) value |= (word >> b & 1) << (b - low);
    return value;
  }
  std::uint32_t field(unsigned high, unsigned low) const { return cut(m_.desc, high, low); }
  static std::int64_t extend(std::uint32_t value, unsigned width) {
    const std::int64_t v = value;
    return (value >> (width - 1) & 1) != 0 ? v - (std::int64_t{1} << width) : v;
  }
  static std::uint64_t strip(std::uint64_t va) { return va & 0xFFFF'FFFF'FFFF; }

  std::uint64_t source(unsigned at, unsigned bytes) const {
    std::uint64_t value = 0;
    for (unsigned b = 0; b < bytes; ++b) value |= std::uint64_t{before_.at(at + b)} << (8 * b);
    return value;
  }
  std::uint8_t* lookup(std::uint64_t va) {
    const auto page = memory.find(strip(va) >> 12);
    return page == memory.end() ? nullptr : &page->second[va & 4095];
  }
  std::uint32_t dword_at(std::uint64_t va) {
    std::uint32_t value = 0;
    for (unsigned b = 0; b < 4; ++b) {
      const std::uint8_t* byte = lookup(va + b);
      if (byte == nullptr) {
        fault_ = true;
        return 0;
      }
      value |= std::uint32_t{*byte} << (8 * b);
    }
    return value;
  }

  /// Base, size and offset of the message's address space.
  void open() {
    base_ = 0;
    size_ = ~0ull;
    offset_ = extend(cut(m_.ext_desc, 31, 12), 20);
    const unsigned type = field(30, 29);
    std::uint64_t state = 0;
    if (m_.slm) {
      size_ = slm.size();
      return;
    }
    if (type == 0) return;
    if (type == 3) {
      offset_ = extend(cut(m_.ext_desc, 23, 12), 12);
      const std::uint32_t index = cut(m_.ext_desc, 31, 24);
      if (index == 255) {
        base_ = general;
        return;
      }
      state = surfaces + (dword_at(table + index * 4ull) & ~63u);
    } else {
      offset_ = extend(cut(m_.offset_word, 31, 19) << 4 | cut(m_.offset_word, 15, 12), 17);
      state = (type == 2 ? surfaces : bindless) + (m_.ext_desc & ~63u);
    }
    const std::uint32_t dw0 = dword_at(state), dw2 = dword_at(state + 8), dw3 = dword_at(state + 12);
    base_ = dword_at(state + 32) | std::uint64_t{dword_at(state + 36)} << 32;
    const std::uint64_t entries = (cut(dw2, 6, 0) | cut(dw2, 29, 16) << 7 | cut(dw3, 31, 21) << 21) + 1ull;
    const std::uint64_t pitch = cut(dw3, 17, 0) + 1ull;
    const unsigned kind = dw0 >> 29;
    if (kind == 4) size_ = entries;
    if (kind == 6) {
      size_ = m_.hw_id < entries ? pitch : 0;
      base_ += m_.hw_id * pitch;
    }
    if (kind == 7) size_ = 0;
  }

  /// Address of an element in the message's space.
  std::uint64_t address_of(unsigned channel, unsigned op) const {
    const unsigned bytes = 1u << field(8, 7);
    std::uint64_t address = 0;
    if (op == 1 || op == 5) {
      address = source(m_.src0, bytes) +
                static_cast<std::uint64_t>(extend(static_cast<std::uint32_t>(source(m_.src0 + 8, 4)), 32) * channel);
    } else {
      address = source(m_.src0 + channel * bytes, bytes);
    }
    address += static_cast<std::uint64_t>(offset_);
    if (m_.slm) return address & 0x0FFF'FFFF;
    const bool wide = bytes == 8 && (field(30, 29) == 0 || size_ == ~0ull);
    return wide ? address : address & 0xFFFF'FFFF;
  }

  std::uint8_t* byte_at(std::uint64_t address) {
    if (m_.slm) return &slm.at(address);
    std::uint8_t* byte = lookup(base_ + address);
    if (byte == nullptr) fault_ = true;
    return byte;
  }
  bool inside(std::uint64_t address, unsigned bytes) const { return address < size_ && bytes <= size_ - address; }

  void lanes(unsigned op, bool change) {
    const bool quad = op == 2 || op == 6;
    const bool store = op >= 4;
    const bool transposed = !quad && field(15, 15) != 0;
    static constexpr unsigned kVectors[] = {1, 2, 3, 4, 8, 16, 32, 64};
    const unsigned vector = quad ? 4 : kVectors[field(14, 12)];
    for (unsigned c = 0; c < m_.channels; ++c) {
      if ((m_.mask >> c & 1) == 0) continue;
      unsigned row = 0;
      for (unsigned e = 0; e < vector; ++e) {
        if (quad && (field(15, 12) >> e & 1) == 0) continue;
        element(op, c, e, row++, store, transposed, vector, change);
      }
    }
  }

  void element(unsigned op, unsigned c, unsigned e, unsigned row, bool store, bool transposed, unsigned vector,
               bool change) {
    static constexpr unsigned kMemory[] = {1, 2, 4, 8, 1, 2, 2};
    static constexpr unsigned kRegister[] = {1, 2, 4, 8, 4, 4, 4};
    const unsigned bytes = kMemory[field(11, 9)];
    const unsigned wide = kRegister[field(11, 9)];
    const unsigned high = field(11, 9) == 6 ? 2 : 0;
    const auto rounded = [](unsigned n) { return (n + 63) / 64 * 64; };
    const unsigned place = transposed ? c * rounded(vector * wide) + row * wide
                                      : row * rounded((m_.channels < 16 ? 16 : m_.channels) * wide) + c * wide;
    const std::uint64_t address = address_of(c, op) + e * bytes;
    const bool exists = inside(address, bytes);
    if (!store && change) {
      for (unsigned b = 0; b < wide; ++b) grf.at(m_.dst + place + b) = 0;
    }
    if (!exists) return;
    for (unsigned b = 0; b < bytes; ++b) {
      std::uint8_t* byte = byte_at(address + b);
      if (byte == nullptr || !change) continue;
      if (store) *byte = before_.at(m_.src1 + place + high + b);
      if (!store) grf.at(m_.dst + place + high + b) = *byte;
    }
  }

  void atomics(unsigned op) {
    const unsigned bytes = field(11, 9) == 3 ? 8 : field(11, 9) == 2 ? 4 : 2;
    const unsigned wide = bytes == 2 ? 4 : bytes;
    const unsigned block = ((m_.channels < 16 ? 16 : m_.channels) * wide + 63) / 64 * 64;
    const bool compares = op == 0x12 || op == 0x17;
    const bool unary = op >= 8 && op <= 0xA;
    std::vector<std::uint64_t> results;
    for (unsigned c = 0; c < m_.channels && !fault_; ++c) {
      if ((m_.mask >> c & 1) == 0) continue;
      const std::uint64_t address = address_of(c, op);
      const std::uint64_t first = unary ? 0 : source(m_.src1 + c * wide, bytes);
      const std::uint64_t second = compares ? source(m_.src1 + block + c * wide, bytes) : first;
      std::uint64_t old = 0;
      if (inside(address, bytes)) {
        for (unsigned b = 0; b < bytes; ++b) {
          const std::uint8_t* byte = byte_at(address + b);
          if (byte != nullptr) old |= std::uint64_t{*byte} << (8 * b);
        }
        if (fault_) return;
        const std::uint64_t now = naive_atomic(op, bytes, old, second, first);
        for (unsigned b = 0; b < bytes; ++b) *byte_at(address + b) = static_cast<std::uint8_t>(now >> (8 * b));
      }
      done |= 1u << c;
      for (unsigned b = 0; b < wide && !m_.dst_null; ++b) {
        grf.at(m_.dst + c * wide + b) = static_cast<std::uint8_t>(b < bytes ? old >> (8 * b) : 0);
      }
    }
  }

  NaiveMessage m_;
  std::vector<std::uint8_t> before_;
  bool fault_ = false;
  std::uint64_t base_ = 0;
  std::uint64_t size_ = 0;
  std::int64_t offset_ = 0;
};

}  // namespace softxe
