// Random instruction words for tests: with the opcode of an operation, so that a good part of them decodes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "hw/eu/eu_opcodes.h"

namespace softxe {

class RandomWords {
 public:
  explicit RandomWords(std::uint64_t seed) : random_(seed) {}

  std::array<std::byte, 16> next() {
    std::array<std::uint64_t, 2> halves = {random_(), random_()};
    // Fields that random bits make invalid nearly always are sparse, half of the time.
    if ((random_() & 1) != 0) halves[0] &= random_();
    if ((random_() & 1) != 0) halves[1] &= random_();
    std::array<std::byte, 16> bytes{};
    std::memcpy(bytes.data(), halves.data(), sizeof(bytes));
    do {
      bytes[0] = static_cast<std::byte>(random_() & 0x7F);
    } while (eu_find_op(std::to_integer<std::uint8_t>(bytes[0])) == nullptr);
    return bytes;
  }

 private:
  std::mt19937_64 random_;
};

}  // namespace softxe
