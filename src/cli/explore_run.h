// One schedule of one scenario: run under a strategy, judged at every rest, told as a story on request.
//
// A run that gets stuck, or in which the engine finds itself broken, ends the process: what it chose stands in a
// RunRecord by then, which may lie in shared memory. Next: explore_search.h (many runs, in processes of their own).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/scenario_ast.h"
#include "explore/scheduler.h"

namespace softxe::scenario {

/// What is known of the run under way. Zero-filled memory is an empty one.
struct RunRecord {
  static constexpr std::size_t kChoicesMax = 8192;
  static constexpr std::size_t kTextMax = 4096;

  std::atomic<std::uint64_t> number;  ///< of the schedule
  std::atomic<std::uint64_t> count;   ///< of choices; more than kChoicesMax: the rest is lost
  std::array<explore::Choice, kChoicesMax> choices;
  std::array<char, kTextMax> text;  ///< why it cannot go on; empty: nothing was said

  void begin(std::uint64_t schedule);
  void say(const std::string& why);
  std::vector<explore::Choice> all() const;
};

struct RunEnd {
  std::string why{};  ///< empty: all was well
  std::uint64_t points = 0;
  std::uint64_t orders = 0;  ///< of events, as a number
  std::uint64_t state = 0;   ///< at the end, as a number
};

struct RunSettings {
  std::string path{};
  const Scenario* scenario = nullptr;
  explore::Strategy* strategy = nullptr;
  RunRecord* record = nullptr;
  explore::PreemptAt preempt_at = explore::PreemptAt::kStepsAndLocks;
  /// What comes before a `parallel` block is the same in every run: judged once.
  enum class Begin : std::uint8_t { kJudged, kKnown };
  Begin begin = Begin::kJudged;
  std::function<void(const StepSite&)> on_step{};
  /// Hears, line by line, who ran when and what happened; empty: nobody does.
  std::function<void(const std::string&)> say{};
};

/// Runs it once. Does not come back when the run gets stuck: the process ends with kStuckStatus.
RunEnd explore_once(const RunSettings& settings);
inline constexpr int kStuckStatus = 3;

}  // namespace softxe::scenario
