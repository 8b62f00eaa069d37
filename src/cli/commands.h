// The verbs of the softxe command: one file each, registered by main.cc. Help and parsing come from the
// same CLI11 description, so they cannot drift apart.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace softxe::cli {

/// What a verb does when it was chosen; its exit status.
using Action = std::function<int()>;

void add_run(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_scenario(CLI::App& app, Action& action);
void add_va_replay(CLI::App& app, Action& action);

/// Exit statuses of softxe's own failures, as env(1) and timeout(1) use them.
inline constexpr int kExitUsage = 125;
inline constexpr int kExitCannotRun = 126;
inline constexpr int kExitNotFound = 127;

}  // namespace softxe::cli
