// Limits of this machine and of the caller's shell that decide whether a run can work, as sentences.
#pragma once

#include <string>
#include <vector>

#include "cli/refusal.h"
#include "preload/settings.h"

namespace softxe::cli {

/// Without /proc, or with files limited below what the counters of a run need, nothing works. 125.
Answer<void> check_machine();

/// Limits under which the first open of a device will probably fail, one sentence each; empty: none.
std::vector<std::string> tight_limits(const preload::Settings& settings);

}  // namespace softxe::cli
