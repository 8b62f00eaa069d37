// process_madvise() on the process itself.
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "base/raw_syscall.h"
#include "host/live/client_calls.h"
#include "host/live/client_memory.h"

namespace softxe::live {
namespace {

bool ok(long result) { return errno_of(result) == 0; }

/// The vector of process_madvise(): client memory, read a few entries at a time.
class ClientVector {
 public:
  static constexpr std::uint64_t kEntriesMax = 1024;  // UIO_MAXIOV

  ClientVector(std::uint64_t at, std::uint64_t count) : at_(at), count_(count) {}

  /// Calls `visit(entry)` until it answers false. EFAULT: an entry cannot be read.
  template <typename Visit>
  Status each(Visit visit) const {
    constexpr std::uint64_t kAtATime = 16;
    for (std::uint64_t i = 0; i < count_; i += kAtATime) {
      struct iovec entries[kAtATime];
      const std::uint64_t n = std::min(kAtATime, count_ - i);
      const HostVa from(at_ + i * sizeof(struct iovec));
      if (!read_client(entries, from, n * sizeof(struct iovec))) return fail(EFAULT, "the vector cannot be read");
      for (std::uint64_t k = 0; k < n; ++k) {
        if (!visit(entries[k])) return {};
      }
    }
    return {};
  }

 private:
  std::uint64_t at_;
  std::uint64_t count_;
};

/// Whether `pidfd` names this process.
bool is_own_pidfd(int pidfd) {
  // PIDFD_SELF in its several spellings (Linux 6.14 and later).
  if (pidfd == -10000 || pidfd == -10001 || pidfd == -20000) return true;
  if (pidfd < 0) return false;
  char path[48] = "/proc/thread-self/fdinfo/";
  char digits[12];
  int n = 0;
  for (int rest = pidfd; n == 0 || rest != 0; rest /= 10) {
    digits[n++] = static_cast<char>('0' + rest % 10);
  }
  char* at = path + std::strlen(path);
  while (n > 0) *at++ = digits[--n];
  *at = '\0';
  const long fd = raw_syscall(SYS_openat, -100 /* AT_FDCWD */, path, 0);
  if (fd < 0) return false;
  char text[512];
  const long size = raw_syscall(SYS_read, fd, text, sizeof text - 1);
  raw_syscall(SYS_close, fd);
  if (size <= 0) return false;
  text[size] = '\0';
  constexpr char kKey[] = "\nPid:\t";
  const char* found = std::search(text, text + size, kKey, kKey + sizeof kKey - 1);
  if (found == text + size) return false;
  long pid = 0;
  for (found += sizeof kKey - 1; *found >= '0' && *found <= '9'; ++found) {
    pid = pid * 10 + (*found - '0');
  }
  return pid == raw_syscall(SYS_getpid);
}

}  // namespace

/// The kernel takes in the whole vector first, then works through it. So does this, unless none of it is known here,
/// or the kernel refuses it as a whole.
long ClientCalls::advise_vector(const ClientCall& call) {
  const ClientVector vector(call.word(1), call.word(2));
  bool care = false;
  bool refused = false;
  if (res_.is_disabled() || call.word(2) > ClientVector::kEntriesMax || call.args[4] != 0) return call.make();
  auto look = [&](const struct iovec& entry) {
    const auto range = pages_of(number_of(entry.iov_base), entry.iov_len);
    care = care || (range && mm_.tracked(*range));
    refused = refused || static_cast<long>(entry.iov_len) < 0;
    return true;
  };
  if (!vector.each(look) || !care || refused || !is_own_pidfd(static_cast<int>(call.args[0]))) return call.make();
  long done = 0;
  long failed = 0;
  auto advise = [&](const struct iovec& entry) {
    if (entry.iov_len == 0) return true;
    ClientCall one = call;
    one.vector = entry;
    const long result = planned(one);
    if (!ok(result)) return failed = result, false;
    done += static_cast<long>(entry.iov_len);
    return true;
  };
  if (!vector.each(advise)) failed = -EFAULT;
  return done != 0 ? done : failed;
}

}  // namespace softxe::live
