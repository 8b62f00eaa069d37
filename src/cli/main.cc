// The command line: help and parsing come from the same CLI11 description, so they cannot drift
// apart.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/standard_streams.h"
#include "cli/va_replay.h"
#include "cli/version.h"

namespace softxe::cli {

namespace {

/// What the chosen verb does; its exit status.
using Action = std::function<int()>;

/// A verb and its usage line, which CLI11 would make of the options alone.
CLI::App* add_verb(CLI::App& app, const char* name, const char* does) {
  auto* verb = app.add_subcommand(name, does)->group("Verbs");
  verb->footer(fmt::format("More: man softxe-{}\n", name));
  return verb;
}

constexpr const char* kRunNotes =
    R"(What follows the name of the program belongs to the program; -- in front of it is optional.

Profiles: bmg is an Arc B580 (1 tile, 11.9 GiB of VRAM, pages of 4K), pvc a Data Center GPU Max
(2 tiles of 64 GiB, pages of 64K, 57-bit addresses), lnl a Lunar Lake (integrated, no VRAM).
Sizes are bytes, or a number with K, M, G or T (powers of 1024): 2M to 1T, in steps of 2M.

Ends as the program ended; 125: softxe failed, 126: the program cannot be run, 127: no such program.
More: man softxe-run
)";

std::shared_ptr<RunOptions> add_run(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "run", "Run a program as if an Xe GPU were there");
  verb->footer(kRunNotes);
  auto options = std::make_shared<RunOptions>();
  verb->add_option("--devices", options->devices, "Number of cards")->check(between({1, 8}))->envname("SOFTXE_DEVICES");
  verb->add_option("--profile", options->profile, "Which card")
      ->check(one_of({"bmg", "pvc", "lnl"}))
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
  verb->add_option("--report", options->report, "Write the counters as JSON to this file; - is standard output")
      ->check(file_name());
  verb->add_flag("--summary", options->summary, "Print what the program's memory did, on standard error");
  verb->add_option("--root", options->root, "Run inside this folder as root folder")->check(CLI::ExistingDirectory);
  verb->add_option("PROGRAM", options->program, "Program; its arguments follow")->required()->default_str("");
  verb->callback([=, &action] {
    const bool integrated = options->profile == "lnl";
    if (integrated && !options->vram.empty()) throw CLI::ValidationError("--vram", "--profile lnl has no VRAM");
    if (integrated && !options->visible.empty()) throw CLI::ValidationError("--visible", "--profile lnl has no VRAM");
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
  verb->callback([=, &action] { action = [=] { return show_report(*options); }; });
}

void add_scenario(CLI::App& app, Action& action) {
  auto* verb = add_verb(app, "scenario", "Run scenario files (man 5 softxe-scenario)");
  auto options = std::make_shared<ScenarioOptions>();
  verb->add_option("FILE", options->files, "Scenario files")->required()->default_str("")->check(CLI::ExistingFile);
  verb->add_option("--seed", options->seed, "Order of parallel blocks");
  verb->add_flag("--live", options->live, "On the memory of this process instead of a simulated one");
  verb->callback([=, &action] { action = [=] { return run_scenarios(*options); }; });
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

int run_command(const std::vector<std::string>& typed) {
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
  add_va_replay(app, action);
  add_disasm(app, action);
  add_asm(app, action);
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
