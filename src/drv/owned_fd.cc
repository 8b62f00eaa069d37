#include "drv/owned_fd.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdint>

#include "base/raised_limit.h"
#include "base/raw_syscall.h"

namespace softxe {

namespace {

/// Beyond it the kernel's tables of descriptors grow for nothing.
constexpr std::uint64_t kFarthest = 65536;

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& o) noexcept {
  std::swap(fd_, o.fd_);
  return *this;
}

// Not close(): the last reference to what owns it may go in a call that waits with the client's symbols in force, and
// a client's close() of an engine's descriptor is refused.
OwnedFd::~OwnedFd() {
  if (fd_ >= 0) raw_syscall(SYS_close, fd_);
}

Result<OwnedFd> OwnedFd::take(long result, const char* why) {
  if (const int err = errno_of(result)) return fail(err, why);
  return OwnedFd(static_cast<int>(result));
}

Result<OwnedFd> OwnedFd::duplicate_high(int fd) {
  const RaisedLimit raised(LimitKind::kDescriptors);
  const std::uint64_t clients = client_limit(LimitKind::kDescriptors);
  const auto behind = clients <= kFarthest ? std::max<std::uint64_t>(clients, kInternalFdMin) : kInternalFdMin;
  for (const std::uint64_t from : {behind, std::uint64_t{kInternalFdMin}}) {
    const long high = raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
    if (errno_of(high) != EINVAL && errno_of(high) != EMFILE) return take(high, "descriptor cannot be duplicated");
  }
  return take(raw_syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3), "no free descriptor");
}

}  // namespace softxe
