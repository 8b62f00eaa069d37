// The report of a run: made from the counter slots, shown as JSON or as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "preload/slots.h"

namespace softxe::cli {

/// schema "softxe-report-1": processes (pid, exe, profile, devices with their counters) and the total by
/// counter name. Counter names: base/counters.h.
nlohmann::json make_report(const preload::SlotFile& slots);

/// Temporary file and rename, so that a reader never sees half a report. EXXX of the system call.
int write_report(const nlohmann::json& report, const std::string& path);

/// What was faulted, moved, reset, and why, in the words of a driver engineer.
std::string summary_text(const nlohmann::json& report);

}  // namespace softxe::cli
