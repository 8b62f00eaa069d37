// A trace as one page for a browser, which needs nothing else: no network, no other file.
#pragma once

#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// Errors of the file. The page holds every event (56 bytes each, as text 75); more than kViewEventsMax of them, and
/// the first so many are drawn, which the page says.
inline constexpr std::uint64_t kViewEventsMax = 4'000'000;
Status write_view(TraceReader& trace, const std::string& path);

}  // namespace softxe::trace
