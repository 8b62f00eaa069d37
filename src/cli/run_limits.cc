#include "cli/run_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdint>

#include "cli/commands.h"
#include "cli/words.h"
#include "preload/slots.h"

namespace softxe::cli {

namespace {

/// Heap, tables and stacks of the runtime, before the program's own memory.
constexpr std::uint64_t kRuntimeBytes = 800ull << 20;

/// A limit of address space, and how often the VRAM of all devices counts against it: its window is private memory;
/// the place for buffer objects is shared memory.
struct SpaceLimit {
  int resource;
  const char* option;
  unsigned times;
};
constexpr std::array kSpaceLimits{SpaceLimit{RLIMIT_AS, "ulimit -v", 2}, SpaceLimit{RLIMIT_DATA, "ulimit -d", 1}};

/// RLIM_INFINITY when there is none.
std::uint64_t limit_of(int resource) {
  rlimit limit{};
  return getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace

Answer<void> check_machine() {
  if (access("/proc/self/maps", R_OK) != 0) {
    return refuse(kExitUsage, "/proc is not mounted here, and nothing works without it: mount -t proc proc /proc");
  }
  if (const std::uint64_t limit = limit_of(RLIMIT_FSIZE); limit < sizeof(preload::SlotFile)) {
    return refuse(kExitUsage, fmt::format("ulimit -f allows files of {}; the counters of a run need one of {} "
                                          "(mostly a hole): ulimit -f unlimited",
                                          size_text(limit), size_text(sizeof(preload::SlotFile))));
  }
  return {};
}

std::vector<std::string> tight_limits(const preload::Settings& settings) {
  std::uint64_t vram = 0;
  for (const DeviceConfig& device : settings.devices) vram += device.vram_bytes * device.profile->tiles;
  std::vector<std::string> found;
  for (const SpaceLimit& one : kSpaceLimits) {
    const std::uint64_t limit = limit_of(one.resource);
    const std::uint64_t needed = vram * one.times + kRuntimeBytes;
    if (limit >= needed) continue;
    found.push_back(
        fmt::format("{} allows {} of address space, {} with {} of VRAM need about {}: devices will probably "
                    "not open. Use {} unlimited, or less VRAM (--vram)",
                    one.option, size_text(limit),
                    settings.devices.size() == 1 ? "1 device" : fmt::format("{} devices", settings.devices.size()),
                    size_text(vram), size_text(needed), one.option));
  }
  return found;
}

}  // namespace softxe::cli
