// Many schedules: processes that try one after the other, what they found together, and a failing one made small.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/scenario_ast.h"
#include "explore/schedule.h"
#include "explore/scheduler.h"

namespace softxe::scenario {

enum class StrategyKind : std::uint8_t { kRandom, kPct, kExhaustive, kDelays };

struct SearchSettings {
  std::string path{};
  const Scenario* scenario = nullptr;
  StrategyKind strategy = StrategyKind::kRandom;
  unsigned depth = 3;        ///< pct: of the race; exhaustive: preemptions, 0: any number; delays: choices
  std::uint64_t budget = 0;  ///< schedules; 0: without limit
  double seconds = 0;        ///< 0: without limit
  std::uint64_t seed = 1;
  std::uint64_t shard = 0, shards = 1;
  unsigned processes = 1;
  unsigned failures = 0;  ///< of steps, in one schedule
  explore::PreemptAt preempt_at = explore::PreemptAt::kStepsAndLocks;
};

struct Found {
  std::string why;
  explore::Schedule schedule;
  std::uint64_t number = 0;  ///< of the schedule in its search
};

struct SearchResult {
  std::uint64_t schedules = 0;
  std::uint64_t points = 0;
  std::uint64_t orders = 0;          ///< distinct, of events
  std::uint64_t states = 0;          ///< distinct, at the end
  std::uint64_t repeated = 0;        ///< schedules that only repeated an order
  std::vector<std::string> steps{};  ///< reached, sorted
  bool complete = false;             ///< every schedule that the strategy knows was tried
  double seconds = 0;
  double cpu_seconds = 0;  ///< of all processes
  std::optional<Found> found{};
};

SearchResult search(const SearchSettings& settings);

/// How a schedule ends, in a process of its own. Empty: well.
std::string try_schedule(const std::string& path, const Scenario& scenario,
                         const std::vector<explore::Choice>& choices);
/// The choices that are needed for a failure; the text of the last failure goes to `why`.
std::vector<explore::Choice> smaller(const std::string& path, const Scenario& scenario,
                                     std::vector<explore::Choice> choices, std::string& why);
/// Runs it in a process of its own that prints the story. The failure's text, or empty.
std::string tell_schedule(const std::string& path, const Scenario& scenario,
                          const std::vector<explore::Choice>& choices);

}  // namespace softxe::scenario
