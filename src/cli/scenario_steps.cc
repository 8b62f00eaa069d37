#include "cli/scenario_steps.h"

#include <limits>

#include "base/flow_locals.h"

namespace softxe::scenario {
Status StepScript::on_step(StepSite& site, bool may_fail) {
  bool& in_action = flow_locals().in_step_action;
  if (in_action || !armed_.load(std::memory_order_relaxed)) return {};
  Status result;
  for (Entry& entry : entries_) {
    if (entry.step != site.name) continue;
    if (entry.action == nullptr && !may_fail) continue;
    std::uint64_t index = entry.seen.fetch_add(1) + 1;
    if (index < entry.first || index > entry.last) continue;
    entry.fired.store(true);
    if (entry.action == nullptr) {
      result = fail(entry.err, site.name);
      continue;
    }
    in_action = true;
    entry.actions->run_at_step(*entry.action);
    in_action = false;
  }
  return result;
}

void StepScript::add_failure(const FailStep& fail_step, int line) {
  std::uint64_t last = fail_step.forever ? std::numeric_limits<std::uint64_t>::max() : fail_step.nth;
  entries_.emplace_back(fail_step.step, fail_step.nth, last, line, fail_step.err);
}

void StepScript::add_action(const AtStep& at, int line, StepActions& actions) {
  entries_.emplace_back(at.step, at.nth, at.nth + at.times - 1, line, at.action, actions);
}

StepScript::Unfired StepScript::unfired() const {
  for (const Entry& entry : entries_) {
    if (!entry.fired.load()) return Unfired{entry.line, entry.step};
  }
  return {};
}

}  // namespace softxe::scenario
