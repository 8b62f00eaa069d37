#include "cli/explore_small.h"

#include <fstream>

#include "cli/explore_search.h"
#include "cli/scenario_parser.h"

namespace softxe::scenario {

namespace {

/// Schedules that are tried for a scenario with a line less, when the old choices do not fail there.
constexpr std::uint64_t kTries = 400;
constexpr double kSecondsMax = 1;

using Lines = std::vector<std::string>;

/// From its `scenario` line to the next one; without that line, the whole file.
std::optional<Lines> lines_of(const std::string& path, int line) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  Lines lines;
  int number = 0;
  for (std::string text; std::getline(file, text);) {
    ++number;
    const bool begins = text.starts_with("scenario ");
    if (number < line && begins) lines.clear();
    if (number > line && begins) break;
    lines.push_back(text);
  }
  return lines;
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

std::string without_space(const std::string& line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string::npos ? std::string() : line.substr(first);
}

/// Lines that stand for themselves: neither heads nor ends of blocks.
bool may_go(const std::string& line) {
  const std::string text = without_space(line);
  return !text.starts_with("scenario ") && text.find_first_of("{}") == std::string::npos;
}

/// What fails in `lines`, if anything does that is not there without a choice.
std::optional<SmallFailure> fails(const std::string& path, const Lines& lines,
                                  const std::vector<explore::Choice>& choices) {
  const std::string text = joined(lines);
  const auto file = parse_scenario(path, text);
  if (!file || file->scenarios.size() != 1) return std::nullopt;
  const Scenario& one = file->scenarios.front();
  if (!try_schedule(path, one, {}).empty()) return std::nullopt;
  if (std::string why = try_schedule(path, one, choices); !why.empty()) return SmallFailure{text, choices, why};
  const SearchResult other = search({.path = path, .scenario = &one, .budget = kTries, .seconds = kSecondsMax});
  if (!other.found) return std::nullopt;
  std::string why = other.found->why;
  std::vector<explore::Choice> needed = smaller(path, one, other.found->schedule.choices, why);
  return SmallFailure{text, std::move(needed), why};
}

}  // namespace

std::optional<SmallFailure> smaller_scenario(const std::string& path, int line, SmallFailure failure) {
  auto lines = lines_of(path, line);
  if (!lines) return std::nullopt;
  failure.text = joined(*lines);
  for (std::size_t at = lines->size(); at-- > 0;) {
    if (!may_go((*lines)[at])) continue;
    Lines less = *lines;
    less.erase(less.begin() + static_cast<std::ptrdiff_t>(at));
    const bool says_nothing = without_space((*lines)[at]).empty() || without_space((*lines)[at]).starts_with("#");
    if (says_nothing) {
      *lines = std::move(less);
      failure.text = joined(*lines);
      continue;
    }
    auto smaller_one = fails(path, less, failure.choices);
    if (!smaller_one) continue;
    failure = std::move(*smaller_one);
    *lines = std::move(less);
  }
  return failure;
}

}  // namespace softxe::scenario
