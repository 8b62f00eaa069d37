// Every step of the engine that a scenario may name in `fail` and `at`, with one line of meaning.
//
// The table is written by hand and compared with the source by tests/layers/check_steps.py: a step that is in the
// source alone, or here alone, is an error.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace softxe::scenario {

struct StepInfo {
  std::string_view name;
  /// kStep: may be made to fail. kMark: may only be told apart, by `at`.
  enum class Kind : std::uint8_t { kStep, kMark } kind = Kind::kStep;
  std::string_view meaning;
};

/// In alphabetical order.
std::span<const StepInfo> all_steps();
/// Whether scenarios on the simulated process can come there: not by ioctls, nor on live memory.
bool in_simulation(const StepInfo& step);
/// nullptr: there is none.
const StepInfo* find_step(std::string_view name);

}  // namespace softxe::scenario
