// Calls that take a name or give one back: readlink, realpath, access, the working directory, watches.
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/raw_syscall.h"
#include "host/live/client_memory.h"
#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/paths.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

ssize_t readlink_any(int dirfd, const char* name, char* out, std::size_t bytes) {
  if (!interposing() || !legible(name) || static_cast<int>(bytes) <= 0)  // the kernel's own answers
    return libc_result<ssize_t>(raw_syscall(SYS_readlinkat, dirfd, name, out, bytes));
  return libc_result<ssize_t>(run_in_engine([=] {
    const KernelPath path(dirfd, name);
    char text[PATH_MAX];
    const long whole = raw_syscall(SYS_readlinkat, path.dirfd(), path.name(), text, sizeof text - 1);
    if (whole < 0) return whole;
    text[whole] = '\0';
    if (!strip_shadow(text)) return raw_syscall(SYS_readlinkat, path.dirfd(), path.name(), out, bytes);
    const std::size_t shown = std::min(std::strlen(text), bytes);
    const HostVa to(reinterpret_cast<std::uint64_t>(out));
    return live::write_client(to, text, shown) ? static_cast<long>(shown) : -EFAULT;
  }));
}

char* realpath_any(const char* name, char* out) {
  static constinit Real<char*(const char*, char*)> real{"realpath"};
  if (!interposing() || !legible(name)) return real(name, out);
  char text[PATH_MAX];
  {
    const EngineScope scope;
    const KernelPath path(AT_FDCWD, name);
    const std::size_t length = std::strlen(path.name());
    if (length >= sizeof text) return real(name, out);
    std::memcpy(text, path.name(), length + 1);
  }
  char resolved[PATH_MAX];
  if (real(text, resolved) == nullptr) return nullptr;
  strip_shadow(resolved);
  if (out == nullptr) return strdup(resolved);
  std::memcpy(out, resolved, std::strlen(resolved) + 1);
  return out;
}

/// A call on one path that only needs the right name.
template <typename Call>
auto with_kernel_path(int dirfd, const char* name, Call call) {
  if (!interposing() || !legible(name)) return call(dirfd, name);
  return run_in_engine([&] {
    const KernelPath path(dirfd, name);
    return call(path.dirfd(), path.name());
  });
}

int access_any(int dirfd, const char* name, int mode, int flags) {
  return libc_result(with_kernel_path(dirfd, name, [&](int fd, const char* path) {
    // Without flags the older call does, which every kernel and sandbox knows.
    if (flags == 0) return raw_syscall(SYS_faccessat, fd, path, mode);
    return raw_syscall(439 /* faccessat2 */, fd, path, mode, flags);
  }));
}

}  // namespace

SX_INTERPOSE(ssize_t, readlink, (const char* name, char* out, std::size_t bytes)) {
  return readlink_any(AT_FDCWD, name, out, bytes);
}
SX_INTERPOSE(ssize_t, readlinkat, (int dirfd, const char* name, char* out, std::size_t bytes)) {
  return readlink_any(dirfd, name, out, bytes);
}
SX_INTERPOSE(ssize_t, __readlink_chk, (const char* name, char* out, std::size_t bytes, std::size_t size)) {
  if (bytes > size) abort();
  return readlink_any(AT_FDCWD, name, out, bytes);
}
SX_INTERPOSE(ssize_t, __readlinkat_chk, (int dirfd, const char* name, char* out, std::size_t bytes, std::size_t size)) {
  if (bytes > size) abort();
  return readlink_any(dirfd, name, out, bytes);
}

SX_INTERPOSE(char*, realpath, (const char* name, char* out)) { return realpath_any(name, out); }
SX_INTERPOSE(char*, __realpath_chk, (const char* name, char* out, std::size_t size)) {
  if (size < PATH_MAX) abort();
  return realpath_any(name, out);
}
SX_INTERPOSE(char*, canonicalize_file_name, (const char* name)) { return realpath_any(name, nullptr); }

SX_INTERPOSE(int, access, (const char* name, int mode)) { return access_any(AT_FDCWD, name, mode, 0); }
SX_INTERPOSE(int, faccessat, (int dirfd, const char* name, int mode, int flags)) {
  return access_any(dirfd, name, mode, flags);
}
SX_INTERPOSE(int, euidaccess, (const char* name, int mode)) { return access_any(AT_FDCWD, name, mode, AT_EACCESS); }
SX_INTERPOSE_ALIAS(euidaccess, eaccess)

SX_INTERPOSE(int, chdir, (const char* name)) {
  const long result =
      with_kernel_path(AT_FDCWD, name, [](int, const char* path) { return raw_syscall(SYS_chdir, path); });
  if (result == 0 && interposing()) note_working_directory();
  return libc_result(result);
}
SX_INTERPOSE(int, fchdir, (int fd)) {
  const long result = raw_syscall(SYS_fchdir, fd);
  if (result == 0 && interposing()) note_working_directory();
  return libc_result(result);
}
SX_INTERPOSE(char*, getcwd, (char* out, std::size_t bytes)) {
  static constinit Real<char*(char*, std::size_t)> real{"getcwd"};
  char* result = real(out, bytes);
  if (result != nullptr && interposing()) strip_shadow(result);
  return result;
}

// What `ls -l` asks for every file.
SX_INTERPOSE(ssize_t, getxattr, (const char* name, const char* key, void* out, std::size_t bytes)) {
  return libc_result<ssize_t>(with_kernel_path(
      AT_FDCWD, name, [&](int, const char* path) { return raw_syscall(SYS_getxattr, path, key, out, bytes); }));
}
SX_INTERPOSE(ssize_t, lgetxattr, (const char* name, const char* key, void* out, std::size_t bytes)) {
  return libc_result<ssize_t>(with_kernel_path(
      AT_FDCWD, name, [&](int, const char* path) { return raw_syscall(SYS_lgetxattr, path, key, out, bytes); }));
}

SX_INTERPOSE(int, inotify_add_watch, (int fd, const char* name, std::uint32_t mask)) {
  return libc_result(with_kernel_path(
      AT_FDCWD, name, [&](int, const char* path) { return raw_syscall(SYS_inotify_add_watch, fd, path, mask); }));
}

}  // namespace softxe::preload
