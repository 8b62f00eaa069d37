// A failing scenario made small: first the choices of its schedule, then its statements.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "explore/schedule.h"

namespace softxe::scenario {

struct SmallFailure {
  std::string text;  ///< of a scenario file with one scenario
  std::vector<explore::Choice> choices;
  std::string why;
};

/// Leaves out one line after the other of the scenario that begins at `line` of the file `path`, as long as some
/// schedule fails and the scenario by itself passes. None: the file cannot be read.
std::optional<SmallFailure> smaller_scenario(const std::string& path, int line, SmallFailure failure);

}  // namespace softxe::scenario
