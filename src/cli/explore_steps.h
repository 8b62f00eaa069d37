// The steps that a simulated world can reach: the names in SX_STEP and SX_MARK of the layers below abi/, but for the
// live backend. Read from the sources when the command is built (tools/list_steps.py).
#pragma once

#include <span>

namespace softxe::scenario {

std::span<const char* const> all_steps();

}  // namespace softxe::scenario
