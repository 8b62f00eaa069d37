// Numbers and booleans as the kernel reads them from what is written to an attribute file.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace softxe {

/// Decimal or 0x number with optional white space around it; none when it is malformed or does not fit.
std::optional<std::uint32_t> parse_number(std::string_view text);
/// The same with a sign, of 64 bits; hexadecimal numbers are bit patterns.
std::optional<std::int64_t> parse_signed(std::string_view text);
/// The kernel's idea of a boolean, by the first letters.
std::optional<bool> parse_bool(std::string_view text);

}  // namespace softxe
