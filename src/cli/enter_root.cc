#include "cli/enter_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/commands.h"

namespace softxe::cli {

namespace {

tl::unexpected<Refusal> cannot(const std::string& what) {
  return refuse(kExitUsage, fmt::format("--root: cannot {}: {}{}", what, std::strerror(errno),
                                        geteuid() == 0 ? "" : "; root may: sudo softxe run --root ..."));
}

/// What a program finds in every root.
struct RootMount {
  const char* folder;
  const char* sign;  ///< a name in it, when it is there already
  const char* type;  ///< of a file system of its own, or null
  unsigned long flags;
  bool needed;  ///< otherwise a root that has no such folder, or may not have it mounted, does without
};
constexpr RootMount kRootMounts[] = {
    {"/proc", "/self", "proc", 0, true},
    {"/dev", "/null", nullptr, 0, true},
    // The processors, for libraries that count them. Not to be written through: a test program unbinds consoles there.
    {"/sys", "/devices", "sysfs", MS_RDONLY, false},
};

bool is_there(const std::string& root, const RootMount& m) {
  return access((root + m.folder + m.sign).c_str(), F_OK) == 0;
}

/// In user namespaces only what is mounted already may be mounted again. False: errno says why.
bool mount_in(const std::string& root, const RootMount& m) {
  const std::string at = root + m.folder;
  if (m.type != nullptr && mount(m.type, at.c_str(), m.type, m.flags, nullptr) == 0) return true;
  if (mount(m.folder, at.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return false;
  if ((m.flags & MS_RDONLY) == 0) return true;
  struct mount_attr attr {};
  attr.attr_set = MOUNT_ATTR_RDONLY;
  if (syscall(SYS_mount_setattr, AT_FDCWD, at.c_str(), AT_RECURSIVE, &attr, sizeof attr) == 0) return true;
  const int err = errno;
  umount2(at.c_str(), MNT_DETACH);
  errno = err;
  return false;
}

}  // namespace

Answer<void> enter_root(const std::string& root) {
  bool own_mounts = false;
  for (const RootMount& m : kRootMounts) {
    if (is_there(root, m)) continue;
    if (!own_mounts && (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
      if (!m.needed) continue;
      return cannot("make mounts of its own");
    }
    own_mounts = true;
    if (!mount_in(root, m) && m.needed) return cannot("mount " + root + m.folder);
  }
  if (chroot(root.c_str()) != 0 || chdir("/") != 0) return cannot("enter " + root);
  return {};
}

}  // namespace softxe::cli
