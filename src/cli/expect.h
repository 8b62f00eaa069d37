// What a run must have done to count as good: 'svm_migrate_to_vram_count <= 100'.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "cli/commands.h"

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
};

std::vector<Judged> judge(const nlohmann::json& report, const Wanted& wanted);

/// What the command line asks for. The error says what is wrong.
tl::expected<Wanted, std::string> wanted_of(const TestOptions& options);
/// Says on the error stream what does not hold, and writes the file that was asked for. True when all holds.
bool pass_judgement(const char* who, const TestOptions& options, const std::vector<Judged>& cases);

/// JUnit's XML: one test suite, one case each; `program` is the first. EXXX of the call that fails.
struct JunitFile {
  std::string path;
  std::string suite;
};
int write_junit(const JunitFile& file, const std::vector<Judged>& cases);

}  // namespace softxe::cli
