// The report of a run: made from the counter slots, shown as JSON or as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "preload/slots.h"

namespace softxe::cli {

/// schema "softxe-report-1": processes (pid, exe, profile, devices with their counters and those of their
/// VMs) and the total by counter name. Counter names: base/counters.h. A VM has its ASID and the counters
/// that moved; beyond kVmSlotsMax VMs in a run, a device's others are one entry with ASID 0 and their number.
nlohmann::json make_report(const preload::SlotFile& slots);

/// The first thing in the report that cannot be (base/counter_check.h); empty when all numbers fit. Of a run
/// that was killed half-way some may not.
std::string check_report(const nlohmann::json& report);

/// Temporary file and rename, so that a reader never sees half a report. EXXX of the system call.
int write_report(const nlohmann::json& report, const std::string& path);

/// What was faulted, moved, reset, and why, in the words of a driver engineer.
std::string summary_text(const nlohmann::json& report);

}  // namespace softxe::cli
