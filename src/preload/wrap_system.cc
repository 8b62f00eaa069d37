// Privileged calls that a simulated device makes harmless (spec/clients.md 1.3 and 5), and fork().
#include <sys/mount.h>
#include <sys/msg.h>
#include <unistd.h>

#include "abi/vfs.h"
#include "preload/engine_scope.h"
#include "preload/fork_image.h"
#include "preload/interpose.h"
#include "preload/paths.h"

namespace softxe::preload {
namespace {

/// Mounting debugfs or configfs where the shadow tree has it already.
bool is_there_already(const char* target) {
  if (!interposing() || !legible(target)) return false;
  const EngineScope scope;
  return PathMap::is_redirected(target);
}

}  // namespace

SX_INTERPOSE(int, mount,
             (const char* source, const char* target, const char* type, unsigned long flags, const void* data)) {
  static constinit Real<int(const char*, const char*, const char*, unsigned long, const void*)> real{"mount"};
  if (is_there_already(target)) return 0;
  return real(source, target, type, flags, data);
}
SX_INTERPOSE(int, umount, (const char* target)) {
  static constinit Real<int(const char*)> real{"umount"};
  return is_there_already(target) ? 0 : real(target);
}
SX_INTERPOSE(int, umount2, (const char* target, int flags)) {
  static constinit Real<int(const char*, int)> real{"umount2"};
  return is_there_already(target) ? 0 : real(target, flags);
}

// Here and not first in the handlers of pthread_atfork: those of the client run before ours, and an allocator
// that locks its heap in one would keep engine threads from starting that a lock of a VM may wait for.
SX_INTERPOSE(pid_t, fork, ()) {
  static constinit Real<pid_t()> real{"fork"};
  if (interposing()) fork_image_take();
  return real();
}

// A larger queue is a wish: containers refuse it without CAP_SYS_RESOURCE, and messages fit anyway.
SX_INTERPOSE(int, msgctl, (int queue, int command, msqid_ds* data)) {
  static constinit Real<int(int, int, msqid_ds*)> real{"msgctl"};
  const int before = errno;
  const int result = real(queue, command, data);
  if (result == 0 || errno != EPERM || command != IPC_SET || !interposing()) return result;
  errno = before;
  return 0;
}

}  // namespace softxe::preload
