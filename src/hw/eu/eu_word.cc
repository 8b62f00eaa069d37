#include "hw/eu/eu_word.h"

namespace softxe {
namespace {

std::uint64_t load_half(std::span<const std::byte, 8> bytes) {
  std::uint64_t half = 0;
  for (std::size_t i = 8; i-- > 0;) half = half << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return half;
}

void store_half(std::uint64_t half, std::span<std::byte, 8> bytes) {
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(half >> (8 * i));
}

}  // namespace

EuWord EuWord::load(std::span<const std::byte, 16> bytes) {
  EuWord word;
  word.low_ = load_half(bytes.first<8>());
  word.high_ = load_half(bytes.last<8>());
  return word;
}

void EuWord::store(std::span<std::byte, 16> bytes) const {
  store_half(low_, bytes.first<8>());
  store_half(high_, bytes.last<8>());
}

}  // namespace softxe
