#include "host/patch/selfcheck.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "host/patch/entry.h"

namespace softxe::patch {
namespace {

// An errno that none of these calls sets by itself: seeing it means the probe answered.
constexpr int kAnswer = EOWNERDEAD;
constexpr unsigned long kWaitAllClone = __WALL;

/// One libc function that ends in one patched call. Not called unless libc has at least
/// `sites_needed` patched sites of `site_nr`: an unpatched fork would fork.
struct Trigger {
  long nr;
  long site_nr;
  std::size_t sites_needed;
  long (*call)();
};

void* const kNowhere = reinterpret_cast<void*>(kPageSize);

int never_run(void*) { return 0; }
alignas(16) unsigned char g_unused_stack[1024];

long as_long(void* pointer) { return reinterpret_cast<long>(pointer); }

/// libc's own function: what this library interposes may not come to the site at all.
template <typename F>
F* libc_function(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}
#define SX_LIBC(name) libc_function<decltype(name)>(#name)

// The kernel should never see these calls; if it does, they fail or change nothing.
constexpr Trigger kTriggers[] = {
    {SYS_mmap, SYS_mmap, 1, [] { return as_long(SX_LIBC(mmap)(nullptr, 0, 0, MAP_PRIVATE, -1, 0)); }},
    {SYS_munmap, SYS_munmap, 1, [] { return long{SX_LIBC(munmap)(kNowhere, 0)}; }},
    {SYS_mprotect, SYS_mprotect, 1, [] { return long{SX_LIBC(mprotect)(kNowhere, kPageSize, 0)}; }},
    {SYS_mremap, SYS_mremap, 1, [] { return as_long(SX_LIBC(mremap)(kNowhere, kPageSize, kPageSize, 0)); }},
    {SYS_madvise, SYS_madvise, 1, [] { return long{SX_LIBC(madvise)(kNowhere, kPageSize, MADV_NORMAL)}; }},
    {SYS_shmat, SYS_shmat, 1, [] { return as_long(SX_LIBC(shmat)(-1, nullptr, 0)); }},
    {SYS_shmdt, SYS_shmdt, 1, [] { return long{SX_LIBC(shmdt)(kNowhere)}; }},
    {SYS_mlock, SYS_mlock, 1, [] { return long{SX_LIBC(mlock)(kNowhere, kPageSize)}; }},
    {SYS_mlock2, SYS_mlock2, 1, [] { return long{SX_LIBC(mlock2)(kNowhere, kPageSize, MLOCK_ONFAULT)}; }},
    {SYS_mlock, SYS_mlock, 2, [] { return long{SX_LIBC(mlock2)(kNowhere, kPageSize, 0)}; }},
    {SYS_munlock, SYS_munlock, 1, [] { return long{SX_LIBC(munlock)(kNowhere, kPageSize)}; }},
    {SYS_mlockall, SYS_mlockall, 1, [] { return long{SX_LIBC(mlockall)(0)}; }},
    {SYS_munlockall, SYS_munlockall, 1, [] { return long{SX_LIBC(munlockall)()}; }},
    {SYS_remap_file_pages, SYS_remap_file_pages, 1,
     [] { return long{SX_LIBC(remap_file_pages)(kNowhere, kPageSize, 0, 0, 0)}; }},
    {SYS_pkey_mprotect, SYS_pkey_mprotect, 1, [] { return long{SX_LIBC(pkey_mprotect)(kNowhere, kPageSize, 0, 1)}; }},
    {SYS_process_madvise, SYS_process_madvise, 1,
     [] { return static_cast<long>(SX_LIBC(process_madvise)(-1, nullptr, 0, 0, 0)); }},
    {SYS_clone, SYS_clone, 2, [] { return long{SX_LIBC(_Fork)()}; }},
    {SYS_clone, SYS_clone, 2,
     [] { return long{SX_LIBC(clone)(never_run, g_unused_stack + sizeof g_unused_stack, 0, nullptr)}; }},
    {SYS_munmap, kNrAtRunTime, 1, [] { return SX_LIBC(syscall)(SYS_munmap, kNowhere, 0ul); }},
};

/// The kernel answered a fork trigger after all: ends the child, collects it in the parent.
void undo_real_fork(long result) {
  if (result == 0) raw_syscall(SYS_exit_group, 0);
  if (result > 0) raw_syscall(SYS_wait4, static_cast<unsigned long>(result), 0, kWaitAllClone, 0);
}

/// posix_madvise returns the error instead of setting errno.
bool trigger_posix_madvise(Probe& probe) {
  probe.last_nr = 0;
  const int error = SX_LIBC(posix_madvise)(kNowhere, kPageSize, POSIX_MADV_NORMAL);
  return probe.last_nr == SYS_madvise && error == kAnswer;
}

/// Sets the break to where it is. The probe performs brk, because libc remembers the result.
bool trigger_brk(Probe& probe) {
  probe.last_nr = 0;
  return SX_LIBC(brk)(sbrk(0)) == 0 && probe.last_nr == SYS_brk;
}

/// A wrapper whose first instruction is the site takes the call's own arguments: munmap and mprotect
/// of the loader, which libc never calls. Others are left to real use.
void trigger_loader(PatchReport& report, bool& ok) {
  for (std::size_t i = 0; i < report.site_count; ++i) {
    const SiteReport& s = report.sites[i];
    const bool simple = s.patched && s.library == Library::kLoader && s.starts_function &&
                        (s.site.nr == SYS_munmap || s.site.nr == SYS_mprotect);
    if (!simple) continue;
    using Wrapper = int (*)(void*, std::size_t, int);
    const auto wrapper = reinterpret_cast<Wrapper>(s.site.start.value());
    if (wrapper(kNowhere, kPageSize, PROT_NONE) != -1) ok = false;
  }
}

void mark(PatchReport& report, long site_nr, TestState state) {
  for (std::size_t i = 0; i < report.site_count; ++i) {
    SiteReport& s = report.sites[i];
    if (s.patched && s.library == Library::kLibc && s.site.nr == site_nr) s.test = state;
  }
}

bool run_triggers(PatchReport& report, Probe& probe) {
  bool ok = true;
  for (const Trigger& trigger : kTriggers) {
    if (report.patched(Library::kLibc, trigger.site_nr) < trigger.sites_needed) continue;
    probe.last_nr = 0;
    errno = 0;
    const long result = trigger.call();
    if (probe.last_nr == trigger.nr && result == -1 && errno == kAnswer) continue;
    ok = false;
    mark(report, trigger.site_nr, TestState::kMissed);
    if (trigger.nr == SYS_clone && probe.last_nr == 0) undo_real_fork(result);
  }
  if (report.patched(Library::kLibc, SYS_madvise) >= 2 && !trigger_posix_madvise(probe)) {
    mark(report, SYS_madvise, TestState::kMissed);
    ok = false;
  }
  if (report.patched(Library::kLibc, SYS_brk) >= 1 && !trigger_brk(probe)) {
    mark(report, SYS_brk, TestState::kMissed);
    ok = false;
  }
  trigger_loader(report, ok);
  return ok;
}

}  // namespace

bool run_self_test(PatchReport& report) {
  const int saved_errno = errno;
  const bool was_active = active();
  for (std::size_t i = 0; i < report.site_count; ++i) report.sites[i].test = TestState::kNotTried;
  Probe probe;
  probe.answer = -kAnswer;
  set_thread_probe(&probe);
  activate();
  const bool ok = run_triggers(report, probe);
  if (!was_active) deactivate();
  set_thread_probe(nullptr);
  for (std::size_t i = 0; i < report.site_count; ++i) {
    SiteReport& site = report.sites[i];
    if (site.patched && probe.seen[i]) site.test = TestState::kSeen;
  }
  errno = saved_errno;
  return ok;
}

}  // namespace softxe::patch
