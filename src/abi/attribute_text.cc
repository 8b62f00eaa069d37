#include "abi/attribute_text.h"

#include <charconv>

namespace softxe {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\0')) text.remove_suffix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

template <typename Number>
std::optional<Number> parse_whole(std::string_view text, int base) {
  Number number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::uint32_t> parse_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with("0x")) return parse_whole<std::uint32_t>(text.substr(2), 16);
  return parse_whole<std::uint32_t>(text, 10);
}

std::optional<std::int64_t> parse_signed(std::string_view text) {
  text = trimmed(text);
  if (!text.starts_with("0x")) return parse_whole<std::int64_t>(text, 10);
  const auto bits = parse_whole<std::uint64_t>(text.substr(2), 16);
  if (!bits) return std::nullopt;
  return static_cast<std::int64_t>(*bits);
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text.empty()) return std::nullopt;
  switch (text[0]) {
    case '1':
    case 'y':
    case 'Y':
    case 't':
    case 'T': return true;
    case '0':
    case 'n':
    case 'N':
    case 'f':
    case 'F': return false;
    case 'o':
    case 'O':
      if (text.size() > 1 && (text[1] == 'n' || text[1] == 'N')) return true;
      if (text.size() > 1 && (text[1] == 'f' || text[1] == 'F')) return false;
      return std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace softxe
