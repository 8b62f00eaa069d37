#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/expect.h"
#include "cli/output_file.h"
#include "cli/scenario_live_world.h"
#include "cli/scenario_names.h"
#include "cli/scenario_parser.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_sim_world.h"
#include "cli/scenario_step_table.h"
#include "cli/trace_writer.h"
#include "cli/version.h"
#include "hw/eu/eu_trace.h"

namespace softxe::cli {
namespace {

bool live_memory_works() {
  const live::LadderReport ladder = live::probe(live::DefectProbe::kSkip);
  if (ladder.rung == live::Rung::kFull) return true;
  std::fprintf(stderr, "softxe scenario: --live needs userfaultfd with MOVE; this machine: %s (errno %d)\n",
               live::rung_name(ladder.rung), ladder.refusal_errno);
  return false;
}

/// As softxe run does: kernels are counted over all files.
bool trace_chosen() {
  const char* text = std::getenv("SOFTXE_EU_TRACE");
  if (text == nullptr || *text == '\0') return true;
  const Result<EuTraceChoice> choice = eu_parse_trace(text);
  if (choice) {
    eu_set_trace(*choice);
    return true;
  }
  std::fprintf(stderr, "softxe scenario: SOFTXE_EU_TRACE: %s\n", choice.error().why);
  return false;
}

int list_steps() {
  for (const scenario::StepInfo& step : scenario::all_steps()) {
    const bool may_fail = step.kind == scenario::StepInfo::Kind::kStep;
    fmt::print("{:<26} {:<8} {}\n", step.name, may_fail ? "fail, at" : "at", step.meaning);
  }
  return 0;
}

int list_scenarios(const ScenarioOptions& options) {
  for (const std::string& path : options.files) {
    const auto file = scenario::parse_scenario_file(path);
    if (const std::string wrong = file ? scenario::unknown_name(*file) : file.error().text; !wrong.empty()) {
      std::fprintf(stderr, "%s\n", wrong.c_str());
      return 1;
    }
    for (const scenario::Scenario& one : file->scenarios) {
      if (scenario::is_wanted(path, one, options.filter))
        std::printf("%s:%d: %s\n", path.c_str(), one.line, one.name.c_str());
    }
  }
  return 0;
}

/// Verdicts as JUnit has them; what was skipped is neither good nor bad.
class JunitCases {
 public:
  void add(const std::string& path, const scenario::Scenario& one, const scenario::Verdict& verdict) {
    using Kind = scenario::Verdict::Kind;
    Judged result{.name = path + ":" + std::to_string(one.line), .holds = verdict.kind == Kind::kPassed};
    if (!one.name.empty()) result.name += ' ' + one.name;
    result.skipped = verdict.kind == Kind::kSkipped;
    result.text = verdict.text + (verdict.story.empty() ? "" : '\n' + verdict.story);
    cases_.push_back(std::move(result));
  }
  /// Before the work begins. False: said why it cannot be written. Without a path there is nothing to do.
  bool open(const std::string& path) {
    if (path.empty()) return true;
    auto file = OutputFile::open(path);
    if (!file) return complained(file.error());
    file_.emplace(std::move(*file));
    return true;
  }
  /// False: said why it could not be written.
  bool write() {
    if (!file_) return true;
    const auto written = file_->write(junit_text("softxe scenario", cases_));
    return written || complained(written.error());
  }

 private:
  static bool complained(const Refusal& refusal) {
    complain("scenario", refusal.why);
    return false;
  }
  std::optional<OutputFile> file_;
  std::vector<Judged> cases_;
};

}  // namespace

int run_scenarios(const ScenarioOptions& options) {
  if (options.steps) return list_steps();
  if (options.list) return list_scenarios(options);
  if (!options.schedule.empty()) return replay_schedule(options.schedule, options.files.front());
  if (!trace_chosen()) return kExitCannotRun;
  if (options.live && !live_memory_works()) return kExitCannotRun;
  scenario::WorldFactory on_sim = [] { return std::make_unique<scenario::SimWorld>(); };
  scenario::WorldFactory on_live = [] { return std::make_unique<scenario::LiveWorld>(); };
  scenario::RunOptions how{.seed = options.seed, .filter = options.filter};
  how.show = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  if (options.verbose) how.say = how.show;
  if (!options.check) how.checks = scenario::ScenarioWorld::Checks::kOff;
  JunitCases junit;
  if (!junit.open(options.junit)) return kExitUsage;
  how.on_end = [&](const auto& path, const auto& one, const auto& verdict) { junit.add(path, one, verdict); };
  std::unique_ptr<trace::TraceWriter> writer;
  std::uint16_t recorded = 0;  // scenarios so far: each numbers its events from 1
  if (!options.trace.empty()) {
    auto made = trace::TraceWriter::create(
        options.trace, {{"softxe", version_text()}, {"scenarios", options.files}, {"seed", options.seed}});
    if (!made) {
      std::fprintf(stderr, "softxe scenario: %s: %s\n", options.trace.c_str(), made.error().why);
      return kExitCannotRun;
    }
    writer = std::move(*made);
    how.on_begin = [&](const std::string& path, const scenario::Scenario& one) {
      writer->inform(recorded++, {{"exe", path + ":" + std::to_string(one.line) + " " + one.name}});
    };
    how.on_events = [&](std::span<const Event> events) { writer->take(recorded - 1, events); };
  }
  const auto summary = scenario::run_scenario_files(options.files, options.live ? on_live : on_sim, how);
  if (writer) {
    if (const Status whole = writer->finish(); !whole) std::fprintf(stderr, "softxe scenario: %s\n", whole.error().why);
  }
  for (const std::string& message : summary.messages) std::printf("%s\n", message.c_str());
  std::printf("%s\n", summary.last_line().c_str());
  if (!junit.write()) return kExitUsage;
  return summary.failed == 0 ? 0 : 1;
}

}  // namespace softxe::cli
