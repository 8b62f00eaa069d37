// Whether a recorded run fits together: causes of events, and the totals of its report.
#pragma once

#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// The first thing that does not fit, in words; empty when all does. Of a run that lost events only what is there is
/// checked, and the answer is empty.
std::string check_trace(TraceReader& trace);

}  // namespace softxe::trace
