#include "cli/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <optional>

#include "base/counter_check.h"
#include "cli/commands.h"
#include "cli/expect.h"

namespace softxe::cli {

namespace {

constexpr const char* kSchema = "softxe-report-2";

nlohmann::json counters_json(const CounterWords& words) {
  nlohmann::json counters = nlohmann::json::object();
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    counters[kCounterNames[i]] = words.value[i].load(std::memory_order_relaxed);
  }
  return counters;
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes >= 10ull << 20) return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
  if (bytes >= 10ull << 10) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / (1 << 10));
  return fmt::format("{} B", bytes);
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
        if (vms > device.at("counters").at(kCounterNames[i]).get<std::uint64_t>()) {
          return fmt::format("{}: {} of the VMs together exceeds the device's", where, kCounterNames[i]);
        }
      }
    }
  }
  return check(report.at("total"), "total");
}

/// Temporary file and rename, so that a reader never sees half a report. EXXX of the system call.
int write_report(const nlohmann::json& report, const std::string& path) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream out(temporary, std::ios::trunc);
    out << report.dump(1) << '\n';
    out.flush();
    if (!out) return errno != 0 ? errno : EIO;
  }
  return std::rename(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
}

/// What was faulted, moved, reset, and why, in the words of a driver engineer.
std::string summary_text(const nlohmann::json& report) {
  const nlohmann::json& total = report.at("total");
  // A report of an earlier version lacks the newest counters.
  auto n = [&](const char* name) { return total.value(name, std::uint64_t{0}); };
  std::string text;
  auto line = [&](const std::string& what, const std::string& value, const std::string& detail) {
    text += fmt::format("  {:<28} {:>12}   {}\n", what, value, detail);
  };
  auto count = [&](const char* name) { return fmt::format("{}", n(name)); };
  text += fmt::format("softxe: {} process(es) used a device\n", report.at("processes").size());
  line("GPU page faults", count("gpu_fault_count"),
       fmt::format("read {}, write {}, atomic {}; failed {}", n("gpu_fault_read_count"), n("gpu_fault_write_count"),
                   n("gpu_fault_atomic_count"), n("gpu_fault_failed_count")));
  line("  of them on shared memory", count("svm_pagefault_count"),
       fmt::format("by range size: 4K {}, 64K {}, 2M {}; looked again after a reset {}", n("svm_4K_pagefault_count"),
                   n("svm_64K_pagefault_count"), n("svm_2M_pagefault_count"), n("svm_fault_again_count")));
  line("moved to VRAM", count("svm_migrate_to_vram_count"),
       fmt::format("{}; by GPU faults {}, by prefetch {}; refused {}", bytes_text(n("svm_migrate_to_vram_bytes")),
                   n("svm_migrate_to_vram_gpu_fault_count"), n("svm_migrate_to_vram_prefetch_count"),
                   n("svm_migrate_to_vram_failed_count")));
  line("moved back to system memory", count("svm_migrate_to_system_count"),
       fmt::format("{}; by CPU faults {}, eviction {}, fork {}, mapping changes {}",
                   bytes_text(n("svm_migrate_to_system_bytes")), n("svm_cpu_fault_count"), n("svm_eviction_count"),
                   n("svm_fork_evict_count"), n("svm_mapping_evict_count")));
  line("CPU faults served", count("svm_cpu_fault_count"), bytes_text(n("svm_cpu_fault_bytes")));
  line("munmap and the like seen", count("svm_unmap_event_count"),
       fmt::format("other CPU-side events {}", n("svm_invalidate_event_count")));
  line("SVM ranges created", count("svm_range_created_count"),
       fmt::format("collected {}", n("svm_range_collected_count")));
  line("attribute resets", count("svm_attribute_reset_count"),
       fmt::format("VMAs split {}, merged {}", n("vma_split_count"), n("vma_merge_count")));
  line("TLB invalidations", count("tlb_inval_count"), fmt::format("{} pages zapped", n("pte_zap_count")));
  line("kernels", count("eu_kernel_count"),
       fmt::format("{} groups, {} threads, {} work items; failed {}", n("eu_group_count"), n("eu_thread_count"),
                   n("eu_lane_count"), n("eu_kernel_failed_count")));
  line("  their instructions", count("eu_instruction_count"),
       fmt::format("{} messages; {} GPU page faults", n("eu_send_count"), n("eu_fault_count")));
  line("ioctls", count("exec_count") + " EXEC",
       fmt::format("{} VM_BIND, {} MADVISE", n("vm_bind_count"), n("madvise_count")));
  for (const nlohmann::json& process : report.at("processes")) {
    for (const nlohmann::json& failure : process.value("kernel_failures", nlohmann::json::array())) {
      text += fmt::format("  process {}: kernel at {} failed at {}: {}: {}\n", process.at("pid").get<unsigned>(),
                          failure.at("kernel").get<std::string>(), failure.at("instruction").get<std::string>(),
                          failure.at("text").get<std::string>(), failure.at("reason").get<std::string>());
    }
  }
  return text;
}

}  // namespace

nlohmann::json facts_json(const RunFacts& facts) {
  nlohmann::json options = nlohmann::json::object();
  for (const auto& [name, value] : facts.options) options[name] = value;
  return {{"softxe", SOFTXE_VERSION}, {"command", facts.command},           {"options", std::move(options)},
          {"kernel", facts.kernel},   {"started_unix", facts.started_unix}, {"started_ns", facts.started_ns}};
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
  report["schema"] = kSchema;
  report["duration_ns"] = facts.duration_ns;
  if (WIFEXITED(facts.wait_status)) report["exit_status"] = WEXITSTATUS(facts.wait_status);
  if (WIFSIGNALED(facts.wait_status)) report["signal"] = WTERMSIG(facts.wait_status);
  report["processes"] = std::move(processes);
  report["total"] = std::move(sums);
  return report;
}

int deliver_report(const nlohmann::json& report, const ReportWish& wish) {
  const int error = wish.file.empty() ? 0 : write_report(report, wish.file);
  if (wish.summary) std::fprintf(stderr, "%s", summary_text(report).c_str());
  return error;
}

int show_report(const ReportOptions& options) {
  std::ifstream in(options.file);
  const auto report = nlohmann::json::parse(in, nullptr, false);
  if (report.is_discarded() || !report.contains("total")) {
    std::fprintf(stderr, "softxe report: %s is not a report\n", options.file.c_str());
    return kExitUsage;
  }
  std::printf("%s", summary_text(report).c_str());
  auto wanted = wanted_of(options.tests);
  if (!wanted) {
    std::fprintf(stderr, "softxe report: %s\n", wanted.error().c_str());
    return kExitUsage;
  }
  if (!pass_judgement("softxe report", options.tests, judge(report, *wanted))) return 1;
  if (!options.check) return 0;
  const std::string broken = check_report(report);
  if (!broken.empty()) std::printf("the numbers do not fit: %s\n", broken.c_str());
  return broken.empty() ? 0 : 1;
}

}  // namespace softxe::cli
