#include "cli/words.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace softxe {

namespace {

/// Letters to insert, remove or replace (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const auto nearest = std::ranges::min_element(names, {}, [&](std::string_view name) { return distance(word, name); });
  if (nearest == names.end() || distance(word, *nearest) > std::max<std::size_t>(2, word.size() / 4)) return {};
  return ": did you mean '" + std::string(*nearest) + "'?";
}

}  // namespace softxe
