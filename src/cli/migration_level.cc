#include "cli/migration_level.h"

#include <cerrno>

#include "cli/proc_facts.h"

namespace softxe::cli {

std::string meaning_of_level(std::string_view level) {
  if (level == "none") {
    return "nothing migrates: the GPU uses the program's pages where they are; `softxe doctor` names the cure";
  }
  if (level == "user-only") {
    return "pages migrate only where the program names them (madvise, prefetch), and system calls on them may fail "
           "with "
           "EFAULT; `softxe doctor` names the cure";
  }
  return {};
}

LevelCause cause_of_level(const live::LadderReport& ladder) {
  if (ladder.rung == live::Rung::kFull) return LevelCause::kNothing;
  if (ladder.lacked_descriptors) return LevelCause::kNoDescriptors;
  if (has_seccomp_filter()) return LevelCause::kSandbox;
  if (ladder.refusal_errno == ENOSYS) return LevelCause::kNoUserfaultfd;
  const bool unmoved = ladder.rung == live::Rung::kNone && !ladder.has_move;
  return unmoved && kernel_is_before({6, 8}) ? LevelCause::kOldKernel : LevelCause::kNoPrivilege;
}

const char* cause_text(LevelCause cause) {
  switch (cause) {
    case LevelCause::kNothing: return "";
    case LevelCause::kOldKernel: return "this kernel cannot move pages (UFFDIO_MOVE): Linux 6.8 or later does";
    case LevelCause::kNoUserfaultfd: return "this kernel has no userfaultfd, or a sandbox hides it";
    case LevelCause::kSandbox: return "a seccomp filter, probably that of a container, refuses userfaultfd";
    case LevelCause::kNoPrivilege: return "this user may not have a userfaultfd that serves system calls";
    case LevelCause::kNoDescriptors: return "no free file descriptor";
  }
  return "";
}

std::vector<std::string> cures_of_level(LevelCause cause) {
  switch (cause) {
    case LevelCause::kNothing: return {};
    case LevelCause::kOldKernel: return {"sudo apt install -t bookworm-backports linux-image-amd64"};
    case LevelCause::kNoUserfaultfd:
    case LevelCause::kSandbox:
      return {"docker run --device /dev/userfaultfd ...", "docker run --security-opt seccomp=unconfined ..."};
    case LevelCause::kNoPrivilege:
      return {"sudo sysctl -w vm.unprivileged_userfaultfd=1", "sudo chmod a+rw /dev/userfaultfd",
              "sudo softxe run ..."};
    case LevelCause::kNoDescriptors: return {"ulimit -n 1024"};
  }
  return {};
}

}  // namespace softxe::cli
