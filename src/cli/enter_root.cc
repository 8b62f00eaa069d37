#include "cli/enter_root.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
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

}  // namespace

Answer<void> enter_root(const std::string& root) {
  const std::string proc = root + "/proc";
  const std::string dev = root + "/dev";
  const bool has_proc = access((proc + "/self").c_str(), F_OK) == 0;
  const bool has_dev = access((dev + "/null").c_str(), F_OK) == 0;
  if (!has_proc || !has_dev) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return cannot("make mounts of its own");
    }
    if (!has_proc && mount("proc", proc.c_str(), "proc", 0, nullptr) != 0) return cannot("mount " + proc);
    if (!has_dev && mount("/dev", dev.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return cannot("mount " + dev);
  }
  if (chroot(root.c_str()) != 0 || chdir("/") != 0) return cannot("enter " + root);
  return {};
}

}  // namespace softxe::cli
