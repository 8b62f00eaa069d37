// Runs parsed scenarios against worlds and says what did not hold.
//
// A scenario stops at its first failing statement: what follows would only describe the wreck.
// Next: scenario_steps.h (fail, at), scenario_check.h (expectations).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/event.h"
#include "cli/scenario_ast.h"
#include "cli/scenario_steps.h"
#include "cli/scenario_world.h"

namespace softxe::scenario {

struct Verdict {
  enum class Kind : std::uint8_t { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  std::string text{};   ///< why it failed or was skipped, with file and line
  std::string story{};  ///< of a failure: the statement, the last events, and the seed
};

struct RunOptions {
  std::uint64_t seed = 1;  ///< of parallel blocks that name none
  /// Hears what happened, in order, statement by statement.
  std::function<void(std::span<const Event>)> on_events{};
  /// Only scenarios whose name or file has this in it; empty: all.
  std::string filter{};
  /// Hears of each statement, its result and its events, as text; empty: nobody does.
  std::function<void(const std::string& line)> say{};
  /// Hears what `show` shows; empty: nobody does.
  std::function<void(const std::string& line)> show{};
  /// kOff: invariants, and that counters are sums over events, are looked at in the end only.
  ScenarioWorld::Checks checks = ScenarioWorld::Checks::kOn;
  /// Runs the flows of a parallel block, each to its end, in an order of its own; empty: the world decides.
  struct Flow {
    std::string name;
    std::function<void()> body;
  };
  std::function<void(std::vector<Flow> flows)> run_flows{};
  /// Whether a statement outside of flows is followed by a check, where checks are on; empty: always.
  std::function<bool()> checks_now{};
  /// After each statement of a flow: the invariant that is broken, or empty.
  std::function<std::string()> look{};
  /// Whether a statement of a flow may end with this errno though it does not say so.
  std::function<bool(int err)> forgives{};
  /// Hears that a scenario begins, before its events.
  std::function<void(const std::string& path, const Scenario& scenario)> on_begin{};
  /// Hears how it ended. A file that cannot be parsed is a scenario without a name.
  std::function<void(const std::string& path, const Scenario& scenario, const Verdict& verdict)> on_end{};
};

/// What `--filter` means: the text is in the scenario's name or its file's; an empty one is in all.
bool is_wanted(const std::string& path, const Scenario& scenario, const std::string& filter);

/// Runs one scenario in a world of its own. Installs a step hook meanwhile: one at a time per process.
Verdict run_scenario(const std::string& path, const Scenario& scenario, const WorldFactory& factory,
                     const RunOptions& options);

struct Summary {
  unsigned passed = 0;
  unsigned failed = 0;
  unsigned skipped = 0;
  std::vector<std::string> messages;  ///< failures, parse errors and skips, in order
  /// "N passed, N failed", and skips when there were any.
  std::string last_line() const;
};
/// Every scenario of every file; a file that cannot be parsed counts as one failure.
Summary run_scenario_files(const std::vector<std::string>& paths, const WorldFactory& factory,
                           const RunOptions& options);

/// One run of one scenario. Statements come from one thread, or from several inside a parallel block
/// of a threaded world; failures are collected under a lock.
class Runner final : public StepActions {
 public:
  Runner(std::string path, ScenarioWorld& world, StepScript& steps, const RunOptions& options)
      : path_(std::move(path)), world_(world), steps_(steps), options_(options) {}

  Verdict run(const Scenario& scenario);
  void run_at_step(const std::vector<Statement>& actions) override;

 private:
  /// What a command did: an errno (0: fine), or what it saw instead of what was expected.
  struct Answer {
    int err = 0;
    std::string why;
    std::string mismatch;
  };
  static Answer from(const Status& status);
  static Answer checked(const Access& access, const Result<std::uint64_t>& got,
                        const std::optional<std::uint64_t>& expected);

  static Answer is_state(const std::string& what, const std::string& expected, const Result<std::string>& state);

  bool run_statement(const Statement& statement);
  bool run_body(const std::vector<Statement>& body);
  bool run_block(const Block& block);
  bool run_flows(const Block& block);
  bool run_interleaved(const Block& block);
  bool run_threads(const Block& block);
  void fail_at(int line, const std::string& text);
  bool failed();

  Answer execute(const Statement& statement);
  Answer execute(const Command& command);
  Answer execute_cpu(const CpuCall& call);
  Answer execute_show(const Show& what);
  Answer execute_expect(const Command& command);
  Answer expect_counter(const ExpectCounter& expect);
  void mark();
  void pass_events_on();
  Status check_world();
  std::string source_line(int line);
  void say_statement(const Statement& statement, const Answer& answer);
  std::string story();
  /// The last `count` of those that are kept, as lines.
  void each_last_event(std::size_t count, const std::function<void(const std::string& line)>& take) const;

  const std::string path_;
  ScenarioWorld& world_;
  StepScript& steps_;
  const RunOptions options_;
  std::map<std::string, std::uint64_t> marked_;  ///< counters named in the scenario
  bool skipped_ = false;
  bool in_flows_ = false;
  static constexpr std::size_t kEventsKept = 1000;   ///< for `show events`
  static constexpr std::size_t kEventsOfStory = 10;  ///< of a failure
  std::deque<Event> last_events_;
  std::vector<std::string> source_;  ///< lines of the file, where somebody hears of statements

  // --- under failures_mutex_ ---
  std::mutex failures_mutex_;  // plain: world and engine locks may be held when a step action fails
  std::vector<std::string> failures_;
  int failed_line_ = 0;  ///< of the first one
};

}  // namespace softxe::scenario
