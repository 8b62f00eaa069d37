#include "preload/hooks.h"

#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "base/call_stack.h"
#include "base/log.h"
#include "base/raised_limit.h"
#include "host/live/engine_section.h"
#include "host/patch/patcher.h"
#include "preload/engine_alloc.h"
#include "preload/engine_scope.h"
#include "preload/fd_table.h"
#include "preload/fork_image.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

long on_call(patch::SyscallArgs& call) {
  live::LiveHostMm* mm = live_mm();
  if (mm == nullptr || in_engine()) return patch::raw_syscall(call);
  const EngineMark mark;
  long result = 0;
  on_engine_stack([&] {
    const CallStack stack;
    std::array<long, 6> arguments;
    for (std::size_t i = 0; i < arguments.size(); ++i) arguments[i] = static_cast<long>(call.a[i]);
    result = mm->hook_syscall(call.nr, arguments);
  });
  return result;
}

/// Everything comes home, and no lock that the child needs is held by another thread.
void before_fork() {
  note_fork();
  if (!fork_image_taken()) fork_image_take();
  if (live::LiveHostMm* mm = live_mm(); mm != nullptr) {
    const EngineMark mark;
    on_engine_stack([mm] { mm->fork_before(); });
  }
  fork_image_hold();
  raised_limits_before_fork();
  fd_table_before_fork();
  engine_stacks_before_fork();
  engine_heap_before_fork();
}

void after_fork_parent() {
  engine_heap_after_fork();
  engine_stacks_after_fork();
  fd_table_after_fork();
  raised_limits_after_fork_parent();
  fork_image_release();
  if (live::LiveHostMm* mm = live_mm(); mm != nullptr) mm->fork_after_parent();
}

void after_fork_child() {
  note_fork_child();
  engine_heap_after_fork();
  engine_stacks_after_fork();
  fd_table_after_fork();
  raised_limits_after_fork_child();
  fork_image_keep();
  if (live::LiveHostMm* mm = live_mm(); mm != nullptr) mm->fork_after_child();
  if (patch::active()) patch::deactivate();
  abandon_session();
  live::AdoptedThread::forget_all();
}

// fork() also runs these, around the patched site; what else they do is for where there is none. In the child
// the site's hook has put the hooks to sleep already: a flag tells who acted.
thread_local constinit bool site_acted = false;
thread_local constinit bool in_fork = false;
void at_fork_prepare() {
  site_acted = false;
  in_fork = true;
  if (!fork_image_taken()) fork_image_take();
  if (!sites_are_patched()) before_fork();
}
void at_fork_parent() {
  if (!sites_are_patched()) after_fork_parent();
  fork_image_drop();
  in_fork = false;
}
void at_fork_child() {
  if (!site_acted) after_fork_child();
  site_acted = false;
  in_fork = false;
}

void site_before(unsigned long) { before_fork(); }
void site_parent(long) {
  after_fork_parent();
  if (!in_fork) fork_image_drop();
}
void site_child() {
  site_acted = true;
  after_fork_child();
}

}  // namespace

void install_hooks() {
  patch::HookTable hooks;
  hooks.call = on_call;
  hooks.fork = {.before = site_before, .after_parent = site_parent, .after_child = site_child};
  const char* wanted = getenv("SOFTXE_HOOKS");
  if (wanted == nullptr || std::strcmp(wanted, "symbols") != 0) patch::install(hooks);
  pthread_atfork(at_fork_prepare, at_fork_parent, at_fork_child);
}

void wake_hooks() {
  const patch::PatchReport& report = patch::report();
  SX_INFO("memory calls: {} sites patched, {} refused{}{}", report.patched(), report.refused(),
          report.rung == patch::Rung::kPatched ? "" : ": ", report.rung == patch::Rung::kPatched ? "" : report.why);
  for (const patch::SiteReport& site : report.span()) {
    SX_DEBUG("site {:#x} {}: {}", site.file_address, patch::call_name(site.site.nr),
             site.patched || site.site.refused == nullptr ? "patched" : site.site.refused);
  }
  patch::activate();
}

bool sites_are_patched() { return patch::report().rung != patch::Rung::kEventsOnly && patch::active(); }

}  // namespace softxe::preload
