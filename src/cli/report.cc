#include "cli/report.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>

#include "base/counter_check.h"
#include "cli/commands.h"
#include "cli/input_file.h"
#include "cli/report_check.h"
#include "cli/run_summary.h"

namespace softxe::cli {

namespace {

constexpr const char* kSchema = "softxe-report-1";

nlohmann::json counters_json(const CounterWords& words) {
  nlohmann::json counters = nlohmann::json::object();
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    counters[kCounterNames[i]] = words.value[i].load(std::memory_order_relaxed);
  }
  return counters;
}

/// A VM's numbers: what never happened in it is left out.
nlohmann::json vm_json(std::uint32_t asid, const CounterWords& words) {
  nlohmann::json counters = nlohmann::json::object();
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const std::uint64_t value = words.value[i].load(std::memory_order_relaxed);
    if (value != 0) counters[kCounterNames[i]] = value;
  }
  return {{"asid", asid}, {"counters", std::move(counters)}};
}

nlohmann::json vms_json(const preload::SlotFile& slots, std::uint32_t process, std::uint32_t device) {
  nlohmann::json vms = nlohmann::json::array();
  const std::uint32_t used = std::min(slots.vms_used.load(), preload::kVmSlotsMax);
  for (std::uint32_t i = 0; i < used; ++i) {
    const preload::VmSlot& slot = slots.vms[i];
    if (slot.process.load() == process + 1 && slot.device == device) {
      vms.push_back(vm_json(slot.asid, slot.counters));
    }
  }
  const preload::ProcessSlot& owner = slots.slots[process];
  if (const std::uint32_t others = owner.other_vm_count[device].load(); others != 0) {
    nlohmann::json shared = vm_json(0, owner.other_vms[device]);
    shared["vm_count"] = others;
    vms.push_back(std::move(shared));
  }
  return vms;
}

std::string hex(std::uint64_t number) { return fmt::format("{:#x}", number); }

/// Kernels with illegal or unsupported instructions, the first few of a process.
nlohmann::json kernel_failures_json(const preload::ProcessSlot& slot) {
  nlohmann::json failures = nlohmann::json::array();
  for (const auto& failure : slot.kernel_failures) {
    if (failure.written.load(std::memory_order_acquire) == 0) continue;
    failures.push_back({{"device", failure.device},
                        {"kernel", hex(failure.what.kernel)},
                        {"instruction", hex(failure.what.instruction)},
                        {"text", failure.what.text.data()},
                        {"reason", failure.what.reason.data()},
                        {"group", failure.what.group},
                        {"thread", failure.what.thread}});
  }
  return failures;
}

/// schema "softxe-report-1": the run (devices, VRAM of each, duration), processes (pid, exe, profile, rung, devices
/// with their counters and those of their VMs, failed kernels) and the total by counter name. Counter names:
/// base/counters.h. A VM has its ASID and the counters that moved; beyond kVmSlotsMax VMs in a run, a device's others
/// are one entry with ASID 0 and their number.
nlohmann::json make_report(const preload::SlotFile& slots, const RunFacts& facts) {
  nlohmann::json processes = nlohmann::json::array();
  std::array<std::uint64_t, kCounterCount> total{};
  const std::uint32_t used = std::min(slots.used.load(), preload::kSlotsMax);
  for (std::uint32_t i = 0; i < used; ++i) {
    const preload::ProcessSlot& slot = slots.slots[i];
    if (slot.pid.load() == 0) continue;
    nlohmann::json devices = nlohmann::json::array();
    for (std::uint32_t d = 0; d < slot.device_count && d < preload::kSlotDevices; ++d) {
      devices.push_back({{"index", d}, {"counters", counters_json(slot.devices[d])}, {"vms", vms_json(slots, i, d)}});
      for (std::size_t c = 0; c < kCounterCount; ++c) {
        total[c] += slot.devices[d].value[c].load(std::memory_order_relaxed);
      }
    }
    processes.push_back({{"pid", slot.pid.load()},
                         {"exe", slot.exe},
                         {"profile", slot.profile},
                         {"rung", slot.rung},
                         {"kernel_failures", kernel_failures_json(slot)},
                         {"devices", std::move(devices)}});
  }
  nlohmann::json sums = nlohmann::json::object();
  for (std::size_t c = 0; c < kCounterCount; ++c) sums[kCounterNames[c]] = total[c];
  nlohmann::json run = {
      {"device_count", facts.device_count}, {"vram_bytes", facts.vram_bytes}, {"milliseconds", facts.milliseconds}};
  return {
      {"schema", kSchema}, {"run", std::move(run)}, {"processes", std::move(processes)}, {"total", std::move(sums)}};
}

/// The first thing in the report that cannot be (base/counter_check.h); empty when all numbers fit.
/// Of a run that was killed half-way some may not.
std::string check_report(const nlohmann::json& report) {
  const auto check = [](const nlohmann::json& counters, const std::string& where) -> std::string {
    const std::string broken = broken_identity(
        [&](Counter c) { return counters.value(kCounterNames[static_cast<std::size_t>(c)], std::uint64_t{0}); },
        std::nullopt);
    return broken.empty() ? broken : where + ": " + broken;
  };
  for (const nlohmann::json& process : report.at("processes")) {
    for (const nlohmann::json& device : process.at("devices")) {
      const auto where =
          fmt::format("process {}, device {}", process.at("pid").get<unsigned>(), device.at("index").get<unsigned>());
      if (auto broken = check(device.at("counters"), where); !broken.empty()) return broken;
      for (std::size_t i = 0; i < kCounterCount; ++i) {
        std::uint64_t vms = 0;
        for (const nlohmann::json& vm : device.at("vms")) {
          vms += vm.at("counters").value(kCounterNames[i], std::uint64_t{0});
        }
        if (vms > device.at("counters").value(kCounterNames[i], std::uint64_t{0})) {
          return fmt::format("{}: {} of the VMs together exceeds the device's", where, kCounterNames[i]);
        }
      }
    }
  }
  return check(report.at("total"), "total");
}

}  // namespace

std::string report_text(const preload::SlotFile& slots, const RunFacts& facts) {
  // What a program calls itself may be no UTF-8.
  return make_report(slots, facts).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string report_summary(const preload::SlotFile& slots, const RunFacts& facts) {
  return summary_text(make_report(slots, facts));
}

int show_report(const ReportOptions& options) {
  const auto text = read_input(options.file);
  if (!text) {
    complain("report", text.error().why);
    return text.error().status;
  }
  const auto report = nlohmann::json::parse(*text, nullptr, false);
  const std::string wrong = report.is_discarded() ? "not a report of softxe" : wrong_form(report, kSchema);
  if (!wrong.empty()) {
    complain("report", options.file + ": " + wrong);
    return kExitUsage;
  }
  std::printf("%s", summary_text(report).c_str());
  if (!options.check) return 0;
  const std::string broken = check_report(report);
  if (!broken.empty()) std::printf("the numbers do not fit: %s\n", broken.c_str());
  return broken.empty() ? 0 : kExitNo;
}

}  // namespace softxe::cli
