// Names in a scenario that stand for nothing: a VM that is never made, a counter or a step that does not exist.
//
// A mistake of the file, found before anything runs. A statement that asks for a failure may name what is not there.
#pragma once

#include <string>

#include "cli/scenario_ast.h"

namespace softxe::scenario {

/// "FILE:LINE: there is no VM 'w': did you mean 'v'?" for the first such name; empty: all stand for something.
std::string unknown_name(const ScenarioFile& file);

}  // namespace softxe::scenario
