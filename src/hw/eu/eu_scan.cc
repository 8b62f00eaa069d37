#include "hw/eu/eu_scan.h"

#include <charconv>

namespace softxe {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

}  // namespace

EuScan::EuScan(std::string_view line) : line_(line.substr(0, line.find("//"))) {}

void EuScan::skip_blanks() {
  while (at_ < line_.size() && is_blank(line_[at_])) ++at_;
}

bool EuScan::at_end() {
  skip_blanks();
  return at_ == line_.size();
}

char EuScan::peek() { return at_end() ? '\0' : line_[at_]; }

bool EuScan::eat(char wanted) {
  if (peek() != wanted || wanted == '\0') return false;
  ++at_;
  return true;
}

bool EuScan::eat(std::string_view wanted) {
  skip_blanks();
  if (!line_.substr(at_).starts_with(wanted)) return false;
  at_ += wanted.size();
  return true;
}

Status EuScan::expect(char wanted, const char* why) { return eat(wanted) ? Status{} : fail(EINVAL, why); }

std::string_view EuScan::word() {
  if (!is_letter(peek())) return {};
  const std::size_t start = at_;
  while (at_ < line_.size() && (is_letter(line_[at_]) || is_digit(line_[at_]))) ++at_;
  return line_.substr(start, at_ - start);
}

std::string_view EuScan::chunk() {
  skip_blanks();
  const std::size_t start = at_;
  while (at_ < line_.size() && !is_blank(line_[at_])) ++at_;
  return line_.substr(start, at_ - start);
}

Result<std::uint32_t> EuScan::digits(const char* why) {
  std::uint32_t value = 0;
  const char* start = line_.data() + at_;
  const auto [end, error] = std::from_chars(start, line_.data() + line_.size(), value);
  if (error != std::errc()) return fail(EINVAL, why);
  at_ += static_cast<std::size_t>(end - start);
  return value;
}

Result<std::int64_t> EuScan::integer(const char* why) {
  skip_blanks();
  std::size_t end = at_;
  if (end < line_.size() && (line_[end] == '-' || line_[end] == '+')) ++end;
  while (end < line_.size() && (is_digit(line_[end]) || is_letter(line_[end]))) ++end;
  SX_TRY(const std::int64_t value, eu_parse_integer(line_.substr(at_, end - at_), why));
  at_ = end;
  return value;
}

Result<std::int64_t> eu_parse_integer(std::string_view text, const char* why) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return fail(EINVAL, why);
  return static_cast<std::int64_t>(negative ? 0 - value : value);
}

}  // namespace softxe
