#include <cstdio>
#include <cstdlib>

#include "cli/commands.h"
#include "cli/scenario_live_world.h"
#include "cli/scenario_runner.h"
#include "cli/scenario_sim_world.h"
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

}  // namespace

int run_scenarios(const ScenarioOptions& options) {
  if (!trace_chosen()) return kExitCannotRun;
  if (options.live && !live_memory_works()) return kExitCannotRun;
  scenario::WorldFactory on_sim = [] { return std::make_unique<scenario::SimWorld>(); };
  scenario::WorldFactory on_live = [] { return std::make_unique<scenario::LiveWorld>(); };
  const auto summary =
      scenario::run_scenario_files(options.files, options.live ? on_live : on_sim, {.seed = options.seed});
  for (const std::string& message : summary.messages) std::printf("%s\n", message.c_str());
  std::printf("%s\n", summary.last_line().c_str());
  return summary.failed == 0 ? 0 : 1;
}

}  // namespace softxe::cli
