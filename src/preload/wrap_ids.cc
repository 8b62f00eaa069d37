// Calls that change user or group ids. libc lets every thread of the process make the change, by a signal whose
// handler reads the caller's frame: in an engine thread too, which must never wait for a page in VRAM. So
// the caller's stack is pinned first.
#include <grp.h>
#include <unistd.h>

#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

template <typename R, typename... A>
R with_pinned_stack(Real<R(A...)>& real, A... arguments) {
  if (live_mm() != nullptr && !in_engine()) {
    const EngineScope scope;  // what it pins stays pinned
  }
  return real(arguments...);
}

}  // namespace

SX_INTERPOSE(int, setuid, (uid_t id)) {
  static constinit Real<int(uid_t)> real{"setuid"};
  return with_pinned_stack(real, id);
}
SX_INTERPOSE(int, seteuid, (uid_t id)) {
  static constinit Real<int(uid_t)> real{"seteuid"};
  return with_pinned_stack(real, id);
}
SX_INTERPOSE(int, setreuid, (uid_t own, uid_t effective)) {
  static constinit Real<int(uid_t, uid_t)> real{"setreuid"};
  return with_pinned_stack(real, own, effective);
}
SX_INTERPOSE(int, setresuid, (uid_t own, uid_t effective, uid_t saved)) {
  static constinit Real<int(uid_t, uid_t, uid_t)> real{"setresuid"};
  return with_pinned_stack(real, own, effective, saved);
}
SX_INTERPOSE(int, setgid, (gid_t id)) {
  static constinit Real<int(gid_t)> real{"setgid"};
  return with_pinned_stack(real, id);
}
SX_INTERPOSE(int, setegid, (gid_t id)) {
  static constinit Real<int(gid_t)> real{"setegid"};
  return with_pinned_stack(real, id);
}
SX_INTERPOSE(int, setregid, (gid_t own, gid_t effective)) {
  static constinit Real<int(gid_t, gid_t)> real{"setregid"};
  return with_pinned_stack(real, own, effective);
}
SX_INTERPOSE(int, setresgid, (gid_t own, gid_t effective, gid_t saved)) {
  static constinit Real<int(gid_t, gid_t, gid_t)> real{"setresgid"};
  return with_pinned_stack(real, own, effective, saved);
}
SX_INTERPOSE(int, setgroups, (std::size_t count, const gid_t* groups)) {
  static constinit Real<int(std::size_t, const gid_t*)> real{"setgroups"};
  return with_pinned_stack(real, count, groups);
}
SX_INTERPOSE(int, initgroups, (const char* user, gid_t group)) {
  static constinit Real<int(const char*, gid_t)> real{"initgroups"};
  return with_pinned_stack(real, user, group);
}

}  // namespace softxe::preload
