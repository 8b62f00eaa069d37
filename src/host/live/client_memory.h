// Arguments of the client's calls: they may lie anywhere, also nowhere.
#pragma once

#include <sys/uio.h>

#include "base/address.h"
#include "base/guarded.h"
#include "base/raw_syscall.h"

namespace softxe::live {

/// False: not readable (EFAULT to the client). Through the kernel, so that a bad address raises no signal; by plain
/// loads where a sandbox forbids that. No lock of ours may be held: the memory may be in VRAM.
[[nodiscard]] inline bool read_client(void* to, HostVa from, std::uint64_t bytes) {
  const struct iovec local { to, bytes };
  const struct iovec remote { reinterpret_cast<void*>(from.value()), bytes };
  const long got = raw_syscall(SYS_process_vm_readv, raw_syscall(SYS_getpid), &local, 1, &remote, 1, 0);
  if (errno_of(got) == EPERM || errno_of(got) == ENOSYS) return guarded_copy(to, remote.iov_base, bytes);
  return got == static_cast<long>(bytes);
}

/// The other way.
[[nodiscard]] inline bool write_client(HostVa to, void* from, std::uint64_t bytes) {
  const struct iovec local { from, bytes };
  const struct iovec remote { reinterpret_cast<void*>(to.value()), bytes };
  const long got = raw_syscall(SYS_process_vm_writev, raw_syscall(SYS_getpid), &local, 1, &remote, 1, 0);
  if (errno_of(got) == EPERM || errno_of(got) == ENOSYS) return guarded_copy(remote.iov_base, from, bytes);
  return got == static_cast<long>(bytes);
}

}  // namespace softxe::live
