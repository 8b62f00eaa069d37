// Descriptors: close, dup, fcntl, write, lseek. The table of fd_table.h follows them.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/raised_limit.h"
#include "base/raw_syscall.h"
#include "preload/engine_fds.h"
#include "preload/engine_scope.h"
#include "preload/fd_owner.h"
#include "preload/interpose.h"
#include "preload/open_file.h"
#include "preload/remote_memory.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

/// The client gives `fd` up. False: it is one of the engine's own, which the client does not have.
bool give_up(int fd) {
  return run_in_engine([fd] {
    if (is_internal_fd(fd)) return false;
    take_fd(fd);  // the object dies here, before the number can mean something else
    return true;
  });
}

bool concerns_us(int fd) {
  return (maybe_ours(fd) || (maybe_engine_fd(fd) && session() != nullptr)) && owns_fd_table();
}

void follow_dup(int from, long to) {
  if (to < 0 || (!maybe_ours(from) && !maybe_ours(static_cast<int>(to)))) return;
  run_in_engine([=] { copy_fd(from, static_cast<int>(to)); });
}

int dup_to(int from, int to, int flags) {
  if (interposing() && from != to && concerns_us(to) && run_in_engine([to] { return is_internal_fd(to); }))
    return libc_result(-EBUSY);
  const long result = from == to && flags == -1 ? raw_syscall(SYS_dup2, from, to)
                                                : raw_syscall(SYS_dup3, from, to, flags == -1 ? 0 : flags);
  if (interposing() && from != to) follow_dup(from, result);
  return libc_result(result);
}

/// Writes to a file made at open have their effect now; libc's own buffers reach it at fclose(). A device takes none.
FdObjectPtr written_to(int fd) {
  if (!interposing() || !maybe_ours(fd)) return nullptr;
  auto object = run_in_engine([fd] { return find_fd(fd); });
  const bool ours =
      object != nullptr && (object->kind() == FdObject::Kind::kDynamic || object->kind() == FdObject::Kind::kDevice);
  return ours ? object : nullptr;
}
FdObjectPtr dynamic_behind(int fd) {
  auto object = written_to(fd);
  return object != nullptr && object->kind() == FdObject::Kind::kDynamic ? object : nullptr;
}

ssize_t write_result(const FdObject& object, const void* data, std::size_t bytes) {
  if (object.kind() == FdObject::Kind::kDevice) return libc_result<ssize_t>(-EINVAL);
  const std::string_view text(static_cast<const char*>(data), bytes);
  return libc_result<ssize_t>(run_in_engine([&] { return write_dynamic_text(object, text); }));
}

/// What stdio wrote into the memfd behind the stream, handed over when the stream closes.
void hand_over_stream(FILE* file) {
  const int fd = fileno(file);
  const auto object = dynamic_behind(fd);
  if (object == nullptr) return;
  const int mode = fcntl(fd, F_GETFL);
  if (__fwriting(file) == 0 || mode < 0 || fflush(file) != 0) return;
  struct stat st {};
  if (raw_syscall(SYS_fstat, fd, &st) != 0 || st.st_size == 0) return;
  const EngineScope scope;
  std::string text(static_cast<std::size_t>(st.st_size), '\0');
  const long n = raw_syscall(SYS_pread64, fd, text.data(), text.size(), 0);
  if (n > 0) write_dynamic_text(*object, std::string_view(text).substr(0, static_cast<std::size_t>(n)));
}

/// The numbers in [first, last] that are open. Without malloc, which may be locked in a child; and also when the client
/// has no number left for a folder.
std::vector<int> open_numbers(unsigned first, unsigned last) {
  std::vector<int> numbers;
  const RaisedLimit raised(LimitKind::kDescriptors);
  const long folder = raw_syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (folder < 0) {  // no /proc: try them all
    const std::uint64_t limit = std::min<std::uint64_t>(client_limit(LimitKind::kDescriptors), 65536);
    for (std::uint64_t fd = first; fd < limit && fd <= last; ++fd) numbers.push_back(static_cast<int>(fd));
    return numbers;
  }
  alignas(dirent64) char entries[4096];
  for (long n = 0; (n = raw_syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
    for (long at = 0; at < n; at += reinterpret_cast<dirent64*>(entries + at)->d_reclen) {
      const auto& entry = *reinterpret_cast<const dirent64*>(entries + at);
      const int fd = entry.d_name[0] == '.' ? -1 : std::atoi(entry.d_name);
      if (fd < 0 || fd == folder || static_cast<unsigned>(fd) < first || static_cast<unsigned>(fd) > last) continue;
      numbers.push_back(fd);
    }
  }
  raw_syscall(SYS_close, folder);
  return numbers;
}

/// Closes every descriptor of the client in [first, last].
void close_all(unsigned first, unsigned last) {
  run_in_engine([=] {
    for (const int fd : open_numbers(first, last)) {
      if (is_internal_fd(fd)) continue;
      take_fd(fd);
      raw_syscall(SYS_close, fd);
    }
  });
}

}  // namespace

SX_INTERPOSE(int, close, (int fd)) {
  static constinit Real<int(int)> real{"close"};
  if (interposing() && concerns_us(fd) && !give_up(fd)) return libc_result(-EBADF);
  return real(fd);
}

SX_INTERPOSE(int, fclose, (FILE * file)) {
  static constinit Real<int(FILE*)> real{"fclose"};
  if (interposing() && file != nullptr && maybe_ours(fileno(file))) {
    hand_over_stream(file);
    give_up(fileno(file));
  }
  return real(file);
}

SX_INTERPOSE(int, closedir, (DIR * list)) {
  static constinit Real<int(DIR*)> real{"closedir"};
  if (interposing() && list != nullptr && maybe_ours(dirfd(list))) give_up(dirfd(list));
  return real(list);
}

SX_INTERPOSE(int, close_range, (unsigned first, unsigned last, int flags)) {
  constexpr int kCloseRange = 436;
  constexpr int kUnshare = 2;
  constexpr int kCloexec = 4;
  const bool plain = (flags & ~(kUnshare | kCloexec)) != 0 || (flags & kCloexec) != 0 || first > last;
  if (!interposing() || plain || session() == nullptr || !owns_fd_table())
    return libc_result(raw_syscall(kCloseRange, first, last, flags));
  if ((flags & kUnshare) != 0) {  // what this thread closes from here on is its own
    note_unshared_fds();
    return libc_result(raw_syscall(kCloseRange, first, last, flags));
  }
  close_all(first, last);
  return 0;
}

SX_INTERPOSE(int, unshare, (int flags)) {
  const long result = raw_syscall(SYS_unshare, flags);
  if (result == 0 && (flags & CLONE_FILES) != 0 && interposing()) note_unshared_fds();
  return libc_result(result);
}

SX_INTERPOSE(void, closefrom, (int first)) {
  static constinit Real<void(int)> real{"closefrom"};
  if (!interposing() || session() == nullptr || !owns_fd_table()) return real(first);
  close_all(first < 0 ? 0u : static_cast<unsigned>(first), ~0u);
}

SX_INTERPOSE(int, dup, (int fd)) {
  const long result = raw_syscall(SYS_dup, fd);
  if (interposing()) follow_dup(fd, result);
  return libc_result(result);
}
SX_INTERPOSE(int, dup2, (int from, int to)) { return dup_to(from, to, -1); }
SX_INTERPOSE_ALIAS(dup2, __dup2)
SX_INTERPOSE(int, dup3, (int from, int to, int flags)) {
  if (from == to) return libc_result(-EINVAL);
  return dup_to(from, to, flags);
}

SX_INTERPOSE(int, fcntl, (int fd, int command, ...)) {
  static constinit Real<int(int, int, void*)> real{"fcntl"};
  va_list list;
  va_start(list, command);
  void* argument = va_arg(list, void*);
  va_end(list);
  const int result = real(fd, command, argument);
  if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && interposing()) follow_dup(fd, result);
  return result;
}
SX_INTERPOSE_ALIAS(fcntl, fcntl64)

SX_INTERPOSE(ssize_t, write, (int fd, const void* data, std::size_t bytes)) {
  static constinit Real<ssize_t(int, const void*, std::size_t)> real{"write"};
  if (const auto object = written_to(fd); object != nullptr) return write_result(*object, data, bytes);
  const ssize_t first = real(fd, data, bytes);
  if (first >= 0 || errno != EIO) return first;
  return with_pages_home(fd, first, at_position(fd, bytes), [&](std::size_t) { return real(fd, data, bytes); });
}

SX_INTERPOSE(ssize_t, pwrite, (int fd, const void* data, std::size_t bytes, off_t offset)) {
  static constinit Real<ssize_t(int, const void*, std::size_t, off_t)> real{"pwrite"};
  if (const auto object = written_to(fd); object != nullptr) return write_result(*object, data, bytes);
  return with_pages_home(
      fd, real(fd, data, bytes, offset), {static_cast<std::uint64_t>(offset), bytes}, [&](std::size_t done) {
        return real(fd, static_cast<const char*>(data) + done, bytes - done, offset + static_cast<off_t>(done));
      });
}
SX_INTERPOSE_ALIAS(pwrite, pwrite64)

SX_INTERPOSE(ssize_t, writev, (int fd, const iovec* parts, int count)) {
  static constinit Real<ssize_t(int, const iovec*, int)> real{"writev"};
  const auto object = written_to(fd);
  if (object == nullptr || count < 1) {
    const ssize_t first = real(fd, parts, count);
    if (first >= 0 || errno != EIO) return first;
    return with_pages_home(fd, first, at_position(fd, 1), [&](std::size_t) { return real(fd, parts, count); });
  }
  std::string text;
  for (int i = 0; i < count; ++i) text.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return write_result(*object, text.data(), text.size());
}

// A dma-buf knows two positions: its start, and its end to tell the size (spec/uapi.md 18).
SX_INTERPOSE(off_t, lseek, (int fd, off_t offset, int whence)) {
  if (interposing() && maybe_ours(fd)) {
    FdObjectPtr object;
    {
      const EngineScope scope;
      object = find_fd(fd);
    }
    const bool fine = offset == 0 && (whence == SEEK_END || whence == SEEK_SET);
    if (object != nullptr && object->kind() == FdObject::Kind::kDmaBuf && !fine) return libc_result<off_t>(-EINVAL);
    if (object != nullptr && object->kind() == FdObject::Kind::kDevice) return 0;  // it does not seek, and says so
    if (object != nullptr && object->kind() == FdObject::Kind::kDynamic && offset == 0 && whence == SEEK_SET)
      run_in_engine([&] { renew_dynamic_text(fd, *object); });
  }
  return libc_result<off_t>(raw_syscall(SYS_lseek, fd, offset, whence));
}
SX_INTERPOSE_ALIAS(lseek, lseek64)

}  // namespace softxe::preload
