// The command line: help and parsing come from the same CLI11 description, so they cannot drift
// apart.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>

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

void add_run(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("run", "Run a program as if an Xe GPU were there");
  auto options = std::make_shared<RunOptions>();
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
  verb->add_option("--report", options->report, "Write the counters as JSON");
  verb->add_flag("--summary", options->summary, "Print what the program's memory did");
  verb->add_option("--root", options->root, "Run inside this folder as root folder")->check(CLI::ExistingDirectory);
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
  verb->callback([=, &action] { action = [=] { return show_report(*options); }; });
}

void add_scenario(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("scenario", "Run scenario files (docs/SCENARIOS.md)");
  auto options = std::make_shared<ScenarioOptions>();
  verb->add_option("FILE", options->files, "Scenario files")->required()->check(CLI::ExistingFile);
  verb->add_option("--seed", options->seed, "Order of parallel blocks");
  verb->add_flag("--live", options->live, "On the memory of this process instead of a simulated one");
  verb->callback([=, &action] { action = [=] { return run_scenarios(*options); }; });
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
  CLI::App app{"softxe: a software Intel Xe GPU in user space"};
  app.require_subcommand(1);
  Action action;
  add_run(app, action);
  add_doctor(app, action);
  add_report(app, action);
  add_scenario(app, action);
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
