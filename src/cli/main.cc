// The command line: help and parsing come from the same CLI11 description, so they cannot drift
// apart.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <string_view>

#include "cli/commands.h"
#include "cli/va_replay.h"
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

/// Empty for a name that there is.
std::string unknown_profile(const std::string& name) {
  return find_profile(name) ? std::string() : fmt::format("'{}' is none of\n{}", name, profile_lines());
}

/// The command line has a program behind "--". CLI11 does not tell.
bool behind_dashes = false;

void add_tests(CLI::App& verb, TestOptions& tests) {
  verb.add_option("--expect", tests.expect, "Fail unless 'COUNTER OP NUMBER' holds of the totals (repeatable)");
  verb.add_option("--require-migration", tests.rung, "Fail unless live memory was on this rung in every process")
      ->check(CLI::IsMember({"full", "user-only", "none"}));
  verb.add_option("--junit", tests.junit, "Write the tests' results as JUnit XML");
}

/// What decides how a program is run; the caller adds what becomes of it.
void add_machine(CLI::App* verb, const std::shared_ptr<RunOptions>& options) {
  verb->add_option("--devices", options->devices, "Number of cards")->check(CLI::Range(1, 8));
  verb->add_option("--profile", options->profile, "Which card:\n" + profile_lines())
      ->check(CLI::Validator(unknown_profile, "NAME"))
      ->default_str("bmg");
  verb->add_option("--vram", options->vram, "VRAM per tile, like 512M or 4G");
  verb->add_option("--visible", options->visible, "CPU-visible part of it (small BAR)");
  verb->add_option("--autoreset", options->autoreset, "When munmap resets memory attributes")
      ->check(CLI::IsMember({"flag", "always", "exact"}));
  verb->add_option("--dma", options->dma, "How pages travel")->check(CLI::IsMember({"move", "copy"}));
  verb->add_option("--eu-threads", options->eu_threads,
                   "Host threads that run the groups of one kernel (default: one per processor)")
      ->check(CLI::Range(1, 32));
  verb->add_option("--root", options->root, "Run inside this folder as root folder")->check(CLI::ExistingDirectory);
  verb->add_option("--report", options->report, "Write the counters as JSON");
  verb->add_flag("--summary", options->summary, "Print what the program's memory did");
}

void add_run(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("run", "Run a program as if an Xe GPU were there");
  auto options = std::make_shared<RunOptions>();
  add_machine(verb, options);
  add_tests(*verb, options->tests);
  verb->add_option("--trace", options->trace, "Write what happened, event by event (softxe trace, explain, view)");
  verb->add_option("--error-exitcode", options->error_exitcode,
                   "End with this when a test fails and the program itself succeeds")
      ->check(CLI::Range(0, 255));
  verb->add_option("PROGRAM", options->program, "Program and its arguments, after --")->required();
  verb->callback([=, &action] { action = [=] { return run(*options); }; });
}

void add_doctor(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("doctor", "What this machine allows and what that means for a run");
  verb->callback([&action] { action = doctor; });
}

void add_report(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("report", "Show a report that `softxe run --report` wrote");
  auto options = std::make_shared<ReportOptions>();
  verb->add_option("FILE", options->file, "Report")->required()->check(CLI::ExistingFile);
  verb->add_flag("--check", options->check, "Fail when the numbers contradict each other");
  add_tests(*verb, options->tests);
  verb->callback([=, &action] { action = [=] { return show_report(*options); }; });
}

void add_scenario(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("scenario", "Run scenario files (docs/SCENARIOS.md)");
  auto options = std::make_shared<ScenarioOptions>();
  verb->add_option("FILE", options->files, "Scenario files")->required()->check(CLI::ExistingFile);
  verb->add_option("--seed", options->seed, "Order of parallel blocks");
  verb->add_option("--trace", options->trace, "Write what happened, event by event");
  verb->add_option("--filter", options->filter, "Only scenarios with this in their name or file");
  verb->add_flag("--list", options->list, "Print the names of scenarios, run none");
  verb->add_flag("-v,--verbose", options->verbose, "Print each statement, its result and its events");
  verb->add_flag("--live", options->live, "On the memory of this process instead of a simulated one");
  verb->callback([=, &action] { action = [=] { return run_scenarios(*options); }; });
}

/// A file, or behind -- a program.
void add_trace(CLI::App& app, Action& action) {
  using Form = TraceOptions::Form;
  auto* verb = app.add_subcommand("trace", "Print events of a trace, or of a program behind -- (docs/TRACE.md)");
  auto options = std::make_shared<TraceOptions>();
  auto run_options = std::make_shared<RunOptions>();
  auto words = std::make_shared<std::vector<std::string>>();
  add_machine(verb, run_options);
  verb->add_option("-e,--events", options->kinds, "Only these kinds, separated by commas");
  verb->add_option("--addr", options->address, "Only what touches this address, or A+SIZE");
  verb->add_option("--asid", options->asid, "Only what happened in this VM");
  verb->add_option("--since", options->since, "Seconds of the run");
  verb->add_option("--until", options->until, "Seconds of the run");
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
      options->run = *run_options;
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
  auto* verb = app.add_subcommand("explain", "Why a page is where it is, and its attributes what they are");
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
  auto* verb = app.add_subcommand("view", "Draw a trace as a page for a browser");
  auto options = std::make_shared<ViewOptions>();
  verb->add_option("FILE", options->file, "Trace")->required()->check(CLI::ExistingFile);
  verb->add_option("-o,--output", options->out, "The page")->required();
  verb->callback([=, &action] { action = [=] { return view(*options); }; });
}

void add_diff(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("diff", "What differs between two reports, or two traces");
  auto options = std::make_shared<DiffOptions>();
  verb->add_option("FIRST", options->first, "Report or trace")->required()->check(CLI::ExistingFile);
  verb->add_option("SECOND", options->second, "Report or trace")->required()->check(CLI::ExistingFile);
  verb->add_option("--tolerance", options->tolerances, "PERCENT, or COUNTER=PERCENT (repeatable)");
  verb->callback([=, &action] { action = [=] { return diff(*options); }; });
}

void add_va_replay(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("va-replay", "Replay traces of the GPU virtual-address-space manager");
  auto options = std::make_shared<VaReplayOptions>();
  verb->add_option("FILE", options->files, "JSON-lines traces (tests/data/gpuvm)")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_flag("--check", options->check, "Compare with the expected results instead of printing ours");
  verb->callback([=, &action] {
    action = [=] {
      return softxe::va_replay(options->files, options->check ? ReplayMode::kCheck : ReplayMode::kPrint, stdout);
    };
    ;
  });
}

void add_disasm(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("disasm", "Show code of the execution units as assembly (docs/KERNELS.md)");
  auto options = std::make_shared<DisasmOptions>();
  verb->add_option("FILE", options->file, "Code without any header, such as the text section of a kernel")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_flag("--hex", options->hex, "The file has hexadecimal digits, one instruction per line");
  verb->add_flag("--full", options->full, "Everything that `softxe asm` needs to make the same bytes");
  verb->callback([=, &action] { action = [=] { return disassemble(*options); }; });
}

void add_asm(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("asm", "Assemble code for the execution units (docs/KERNELS.md)");
  auto options = std::make_shared<AsmOptions>();
  verb->add_option("FILE", options->file, "Source")->required()->check(CLI::ExistingFile);
  verb->add_option("-o,--output", options->out, "Write there instead of to standard output");
  verb->add_flag("--hex", options->hex, "Write hexadecimal digits, one instruction per line");
  verb->callback([=, &action] { action = [=] { return assemble(*options); }; });
}

int run_command(int argc, char** argv) {
  behind_dashes = std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
  CLI::App app{"softxe: a software Intel Xe GPU in user space"};
  app.require_subcommand(1);
  Action action;
  add_run(app, action);
  add_doctor(app, action);
  add_report(app, action);
  add_scenario(app, action);
  add_trace(app, action);
  add_explain(app, action);
  add_view(app, action);
  add_diff(app, action);
  add_va_replay(app, action);
  add_disasm(app, action);
  add_asm(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : kExitUsage;
  }
  return action();
}

}  // namespace

}  // namespace softxe::cli

int main(int argc, char** argv) {
  try {
    return softxe::cli::run_command(argc, argv);
  } catch (const std::exception& error) {  // no memory, or a broken description of the options
    std::fprintf(stderr, "softxe: %s\n", error.what());
    return softxe::cli::kExitUsage;  // 125: softxe itself failed
  }
}
