// Which events somebody wants to see.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event.h"
#include "base/result.h"

namespace softxe::trace {

/// As the command line has it.
struct FilterText {
  std::string kinds;    ///< names, separated by commas
  std::string address;  ///< A, or A+SIZE
  std::optional<std::uint32_t> asid{};
  std::optional<double> since{};  ///< seconds of the run
  std::optional<double> until{};
};

class Filter {
 public:
  /// EINVAL, with the word that is wrong.
  static tl::expected<Filter, std::string> parse(const FilterText& text);
  bool wants(const Event& event, std::uint64_t origin_ns) const;

 private:
  std::set<EventKind> kinds_;  ///< empty: all
  std::optional<std::pair<std::uint64_t, std::uint64_t>> interval_;
  std::optional<std::uint32_t> asid_;
  std::uint64_t since_ns_ = 0;
  std::uint64_t until_ns_ = ~0ull;
};

/// 0x7f00, 4096, 64K, 2M, 1G; nothing: no number.
std::optional<std::uint64_t> number_of_text(std::string_view text);

}  // namespace softxe::trace
