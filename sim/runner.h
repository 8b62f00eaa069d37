// Runs a list of operations on the engine and on the model, and compares the two after every step.
//
// Compared: VMAs and their attributes, ranges, outcomes, every page's contents, the PTEs (present
// only where allowed, and then for the page's one home), VRAM accounting, counters; plus the
// engine's own checks (svm/self_check.h). A failure is a text; run_apart() survives aborts.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "sim/world.h"

namespace softxe::sim {

struct Failure {
  std::size_t step = 0;
  std::string what;
  std::string expectations;                    ///< the model's view then, as scenario lines
  std::map<std::size_t, Happened> happened{};  ///< by operation, where there is something to say
};

/// In this process: a broken engine assertion ends it.
std::optional<Failure> run_here(const Config& config, const std::vector<Op>& ops);
/// In a child process, for engines that may abort; the text says so.
std::optional<Failure> run_apart(const Config& config, const std::vector<Op>& ops);

/// Removes operations as long as the rest fails too (delta debugging), for at most `seconds`.
std::vector<Op> shrink(const Config& config, std::vector<Op> ops, unsigned seconds);
std::string scenario_text(const Config& config, const std::vector<Op>& ops, const Failure& failure,
                          const std::string& why);

/// Runs one seed apart. On failure: shrinks, writes DIR/sim-SEED.softxe and returns a report.
struct Effort {
  std::uint64_t steps = 300;
  unsigned shrink_seconds = 60;
};
std::optional<std::string> try_seed(std::uint64_t seed, const Effort& effort, const std::string& directory);

}  // namespace softxe::sim
