// Runs a list of operations on the engine and on the model, and compares the two after every step.
//
// Compared: VMAs and their attributes, ranges, outcomes, every page's contents, the PTEs (present only where
// allowed, and then for the page's one home), VRAM accounting, counters; plus the engine's own checks
// (spec/svm.md 10.3: I1-I4, I6, I7, I9, I10, I15). A failure is a text; run_apart() survives aborts.
#pragma once

#include <optional>
#include <string>

#include "sim/workload.h"

namespace softxe::sim {

struct Failure {
  std::size_t step = 0;
  std::string what;
};

/// In this process: a broken engine assertion ends it.
std::optional<Failure> run_here(const Config& config, const std::vector<Op>& ops);
/// In a child process, for engines that may abort; the text says so.
std::optional<Failure> run_apart(const Config& config, const std::vector<Op>& ops);

/// Removes operations as long as the rest fails too (delta debugging).
std::vector<Op> shrink(const Config& config, std::vector<Op> ops);

/// Runs one seed apart. On failure: shrinks, writes DIR/sim-SEED.softxe and returns a report.
std::optional<std::string> try_seed(std::uint64_t seed, std::uint64_t steps, const std::string& directory);

}  // namespace softxe::sim
