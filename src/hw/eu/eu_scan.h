// EuScan: a cursor over one line of assembly. Read next: eu_asm.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace softxe {

/// Everything skips blanks first. A function that fails leaves the cursor where the trouble is, so that the caller
/// can name the column.
class EuScan {
 public:
  /// `line` must outlive the cursor. A comment (// to the end) is no part of it.
  explicit EuScan(std::string_view line);

  bool at_end();
  /// The next character, or 0 at the end.
  char peek();
  bool eat(char wanted);
  bool eat(std::string_view wanted);  ///< as it stands; not only whole words
  Status expect(char wanted, const char* why);

  /// Letters, digits and underscores, not beginning with a digit; empty when there are none.
  std::string_view word();
  /// Everything up to the next blank; empty at the end.
  std::string_view chunk();
  /// Digits that follow at once, without blanks before them.
  Result<std::uint32_t> digits(const char* why);

  /// Decimal or 0x..., with a sign.
  Result<std::int64_t> integer(const char* why);

  /// 0 for the first character.
  std::size_t position() const { return at_; }
  void go_back_to(std::size_t position) { at_ = position; }

 private:
  void skip_blanks();

  std::string_view line_;
  std::size_t at_ = 0;
};

/// The whole of `text` as a number: decimal or 0x..., with a sign. Values above 2^63 wrap, as bits do.
Result<std::int64_t> eu_parse_integer(std::string_view text, const char* why);

}  // namespace softxe
