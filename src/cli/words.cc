#include "cli/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "drv/check_config.h"
#include "preload/settings.h"

namespace softxe::cli {

namespace {

/// Letters to change, put in, leave out or swap with their neighbour, to make `b` of `a`.
std::size_t slips(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

/// The first of the words that take the fewest slips; empty when these are more than `most`.
std::string_view nearest(std::string_view typed, const auto& words, std::size_t most) {
  std::string_view best;
  std::size_t least = most + 1;
  for (const auto& word : words) {
    const std::size_t count = slips(typed, word);
    if (count >= least) continue;
    least = count;
    best = word;
  }
  return best;
}

}  // namespace

std::string near_word(std::string_view typed, const std::vector<std::string>& known) {
  const auto near = nearest(typed, known, typed.size() < 4 ? 1 : 2);
  return near.empty() ? std::string() : fmt::format("; did you mean {}?", near);
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const auto near = nearest(word, names, std::max<std::size_t>(2, word.size() / 4));
  return near.empty() ? std::string() : fmt::format(": did you mean '{}'?", near);
}

std::string wrong_size(const std::string& text) {
  const auto bytes = preload::parse_size(text);
  if (!bytes) return fmt::format("'{}' is not a size: write a number and K, M, G or T, such as 512M", text);
  if (check_vram_size(*bytes)) return {};
  return fmt::format("{} is not allowed: {} to {}, in steps of {}", text, size_text(kVramBytesMin),
                     size_text(kVramBytesMax), size_text(kVramBytesStep));
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
  return whole ? fmt::format("{:.0f} {}", value, kUnits[unit]) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace softxe::cli
