#include "cli/run_summary.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <set>
#include <span>

#include "cli/migration_level.h"
#include "cli/words.h"

namespace softxe::cli {

namespace {

using nlohmann::json;

enum class Unit { kCount, kBytes };

/// A part of a line: shown when it is not zero.
struct Part {
  const char* text;  ///< "reads {}"
  const char* counter;
  Unit unit = Unit::kCount;
};

/// A line: shown when its counter or one of its parts is not zero.
struct Line {
  const char* what;
  const char* counter;
  std::array<Part, 6> parts{};
};

constexpr Line kLines[] = {
    {"GPU page faults",
     "gpu_fault_count",
     {{{"reads {}", "gpu_fault_read_count"},
       {"writes {}", "gpu_fault_write_count"},
       {"atomics {}", "gpu_fault_atomic_count"},
       {"failed {}", "gpu_fault_failed_count"}}}},
    {"  rounds of the SVM handler",
     "svm_pagefault_count",
     {{{"by range size: 4K {}", "svm_4K_pagefault_count"},
       {"64K {}", "svm_64K_pagefault_count"},
       {"2M {}", "svm_2M_pagefault_count"},
       {"again after an attribute reset {}", "svm_fault_again_count"},
       {"again after a race {}", "svm_fault_retry_count"}}}},
    {"moved to VRAM",
     "svm_migrate_to_vram_count",
     {{{"{}", "svm_migrate_to_vram_bytes", Unit::kBytes},
       {"by GPU faults {}", "svm_migrate_to_vram_gpu_fault_count"},
       {"by prefetch {}", "svm_migrate_to_vram_prefetch_count"},
       {"refused {}", "svm_migrate_to_vram_failed_count"}}}},
    {"moved back to system memory",
     "svm_migrate_to_system_count",
     {{{"{}", "svm_migrate_to_system_bytes", Unit::kBytes},
       {"by CPU faults {}", "svm_cpu_fault_count"},
       {"by eviction {}", "svm_eviction_count"},
       {"by fork {}", "svm_fork_evict_count"},
       {"by changes of the mapping {}", "svm_mapping_evict_count"}}}},
    {"munmap and the like", "svm_unmap_event_count", {{{"other CPU-side events {}", "svm_invalidate_event_count"}}}},
    {"SVM ranges created", "svm_range_created_count", {{{"collected {}", "svm_range_collected_count"}}}},
    {"attribute resets",
     "svm_attribute_reset_count",
     {{{"VMAs split {}", "vma_split_count"}, {"VMAs merged {}", "vma_merge_count"}}}},
    {"TLB invalidations", "tlb_inval_count", {{{"pages zapped {}", "pte_zap_count"}}}},
    {"kernels",
     "eu_kernel_count",
     {{{"groups {}", "eu_group_count"},
       {"threads {}", "eu_thread_count"},
       {"work items {}", "eu_lane_count"},
       {"failed {}", "eu_kernel_failed_count"}}}},
    {"  their instructions",
     "eu_instruction_count",
     {{{"messages {}", "eu_send_count"},
       {"to images {}", "eu_image_count"},
       {"texels {}", "eu_texel_count"},
       {"GPU page faults {}", "eu_fault_count"}}}},
    {"EXEC ioctls", "exec_count", {{{"VM_BIND {}", "vm_bind_count"}, {"MADVISE {}", "madvise_count"}}}},
};

/// A report of an earlier version lacks the newest counters.
std::uint64_t number(const json& counters, const char* name) { return counters.value(name, std::uint64_t{0}); }

std::string line_text(const json& total, const Line& line) {
  std::string details;
  for (const Part& part : line.parts) {
    if (part.text == nullptr) break;
    const std::uint64_t value = number(total, part.counter);
    if (value == 0) continue;
    if (!details.empty()) details += ", ";
    const std::string shown = part.unit == Unit::kBytes ? size_text(value) : fmt::format("{}", value);
    details += fmt::format(fmt::runtime(part.text), shown);
  }
  const std::uint64_t value = number(total, line.counter);
  if (value == 0 && details.empty()) return {};
  return fmt::format("  {:<28} {:>12}   {}", line.what, value, details);
}

/// "    0x7f1200000000, 2 MiB, [heap]: 2 MiB to VRAM, 1.9 MiB back"
std::string most_lines(const json& report) {
  std::string text;
  for (const json& most : report.value("moved_most", json::array())) {
    if (text.empty()) text = "  moved most\n";
    const auto name = most.value("name", std::string());
    text += fmt::format("    {:#x}, {}, {}: {} to VRAM, {} back", number(most, "start"),
                        size_text(number(most, "size")), name.empty() ? "memory without a name" : name,
                        size_text(number(most, "to_vram_bytes")), size_text(number(most, "to_system_bytes")));
    if (report.at("processes").size() > 1) text += fmt::format(", process {}", number(most, "pid"));
    text += "\n";
  }
  return text;
}

/// "bmg, 1 device, VRAM 11.9 GiB, migration level full, 0.21 s"
std::string head_line(const json& report) {
  const json& processes = report.at("processes");
  std::string head = fmt::format("softxe: {}", processes.front().at("profile").get<std::string>());
  std::uint64_t devices = processes.front().at("devices").size();
  const json run = report.value("run", json::object());
  devices = run.value("device_count", devices);
  head += fmt::format(", {} device{}", devices, devices == 1 ? "" : "s");
  if (const std::uint64_t vram = number(run, "vram_bytes"); vram != 0) head += ", VRAM " + size_text(vram);
  if (const std::uint64_t peak = number(report.at("total"), "vram_peak_bytes"); peak != 0) {
    head += fmt::format(" (peak {})", size_text(peak));
  }
  if (processes.size() > 1) head += fmt::format(", {} processes", processes.size());
  std::set<std::string> levels;
  for (const json& process : processes) levels.insert(process.at("rung").get<std::string>());
  for (const std::string& level : levels) {
    if (!level.empty()) head += ", migration level " + level;
  }
  // Reports of some versions have the one, of some the other, and of this one both.
  if (run.contains("milliseconds")) {
    head += fmt::format(", {:.2f} s", static_cast<double>(number(run, "milliseconds")) / 1000);
  } else if (const std::uint64_t ns = number(report, "duration_ns"); ns != 0) {
    head += fmt::format(", {:.2f} s", static_cast<double>(ns) / 1e9);
  }
  head += "\n";
  for (const std::string& level : levels) {
    if (const std::string means = meaning_of_level(level); !means.empty()) head += fmt::format("  {}\n", means);
  }
  return head;
}

}  // namespace

std::string summary_text(const json& report) {
  const json& processes = report.at("processes");
  if (processes.empty()) return "softxe: no process opened a device\n";
  std::string text = head_line(report);
  for (const Line& line : kLines) {
    std::string shown = line_text(report.at("total"), line);
    shown.erase(shown.find_last_not_of(' ') + 1);
    if (!shown.empty()) text += shown + "\n";
  }
  text += most_lines(report);
  for (const json& process : processes) {
    for (const json& failure : process.value("kernel_failures", json::array())) {
      text += fmt::format("  process {}: kernel at {} failed at {}: {}: {}\n", process.at("pid").get<std::uint64_t>(),
                          failure.at("kernel").get<std::string>(), failure.at("instruction").get<std::string>(),
                          failure.at("text").get<std::string>(), failure.at("reason").get<std::string>());
    }
  }
  return text;
}

}  // namespace softxe::cli
