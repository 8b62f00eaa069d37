// Rows of the cost table, as text and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace softxe::bench {

enum class Judge : std::uint8_t {
  kAtMost,  ///< ratio softxe / bare, or a number, must not exceed the goal
  kAtLeast,
  kShown,  ///< no goal
};

struct Row {
  std::string path;     ///< what is measured
  std::string against;  ///< what it is compared with
  double ours = 0;      ///< in `unit`
  double bare = 0;      ///< 0: nothing to compare with; then `ours` is judged itself
  std::string unit = "ns";
  double goal = 0;
  Judge judge = Judge::kAtMost;

  double judged() const { return bare > 0 ? ours / bare : ours; }
  bool ok() const {
    if (judge == Judge::kShown) return true;
    return judge == Judge::kAtMost ? judged() <= goal : judged() >= goal;
  }
};

/// Prints rows as they come; JSON lines instead with --json.
class Report {
 public:
  Report(int argc, char** argv);
  bool json() const { return json_; }
  /// `--only GROUP`: groups whose name contains it.
  bool wanted(const char* group) const;
  /// `--smoke`: check values with the smallest sizes; no row is judged by its time.
  bool smoke() const { return smoke_; }
  void add(const Row& row);
  void note(const std::string& text) const;
  const std::vector<Row>& rows() const { return rows_; }

 private:
  bool json_ = false;
  bool smoke_ = false;
  std::string only_;
  std::vector<Row> rows_;
};

/// CLOCK_MONOTONIC; minima of many rounds are meant to be taken of it.
std::uint64_t now_ns();

/// The fastest of what was added.
class Best {
 public:
  void add(std::uint64_t ns) { best_ = ns < best_ ? ns : best_; }
  double ns() const { return static_cast<double>(best_); }
  double per(double count) const { return static_cast<double>(best_) / count; }

 private:
  std::uint64_t best_ = ~0ull;
};

}  // namespace softxe::bench
