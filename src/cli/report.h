// The report of a run: made from the counter slots, shown as JSON or as text.
#pragma once

#include <cstdint>
#include <string>

#include "preload/slots.h"

namespace softxe::cli {

/// What the runner knows of a run beside its counters.
struct RunFacts {
  std::uint64_t device_count = 0;
  std::uint64_t vram_bytes = 0;  ///< of one device, all tiles together
  std::uint64_t milliseconds = 0;
};

/// The report as JSON, with a line end.
std::string report_text(const preload::SlotFile& slots, const RunFacts& facts);
/// The same for people (run_summary.h).
std::string report_summary(const preload::SlotFile& slots, const RunFacts& facts);

}  // namespace softxe::cli
