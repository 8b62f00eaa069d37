#include "cli/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>

#include "base/counter_check.h"
#include "cli/commands.h"
#include "cli/expect.h"
#include "cli/input_file.h"
#include "cli/report_check.h"
#include "cli/run_summary.h"
#include "cli/version.h"

namespace softxe::cli {

namespace {

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

std::uint64_t peak_of(const preload::ProcessSlot& slot, std::uint32_t device) {
  std::uint64_t bytes = 0;
  for (const auto& tile : slot.vram_peak_bytes[device]) bytes += tile.load(std::memory_order_relaxed);
  return bytes;
}

nlohmann::json process_json(const preload::SlotFile& slots, std::uint32_t index) {
  const preload::ProcessSlot& slot = slots.slots[index];
  nlohmann::json devices = nlohmann::json::array();
  for (std::uint32_t d = 0; d < slot.device_count && d < preload::kSlotDevices; ++d) {
    devices.push_back({{"index", d},
                       {"vram_peak_bytes", peak_of(slot, d)},
                       {"counters", counters_json(slot.devices[d])},
                       {"vms", vms_json(slots, index, d)}});
  }
  return {{"pid", slot.pid.load()},       {"exe", slot.exe},
          {"profile", slot.profile},      {"rung", slot.rung},
          {"opened_ns", slot.opened_ns},  {"kernel_failures", kernel_failures_json(slot)},
          {"devices", std::move(devices)}};
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

nlohmann::json facts_json(const RunFacts& facts) {
  nlohmann::json options = nlohmann::json::object();
  for (const auto& [name, value] : facts.options) options[name] = value;
  nlohmann::json json = {{"softxe", version_text()},           {"command", facts.command},
                         {"options", std::move(options)},      {"kernel", facts.kernel},
                         {"started_unix", facts.started_unix}, {"started_ns", facts.started_ns}};
  if (facts.seed) json["seed"] = *facts.seed;
  return json;
}

nlohmann::json make_report(const preload::SlotFile& slots, const RunFacts& facts) {
  nlohmann::json processes = nlohmann::json::array();
  std::array<std::uint64_t, kCounterCount> total{};
  std::uint64_t peak_bytes = 0;  // of processes one after the other or together: the largest of one
  const std::uint32_t used = std::min(slots.used.load(), preload::kSlotsMax);
  for (std::uint32_t i = 0; i < used; ++i) {
    const preload::ProcessSlot& slot = slots.slots[i];
    if (slot.pid.load() == 0) continue;
    for (std::uint32_t d = 0; d < slot.device_count && d < preload::kSlotDevices; ++d) {
      peak_bytes = std::max(peak_bytes, peak_of(slot, d));
      for (std::size_t c = 0; c < kCounterCount; ++c) {
        total[c] += slot.devices[d].value[c].load(std::memory_order_relaxed);
      }
    }
    processes.push_back(process_json(slots, i));
  }
  nlohmann::json sums = nlohmann::json::object();
  for (std::size_t c = 0; c < kCounterCount; ++c) sums[kCounterNames[c]] = total[c];
  sums["vram_peak_bytes"] = peak_bytes;
  nlohmann::json report = facts_json(facts);
  report["schema"] = kReportSchema;
  report["duration_ns"] = facts.duration_ns;
  report["run"] = {{"device_count", facts.device_count},
                   {"vram_bytes", facts.vram_bytes},
                   {"milliseconds", facts.duration_ns / 1'000'000}};
  if (WIFEXITED(facts.wait_status)) report["exit_status"] = WEXITSTATUS(facts.wait_status);
  if (WIFSIGNALED(facts.wait_status)) report["signal"] = WTERMSIG(facts.wait_status);
  report["processes"] = std::move(processes);
  report["total"] = std::move(sums);
  return report;
}

std::string report_text(const nlohmann::json& report) {
  // What a program calls itself may be no UTF-8.
  return report.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int show_report(const ReportOptions& options) {
  const auto text = read_input(options.file);
  if (!text) return give_up("report", text.error());
  const auto report = nlohmann::json::parse(*text, nullptr, false);
  const std::string wrong = report.is_discarded() ? "not a report of softxe" : wrong_form(report, kReportSchema);
  if (!wrong.empty()) return give_up("report", {kExitUsage, options.file + ": " + wrong});
  std::printf("%s", summary_text(report).c_str());
  auto wanted = wanted_of(options.tests);
  if (!wanted) return give_up("report", {kExitUsage, wanted.error()});
  const Verdict verdict = pass_judgement("report", *wanted, judge(report, *wanted));
  if (verdict != Verdict::kGood) return verdict == Verdict::kBad ? kExitNo : kExitUsage;
  if (!options.check) return 0;
  const std::string broken = check_report(report);
  if (!broken.empty()) std::printf("the numbers do not fit: %s\n", broken.c_str());
  return broken.empty() ? 0 : kExitNo;
}

}  // namespace softxe::cli
