// The report of a run: made from the counter slots, shown as JSON or as text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "preload/slots.h"

namespace softxe::cli {

/// The newest schema of reports, which is written.
inline constexpr const char* kReportSchema = "softxe-report-2";

/// What the runner knows of a run.
struct RunFacts {
  std::vector<std::string> command;
  std::string kernel;  ///< release of the machine's
  std::vector<std::pair<std::string, std::string>> options;
  std::optional<std::uint64_t> seed;  ///< of a deterministic run: of what would be drawn; nothing else is
  std::uint64_t device_count = 0;
  std::uint64_t vram_bytes = 0;   ///< of one device, all tiles together
  std::int64_t started_unix = 0;  ///< seconds
  std::uint64_t started_ns = 0;   ///< CLOCK_MONOTONIC
  std::uint64_t duration_ns = 0;
  int wait_status = 0;  ///< as waitpid() says it
};
/// For the head of a trace, and for a report.
nlohmann::json facts_json(const RunFacts& facts);

/// Schema "softxe-report-2": what was run and how it ended (facts_json()); the run (devices, VRAM of each, duration);
/// processes (pid, exe, profile, rung, devices with their counters and those of their VMs, failed kernels) and the
/// total by counter name. Counter names: base/counters.h. A VM has its ASID and the counters that moved; beyond
/// kVmSlotsMax VMs in a run, a device's others are one entry with ASID 0 and their number. "softxe-report-1", without
/// the facts, is read, too.
nlohmann::json make_report(const preload::SlotFile& slots, const RunFacts& facts);

/// The report as JSON, with a line end.
std::string report_text(const nlohmann::json& report);

}  // namespace softxe::cli
