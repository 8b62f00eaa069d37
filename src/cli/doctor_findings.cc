#include "cli/doctor_findings.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <cstring>

#include "cli/migration_level.h"
#include "cli/proc_facts.h"
#include "cli/words.h"
#include "preload/slots.h"

namespace softxe::cli {

namespace {

using Effect = Finding::Effect;

Finding level_finding(const live::LadderReport& ladder) {
  const LevelCause cause = cause_of_level(ladder);
  Finding finding{.name = "migration level", .found = live::rung_name(ladder.rung), .means = {}, .cures = {}};
  if (cause == LevelCause::kNothing) {
    finding.means = "pages migrate; system calls on VRAM pages work";
    return finding;
  }
  finding.means = fmt::format("{} ({})", cause_text(cause), std::strerror(ladder.refusal_errno));
  finding.cures = cures_of_level(cause);
  finding.effect = Effect::kLimitsRun;
  return finding;
}

void kernel_findings(const live::LadderReport& ladder, std::vector<Finding>& all) {
  utsname kernel{};
  uname(&kernel);
  const auto yes_no = [](bool is) { return std::string(is ? "yes" : "no"); };
  using Defect = live::LadderReport::Defect;
  const char* defect = ladder.move_defect == Defect::kPresent  ? "present"
                       : ladder.move_defect == Defect::kAbsent ? "not seen"
                                                               : "not tested";
  all.push_back({.name = "kernel", .found = kernel.release, .means = {}, .cures = {}});
  all.push_back(level_finding(ladder));
  all.push_back({.name = "UFFDIO_MOVE",
                 .found = yes_no(ladder.has_move),
                 .means = ladder.has_move ? "" : "needs Linux 6.8",
                 .cures = {}});
  all.push_back({.name = "unmap events",
                 .found = yes_no(ladder.has_events),
                 .means = "safety net for system calls that no hook sees",
                 .cures = {}});
  all.push_back({.name = "fork events", .found = yes_no(ladder.has_fork_event), .means = {}, .cures = {}});
  all.push_back({.name = "PROCMAP_QUERY",
                 .found = yes_no(ladder.has_procmap_query),
                 .means = ladder.has_procmap_query ? "" : "/proc/self/maps is parsed instead: slower",
                 .cures = {}});
  all.push_back(
      {.name = "MOVE progress defect", .found = defect, .means = "harmless: it is worked around", .cures = {}});
}

Finding patch_finding(const patch::PatchReport& patches) {
  const bool works = patches.rung != patch::Rung::kEventsOnly;
  return {.name = "libc call sites",
          .found = fmt::format("{} patched, {} refused", patches.patched(), patches.refused()),
          .means = works ? "unmaps are seen before they happen" : patches.why,
          .cures = {},
          .effect = works ? Effect::kNone : Effect::kLimitsRun};
}

/// A limit below `enough` is in the way.
struct LimitRow {
  int resource;
  const char* name;
  const char* option;
  std::uint64_t enough;
  const char* means;
};
constexpr LimitRow kLimits[] = {
    {RLIMIT_AS, "address space", "ulimit -v", 32ull << 30, "VRAM counts twice against it; or run with less --vram"},
    {RLIMIT_DATA, "data", "ulimit -d", 16ull << 30, "VRAM counts against it; or run with less --vram"},
    {RLIMIT_FSIZE, "size of files", "ulimit -f", sizeof(preload::SlotFile), "the counters of a run need more"},
    {RLIMIT_NOFILE, "open files", "ulimit -n", 64, "devices need some descriptors"}};

void limit_findings(std::vector<Finding>& all) {
  for (const LimitRow& row : kLimits) {
    rlimit limit{};
    if (getrlimit(static_cast<__rlimit_resource_t>(row.resource), &limit) != 0) continue;
    const bool unlimited = limit.rlim_cur == RLIM_INFINITY;
    const bool enough = limit.rlim_cur >= row.enough;
    const bool bytes = row.resource != RLIMIT_NOFILE;
    const std::string value = bytes ? size_text(limit.rlim_cur) : fmt::format("{}", limit.rlim_cur);
    all.push_back({.name = fmt::format("{} ({})", row.name, row.option),
                   .found = unlimited ? "unlimited" : value,
                   .means = enough ? "" : row.means,
                   .cures = {},
                   .effect = enough ? Effect::kNone : Effect::kLimitsRun});
    if (!enough) all.back().cures.push_back(fmt::format("{} {}", row.option, bytes ? "unlimited" : "1024"));
  }
}

Finding preload_finding() {
  const char* list = getenv("LD_PRELOAD");
  Finding finding{.name = "LD_PRELOAD", .found = "none", .means = {}, .cures = {}};
  if (list == nullptr || *list == '\0') return finding;
  finding.found = list;
  const bool sanitizer = std::strstr(list, "asan") != nullptr;
  finding.means = sanitizer ? "AddressSanitizer wants to be the first library, and so does softxe: devices do not open"
                            : "loaded behind the library of softxe; libraries that replace mmap or ioctl may disagree "
                              "with it";
  if (sanitizer) finding.effect = Effect::kLimitsRun;
  finding.cures.emplace_back("unset LD_PRELOAD");
  return finding;
}

Finding huge_page_finding() {
  const std::string text = small_file("/sys/kernel/mm/transparent_hugepage/enabled");
  const auto open = text.find('[');
  const auto close = text.find(']');
  Finding finding{.name = "transparent huge pages", .found = "unknown", .means = {}, .cures = {}};
  if (open == std::string::npos || close == std::string::npos) return finding;
  finding.found = text.substr(open + 1, close - open - 1);
  if (finding.found == "never") {
    finding.means = "2 MiB move as 512 pages: correct, but slower";
    finding.cures.emplace_back("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
  }
  return finding;
}

void surrounding_findings(std::vector<Finding>& all) {
  const std::string container = container_name();
  all.push_back({.name = "container",
                 .found = !container.empty()    ? container
                          : in_user_namespace() ? "user namespace"
                                                : "none seen",
                 .means = {},
                 .cures = {}});
  all.push_back({.name = "seccomp",
                 .found = has_seccomp_filter() ? "filtered" : "no filter",
                 .means = has_seccomp_filter() ? "calls that the filter refuses show in the migration level" : "",
                 .cures = {}});
  all.push_back(preload_finding());
  all.push_back({.name = "sanitizers",
                 .found = "thread, undefined",
                 .means = "programs built with -fsanitize=address cannot open devices",
                 .cures = {}});
  const std::string cpu = " " + field_of(small_file("/proc/cpuinfo"), "flags") + " ";
  const bool la57 = cpu.find(" la57 ") != std::string::npos;
  all.push_back({.name = "5-level paging (la57)",
                 .found = la57 ? "yes" : "no",
                 .means = la57 ? "memory that a program asks for above 47 bits stays in system memory" : "",
                 .cures = {}});
  all.push_back(huge_page_finding());
}

}  // namespace

std::vector<Finding> doctor_findings(const live::LadderReport& ladder, const patch::PatchReport& patches) {
  std::vector<Finding> all;
  kernel_findings(ladder, all);
  all.push_back(patch_finding(patches));
  limit_findings(all);
  surrounding_findings(all);
  return all;
}

}  // namespace softxe::cli
