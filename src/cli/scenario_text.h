// Words and numbers of scenario files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace softxe::scenario {

/// A word, one of { } [ ] ; or "->", or the end of a line ("\n").
struct Token {
  std::string text;
  int line = 1;
  std::size_t at = 0;  ///< offset in the text
  bool end_of_line() const { return text == "\n"; }
};

/// Splits at blanks and line ends; '#' starts a comment.
std::vector<Token> tokenize(std::string_view text);

/// 4096, 0x1000, 4K, 8M, 2G, 256T; also sums: 0x10000000+2M+4K. None when malformed or beyond 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);

/// "EBUSY", "SIGSEGV" (EFAULT), "SIGBUS" (EIO), "ok" (0).
std::optional<int> parse_errno(std::string_view name);
std::string errno_name(int err);

/// 0x10200000 as the files write addresses.
std::string hex(std::uint64_t value);

}  // namespace softxe::scenario
