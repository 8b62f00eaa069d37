#include "preload/fd_owner.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>

#include <atomic>

#include "base/raw_syscall.h"
#include "preload/session.h"
#include "preload/thread_ends.h"

namespace softxe::preload {
namespace {

constinit std::atomic<long> owner{0};  ///< 0: nobody has said
thread_local constinit bool unshared = false;

}  // namespace

void note_unshared_fds() { unshared = true; }

void note_fd_owner() {
  owner.store(raw_syscall(SYS_getpid));
  unshared = false;
  forget_other_threads();
}

namespace {

/// A copy of the memory without an engine in it becomes an owner itself: a fork that no hook saw, in a process that had
/// not opened a device.
bool adopt_copy(long self, long known) {
  if (session() != nullptr || raw_syscall(SYS_kcmp, self, known, KCMP_VM, 0, 0) == 0) return false;
  note_fd_owner();
  return true;
}

/// Does the calling process use the owner's table of that kind (KCMP_FILES, KCMP_SIGHAND)?
bool owns(int table) {
  const long self = raw_syscall(SYS_getpid);
  const long known = owner.load(std::memory_order_relaxed);
  if (self == known || known == 0) return true;
  // A process that shares memory may share the table, too (clone with CLONE_FILES, CLONE_SIGHAND).
  return raw_syscall(SYS_kcmp, self, known, table, 0, 0) == 0 || adopt_copy(self, known);
}

}  // namespace

bool in_owner_process() {
  const long self = raw_syscall(SYS_getpid);
  const long known = owner.load(std::memory_order_relaxed);
  return self == known || adopt_copy(self, known);
}

bool owns_fd_table() { return !unshared && owns(KCMP_FILES); }

bool owns_signal_handlers() { return owns(KCMP_SIGHAND); }

}  // namespace softxe::preload
