// What a run must have done to count as good: 'svm_migrate_to_vram_count <= 100'.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "cli/commands.h"
#include "cli/output_file.h"

namespace softxe::cli {

/// One condition on the totals of a report.
struct Expectation {
  enum class Op : std::uint8_t { kEqual, kUnequal, kLess, kAtMost, kMore, kAtLeast };
  std::string text;  ///< as it was written
  std::string counter;
  Op op = Op::kEqual;
  std::uint64_t number = 0;

  /// The error says what is wrong, and what may have been meant.
  static tl::expected<Expectation, std::string> parse(const std::string& text);
};

/// One line of a verdict.
struct Judged {
  std::string name;
  bool holds = false;
  std::string text{};    ///< "NAME: it is 104"
  bool skipped = false;  ///< neither good nor bad; then `holds` is false
};

struct Wanted {
  std::vector<Expectation> expectations{};
  std::string rung;  ///< that every process must have had; empty: any
  std::optional<OutputFile> junit{};
};

std::vector<Judged> judge(const nlohmann::json& report, const Wanted& wanted);

/// What the command line asks for, with the file for its results. The error says what is wrong.
tl::expected<Wanted, std::string> wanted_of(const TestOptions& options);

enum class Verdict {
  kGood,
  kBad,    ///< a case does not hold
  kUntold  ///< the file that was asked for could not be written
};
/// Says on the error stream what does not hold, and writes the file.
Verdict pass_judgement(const char* verb, Wanted& wanted, const std::vector<Judged>& cases);

/// JUnit's XML: one test suite, one case each.
std::string junit_text(const std::string& suite, const std::vector<Judged>& cases);

}  // namespace softxe::cli
