#include "preload/engine_fds.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "base/raw_syscall.h"
#include "preload/paths.h"

namespace softxe::preload {
namespace {

constinit std::atomic<int> lowest{kInternalFdMin};
// -1: none. Written before a session is published, read by close().
constinit std::array<std::atomic<int>, kEngineFdsMax> remembered{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

}  // namespace

LowFdsTaken::LowFdsTaken() {
  const long first = raw_syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0);
  if (first < 0) return;
  taken_[count_++] = static_cast<int>(first);
  while (first < kInternalFdMin && count_ < kInternalFdMin) {
    const long fd = raw_syscall(SYS_fcntl, first, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {  // the limit came first
      leave_room();
      return;
    }
    if (fd >= kInternalFdMin) {
      raw_syscall(SYS_close, fd);
      return;
    }
    taken_[count_++] = static_cast<int>(fd);
  }
}

void LowFdsTaken::leave_room() {
  std::sort(taken_.begin(), taken_.begin() + count_);
  while (count_ > 0 && room_count_ < kEngineFdsMax) {
    room_[room_count_++] = taken_[--count_];
    raw_syscall(SYS_close, taken_[count_]);
  }
}

LowFdsTaken::~LowFdsTaken() {
  for (int i = 0; i < count_; ++i) raw_syscall(SYS_close, taken_[i]);
}

void LowFdsTaken::remember() const {
  for (int i = 0; i < room_count_; ++i) {
    const std::string link = link_of_fd(room_[i]);
    const bool engine = link == "anon_inode:[userfaultfd]" || link == "anon_inode:[eventfd]" ||
                        (link.starts_with("/proc/") && (link.ends_with("/maps") || link.ends_with("/pagemap")));
    if (!engine) continue;  // closed again, or another thread of the client was faster
    remembered[i].store(room_[i]);
    lowest.store(std::min(lowest.load(), room_[i]));
  }
}

bool maybe_engine_fd(int fd) { return fd >= lowest.load(std::memory_order_relaxed); }

bool is_remembered_engine_fd(int fd) {
  return std::any_of(remembered.begin(), remembered.end(), [fd](const auto& one) { return one.load() == fd; });
}

void forget_engine_fds() {
  for (auto& one : remembered) one.store(-1);
  lowest.store(kInternalFdMin);
}

}  // namespace softxe::preload
