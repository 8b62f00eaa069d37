// `softxe doctor`: what this machine allows, what that means for a run, and how to change it.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/doctor_findings.h"

namespace softxe::cli {

namespace {

void print_text(const std::vector<Finding>& findings, bool full) {
  for (const Finding& one : findings) {
    std::string line = fmt::format("{:<28} {:<30} {}", one.name, one.found, one.means);
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
  }
  if (full) {
    std::printf("\nA full run is possible.\n");
  } else {
    std::printf("\nPrograms run, but not all of their pages can migrate.\n");
  }
  for (const Finding& one : findings) {
    if (one.cures.empty()) continue;
    std::printf("%s: %s\n", one.name.c_str(), one.cures.size() == 1 ? "type" : "type one of");
    for (const std::string& cure : one.cures) std::printf("  %s\n", cure.c_str());
  }
}

void print_json(const std::vector<Finding>& findings, bool full) {
  nlohmann::json list = nlohmann::json::array();
  for (const Finding& one : findings) {
    list.push_back({{"name", one.name},
                    {"found", one.found},
                    {"means", one.means},
                    {"cures", one.cures},
                    {"limits_run", one.effect == Finding::Effect::kLimitsRun}});
  }
  const nlohmann::json report = {{"schema", "softxe-doctor-1"}, {"full_run", full}, {"findings", std::move(list)}};
  std::printf("%s\n", report.dump(1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

}  // namespace

int doctor(const DoctorOptions& options) {
  // The patcher needs a process with one thread: before the probe of the defect starts its own.
  patch::install({.call = [](patch::SyscallArgs& args) { return patch::raw_syscall(args); },
                  .fork = {},
                  .signals = patch::SignalPolicy::kLeave});
  const patch::PatchReport& patches = patch::report();
  const std::vector<Finding> findings = doctor_findings(live::probe(live::DefectProbe::kRun50Ms), patches);
  bool full = true;
  for (const Finding& one : findings) full = full && one.effect == Finding::Effect::kNone;
  if (options.json) {
    print_json(findings, full);
  } else {
    print_text(findings, full);
  }
  return full ? 0 : kExitNo;
}

}  // namespace softxe::cli
