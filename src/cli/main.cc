// The command line: help and parsing come from the same CLI11 description, so they cannot drift
// apart.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/standard_streams.h"
#include "cli/va_replay.h"
#include "cli/version.h"
#include "drv/profile.h"

namespace softxe::cli {

namespace {

/// What the chosen verb does; its exit status.
using Action = std::function<int()>;

/// One line each: "bmg   Arc B580: discrete, ...".
std::string profile_lines() {
  std::string text;
  for (const DeviceProfile* profile : all_profiles())
    text += fmt::format("{:<5} {}: {}\n", profile->name, profile->product, profile->summary);
  return text;
}

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const DeviceProfile* profile : all_profiles()) names.emplace_back(profile->name);
  return names;
}

/// The command line has a program behind "--". CLI11 does not tell.
bool behind_dashes = false;

void add_tests(CLI::App& verb, TestOptions& tests) {
  verb.add_option("--expect", tests.expect, "Fail unless 'COUNTER OP NUMBER' holds of the totals (repeatable)");
  verb.add_option("--require-migration", tests.rung, "Fail unless every process had this migration level")
      ->check(one_of({"full", "user-only", "none"}));
  verb.add_option("--junit", tests.junit, "Write the tests' results as JUnit XML")->check(file_name());
}

/// A verb and its usage line, which CLI11 would make of the options alone.
CLI::App* add_verb(CLI::App& app, const char* name, const char* does) {
  auto* verb = app.add_subcommand(name, does)->group("Verbs");
  verb->footer(fmt::format("More: man softxe-{}\n", name));
  return verb;
}

std::string run_notes() {
  return R"(What follows the name of the program belongs to the program; -- in front of it is optional.

Profiles:
)" + profile_lines() +
         R"(Sizes are bytes, or a number with K, M, G or T (powers of 1024): 2M to 1T, in steps of 2M.

Ends as the program ended; 125: softxe failed, 126: the program cannot be run, 127: no such program.
More: man softxe-run
)";
}

/// What decides how a program is run; the caller adds what becomes of it.
void add_machine(CLI::App* verb, const std::shared_ptr<RunOptions>& options) {
  verb->add_option("--devices", options->devices, "Number of cards")->check(between({1, 8}))->envname("SOFTXE_DEVICES");
  verb->add_option("--profile", options->profile, "Which card")
      ->check(one_of(profile_names()))
      ->envname("SOFTXE_PROFILE");
  verb->add_option("--vram", options->vram, "VRAM per tile (default: that of the card)")
      ->check(vram_size())
      ->envname("SOFTXE_VRAM");
  verb->add_option("--visible", options->visible, "CPU-visible part of it, as with a small BAR (default: all)")
      ->check(vram_size())
      ->envname("SOFTXE_VISIBLE");
  verb->add_option("--autoreset", options->autoreset,
                   "When munmap resets memory attributes: for VMAs with the flag, always, or exactly what was unmapped")
      ->check(one_of({"flag", "always", "exact"}))
      ->envname("SOFTXE_AUTORESET");
  verb->add_option("--dma", options->dma, "Whether pages move or their bytes are copied")
      ->check(one_of({"move", "copy"}))
      ->envname("SOFTXE_DMA");
  verb->add_option("--eu-threads", options->eu_threads,
                   "Host threads that run the groups of one kernel (default: one per processor)")
      ->check(between({1, 32}))
      ->envname("SOFTXE_EU_THREADS")
      ->default_str("");
  verb->add_flag("--deterministic", options->deterministic,
                 "Two runs of a program with one thread do the same: fixed addresses and collector passes")
      ->envname("SOFTXE_DETERMINISTIC");
  verb->add_option("--report", options->report, "Write the counters as JSON to this file; - is standard output")
      ->check(file_name());
  verb->add_flag("--summary", options->summary, "Print what the program's memory did, on standard error");
  verb->add_option("--root", options->root, "Run inside this folder as root folder")->check(CLI::ExistingDirectory);
}

/// What of the options means nothing with the card.
void check_machine_options(const RunOptions& options) {
  const auto profile = find_profile(options.profile);
  if (!profile || (*profile)->has(DeviceFact::kDiscrete)) return;
  for (const auto& [option, value] : {std::pair{"--vram", &options.vram}, std::pair{"--visible", &options.visible}})
    if (!value->empty()) throw CLI::ValidationError(option, fmt::format("--profile {} has no VRAM", options.profile));
}

std::shared_ptr<RunOptions> add_run(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "run", "Run a program as if an Xe GPU were there");
  verb->footer(run_notes());
  auto options = std::make_shared<RunOptions>();
  add_machine(verb, options);
  add_tests(*verb, options->tests);
  verb->add_option("--trace", options->trace, "Write what happened, event by event (softxe trace, explain, view)")
      ->check(file_name());
  verb->add_flag("--stacks", options->stacks, "Record the call stacks of the program's calls in the trace");
  verb->add_option("--error-exitcode", options->error_exitcode,
                   "End with this when a test fails and the program itself succeeds")
      ->check(between({0, 255}));
  verb->add_option("PROGRAM", options->program, "Program; its arguments follow")->required()->default_str("");
  verb->callback([=, &action] {
    check_machine_options(*options);
    if (options->stacks && options->trace.empty()) throw CLI::ValidationError("--stacks", "needs --trace FILE");
    action = [=] { return run(*options); };
  });
  return options;
}

void add_doctor(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "doctor", "What this machine allows, what that means for a run, and how to change it");
  auto options = std::make_shared<DoctorOptions>();
  verb->add_flag("--json", options->json, "As JSON");
  verb->callback([=, &action] { action = [=] { return doctor(*options); }; });
}

void add_report(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "report", "Show a report that `softxe run --report` wrote");
  auto options = std::make_shared<ReportOptions>();
  verb->add_option("FILE", options->file, "Report; - is standard input")->required()->default_str("");
  verb->add_flag("--check", options->check, "Fail when the numbers contradict each other");
  add_tests(*verb, options->tests);
  verb->callback([=, &action] { action = [=] { return show_report(*options); }; });
}

void add_scenario(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "scenario", "Run scenario files (man 5 softxe-scenario)");
  auto options = std::make_shared<ScenarioOptions>();
  auto* files = verb->add_option("FILE", options->files, "Scenario files")->default_str("")->check(CLI::ExistingFile);
  verb->add_option("--seed", options->seed, "Order of parallel blocks");
  verb->add_option("--trace", options->trace, "Write what happened, event by event");
  verb->add_option("--filter", options->filter, "Only scenarios with this in their name or file");
  verb->add_flag("--list", options->list, "Print the names of scenarios, run none");
  verb->add_flag("--steps", options->steps, "Print the steps that fail and at may name, with their meanings");
  verb->add_flag("-v,--verbose", options->verbose, "Print each statement, its result and its events");
  verb->add_option("--junit", options->junit, "Write the results as JUnit XML")->check(file_name());
  verb->add_flag_callback(
      "--no-check", [options] { options->check = false; }, "Check the engine's invariants at the end only: faster");
  verb->add_flag("--live", options->live, "On the memory of this process instead of a simulated one");
  verb->add_option("--schedule", options->schedule, "Run one scenario in the order that softxe explore wrote there")
      ->check(CLI::ExistingFile);
  verb->callback([=, &action] {
    if (files->count() == 0 && !options->steps) throw CLI::RequiredError("FILE");
    if (!options->schedule.empty() && (options->live || options->files.size() != 1)) {
      throw CLI::ValidationError("--schedule", "one file, on the simulated memory");
    }
    action = [=] { return run_scenarios(*options); };
  });
}

/// "2/5": the second of five parts.
CLI::Validator shard() {
  return CLI::Validator(
      [](const std::string& text) {
        unsigned part = 0;
        unsigned parts = 0;
        char rest = 0;
        const int read = std::sscanf(text.c_str(), "%4u/%4u%c", &part, &parts, &rest);
        if (read == 2 && part >= 1 && part <= parts) return std::string();
        return fmt::format("'{}' is no part: 2/5 is the second of five", text);
      },
      "I/N");
}

/// What shard() has let through.
void take_shard(ExploreOptions& options) {
  unsigned part = 1;
  unsigned parts = 1;
  static_cast<void>(std::sscanf(options.part.c_str(), "%4u/%4u", &part, &parts));
  options.shard = part - 1;
  options.shards = parts;
}

void add_explore(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "explore", "Search the orders in which the parallel blocks of scenarios may run");
  auto options = std::make_shared<ExploreOptions>();
  verb->add_option("FILE", options->files, "Scenario files")->required()->default_str("")->check(CLI::ExistingFile);
  verb->add_option("--strategy", options->strategy, "How orders are found")
      ->check(one_of({"random", "pct", "exhaustive", "delays"}));
  verb->add_option("--depth", options->depth,
                   "pct: places that matter; exhaustive: preemptions, 0: any number; delays: choices")
      ->check(between({0, 1000}));
  verb->add_option("--points", options->points, "Where another flow may go on: steps and locks, or steps alone")
      ->check(one_of({"all", "steps"}));
  verb->add_option("--budget", options->budget, "Schedules for each scenario (default: no limit)")->default_str("");
  verb->add_option("--seconds", options->seconds, "Time for each scenario (default: 10, without --budget)")
      ->check(CLI::NonNegativeNumber)
      ->default_str("");
  verb->add_option("--seed", options->seed, "What is drawn");
  verb->add_option("--shard", options->part, "One of N parts, for several machines")->check(shard());
  verb->add_option("-j,--processes", options->processes, "Processes beside each other")->check(between({1, 64}));
  verb->add_option("--failures", options->failures, "Let up to so many steps of a schedule fail")
      ->check(between({0, 100}));
  verb->add_option("--filter", options->filter, "Only scenarios with this in their name or file");
  verb->add_option("-o,--output", options->out, "Where the schedule of a failure goes")->check(file_name());
  verb->add_flag("--small", options->small, "Leave out statements of a failing scenario, too");
  verb->add_flag("-v,--verbose", options->verbose, "Print the steps that were not reached");
  verb->callback([=, &action] {
    take_shard(*options);
    action = [=] { return explore(*options); };
  });
}

/// A file, or behind -- a program.
void add_trace(CLI::App& app, Action& action) {
  using Form = TraceOptions::Form;
  auto* verb = add_verb(app, "trace", "Print events of a trace, or of a program behind -- (docs/TRACE.md)");
  auto options = std::make_shared<TraceOptions>();
  auto run_options = std::make_shared<RunOptions>();
  auto words = std::make_shared<std::vector<std::string>>();
  add_machine(verb, run_options);
  verb->add_option("-e,--events", options->kinds, "Only these kinds, separated by commas");
  verb->add_option("--addr", options->address, "Only what touches this address, or A+SIZE");
  verb->add_option("--asid", options->asid, "Only what happened in this VM");
  verb->add_option("--since", options->since, "Seconds of the run");
  verb->add_option("--until", options->until, "Seconds of the run");
  verb->add_flag("--stacks", options->stacks, "Print the call stack where a call of the program began");
  verb->add_option("-o,--output", options->out, "Write lines there");
  verb->add_flag_callback(
      "--csv", [options] { options->form = Form::kCsv; }, "A table for spreadsheets");
  verb->add_flag_callback(
      "--jsonl", [options] { options->form = Form::kJsonLines; }, "One JSON object per line");
  verb->add_flag_callback(
      "-c,--count", [options] { options->form = Form::kSummary; }, "A summary instead of lines");
  verb->add_option("--sqlite", options->sqlite, "Make a database of the file");
  verb->add_option("--perfetto", options->perfetto, "Make a timeline for Perfetto of the file");
  verb->add_flag("--check", options->check, "Fail when events do not fit together, or to the counters of the run");
  verb->add_option("FILE", *words, "A trace; behind -- a program and its arguments")->required();
  verb->callback([=, &action] {
    if (behind_dashes) {
      check_machine_options(*run_options);
      options->run = *run_options;
      options->run.stacks = options->stacks;
      options->run.program = *words;
    } else if (words->size() == 1) {
      options->file = words->front();
    } else {
      throw CLI::ValidationError("FILE", "one trace, or a program behind --");
    }
    action = [=] { return trace_run_or_file(*options); };
  });
}

void add_explain(CLI::App& app, Action& action) {
  using Theme = ExplainOptions::Theme;
  auto* verb = add_verb(app, "explain", "Why a page is where it is, and its attributes what they are");
  auto options = std::make_shared<ExplainOptions>();
  verb->add_option("FILE", options->file, "Trace")->required()->check(CLI::ExistingFile);
  auto* address = verb->add_option("ADDRESS", options->address, "Of a byte of the page");
  verb->add_option("--at", options->at, "As it was then, in seconds of the run");
  auto* themes = verb->add_option_group("everything of a sort");
  themes->add_flag_callback(
      "--reset", [options] { options->theme = Theme::kReset; }, "Attributes that went back");
  themes->add_flag_callback(
      "--moved", [options] { options->theme = Theme::kMoved; }, "Pages that changed their place");
  themes->add_flag_callback(
      "--failed", [options] { options->theme = Theme::kFailed; }, "What was refused");
  verb->callback([=, &action] {
    if (address->count() == 0 && options->theme == Theme::kAddress) {
      throw CLI::RequiredError("ADDRESS, or one of --reset, --moved, --failed");
    }
    action = [=] { return explain(*options); };
  });
}

void add_view(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "view", "Draw a trace as a page for a browser");
  auto options = std::make_shared<ViewOptions>();
  verb->add_option("FILE", options->file, "Trace")->required()->check(CLI::ExistingFile);
  verb->add_option("-o,--output", options->out, "The page")->required();
  verb->callback([=, &action] { action = [=] { return view(*options); }; });
}

void add_diff(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "diff", "What differs between two reports, or two traces");
  auto options = std::make_shared<DiffOptions>();
  verb->add_option("FIRST", options->first, "Report or trace")->required()->check(CLI::ExistingFile);
  verb->add_option("SECOND", options->second, "Report or trace")->required()->check(CLI::ExistingFile);
  verb->add_option("--tolerance", options->tolerances, "PERCENT, or COUNTER=PERCENT (repeatable)");
  verb->callback([=, &action] { action = [=] { return diff(*options); }; });
}

void add_root(CLI::App& app, Action& action) {
  using Content = RootOptions::Content;
  auto* verb = add_verb(app, "root", "Make a folder with Debian and Intel's test programs in it");
  auto options = std::make_shared<RootOptions>();
  verb->add_option("ACTION", options->action, "What to do")->required()->default_str("")->check(one_of({"make"}));
  verb->add_option("DIR", options->folder, "The folder")->required()->default_str("")->check(file_name());
  auto* drivers = verb->add_flag_callback(
      "--with-drivers", [options] { options->content = Content::kDrivers; },
      "With Intel's OpenCL and Level Zero runtimes, too");
  verb->add_flag_callback(
          "--with-programs", [options] { options->content = Content::kPrograms; }, "And with OpenCL programs")
      ->excludes(drivers);
  verb->add_flag("--force", options->force, "Make it again when it is there");
  verb->callback([=, &action] { action = [=] { return make_root(*options); }; });
}

void add_conformance(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "conformance", "Run Intel's test programs and compare with what is expected");
  auto options = std::make_shared<ConformanceOptions>();
  verb->add_option("--root", options->root, "What `softxe root make` has made")->check(CLI::ExistingDirectory);
  verb->add_option("--tests", options->tests, "Only these: a regular expression over PROGRAM@SUBTEST");
  verb->add_option("--profile", options->profile, "Only what is expected of this card (default: all that have files)")
      ->check(one_of(profile_names()));
  verb->add_option("--shard", options->shard, "One of N parts, for several machines")->check(shard());
  verb->add_option("--junit", options->junit, "Write the results as JUnit XML")->check(file_name());
  verb->add_flag("--list", options->list, "Print what would run");
  verb->callback([=, &action] { action = [=] { return conformance(*options); }; });
}

void add_va_replay(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "va-replay", "Replay traces of the GPU virtual-address-space manager");
  auto options = std::make_shared<VaReplayOptions>();
  verb->add_option("FILE", options->files, "JSON-lines traces (tests/data/gpuvm)")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_flag("--check", options->check, "Compare with the expected results instead of printing ours");
  verb->callback([=, &action] {
    action = [=] {
      return softxe::va_replay(options->files, options->check ? ReplayMode::kCheck : ReplayMode::kPrint, stdout);
    };
  });
}

void add_disasm(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "disasm", "Show code of the execution units as assembly");
  auto options = std::make_shared<DisasmOptions>();
  verb->add_option("FILE", options->file,
                   "Code without any header, such as the text section of a kernel; - is standard input")
      ->required()
      ->default_str("");
  verb->add_flag("--hex", options->hex, "The file has hexadecimal digits, one instruction per line");
  verb->add_flag("--full", options->full, "Everything that `softxe asm` needs to make the same bytes");
  verb->callback([=, &action] { action = [=] { return disassemble(*options); }; });
}

void add_asm(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "asm", "Assemble code for the execution units");
  auto options = std::make_shared<AsmOptions>();
  verb->add_option("FILE", options->file, "Source; - is standard input")->required()->default_str("");
  verb->add_option("-o,--output", options->out, "Write there; - is standard output, the default")->check(file_name());
  verb->add_flag("--hex", options->hex, "Write hexadecimal digits, one instruction per line");
  verb->callback([=, &action] { action = [=] { return assemble(*options); }; });
}

/// A variable is an option of the verb that was typed. The parser would look at those of the others, too.
void forget_variables_of_others(CLI::App& app, const std::vector<std::string>& typed) {
  const auto word = std::ranges::find_if(typed, [](const std::string& w) { return !w.starts_with('-'); });
  for (CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) {
    if (word != typed.end() && verb->get_name() == *word) continue;
    for (CLI::Option* option : verb->get_options()) option->envname("");
  }
}

int run_command(const std::vector<std::string>& typed) {
  behind_dashes = std::find(typed.begin(), typed.end(), "--") != typed.end();
  CLI::App app{"softxe: a software Intel Xe GPU in user space", "softxe"};
  app.set_version_flag("--version", std::string("softxe ") + version_text());
  app.option_defaults()->always_capture_default();
  app.require_subcommand(1);
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.footer("Exit statuses, files and environment: man softxe\n");
  Action action;
  const auto run_options = add_run(app, action);
  add_doctor(app, action);
  add_report(app, action);
  add_scenario(app, action);
  add_explore(app, action);
  add_trace(app, action);
  add_explain(app, action);
  add_view(app, action);
  add_diff(app, action);
  add_root(app, action);
  add_conformance(app, action);
  add_va_replay(app, action);
  add_disasm(app, action);
  add_asm(app, action);
  forget_variables_of_others(app, typed);
  Parsed parsed = parse_words(app, typed);
  auto& program = run_options->program;
  program.insert(program.end(), parsed.program_arguments.begin(), parsed.program_arguments.end());
  const int status = parsed.status >= 0 ? parsed.status : action();
  const auto printed = finish_stdout();
  if (printed) return status;
  complain(typed.empty() ? "" : typed.front().c_str(), printed.error().why);
  return status == 0 ? printed.error().status : status;
}

}  // namespace

}  // namespace softxe::cli

int main(int argc, char** argv) {
  softxe::cli::guard_standard_streams();
  try {
    return softxe::cli::run_command({argv + 1, argv + argc});
  } catch (const std::exception& error) {  // no memory, or a broken description of the options
    std::fprintf(stderr, "softxe: %s\n", error.what());
    return softxe::cli::kExitUsage;  // 125: softxe itself failed
  }
}
