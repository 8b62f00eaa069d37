#include "cli/commands.h"

int main(int argc, char** argv) {
  CLI::App app{"softxe: a software Intel Xe GPU in user space"};
  app.require_subcommand(1);
  softxe::cli::Action action;
  softxe::cli::add_run(app, action);
  softxe::cli::add_doctor(app, action);
  softxe::cli::add_report(app, action);
  softxe::cli::add_scenario(app, action);
  softxe::cli::add_va_replay(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : softxe::cli::kExitUsage;
  }
  return action();
}
