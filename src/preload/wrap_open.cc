// open, creat, fopen and the directory calls.
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <linux/limits.h>
#include <stdio.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/raw_syscall.h"
#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/open_file.h"
#include "preload/paths.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

using OpenAt = int(int, const char*, int, mode_t);
constinit Real<OpenAt> real_openat{"openat"};
constinit Real<FILE*(int, const char*)> real_fdopen{"fdopen"};

constexpr bool takes_mode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

/// /proc/meminfo, also as "meminfo" of an open /proc.
bool is_meminfo(int dirfd, const char* name) {
  if (std::strcmp(name, "/proc/meminfo") == 0) return true;
  if (dirfd < 0 || std::strcmp(name, "meminfo") != 0) return false;
  char link[48];
  std::snprintf(link, sizeof link, "/proc/thread-self/fd/%d", dirfd);
  char folder[8] = {};
  const long length = raw_syscall(SYS_readlink, link, folder, sizeof folder - 1);
  return length == 5 && std::strcmp(folder, "/proc") == 0;
}

/// In an EngineScope. True when the path is the engine's business; then `result` is what the call returns.
bool open_in_engine(int dirfd, const char* name, int flags, mode_t mode, int& result) {
  if (const auto target = fdinfo_target(dirfd, name); target && maybe_ours(*target)) {
    result = open_fdinfo(*target, flags);
    if (result >= 0) return true;
  }
  if (is_meminfo(dirfd, name)) {
    result = open_meminfo(flags);
    if (result >= 0) return true;
  }
  const KernelPath path(dirfd, name);
  if (!path.suspect()) return false;
  result = open_suspect(path, flags, mode);
  return true;
}

/// The same for a client's call.
bool open_ours(int dirfd, const char* name, int flags, mode_t mode, int& result) {
  if (!interposing() || !legible(name)) return false;
  return run_in_engine([&] { return open_in_engine(dirfd, name, flags, mode, result); });
}

int open_any(int dirfd, const char* name, int flags, mode_t mode) {
  int result = -1;
  if (open_ours(dirfd, name, flags, mode, result)) return libc_result(result);
  return real_openat(dirfd, name, flags, mode);
}

mode_t mode_argument(int flags, va_list& list) {
  return takes_mode(flags) ? static_cast<mode_t>(va_arg(list, unsigned)) : 0;
}

FILE* fopen_any(const char* name, const char* mode, Real<FILE*(const char*, const char*)>& real) {
  const int flags = flags_of_mode(mode);
  int fd = -1;
  if (flags < 0 || !open_ours(AT_FDCWD, name, flags, 0666, fd)) return real(name, mode);
  if (libc_result(fd) < 0) return nullptr;
  FILE* file = real_fdopen(fd, mode);
  if (file == nullptr) close(fd);
  return file;
}

}  // namespace

SX_INTERPOSE(int, open, (const char* name, int flags, ...)) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_argument(flags, list);
  va_end(list);
  return open_any(AT_FDCWD, name, flags, mode);
}
SX_INTERPOSE_ALIAS(open, open64)

SX_INTERPOSE(int, openat, (int dirfd, const char* name, int flags, ...)) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = mode_argument(flags, list);
  va_end(list);
  return open_any(dirfd, name, flags, mode);
}
SX_INTERPOSE_ALIAS(openat, openat64)

SX_INTERPOSE(int, __open_2, (const char* name, int flags)) { return open_any(AT_FDCWD, name, flags, 0); }
SX_INTERPOSE_ALIAS(__open_2, __open64_2)

SX_INTERPOSE(int, __openat_2, (int dirfd, const char* name, int flags)) { return open_any(dirfd, name, flags, 0); }
SX_INTERPOSE_ALIAS(__openat_2, __openat64_2)

SX_INTERPOSE(int, creat, (const char* name, mode_t mode)) {
  return open_any(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
SX_INTERPOSE_ALIAS(creat, creat64)

SX_INTERPOSE(FILE*, fopen, (const char* name, const char* mode)) {
  static constinit Real<FILE*(const char*, const char*)> real{"fopen"};
  return fopen_any(name, mode, real);
}
SX_INTERPOSE_ALIAS(fopen, fopen64)

SX_INTERPOSE(FILE*, freopen, (const char* name, const char* mode, FILE* file)) {
  static constinit Real<FILE*(const char*, const char*, FILE*)> real{"freopen"};
  if (!interposing() || !legible(name)) return real(name, mode, file);
  std::string kernel_name;
  run_in_engine([&] {
    take_fd(fileno(file));
    const KernelPath path(AT_FDCWD, name);
    if (path.suspect()) kernel_name = path.name();
  });
  if (kernel_name.empty()) return real(name, mode, file);
  FILE* opened = real(kernel_name.c_str(), mode, file);
  if (opened == nullptr) return nullptr;
  run_in_engine([&] { give_meaning(fileno(opened), flags_of_mode(mode)); });
  return opened;
}
SX_INTERPOSE_ALIAS(freopen, freopen64)

// ---- directories ---------------------------------------------------------------------------------

SX_INTERPOSE(DIR*, opendir, (const char* name)) {
  static constinit Real<DIR*(const char*)> real{"opendir"};
  static constinit Real<DIR*(int)> real_fdopendir{"fdopendir"};
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;
  int fd = -1;
  if (!open_ours(AT_FDCWD, name, kFlags, 0, fd)) return real(name);
  if (libc_result(fd) < 0) return nullptr;
  return real_fdopendir(fd);
}

namespace {

/// The path libc shall work on itself: the shadow's for redirected names.
class NameForLibc {
 public:
  NameForLibc(int dirfd, const char* name) : dirfd_(dirfd), name_(name) {
    if (!interposing() || !legible(name)) return;
    run_in_engine([&] {
      const KernelPath path(dirfd, name);
      if (!path.shadow()) return;
      text_ = path.name();
      name_ = text_.c_str();
      dirfd_ = AT_FDCWD;
      shadow_ = true;
    });
  }
  NameForLibc(const NameForLibc&) = delete;
  NameForLibc& operator=(const NameForLibc&) = delete;
  int dirfd() const { return dirfd_; }
  const char* name() const { return name_; }
  bool shadow() const { return shadow_; }

 private:
  int dirfd_;
  const char* name_;
  std::string text_;
  bool shadow_ = false;
};

using Filter = int (*)(const dirent*);
using Compare = int (*)(const dirent**, const dirent**);

}  // namespace

SX_INTERPOSE(int, scandir, (const char* name, dirent*** list, Filter filter, Compare compare)) {
  static constinit Real<int(const char*, dirent***, Filter, Compare)> real{"scandir"};
  return real(NameForLibc(AT_FDCWD, name).name(), list, filter, compare);
}
SX_INTERPOSE_ALIAS(scandir, scandir64)

SX_INTERPOSE(int, scandirat, (int dirfd, const char* name, dirent*** list, Filter filter, Compare compare)) {
  static constinit Real<int(int, const char*, dirent***, Filter, Compare)> real{"scandirat"};
  const NameForLibc kernel(dirfd, name);
  return real(kernel.dirfd(), kernel.name(), list, filter, compare);
}
SX_INTERPOSE_ALIAS(scandirat, scandirat64)

namespace {

using GlobError = int (*)(const char*, int);

int glob_any(const char* pattern, int flags, GlobError on_error, glob_t* found,
             Real<int(const char*, int, GlobError, glob_t*)>& real) {
  const NameForLibc kernel(AT_FDCWD, pattern);
  const int result = real(kernel.name(), flags, on_error, found);
  if (!kernel.shadow() || found == nullptr || found->gl_pathv == nullptr) return result;
  const std::size_t offset = (flags & GLOB_DOOFFS) != 0 ? found->gl_offs : 0;
  for (std::size_t i = 0; i < found->gl_pathc; ++i) strip_shadow(found->gl_pathv[offset + i]);
  return result;
}

// nftw() takes no argument for its callback.
using WalkVisit = int (*)(const char*, const struct stat*, int, FTW*);
using PlainVisit = int (*)(const char*, const struct stat*, int);
thread_local constinit WalkVisit walk_visit = nullptr;
thread_local constinit PlainVisit plain_visit = nullptr;

int walk_thunk(const char* name, const struct stat* st, int flag, FTW* place) {
  char path[PATH_MAX];
  std::strncpy(path, name, sizeof path - 1);
  path[sizeof path - 1] = '\0';
  const std::size_t before = std::strlen(path);
  strip_shadow(path);
  FTW moved = *place;
  moved.base -= static_cast<int>(before - std::strlen(path));
  return walk_visit(path, st, flag, &moved);
}

int plain_thunk(const char* name, const struct stat* st, int flag) {
  char path[PATH_MAX];
  std::strncpy(path, name, sizeof path - 1);
  path[sizeof path - 1] = '\0';
  strip_shadow(path);
  return plain_visit(path, st, flag);
}

}  // namespace

SX_INTERPOSE(int, glob, (const char* pattern, int flags, GlobError on_error, glob_t* found)) {
  static constinit Real<int(const char*, int, GlobError, glob_t*)> real{"glob"};
  return glob_any(pattern, flags, on_error, found, real);
}
SX_INTERPOSE_ALIAS(glob, glob64)

SX_INTERPOSE(int, nftw, (const char* name, WalkVisit visit, int depth, int flags)) {
  static constinit Real<int(const char*, WalkVisit, int, int)> real{"nftw"};
  const NameForLibc kernel(AT_FDCWD, name);
  if (!kernel.shadow()) return real(name, visit, depth, flags);
  auto* before = std::exchange(walk_visit, visit);
  const int result = real(kernel.name(), walk_thunk, depth, flags);
  walk_visit = before;
  return result;
}
SX_INTERPOSE_ALIAS(nftw, nftw64)

SX_INTERPOSE(int, ftw, (const char* name, PlainVisit visit, int depth)) {
  static constinit Real<int(const char*, PlainVisit, int)> real{"ftw"};
  const NameForLibc kernel(AT_FDCWD, name);
  if (!kernel.shadow()) return real(name, visit, depth);
  auto* before = std::exchange(plain_visit, visit);
  const int result = real(kernel.name(), plain_thunk, depth);
  plain_visit = before;
  return result;
}
SX_INTERPOSE_ALIAS(ftw, ftw64)

}  // namespace softxe::preload
