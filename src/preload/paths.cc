#include "preload/paths.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/raw_syscall.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

constinit std::atomic<bool> cwd_is_shadow{false};

/// False for most paths, at the price of a few compares: neither redirected nor written in a way that
/// needs a second look.
bool worth_a_look(std::string_view path) {
  if (path.starts_with("/sys") || path.starts_with("/dev/") || path.starts_with("/proc/")) return true;
  if (!path.starts_with('/')) return false;
  return path.find("//") != std::string_view::npos || path.find("/.") != std::string_view::npos;
}

bool is_fd_link(std::string_view path) {
  return (path.starts_with("/proc/") && path.find("/fd/") != std::string_view::npos) || path.starts_with("/dev/fd/");
}

constexpr unsigned device_minor_of(FileSystemKind kind) {
  return 0x70u + static_cast<unsigned>(kind);  // of the unnamed devices: no disk has them
}

/// Whether the page of `at` can be read. By a call that a client's sandbox lets through if it lets the runtime work at
/// all: the kernel reads the set before it finds that there is no such operation.
bool page_is_readable(std::uint64_t at) {
  constexpr int kNoOperation = -1;
  constexpr std::uint64_t kSetBytes = 8;
  const std::uint64_t last = align_down(at, kPageSize) + kPageSize - kSetBytes;
  return raw_syscall(SYS_rt_sigprocmask, kNoOperation, last, nullptr, kSetBytes) != -EFAULT;
}

}  // namespace

bool legible(const char* text) {
  if (text == nullptr) return false;
  for (std::uint64_t at = reinterpret_cast<std::uint64_t>(text), seen = 0; seen < PATH_MAX;) {
    if (!page_is_readable(at)) return false;
    const std::uint64_t bytes = kPageSize - at % kPageSize;
    if (std::memchr(reinterpret_cast<const char*>(at), '\0', bytes) != nullptr) return true;
    seen += bytes;
    at += bytes;
  }
  return false;  // ENAMETOOLONG, which the kernel says as well
}

std::string link_of_fd(int fd) {
  // Not of "self": there is nothing in it when main() has left by pthread_exit().
  constexpr std::string_view kFolder = "/proc/thread-self/fd/";
  char name[kFolder.size() + 16];
  kFolder.copy(name, kFolder.size());
  char* end = std::to_chars(name + kFolder.size(), name + sizeof name - 1, fd).ptr;
  *end = '\0';
  char text[PATH_MAX];
  const long length = raw_syscall(SYS_readlink, name, text, sizeof text);
  return length <= 0 ? std::string() : std::string(text, static_cast<std::size_t>(length));
}

std::optional<std::string> client_path_of_fd(int fd) { return paths().to_client(link_of_fd(fd)); }

bool strip_shadow(char* path) {
  const std::string& root = paths().root();
  if (std::strncmp(path, root.c_str(), root.size()) != 0) return false;
  const char* rest = path + root.size();
  if (*rest == '\0') {
    path[0] = '/';
    path[1] = '\0';
    return true;
  }
  if (*rest != '/') return false;
  std::memmove(path, rest, std::strlen(rest) + 1);
  return true;
}

KernelPath::KernelPath(int dirfd, const char* name) : dirfd_(dirfd), name_(name) {
  if (name == nullptr || *name == '\0') return;
  if (*name == '/') {
    if (worth_a_look(name)) resolve(name);
    return;
  }
  if (dirfd == AT_FDCWD) {
    if (!cwd_is_shadow.load(std::memory_order_relaxed)) return;
    char cwd[PATH_MAX];
    if (raw_syscall(SYS_getcwd, cwd, sizeof cwd) <= 0 || !strip_shadow(cwd)) return;
    resolve(PathMap::join(cwd, name));
    return;
  }
  const std::string link = link_of_fd(dirfd);
  if (!link.starts_with('/')) return;
  const auto client = paths().to_client(link);
  std::string joined = PathMap::join(client ? *client : link, name);
  if (client || worth_a_look(joined)) resolve(std::move(joined));
}

void KernelPath::resolve(std::string client) {
  if (auto shadow = paths().to_shadow(client)) {
    rewritten_ = std::move(*shadow);
    is_rewritten_ = shadow_ = true;
    dirfd_ = AT_FDCWD;
    return;
  }
  fd_link_ = is_fd_link(client);
  // The folder it climbs out of may not exist on this machine ("/dev/dri/..").
  if ((client.starts_with("/dev/dri/") || client.starts_with("/sys/")) && client.find("/..") != std::string::npos) {
    rewritten_ = PathMap::normalise(client);
    is_rewritten_ = true;
    dirfd_ = AT_FDCWD;
    return;
  }
  // A name that climbs out of the shadow tree means the real file.
  if (*name_ != '/' && (dirfd_ == AT_FDCWD || paths().to_client(link_of_fd(dirfd_)))) {
    rewritten_ = std::move(client);
    is_rewritten_ = true;
    dirfd_ = AT_FDCWD;
  }
}

std::optional<int> fdinfo_target(int dirfd, const char* name) {
  if (name == nullptr) return std::nullopt;
  std::string_view path(name);
  std::string joined;
  if (!path.starts_with('/')) {
    if (dirfd == AT_FDCWD) return std::nullopt;
    joined = PathMap::join(link_of_fd(dirfd), path);
    path = joined;
  }
  const std::string own = "/proc/" + std::to_string(getpid()) + "/fdinfo/";
  for (std::string_view folder : {std::string_view("/proc/self/fdinfo/"), std::string_view(own)}) {
    if (!path.starts_with(folder)) continue;
    const std::string_view digits = path.substr(folder.size());
    int fd = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
    if (error == std::errc() && end == digits.data() + digits.size()) return fd;
  }
  return std::nullopt;
}

dev_t shadow_device() {
  static constinit std::atomic<dev_t> known{0};
  dev_t device = known.load(std::memory_order_relaxed);
  if (device == 0) {
    struct stat st {};
    if (raw_syscall(SYS_stat, paths().root().c_str(), &st) != 0) return 0;
    device = st.st_dev;
    known.store(device, std::memory_order_relaxed);
  }
  return device;
}

void note_working_directory() {
  char cwd[PATH_MAX];
  const bool inside = raw_syscall(SYS_getcwd, cwd, sizeof cwd) > 0 && strip_shadow(cwd);
  cwd_is_shadow.store(inside, std::memory_order_relaxed);
}

void disguise(struct stat& st, const std::string& client_path) {
  st.st_dev = makedev(0, device_minor_of(file_system_of(client_path)));
  const auto node = find_device_node(client_path, settings().devices.size());
  if (!node) return;
  st.st_mode = S_IFCHR | (st.st_mode & 07777);
  st.st_rdev = makedev(kDrmMajor, node->minor);
  st.st_size = 0;
  st.st_blocks = 0;
}

void disguise(struct statx& st, const std::string& client_path) {
  st.stx_dev_major = 0;
  st.stx_dev_minor = device_minor_of(file_system_of(client_path));
  const auto node = find_device_node(client_path, settings().devices.size());
  if (!node) return;
  st.stx_mode = static_cast<std::uint16_t>(S_IFCHR | (st.stx_mode & 07777));
  st.stx_rdev_major = kDrmMajor;
  st.stx_rdev_minor = node->minor;
  st.stx_size = 0;
  st.stx_blocks = 0;
}

}  // namespace softxe::preload
