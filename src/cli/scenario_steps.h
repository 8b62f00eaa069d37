// The step hook of a scenario run: makes steps fail (`fail`) and runs client calls at them (`at`).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/step.h"
#include "cli/scenario_ast.h"

namespace softxe::scenario {

class StepActions {
 public:
  virtual ~StepActions() = default;
  /// Called inside the engine, with engine locks held, on the thread that reached the step.
  virtual void run_at_step(const std::vector<Statement>& actions) = 0;
};

/// Entries are added between statements, by the thread that runs the scenario; steps may be reached by
/// any thread. While an action runs on a thread, its own steps trigger nothing.
class StepScript final : public StepHook {
 public:
  Status on_step(StepSite& site, bool may_fail) override;

  void add_failure(const FailStep& fail, int line);
  void add_action(const AtStep& at, int line, StepActions& actions);
  /// From now on steps are left alone (teardown).
  void disarm() { armed_.store(false); }

  /// Line of an entry that never fired, and its step; line 0 when all did.
  struct Unfired {
    int line = 0;
    std::string step;
  };
  Unfired unfired() const;

 private:
  /// Fires at executions first..last (1-based) counted from when it was added.
  struct Entry {
    Entry(std::string name, std::uint64_t from, std::uint64_t to, int source_line, int errno_value)
        : step(std::move(name)), first(from), last(to), line(source_line), err(errno_value) {}
    Entry(std::string name, std::uint64_t from, std::uint64_t to, int source_line, const std::vector<Statement>& what,
          StepActions& who)
        : step(std::move(name)), first(from), last(to), line(source_line), action(&what), actions(&who) {}

    const std::string step;
    const std::uint64_t first;
    const std::uint64_t last;
    const int line;
    const int err = 0;                                     ///< of a failure
    const std::vector<Statement>* const action = nullptr;  ///< null: a failure
    StepActions* const actions = nullptr;
    std::atomic<std::uint64_t> seen{0};
    std::atomic<bool> fired{false};
  };

  std::deque<Entry> entries_;
  std::atomic<bool> armed_{true};
};

}  // namespace softxe::scenario
