// What differs between two runs: their reports counter by counter, their traces event by event.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// How much a counter may differ, in percent of the larger value.
struct Tolerances {
  double all = 0;
  std::map<std::string, double> of_counter;  ///< instead
};

/// One line per counter of the totals that differs by more; empty when none does. Durations (_us) are left out unless
/// they are named.
std::string diff_reports(const nlohmann::json& first, const nlohmann::json& second, const Tolerances& tolerances);

/// The first event that differs, with the one before; empty when all are the same. Times, threads and durations do not
/// count; addresses may be others as long as the same one always becomes the same other one.
std::string diff_traces(TraceReader& first, TraceReader& second);

}  // namespace softxe::trace
