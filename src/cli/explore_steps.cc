#include "cli/explore_steps.h"

namespace softxe::scenario {

namespace {

constexpr const char* kSteps[] = {
#include "explore_steps.inc"
};

}  // namespace

std::span<const char* const> all_steps() { return kSteps; }

}  // namespace softxe::scenario
