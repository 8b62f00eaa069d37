#include "host/live/lock_all.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>

#include "base/engine_memory.h"
#include "base/raw_syscall.h"
#include "host/live/granules.h"

namespace softxe::live {
namespace {

constexpr int kMclOnFault = 4;
constexpr unsigned kMlockOnFault = 1;

/// MCL_FUTURE is in force, as far as it was asked for here.
constinit std::atomic<bool> future_locked{false};

/// Calls `fn(HostRange)` for each mapping, cut to what is not the runtime's.
template <typename Fn>
void for_each_client_mapping(const ProcMaps& maps, Fn fn) {
  const auto everywhere = HostRange::of(HostVa(0), 1ULL << GranuleMap::kAddressBits);
  for (HostVa at(0); at < everywhere.end();) {
    const auto vma = maps.at_or_above(at);
    if (!vma || vma->range.start() >= everywhere.end()) return;
    at = std::max(at, vma->range.start());
    if (const auto part = client_part(at, vma->range)) {
      fn(HostRange::between(at, part->end()));
      at = part->end();
    } else {
      at = engine_memory_at_or_above(at)->end();
    }
  }
}

/// CAP_IPC_LOCK.
bool may_lock_any_amount() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (errno_of(raw_syscall(SYS_capget, &header, data)) != 0) return false;
  return ((data[0].effective >> CAP_IPC_LOCK) & 1) != 0;
}

/// ENOMEM as the kernel says it when a process is larger than what it may lock.
int limit_error(const ProcMaps& maps) {
  struct rlimit limit {};
  if (errno_of(raw_syscall(SYS_prlimit64, 0, RLIMIT_MEMLOCK, nullptr, &limit)) != 0) return 0;
  if (limit.rlim_cur == RLIM_INFINITY || may_lock_any_amount()) return 0;
  if (limit.rlim_cur == 0) return EPERM;
  std::uint64_t bytes = 0;
  for_each_client_mapping(maps, [&](HostRange range) { bytes += range.size(); });
  return bytes > limit.rlim_cur ? ENOMEM : 0;
}

/// What the kernel gives mappings that come later.
long lock_future(int flags) {
  if ((flags & MCL_FUTURE) != 0) {
    const long result = raw_syscall(SYS_mlockall, flags & ~MCL_CURRENT);
    if (errno_of(result) == 0) future_locked.store(true);
    return result;
  }
  // MCL_CURRENT alone takes it back, and only that call can say so: without filling anything.
  if (!future_locked.exchange(false)) return 0;
  const long result = raw_syscall(SYS_mlockall, flags | kMclOnFault);
  for (auto range = engine_memory_at_or_above(HostVa(0)); range; range = engine_memory_at_or_above(range->end())) {
    raw_syscall(SYS_munlock, range->start().value(), range->size());
  }
  return result;
}

}  // namespace

long lock_all(int flags, const ProcMaps& maps) {
  constexpr int kKnown = MCL_CURRENT | MCL_FUTURE | kMclOnFault;
  if ((flags & ~kKnown) != 0 || (flags & (MCL_CURRENT | MCL_FUTURE)) == 0) return -EINVAL;
  const bool current = (flags & MCL_CURRENT) != 0;
  if (const int err = current ? limit_error(maps) : 0) return -err;
  if (const long result = lock_future(flags); errno_of(result) != 0 || !current) return result;
  const unsigned how = (flags & kMclOnFault) != 0 ? kMlockOnFault : 0;
  for_each_client_mapping(maps, [&](HostRange range) {
    // What cannot be populated (PROT_NONE, behind the end of a file) is locked all the same, and no error.
    raw_syscall(SYS_mlock2, range.start().value(), range.size(), how);
  });
  return 0;
}

long lock_client_memory(int flags) {
  const auto maps = ProcMaps::open(MapsSource::kBest);
  return maps ? lock_all(flags, *maps) : raw_syscall(SYS_mlockall, flags);
}

}  // namespace softxe::live
