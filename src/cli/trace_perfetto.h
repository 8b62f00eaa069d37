// A trace as a timeline for Perfetto (ui.perfetto.dev): tracks for engines and threads, VRAM in use, arrows from cause
// to effect. docs/TRACE.md 6 lists the fields of Perfetto's format that are written.
#pragma once

#include <string>

#include "cli/trace_reader.h"

namespace softxe::trace {

/// The whole timeline in memory, packet by packet.
std::string perfetto_bytes(TraceReader& trace);
/// Errors of the file.
Status write_perfetto(TraceReader& trace, const std::string& path);

}  // namespace softxe::trace
