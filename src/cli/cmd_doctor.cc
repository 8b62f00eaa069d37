#include <fmt/format.h>

#include <sys/utsname.h>
#include <cstdio>
#include <cstring>

#include "cli/commands.h"
#include "host/live/uffd.h"
#include "host/patch/patcher.h"

namespace softxe::cli {

namespace {

void say(const char* what, const std::string& found, const char* means) {
  std::printf("%-28s %-30s %s\n", what, found.c_str(), means);
}

}  // namespace

int doctor() {
  utsname kernel{};
  uname(&kernel);
  say("kernel", kernel.release, "");
  // The patcher needs a process with one thread: before the probe of the defect starts its own.
  patch::install({.call = [](patch::SyscallArgs& args) { return patch::raw_syscall(args); },
                  .fork = {},
                  .signals = patch::SignalPolicy::kLeave});
  const patch::PatchReport& patches = patch::report();
  const live::LadderReport ladder = live::probe(live::DefectProbe::kRun50Ms);

  say("userfaultfd", live::rung_name(ladder.rung),
      ladder.rung == live::Rung::kFull       ? "pages migrate; system calls on VRAM pages work"
      : ladder.rung == live::Rung::kUserOnly ? "only ranges the client named migrate"
                                             : "no migration: the GPU uses system memory in place");
  if (ladder.refusal_errno != 0) say("", std::strerror(ladder.refusal_errno), "why not the full rung");
  say("UFFDIO_MOVE", ladder.has_move ? "yes" : "no", ladder.has_move ? "" : "needs kernel 6.8");
  say("unmap events", ladder.has_events ? "yes" : "no", "safety net for raw system calls");
  say("fork events", ladder.has_fork_event ? "yes" : "no", "");
  say("PROCMAP_QUERY", ladder.has_procmap_query ? "yes" : "no",
      ladder.has_procmap_query ? "" : "/proc/self/maps is parsed instead");
  say("MOVE progress defect",
      ladder.move_defect == live::LadderReport::Defect::kPresent  ? "present"
      : ladder.move_defect == live::LadderReport::Defect::kAbsent ? "not seen"
                                                                  : "not tested",
      "harmless: the protocol absorbs it");
  say("libc call sites", fmt::format("{} patched, {} refused", patches.patched(), patches.refused()),
      patches.rung == patch::Rung::kEventsOnly ? patches.why : "unmaps are seen before they happen");
  const bool full = ladder.rung == live::Rung::kFull && patches.rung != patch::Rung::kEventsOnly;
  std::printf("\n%s\n", full ? "A full run is possible." : "A run is possible with the limits above.");
  return full ? 0 : 1;
}

}  // namespace softxe::cli
