// Replays request traces against the VA space and its split planner: the `softxe va-replay` verb.
//
// The file format is described in tests/data/gpuvm/README.md.
#pragma once

#include <cstdio>
#include <span>
#include <string>

namespace softxe {

enum class ReplayMode {
  kPrint,  ///< write every line with the engine's own results in place of the expected ones
  kCheck,  ///< compare; write the differences and at last "N passed, N failed"
};

/// Replays the files in order and writes to `out`. What is counted are request and closing lines.
/// Returns 0, or 1 when a line differs (kCheck), is malformed, or a file cannot be read; complaints
/// about files and lines go to `out` when checking, else to stderr.
int va_replay(std::span<const std::string> files, ReplayMode mode, std::FILE* out);

}  // namespace softxe
