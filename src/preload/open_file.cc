#include "preload/open_file.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/log.h"
#include "base/raised_limit.h"
#include "base/raw_syscall.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

std::string read_whole(const char* path) {
  std::string text;
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return text;
  char part[4096];
  for (long n = 0; (n = raw_syscall(SYS_read, fd, part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(n));
  raw_syscall(SYS_close, fd);
  return text;
}

/// A memfd with `text`, read from the start. Descriptor or negative errno.
int text_file(std::string_view text, int flags) {
  const RaisedLimit raised(LimitKind::kFileSize);  // the client writes no file here
  const long fd = raw_syscall(SYS_memfd_create, "softxe-text", (flags & O_CLOEXEC) != 0 ? 1u : 0u);
  if (fd >= 0) raw_syscall(SYS_pwrite64, fd, text.data(), text.size(), 0);
  return static_cast<int>(fd);
}

/// Puts the text behind the descriptor that showed the empty shadow file.
int serve_text(int fd, int flags, std::string_view text) {
  const int made = text_file(text, 0);
  if (made < 0) {
    raw_syscall(SYS_close, fd);
    return made;
  }
  raw_syscall(SYS_dup3, made, fd, flags & O_CLOEXEC);
  raw_syscall(SYS_close, made);
  return fd;
}

/// sysfs refuses a descriptor for an access that the attribute does not have, even to root.
bool refused_by_sysfs(int fd, int flags, const std::string& path) {
  if ((flags & O_ACCMODE) == O_RDONLY || file_system_of(path) != FileSystemKind::kSysfs) return false;
  struct stat st {};
  return raw_syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0222) == 0;
}

/// Who looks at the power state of a card that this process has not opened finds it awake, and makes no session.
int give_power(int fd, int flags, const DynamicFile& file, const std::string& path) {
  const SteadyClock clock;
  RuntimePm awake(clock);
  const auto text = read_power(file.power, awake, settings().devices.at(file.device), 0);
  const int served = serve_text(fd, flags, text ? *text : std::string());
  if (served >= 0) put_fd(served, std::make_shared<FdObject>(file, path));
  return served;
}

int give_dynamic(int fd, int flags, const DynamicFile& file, const std::string& path) {
  if (file.kind == DynamicKind::kPower && session() == nullptr && (flags & O_ACCMODE) == O_RDONLY)
    return give_power(fd, flags, file, path);
  auto made = session_or_make();
  if (!made) {
    raw_syscall(SYS_close, fd);
    return -ENODEV;
  }
  std::string text;
  if ((flags & O_ACCMODE) != O_WRONLY) {
    auto read = read_dynamic(file, settings().devices.at(file.device), *(*made)->files.at(file.device));
    if (read) text = std::move(*read);
  }
  const int served = serve_text(fd, flags, text);
  if (served >= 0) put_fd(served, std::make_shared<FdObject>(file, path));
  return served;
}

/// The kernel names the timeline after the thread that opens it.
int give_timeline(int fd) {
  if (!session_or_make()) {
    raw_syscall(SYS_close, fd);
    return -ENODEV;
  }
  FenceName name{};
  prctl(PR_GET_NAME, name.data());
  put_fd(fd, std::make_shared<FdObject>(std::make_shared<SwTimeline>(name)));
  return fd;
}

/// Linux opens device nodes for writing there, too; files it refuses.
long open_node_on_read_only_mount(const KernelPath& path, int flags) {
  const int reading = (flags & ~(O_ACCMODE | O_TRUNC)) | O_RDONLY | O_LARGEFILE;
  const long fd = raw_syscall(SYS_openat, path.dirfd(), path.name(), reading, 0);
  if (fd < 0) return fd;
  const auto client_path = client_path_of_fd(static_cast<int>(fd));
  if (client_path && find_device_node(*client_path, settings().devices.size())) return fd;
  raw_syscall(SYS_close, fd);
  return -EROFS;
}

/// Once in a process: no device of this run can be opened by another user or where the run's folder is not mounted.
void say_when_out_of_reach() {
  static constinit std::atomic<bool> looked{false};
  if (looked.exchange(true)) return;
  const std::string& folder = settings().run_dir;
  const long error = raw_syscall(SYS_faccessat, AT_FDCWD, folder.c_str(), X_OK);
  if (error == 0) return;
  SX_ERROR("no device here: {} cannot be reached (errno {}): another user, or a sandbox without it", folder, -error);
}

}  // namespace

int open_suspect(const KernelPath& path, int flags, mode_t mode) {
  if (path.shadow()) {
    // The tree is complete: nothing is created, and an attribute's write replaces its text.
    flags &= ~(O_CREAT | O_TRUNC);
    if ((flags & O_ACCMODE) == O_WRONLY && (flags & (O_PATH | O_APPEND)) == 0) flags |= O_TRUNC;
  }
  long fd = raw_syscall(SYS_openat, path.dirfd(), path.name(), flags | O_LARGEFILE, mode);
  if (fd == -EROFS && path.shadow()) fd = open_node_on_read_only_mount(path, flags);
  if (fd < 0 && path.shadow()) say_when_out_of_reach();
  if (fd < 0 || (flags & O_PATH) != 0) return static_cast<int>(fd);
  return give_meaning(static_cast<int>(fd), flags);
}

int give_meaning(int fd, int flags) {
  const auto path = client_path_of_fd(fd);
  if (!path) return fd;
  if (refused_by_sysfs(fd, flags, *path)) {
    raw_syscall(SYS_close, fd);
    return -EACCES;
  }
  if (const auto node = find_device_node(*path, settings().devices.size()); node) {
    if (const Session* made = session(); made != nullptr && !made->drm->device(node->device).bound()) {
      raw_syscall(SYS_close, fd);
      return -ENODEV;  // Linux has no node then
    }
    auto object = std::make_shared<FdObject>(*node);
    if (auto file = object->drm_file(); !file) {
      raw_syscall(SYS_close, fd);
      return -file.error().err;
    }
    object->mark(fd);
    put_fd(fd, std::move(object));
    return fd;
  }
  if (*path == kSwSyncPath) return give_timeline(fd);
  const auto dynamic = find_dynamic(*path, settings().devices);
  if (!dynamic || dynamic->kind == DynamicKind::kMeminfo) return fd;
  return give_dynamic(fd, flags, *dynamic, *path);
}

int open_fdinfo(int target, int flags) {
  const auto object = find_fd(target);
  if (object == nullptr || object->kind() != FdObject::Kind::kDevice) return -ENOENT;
  auto file = object->drm_file();
  if (!file) return -file.error().err;
  FdinfoFacts facts = (*file)->usage();
  const long open_flags = raw_syscall(SYS_fcntl, target, F_GETFL);
  facts.open_flags = open_flags < 0 ? 0u : static_cast<std::uint32_t>(open_flags);
  return text_file(fdinfo_text(facts), flags);
}

// Only ever grows: Linux keeps a page that is mapped or reserved in the pool when the pool is made smaller,
// and who maps what is not counted here (docs/DEVIATIONS.md).
std::uint64_t pretended_huge_pages() {
  static std::atomic<std::uint64_t> pool{0};
  const std::string path = paths().root() + "/proc/sys/vm/nr_hugepages";
  const std::uint64_t now = std::strtoull(read_whole(path.c_str()).c_str(), nullptr, 0);
  std::uint64_t most = pool.load();
  while (most < now && !pool.compare_exchange_weak(most, now)) {
  }
  return std::max(most, now);
}

int open_meminfo(int flags) {
  const std::uint64_t pages = pretended_huge_pages();
  if (pages == 0) return -ENOENT;
  return text_file(meminfo_text(read_whole("/proc/meminfo"), pages), flags);
}

int flags_of_mode(const char* mode) {
  if (mode == nullptr) return -1;
  const bool both = std::strchr(mode, '+') != nullptr;
  int flags = both ? O_RDWR : O_WRONLY;
  switch (*mode) {
    case 'r': flags = both ? O_RDWR : O_RDONLY; break;
    case 'w': flags |= O_CREAT | O_TRUNC; break;
    case 'a': flags |= O_CREAT | O_APPEND; break;
    default: return -1;
  }
  if (std::strchr(mode, 'e') != nullptr) flags |= O_CLOEXEC;
  if (std::strchr(mode, 'x') != nullptr) flags |= O_EXCL;
  return flags;
}

void renew_dynamic_text(int fd, const FdObject& object) {
  const Session* made = session();
  const long flags = raw_syscall(SYS_fcntl, fd, F_GETFL);
  if (made == nullptr || flags < 0 || (flags & O_ACCMODE) == O_WRONLY) return;
  const DynamicFile& file = object.dynamic();
  const auto text = read_dynamic(file, settings().devices.at(file.device), *made->files.at(file.device));
  if (!text) return;
  const RaisedLimit raised(LimitKind::kFileSize);
  raw_syscall(SYS_ftruncate, fd, 0);
  raw_syscall(SYS_pwrite64, fd, text->data(), text->size(), 0);
}

long write_dynamic_text(const FdObject& object, std::string_view text) {
  auto made = session_or_make();
  if (!made) return -ENODEV;
  DynamicFile file = object.dynamic();
  if (file.kind == DynamicKind::kBind || file.kind == DynamicKind::kUnbind) {
    const auto device = find_slot(text, settings().devices.size());
    if (!device) return -ENODEV;
    file.device = *device;
  }
  const Status done = write_dynamic(file, text, settings().devices.at(file.device), *(*made)->files.at(file.device));
  if (!done) {
    SX_DEBUG("write to {}: {}", object.client_path(), done.error().why);
    return -done.error().err;
  }
  return static_cast<long>(text.size());
}

}  // namespace softxe::preload
