// The stat family: files of the shadow tree look like the device nodes and sysfs files they stand for.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/raw_syscall.h"
#include "preload/engine_scope.h"
#include "preload/fd_table.h"
#include "preload/interpose.h"
#include "preload/paths.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

/// Opens the file that a call names, without opening what it stands for. Owns the descriptor unless the
/// call named one.
class Looked {
 public:
  Looked(const KernelPath& path, int flags) {
    const int nofollow = (flags & AT_SYMLINK_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
    fd_ = static_cast<int>(raw_syscall(SYS_openat, path.dirfd(), path.name(), O_PATH | O_CLOEXEC | nofollow, 0));
    owned_ = fd_ >= 0;
  }
  explicit Looked(int fd) : fd_(fd) {}
  ~Looked() {
    if (owned_) raw_syscall(SYS_close, fd_);
  }
  Looked(const Looked&) = delete;
  Looked& operator=(const Looked&) = delete;
  int fd() const { return fd_; }
  std::optional<std::string> client_path() const {
    if (const auto object = find_fd(fd_); object != nullptr && !object->client_path().empty())
      return object->client_path();
    return client_path_of_fd(fd_);
  }

 private:
  int fd_ = -1;
  bool owned_ = false;
};

int stat_looked(const Looked& file, struct stat* st) {
  if (file.fd() < 0) return file.fd();
  const long result = raw_syscall(SYS_newfstatat, file.fd(), "", st, AT_EMPTY_PATH);
  if (result != 0) return static_cast<int>(result);
  if (const auto path = file.client_path(); path) disguise(*st, *path);
  return 0;
}

int statx_looked(const Looked& file, int flags, unsigned mask, struct statx* st) {
  if (file.fd() < 0) return file.fd();
  const long result = raw_syscall(SYS_statx, file.fd(), "", flags | AT_EMPTY_PATH, mask, st);
  if (result != 0) return static_cast<int>(result);
  if (const auto path = file.client_path(); path) disguise(*st, *path);
  return 0;
}

int statfs_looked(const Looked& file, struct statfs* st) {
  if (file.fd() < 0) return file.fd();
  // fstatfs() refuses O_PATH descriptors on old kernels; their link in /proc does as well.
  const std::string link = "/proc/thread-self/fd/" + std::to_string(file.fd());
  const long result = raw_syscall(SYS_statfs, link.c_str(), st);
  if (result != 0) return static_cast<int>(result);
  if (const auto path = file.client_path(); path)
    st->f_type = static_cast<__fsword_t>(file_system_magic(file_system_of(*path)));
  return 0;
}

/// True when the call means a file of ours; `result` is then its kernel result.
template <typename Look>
bool looked_at(int dirfd, const char* name, int flags, long& result, Look look) {
  if (!interposing() || !legible(name)) return false;
  return run_in_engine([&] {
    if (*name == '\0') {
      if ((flags & AT_EMPTY_PATH) == 0 || dirfd < 0) return false;
      result = look(Looked(dirfd));
      return true;
    }
    const KernelPath path(dirfd, name);
    if (!path.suspect()) return false;
    result = look(Looked(path, flags));
    return true;
  });
}

int stat_any(int dirfd, const char* name, struct stat* st, int flags) {
  long result = 0;
  const auto look = [st](const Looked& file) { return stat_looked(file, st); };
  if (!looked_at(dirfd, name, flags, result, look)) result = raw_syscall(SYS_newfstatat, dirfd, name, st, flags);
  return libc_result(result);
}

int fstat_any(int fd, struct stat* st) {
  long result = raw_syscall(SYS_fstat, fd, st);
  if (result == 0 && interposing() && (maybe_ours(fd) || st->st_dev == shadow_device())) {
    run_in_engine([=] {
      if (const auto path = Looked(fd).client_path(); path) disguise(*st, *path);
    });
  }
  return libc_result(result);
}

}  // namespace

SX_INTERPOSE(int, stat, (const char* name, struct stat* st)) { return stat_any(AT_FDCWD, name, st, 0); }
SX_INTERPOSE_ALIAS(stat, stat64)
SX_INTERPOSE(int, lstat, (const char* name, struct stat* st)) {
  return stat_any(AT_FDCWD, name, st, AT_SYMLINK_NOFOLLOW);
}
SX_INTERPOSE_ALIAS(lstat, lstat64)
SX_INTERPOSE(int, fstat, (int fd, struct stat* st)) { return fstat_any(fd, st); }
SX_INTERPOSE_ALIAS(fstat, fstat64)
SX_INTERPOSE(int, fstatat, (int dirfd, const char* name, struct stat* st, int flags)) {
  return stat_any(dirfd, name, st, flags);
}
SX_INTERPOSE_ALIAS(fstatat, fstatat64)

// Programs built before glibc 2.33. The version number is fixed on this architecture.
SX_INTERPOSE(int, __xstat, (int, const char* name, struct stat* st)) { return stat_any(AT_FDCWD, name, st, 0); }
SX_INTERPOSE_ALIAS(__xstat, __xstat64)
SX_INTERPOSE(int, __lxstat, (int, const char* name, struct stat* st)) {
  return stat_any(AT_FDCWD, name, st, AT_SYMLINK_NOFOLLOW);
}
SX_INTERPOSE_ALIAS(__lxstat, __lxstat64)
SX_INTERPOSE(int, __fxstat, (int, int fd, struct stat* st)) { return fstat_any(fd, st); }
SX_INTERPOSE_ALIAS(__fxstat, __fxstat64)
SX_INTERPOSE(int, __fxstatat, (int, int dirfd, const char* name, struct stat* st, int flags)) {
  return stat_any(dirfd, name, st, flags);
}
SX_INTERPOSE_ALIAS(__fxstatat, __fxstatat64)

SX_INTERPOSE(int, statx, (int dirfd, const char* name, int flags, unsigned mask, struct statx* st)) {
  long result = 0;
  const auto look = [=](const Looked& file) { return statx_looked(file, flags, mask, st); };
  if (!looked_at(dirfd, name, flags, result, look)) result = raw_syscall(SYS_statx, dirfd, name, flags, mask, st);
  return libc_result(result);
}

SX_INTERPOSE(int, statfs, (const char* name, struct statfs* st)) {
  long result = 0;
  const auto look = [st](const Looked& file) { return statfs_looked(file, st); };
  if (!looked_at(AT_FDCWD, name, 0, result, look)) result = raw_syscall(SYS_statfs, name, st);
  return libc_result(result);
}
SX_INTERPOSE_ALIAS(statfs, statfs64)

SX_INTERPOSE(int, fstatfs, (int fd, struct statfs* st)) {
  long result = raw_syscall(SYS_fstatfs, fd, st);
  if (result == 0 && interposing()) {
    run_in_engine([=] {
      if (const auto path = Looked(fd).client_path(); path)
        st->f_type = static_cast<__fsword_t>(file_system_magic(file_system_of(*path)));
    });
  }
  return libc_result(result);
}
SX_INTERPOSE_ALIAS(fstatfs, fstatfs64)

}  // namespace softxe::preload
