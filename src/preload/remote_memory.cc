#include "preload/remote_memory.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "base/address.h"
#include "base/raw_syscall.h"
#include "host/live/live_host_mm.h"
#include "preload/engine_scope.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

std::size_t read_file(const char* path, char* text, std::size_t room) {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const long n = raw_syscall(SYS_read, fd, text, room);
  raw_syscall(SYS_close, fd);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

/// What is between "NAME" and the end of the line that it begins, in a file of the kind of /proc/PID/status.
std::string_view field(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == std::string_view::npos) return {};
  std::string_view rest = text.substr(at + name.size());
  return rest.substr(0, rest.find('\n'));
}

/// Calls `fn(name of an entry)` for a folder of /proc until it answers true.
template <typename Fn>
bool any_entry(const char* path, Fn fn) {
  struct Entry {  // linux_dirent64
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t bytes;
    std::uint8_t type;
    char name[1];
  };
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  alignas(Entry) std::array<char, 2048> buffer;
  bool found = false;
  for (long n = 0; !found && (n = raw_syscall(SYS_getdents64, fd, buffer.data(), buffer.size())) > 0;) {
    for (long at = 0; at < n && !found;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer.data() + at);
      found = fn(static_cast<const char*>(entry->name));
      at += entry->bytes;
    }
  }
  raw_syscall(SYS_close, fd);
  return found;
}

std::uint64_t hex(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

/// Whether `address` lies in the code of this library, as process `pid` has mapped it.
bool is_runtime_code(pid_t pid, std::uint64_t address) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/%d/maps", pid);
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  std::array<char, 4096> buffer;
  std::size_t have = 0;
  bool inside = false;
  for (long n = 0; !inside && (n = raw_syscall(SYS_read, fd, buffer.data() + have, buffer.size() - have)) > 0;) {
    std::string_view text(buffer.data(), have + static_cast<std::size_t>(n));
    for (std::size_t end = 0; !inside && (end = text.find('\n')) != std::string_view::npos;
         text.remove_prefix(end + 1)) {
      const std::string_view line = text.substr(0, end);
      if (line.find("libsoftxe-preload") == std::string_view::npos) continue;
      const std::size_t dash = line.find('-');
      inside = hex(line.substr(0, dash)) <= address && address < hex(line.substr(dash + 1));
    }
    have = text.size() == buffer.size() ? 0 : text.size();  // a line longer than the buffer names no library
    std::memmove(buffer.data(), text.data(), have);
  }
  raw_syscall(SYS_close, fd);
  return inside;
}

/// What a thread of a process means for the faults of the others.
enum class Part : std::uint8_t { kNone, kServes, kInTheWay };

Part part_of_thread(pid_t pid, const char* tid) {
  char path[64];
  char text[512];
  std::snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", pid, tid);
  const std::string_view status(text, read_file(path, text, sizeof text));
  const std::string_view state = field(status, "State:\t");
  const bool stopped = !state.empty() && (state.front() == 't' || state.front() == 'T');
  if (field(status, "Name:\t") == live::kReaderName) return stopped ? Part::kInTheWay : Part::kServes;
  if (!stopped) return Part::kNone;
  // Stopped in the runtime it may hold the lock that the fault thread needs.
  std::snprintf(path, sizeof path, "/proc/%d/task/%.16s/syscall", pid, tid);
  std::string_view where(text, read_file(path, text, sizeof text));
  where = where.substr(0, where.find('\n'));
  const std::size_t counter = where.rfind("0x");
  const bool inside = counter != std::string_view::npos && is_runtime_code(pid, hex(where.substr(counter + 2)));
  return inside ? Part::kInTheWay : Part::kNone;
}

/// Whether `pid` has a fault thread, it runs, and nothing is known to hold it up.
bool answers_faults(pid_t pid) {
  char folder[40];
  std::snprintf(folder, sizeof folder, "/proc/%d/task", pid);
  bool serves = false;
  const bool held_up = any_entry(folder, [&](const char* tid) {
    const Part part = part_of_thread(pid, tid);
    serves = serves || part == Part::kServes;
    return part == Part::kInTheWay;
  });
  return serves && !held_up;
}

}  // namespace

pid_t process_behind(int fd) {
  char path[40];
  char target[64];
  std::snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
  const long n = raw_syscall(SYS_readlink, path, target, sizeof target);
  if (n <= 0) return 0;
  std::string_view name(target, static_cast<std::size_t>(n));
  constexpr std::string_view kFolder = "/proc/";
  if (!name.starts_with(kFolder) || !name.ends_with("/mem")) return 0;
  pid_t pid = 0;
  std::from_chars(name.data() + kFolder.size(), name.data() + name.size(), pid);
  return pid;
}

bool fetch_home(pid_t pid, RemoteBytes range) {
  constexpr std::size_t kPagesPerCall = 64;
  if (!answers_faults(pid)) return false;
  const std::uint64_t end = align_up(range.start + std::max<std::size_t>(range.bytes, 1), kPageSize);
  for (std::uint64_t at = align_down(range.start, kPageSize); at < end;) {
    std::array<char, kPagesPerCall> bytes;
    std::array<iovec, kPagesPerCall> pages;
    std::size_t count = 0;
    for (std::uint64_t page = at; page < end && count < kPagesPerCall; page += kPageSize) {
      pages[count++] = {reinterpret_cast<void*>(page), 1};
    }
    const iovec here{bytes.data(), count};
    const long got = raw_syscall(SYS_process_vm_readv, pid, &here, 1, pages.data(), count, 0);
    if (errno_of(got) != 0 && errno_of(got) != EFAULT) return false;
    // A page that is refused is none that VRAM holds.
    at += (errno_of(got) != 0 ? 1 : std::min(static_cast<std::size_t>(got) + 1, count)) * kPageSize;
  }
  return true;
}

namespace {

std::size_t bytes_of(const iovec* parts, int count) {
  std::size_t bytes = 0;
  for (int i = 0; i < count; ++i) bytes += parts[i].iov_len;
  return bytes;
}

}  // namespace

bool bring_home_behind(int fd, ssize_t first, RemoteBytes range) {
  if (!active()) return false;
  const int before = errno;
  const bool refused = first < 0 && before == EIO;
  const bool cut = first > 0 && static_cast<std::size_t>(first) < range.bytes &&
                   is_aligned(range.start + static_cast<std::uint64_t>(first), kPageSize);
  const pid_t pid = refused || cut ? process_behind(fd) : 0;
  const auto done = static_cast<std::size_t>(std::max<ssize_t>(first, 0));
  const bool home = pid != 0 && run_in_engine([&] {
                      return fetch_home(pid, {range.start + done, range.bytes - done});
                    });
  errno = before;
  return home;
}

RemoteBytes at_position(int fd, std::size_t bytes) {
  const long position = raw_syscall(SYS_lseek, fd, 0, 1 /* SEEK_CUR */);
  return {errno_of(position) != 0 ? 0 : static_cast<std::uint64_t>(position), bytes};
}

SX_INTERPOSE(ssize_t, pread, (int fd, void* data, std::size_t bytes, off_t offset)) {
  static constinit Real<ssize_t(int, void*, std::size_t, off_t)> real{"pread"};
  return with_pages_home(
      fd, real(fd, data, bytes, offset), {static_cast<std::uint64_t>(offset), bytes}, [&](std::size_t done) {
        return real(fd, static_cast<char*>(data) + done, bytes - done, offset + static_cast<off_t>(done));
      });
}
SX_INTERPOSE_ALIAS(pread, pread64)

SX_INTERPOSE(ssize_t, read, (int fd, void* data, std::size_t bytes)) {
  static constinit Real<ssize_t(int, void*, std::size_t)> real{"read"};
  const ssize_t first = real(fd, data, bytes);
  if (first >= 0 || errno != EIO) return first;
  return with_pages_home(fd, first, at_position(fd, bytes), [&](std::size_t) { return real(fd, data, bytes); });
}

SX_INTERPOSE(ssize_t, readv, (int fd, const iovec* parts, int count)) {
  static constinit Real<ssize_t(int, const iovec*, int)> real{"readv"};
  const ssize_t first = real(fd, parts, count);
  if (first >= 0 || errno != EIO) return first;
  return with_pages_home(fd, first, at_position(fd, bytes_of(parts, count)),
                         [&](std::size_t) { return real(fd, parts, count); });
}

SX_INTERPOSE(ssize_t, preadv, (int fd, const iovec* parts, int count, off_t offset)) {
  static constinit Real<ssize_t(int, const iovec*, int, off_t)> real{"preadv"};
  const ssize_t first = real(fd, parts, count, offset);
  if (first >= 0 || errno != EIO) return first;
  return with_pages_home(fd, first, {static_cast<std::uint64_t>(offset), bytes_of(parts, count)},
                         [&](std::size_t) { return real(fd, parts, count, offset); });
}
SX_INTERPOSE_ALIAS(preadv, preadv64)

SX_INTERPOSE(ssize_t, pwritev, (int fd, const iovec* parts, int count, off_t offset)) {
  static constinit Real<ssize_t(int, const iovec*, int, off_t)> real{"pwritev"};
  const ssize_t first = real(fd, parts, count, offset);
  if (first >= 0 || errno != EIO) return first;
  return with_pages_home(fd, first, {static_cast<std::uint64_t>(offset), bytes_of(parts, count)},
                         [&](std::size_t) { return real(fd, parts, count, offset); });
}
SX_INTERPOSE_ALIAS(pwritev, pwritev64)

SX_INTERPOSE(long, ptrace, (unsigned request, ...)) {
  static constinit Real<long(unsigned, pid_t, void*, void*)> real{"ptrace"};
  va_list list;
  va_start(list, request);
  const pid_t pid = va_arg(list, pid_t);
  void* address = va_arg(list, void*);
  void* data = va_arg(list, void*);
  va_end(list);
  const bool memory = request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_POKETEXT ||
                      request == PTRACE_POKEDATA;
  if (!memory || !active()) return real(request, pid, address, data);
  const long first = real(request, pid, address, data);
  if (first != -1 || errno != EIO) return first;
  const RemoteBytes word{reinterpret_cast<std::uint64_t>(address), sizeof(long)};
  if (!run_in_engine([=] { return fetch_home(pid, word); })) {
    errno = EIO;
    return first;
  }
  return real(request, pid, address, data);
}

/// For debuggers, which stop the thread that would bring a page home: `call (void)softxe_home()`.
SX_INTERPOSE(void, softxe_home, (void)) {
  live::LiveHostMm* mm = live_mm();
  if (mm == nullptr || in_engine()) return;
  run_in_engine([mm] { mm->come_home(live::LiveHostMm::Afterwards::kMayMigrate); });
}

}  // namespace softxe::preload
