// EuWord: the 128 bits of a native instruction, and fields of it named as the specification names them.
//
// Read next: eu_fields.h (where what stands), eu_decode.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace softxe {

/// Bits `high`:`low` of the word, both included. A field that a format lacks is `kEuNoField`: it reads as 0.
struct EuField {
  std::uint8_t high = 0;
  std::uint8_t low = 1;

  constexpr bool present() const { return high >= low; }
};
inline constexpr EuField kEuNoField{};

/// One bit.
constexpr EuField eu_bit(std::uint8_t bit) { return {bit, bit}; }

class EuWord {
 public:
  constexpr EuWord() = default;

  /// From 16 bytes in memory order.
  static EuWord load(std::span<const std::byte, 16> bytes);
  void store(std::span<std::byte, 16> bytes) const;

  constexpr std::uint64_t get(EuField field) const {
    if (!field.present()) return 0;
    const std::uint64_t half = field.low < 64 ? low_ : high_;
    return (half >> (field.low % 64)) & mask(field);
  }
  /// Bits of `value` above the field are dropped: who encodes an instruction has checked what it says.
  constexpr void set(EuField field, std::uint64_t value) {
    if (!field.present()) return;
    std::uint64_t& half = field.low < 64 ? low_ : high_;
    half &= ~(mask(field) << (field.low % 64));
    half |= (value & mask(field)) << (field.low % 64);
  }

  friend constexpr bool operator==(const EuWord&, const EuWord&) = default;

 private:
  /// No field crosses the middle of the word.
  static constexpr std::uint64_t mask(EuField field) {
    const unsigned bits = field.high - field.low + 1U;
    return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  }

  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
};

}  // namespace softxe
