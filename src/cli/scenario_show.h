// What the `show` verb prints: what is there now, in the words of expectations.
#pragma once

#include <string>
#include <vector>

#include "cli/scenario_ast.h"

namespace softxe::scenario {

/// Lines without the statement. The errno of the world's look, ENOENT for a name it does not know. Not for kEvents, of
/// which the runner knows.
Result<std::vector<std::string>> show_world(ScenarioWorld& world, const Show& what);

}  // namespace softxe::scenario
