#include "cli/eu_listing.h"

#include <fmt/format.h>

#include <algorithm>

#include "hw/eu/eu_asm.h"
#include "hw/eu/eu_decode.h"
#include "hw/eu/eu_encode.h"

namespace softxe::cli {
namespace {

/// Of the instruction at the start, readable or not; what is left may be less.
std::size_t instruction_size(std::span<const std::byte> code) {
  constexpr auto kCompactedBit = std::byte{0x20};
  const bool compacted = code.size() > 3 && (code[3] & kCompactedBit) != std::byte{};
  return std::min<std::size_t>(compacted ? 8 : 16, code.size());
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

bool writes_the_same(const EuInst& inst, std::span<const std::byte> bytes) {
  const auto code = eu_encode(inst);
  return code && std::ranges::equal(code->bytes(), bytes);
}

}  // namespace

std::optional<std::vector<std::byte>> code_of_hex(std::string_view text, std::size_t& line) {
  std::vector<std::byte> code;
  line = 0;
  while (!text.empty()) {
    ++line;
    std::string_view rest = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(rest.size() + 1, text.size()));
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r"), rest.size()));
    if (rest.empty() || rest[0] == '#') continue;
    const auto bytes = eu_parse_hex(rest.substr(0, rest.find_first_of(" \t\r")));
    if (!bytes) return std::nullopt;
    code.insert(code.end(), bytes->begin(), bytes->end());
  }
  return code;
}

std::string hex_of_code(std::span<const std::byte> code) {
  std::string text;
  while (!code.empty()) {
    const std::size_t size = instruction_size(code);
    text += hex(code.first(size)) + '\n';
    code = code.subspan(size);
  }
  return text;
}

Listing list_code(std::span<const std::byte> code, EuTextStyle style) {
  Listing out;
  for (std::size_t at = 0; at < code.size();) {
    const auto rest = code.subspan(at);
    const auto bytes = rest.first(instruction_size(rest));
    const auto inst = eu_decode(rest);
    if (!inst) {
      out.text += fmt::format(".data {}  // at 0x{:X}: {}\n", hex(bytes), at, inst.error().why);
      ++out.unreadable;
    } else if (style == EuTextStyle::kComplete && !writes_the_same(*inst, bytes)) {
      // Bits that mean nothing are set, such as those of the compiler's padding.
      out.text += fmt::format(".data {}  // {}\n", hex(bytes), eu_text(*inst, style).view());
    } else {
      out.text += fmt::format("{}\n", eu_text(*inst, style).view());
    }
    at += bytes.size();
  }
  return out;
}

}  // namespace softxe::cli
