#include "cli/scenario_text.h"

#include <fmt/format.h>
#include <cerrno>
#include <charconv>

namespace softxe::scenario {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool stands_alone(char c) { return c == '{' || c == '}' || c == '[' || c == ']' || c == ';'; }

std::optional<std::uint64_t> parse_term(std::string_view text) {
  unsigned shift = 0;
  bool hexadecimal = text.starts_with("0x");
  if (!text.empty() && !hexadecimal) {
    switch (text.back()) {
      case 'K': shift = 10; break;
      case 'M': shift = 20; break;
      case 'G': shift = 30; break;
      case 'T': shift = 40; break;
      default: break;
    }
    if (shift != 0) text.remove_suffix(1);
  }
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  if (shift != 0 && value >> (64 - shift) != 0) return std::nullopt;
  return value << shift;
}

struct ErrnoName {
  int err;
  const char* name;
};
// The first name of a number is the one that is printed.
constexpr ErrnoName kErrnos[] = {
    {0, "ok"},           {EPERM, "EPERM"},     {ENOENT, "ENOENT"},       {EIO, "EIO"},
    {EAGAIN, "EAGAIN"},  {ENOMEM, "ENOMEM"},   {EACCES, "EACCES"},       {EFAULT, "EFAULT"},
    {EBUSY, "EBUSY"},    {EEXIST, "EEXIST"},   {ENODEV, "ENODEV"},       {EINVAL, "EINVAL"},
    {ENOSPC, "ENOSPC"},  {ERANGE, "ERANGE"},   {ETIME, "ETIME"},         {ENOLINK, "ENOLINK"},
    {ENOSYS, "ENOSYS"},  {ENOBUFS, "ENOBUFS"}, {ECANCELED, "ECANCELED"}, {EOPNOTSUPP, "EOPNOTSUPP"},
    {E2BIG, "E2BIG"},    {ESRCH, "ESRCH"},     {EBADRQC, "EBADRQC"},     {EDEADLK, "EDEADLK"},
    {EFAULT, "SIGSEGV"}, {EIO, "SIGBUS"},
};

}  // namespace

std::vector<Token> tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (std::size_t i = 0; i < text.size();) {
    char c = text[i];
    if (c == '#') {
      while (i < text.size() && text[i] != '\n') ++i;
    } else if (c == '\n') {
      tokens.push_back({"\n", line++, i});
      ++i;
    } else if (is_blank(c)) {
      ++i;
    } else if (stands_alone(c)) {
      tokens.push_back({std::string(1, c), line, i});
      ++i;
    } else {
      std::size_t start = i;
      while (i < text.size() && !is_blank(text[i]) && text[i] != '\n' && text[i] != '#' && !stands_alone(text[i])) {
        ++i;
      }
      tokens.push_back({std::string(text.substr(start, i - start)), line, start});
    }
  }
  tokens.push_back({"\n", line, text.size()});
  return tokens;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t sum = 0;
  while (true) {
    std::size_t plus = text.find('+');
    auto term = parse_term(text.substr(0, plus));
    if (!term || sum + *term < sum) return std::nullopt;
    sum += *term;
    if (plus == std::string_view::npos) return sum;
    text.remove_prefix(plus + 1);
  }
}

std::optional<int> parse_errno(std::string_view name) {
  for (const ErrnoName& entry : kErrnos) {
    if (entry.name == name) return entry.err;
  }
  return std::nullopt;
}

std::string errno_name(int err) {
  for (const ErrnoName& entry : kErrnos) {
    if (entry.err == err) return entry.name;
  }
  return fmt::format("errno {}", err);
}

std::string hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

}  // namespace softxe::scenario
