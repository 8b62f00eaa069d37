#include "cli/commands.h"
#include "cli/va_replay.h"

namespace softxe::cli {

void add_va_replay(CLI::App& app, Action& action) {
  auto* verb = app.add_subcommand("va-replay", "Replay traces of the GPU virtual-address-space manager");
  auto files = std::make_shared<std::vector<std::string>>();
  auto check = std::make_shared<bool>(false);
  verb->add_option("FILE", *files, "JSON-lines traces (tests/data/gpuvm)")->required()->check(CLI::ExistingFile);
  verb->add_flag("--check", *check, "Compare with the expected results instead of printing ours");
  verb->callback([=, &action] {
    action = [=] {
      return va_replay(*files, *check ? ReplayMode::kCheck : ReplayMode::kPrint, stdout);
    };
  });
}

}  // namespace softxe::cli
