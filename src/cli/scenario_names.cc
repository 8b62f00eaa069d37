#include "cli/scenario_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/counters.h"
#include "cli/scenario_step_table.h"
#include "cli/words.h"

namespace softxe::scenario {

namespace {

using Names = std::vector<std::string_view>;

/// What the statements of one scenario make, wherever they stand in it.
struct Made {
  Names vms, buffers, queues, jobs, children;
};

/// Calls `each` for every statement, blocks and step actions included.
template <typename Each>
void walk(const std::vector<Statement>& body, const Each& each) {
  for (const Statement& statement : body) {
    each(statement);
    if (const auto* block = std::get_if<Block>(&statement.command)) walk(block->body, each);
    if (const auto* at = std::get_if<AtStep>(&statement.command)) walk(at->action, each);
  }
}

Made made_by(const Scenario& scenario) {
  Made made;
  walk(scenario.body, [&](const Statement& statement) {
    if (const auto* vm = std::get_if<VmSpec>(&statement.command)) made.vms.emplace_back(vm->name);
    if (const auto* bo = std::get_if<BoSpec>(&statement.command)) made.buffers.emplace_back(bo->name);
    if (const auto* queue = std::get_if<QueueSpec>(&statement.command)) made.queues.emplace_back(queue->name);
    if (const auto* exec = std::get_if<ExecSpec>(&statement.command)) made.jobs.emplace_back(exec->job);
    if (const auto* cpu = std::get_if<CpuCall>(&statement.command)) {
      if (const auto* fork = std::get_if<CpuFork>(&cpu->call)) made.children.emplace_back(fork->child);
    }
  });
  return made;
}

Names counter_names() { return {kCounterNames.begin(), kCounterNames.end()}; }

Names step_names() {
  Names names;
  for (const StepInfo& step : all_steps()) names.push_back(step.name);
  return names;
}

/// "there is no WHAT 'NAME': did you mean 'X'?", or nothing when it is known. An empty name is the default.
std::string missing(const char* what, std::string_view name, const Names& known) {
  if (name.empty() || std::ranges::find(known, name) != known.end()) return {};
  return fmt::format("there is no {} '{}'{}", what, name, cli::did_you_mean(name, known));
}

// Which kinds of names a command has: its members say so.
template <typename C>
concept HasVm = requires(const C& c) {
  std::string_view(c.vm);
};
template <typename C>
concept HasGpu = requires(const C& c) {
  std::string_view(c.gpu.vm);
};
template <typename C>
concept HasQueue = requires(const C& c) {
  std::string_view(c.queue);
};
template <typename C>
concept HasJob = requires(const C& c) {
  std::string_view(c.job);
};
template <typename C>
concept HasProcess = requires(const C& c) {
  std::string_view(c.process);
};

template <typename C>
std::string unknown_in(const C& command, const Made& made) {
  std::string wrong;
  const auto look = [&](const char* what, std::string_view name, const Names& known) {
    if (wrong.empty()) wrong = missing(what, name, known);
  };
  if constexpr (HasVm<C>) look("VM", command.vm, made.vms);
  if constexpr (HasGpu<C>) look("VM", command.gpu.vm, made.vms);
  if constexpr (HasQueue<C>) look("queue", command.queue, made.queues);
  if constexpr (HasJob<C>) look("job", command.job, made.jobs);
  if constexpr (HasProcess<C>) look("process", command.process, made.children);
  if constexpr (std::is_same_v<C, GpuKernel>) look("VM", command.kernel.gpu.vm, made.vms);
  if constexpr (std::is_same_v<C, BindSpec>) look("buffer object", command.bo, made.buffers);
  if constexpr (std::is_same_v<C, QueueSpec>) look("queue", command.joins, made.queues);
  if constexpr (std::is_same_v<C, ExpectCounter>) look("counter", command.name, counter_names());
  if constexpr (std::is_same_v<C, FailStep> || std::is_same_v<C, AtStep>) look("step", command.step, step_names());
  return wrong;
}

/// True when the statement may end well: then what it names has to be there.
bool may_succeed(const Statement& statement) { return !statement.outcome.any && statement.outcome.accepts(0); }

}  // namespace

std::string unknown_name(const ScenarioFile& file) {
  for (const Scenario& scenario : file.scenarios) {
    const Made made = made_by(scenario);
    std::string first;
    walk(scenario.body, [&](const Statement& statement) {
      if (!first.empty() || !may_succeed(statement)) return;
      const std::string wrong =
          std::visit([&](const auto& command) { return unknown_in(command, made); }, statement.command);
      if (!wrong.empty()) first = fmt::format("{}:{}: {}", file.path, statement.line, wrong);
    });
    if (!first.empty()) return first;
  }
  return {};
}

}  // namespace softxe::scenario
