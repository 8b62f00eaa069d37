#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>

#include "cli/commands.h"
#include "cli/explore_search.h"
#include "cli/explore_small.h"
#include "cli/output_file.h"
#include "cli/scenario_names.h"
#include "cli/scenario_parser.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_step_table.h"

namespace softxe::cli {

namespace {

using scenario::Scenario;
using scenario::ScenarioFile;
using scenario::SearchResult;
using scenario::SearchSettings;
using scenario::StrategyKind;

constexpr double kSecondsWhenNothingIsSaid = 10;

StrategyKind strategy_named(const std::string& name) {
  if (name == "pct") return StrategyKind::kPct;
  if (name == "delays") return StrategyKind::kDelays;
  return name == "exhaustive" ? StrategyKind::kExhaustive : StrategyKind::kRandom;
}

SearchSettings settings_of(const ExploreOptions& options) {
  SearchSettings settings{
      .strategy = strategy_named(options.strategy),
      .depth = options.depth,
      .budget = options.budget,
      .seconds = options.seconds,
      .seed = options.seed,
      .shard = options.shard,
      .shards = options.shards,
      .processes = options.processes,
      .failures = options.failures,
      .preempt_at = options.points == "steps" ? explore::PreemptAt::kSteps : explore::PreemptAt::kStepsAndLocks};
  const bool without_end = settings.budget == 0 && settings.seconds == 0;
  const bool ends = settings.strategy == StrategyKind::kExhaustive || settings.strategy == StrategyKind::kDelays;
  if (without_end && !ends) settings.seconds = kSecondsWhenNothingIsSaid;
  return settings;
}

std::vector<std::string> steps_in_simulation() {
  std::vector<std::string> names;
  for (const scenario::StepInfo& step : scenario::all_steps()) {
    if (scenario::in_simulation(step)) names.emplace_back(step.name);
  }
  return names;
}

void print_numbers(const ExploreOptions& options, const SearchResult& result) {
  const std::vector<std::string> steps = steps_in_simulation();
  const double schedules = static_cast<double>(std::max<std::uint64_t>(result.schedules, 1));
  std::printf("  %s: %llu schedules in %.1f s (%.0f for each second of processor time), %.0f points each%s\n",
              options.strategy.c_str(), static_cast<unsigned long long>(result.schedules), result.seconds,
              schedules / std::max(result.cpu_seconds, 0.001), static_cast<double>(result.points) / schedules,
              result.complete ? "; these are all" : "");
  std::printf("  %llu orders of events, %llu states at the end, %zu of %zu steps reached\n",
              static_cast<unsigned long long>(result.orders), static_cast<unsigned long long>(result.states),
              result.steps.size(), steps.size());
  if (result.repeated != 0) {
    std::printf("  %llu of the schedules were left when it was clear that they repeat another\n",
                static_cast<unsigned long long>(result.repeated));
  }
}

bool write_whole(const std::string& path, const std::string& text) {
  auto file = OutputFile::open(path);
  return file && file->write(text);
}

/// The same failure with fewer statements: a file beside the schedule, and its own schedule beside that.
void write_small(const ExploreOptions& options, const std::string& path, int line, const scenario::Found& found,
                 const std::string& name) {
  const auto small = scenario::smaller_scenario(path, line, {{}, found.schedule.choices, found.why});
  if (!small) return;
  const std::string file = options.out + ".softxe";
  write_whole(file, small->text);
  if (!write_whole(options.out + ".small", explore::schedule_text({file, name, small->choices}))) return;
  const auto statements = std::count(small->text.begin(), small->text.end(), '\n');
  std::printf("  with fewer statements: %s (%td lines), %s.small (%zu choices): %s\n", file.c_str(), statements,
              options.out.c_str(), small->choices.size(), small->why.c_str());
}

/// Nothing where the file is wrong, or names what is not there: said why.
std::optional<scenario::ScenarioFile> read_scenarios(const char* verb, const std::string& path) {
  auto file = scenario::parse_scenario_file(path);
  const std::string wrong = file ? scenario::unknown_name(*file) : file.error().text;
  if (wrong.empty()) return std::move(*file);
  complain(verb, wrong);
  return std::nullopt;
}

/// Makes it small, writes it down, and shows it.
void show_failure(const ExploreOptions& options, const std::string& path, const Scenario& one, scenario::Found found) {
  const std::size_t before = found.schedule.choices.size();
  found.schedule.choices = scenario::smaller(path, one, std::move(found.schedule.choices), found.why);
  std::printf("%s:%d: failed at schedule %llu: %s\n", path.c_str(), one.line,
              static_cast<unsigned long long>(found.number), found.why.c_str());
  const bool written = write_whole(options.out, explore::schedule_text(found.schedule));
  std::printf("  %zu choices (%zu before it was made small)%s%s\n", found.schedule.choices.size(), before,
              written ? ": " : "; cannot write ", options.out.c_str());
  scenario::tell_schedule(path, one, found.schedule.choices);
  if (options.small) write_small(options, path, one.line, found, one.name);
}

void print_steps(const std::set<std::string>& reached, bool names_missing) {
  const std::vector<std::string> steps = steps_in_simulation();
  std::printf("%zu of %zu steps reached by all scenarios together\n", reached.size(), steps.size());
  if (!names_missing) return;
  for (const std::string& step : steps) {
    if (!reached.contains(step)) std::printf("  not reached: %s\n", step.c_str());
  }
}

}  // namespace

int explore(const ExploreOptions& options) {
  unsigned passed = 0;
  unsigned failed = 0;
  std::set<std::string> reached;
  for (const std::string& path : options.files) {
    const auto file = read_scenarios("explore", path);
    if (!file) return kExitUsage;
    for (const Scenario& one : file->scenarios) {
      if (!scenario::is_wanted(path, one, options.filter)) continue;
      std::printf("%s:%d: %s\n", path.c_str(), one.line, one.name.c_str());
      SearchSettings settings = settings_of(options);
      settings.path = path;
      settings.scenario = &one;
      SearchResult result = scenario::search(settings);
      print_numbers(options, result);
      reached.insert(result.steps.begin(), result.steps.end());
      if (result.found) show_failure(options, path, one, std::move(*result.found));
      ++(result.found ? failed : passed);
    }
  }
  if (passed + failed > 1 || options.verbose) print_steps(reached, options.verbose);
  std::printf("%u passed, %u failed\n", passed, failed);
  return failed == 0 ? 0 : kExitNo;
}

int replay_schedule(const std::string& schedule_file, const std::string& scenario_file) {
  std::ifstream in(schedule_file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto schedule = explore::parse_schedule(text);
  if (!schedule) {
    complain("scenario", schedule_file + ": " + schedule.error().why);
    return kExitUsage;
  }
  const auto file = read_scenarios("scenario", scenario_file);
  if (!file) return kExitUsage;
  for (const Scenario& one : file->scenarios) {
    if (one.name != schedule->scenario) continue;
    const std::string why = scenario::tell_schedule(scenario_file, one, schedule->choices);
    if (!why.empty()) std::printf("%s\n", why.c_str());
    std::printf("%d passed, %d failed\n", why.empty() ? 1 : 0, why.empty() ? 0 : 1);
    return why.empty() ? 0 : kExitNo;
  }
  complain("scenario", fmt::format("{}: no scenario of the name '{}'", scenario_file, schedule->scenario));
  return kExitUsage;
}

}  // namespace softxe::cli
