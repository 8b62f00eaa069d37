// Code of the execution units as a listing, and back: what `softxe disasm` and `softxe asm` do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hw/eu/eu_text.h"

namespace softxe::cli {

/// How code stands in a file.
enum class CodeForm : std::uint8_t {
  kRaw,  ///< as the hardware reads it
  kHex,  ///< hexadecimal digits in memory order, the first word of each line; the rest of a line and # lines do not
         ///< count
};

/// Nothing when a line is no pairs of hexadecimal digits; `line` is its number then.
std::optional<std::vector<std::byte>> code_of_hex(std::string_view text, std::size_t& line);

/// One line per instruction.
std::string hex_of_code(std::span<const std::byte> code);

struct Listing {
  std::string text;
  std::size_t unreadable = 0;  ///< how many words are no instruction
};

/// One line per instruction. What is no instruction stands there as .data with the reason as comment. In the
/// complete style the listing assembles to the same bytes.
Listing list_code(std::span<const std::byte> code, EuTextStyle style);

}  // namespace softxe::cli
