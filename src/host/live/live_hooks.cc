// System calls of the client that change its mappings: tell the notifiers, then do the call.
//
// Shape of each: a filter without a lock; otherwise lock, notify, bring home or give up the pages in
// VRAM, unregister (so that the call raises no userfaultfd event), call, unlock. The pages of memory
// that goes away are given up only after the call has succeeded: a call that fails loses nothing.
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "base/step.h"
#include "host/live/engine_calls.h"
#include "host/live/live_host_mm.h"
#include "host/live/lock_all.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {
namespace {

// Values of the kernel's ABI that Debian 12's headers lack.
constexpr int kMadvDontneedLocked = 24;
constexpr int kMadvCollapse = 25;
constexpr int kMadvGuardInstall = 102;
constexpr unsigned kMlockOnFault = 1;

/// The pages that [address, address + length) touches; nothing for what the kernel would refuse.
std::optional<HostRange> pages_of(std::uint64_t address, std::uint64_t length) {
  if (!is_aligned(address, kPageSize) || length == 0) return std::nullopt;
  const std::uint64_t size = align_up(length, kPageSize);
  if (size == 0 || address + size < address) return std::nullopt;
  return HostRange::of(HostVa(address), size);
}

bool ok(long result) { return errno_of(result) == 0; }

}  // namespace

/// From now on borders between mappings count here, although the kernel does not say why they are there.
bool LiveHostMm::note_real_borders(HostRange range) {
  if (!granules_.prepare(arena_, range)) return false;  // then nothing can be registered there either
  granules_.any(range, [](Granule& g) { return g.real_borders.store(true), false; });
  return true;
}

void LiveHostMm::note_locked(HostRange range) {
  if (disabled() || !GranuleMap::addressable(range)) return;
  Locked lock(*this);
  note_real_borders(range);
}

/// The lock-free filter may have looked before another thread began to mirror this memory.
void LiveHostMm::notify_late(HostRange range, HostEvent kind) {
  if (!tracked(range)) return;
  Locked lock(*this);
  notify(range, kind);
}

/// Calls that no hook saw may be in the way for a moment; their events are dealt with in between.
void LiveHostMm::insist_home(HostRange range) {
  constexpr int kTriesMax = 100;
  for (int i = 0; i < kTriesMax && !bring_range_home(range, MoveCause::kMapping); ++i) {
    std::uint32_t turns = 0;
    wait_turn(turns);
    drain_events();
  }
  for (int i = 0; i < kTriesMax; ++i) {
    const auto piece = residency_.first_in(range);
    if (!piece) return;
    fetch_by_touch(piece->range);
  }
}

/// A thread that may not move pages (it is in a sandbox now) touches them, and the reader brings them.
void LiveHostMm::fetch_by_touch(HostRange range) {
  unlock();
  raw_syscall(SYS_madvise, range.start().value(), range.size(), MADV_POPULATE_READ);
  mm_lock_.lock();
  drain_events();
}

/// Lock-free: whether a call on `range` may run past us. While this lives nothing there goes to VRAM.
class LiveHostMm::Passing {
 public:
  Passing(LiveHostMm& mm, std::optional<HostRange> range) : calls_(mm.passing_) {
    // Nothing of ours can be there, now or later.
    if (!range || mm.disabled() || !GranuleMap::addressable(*range)) return;
    slot_ = calls_.announce(*range);
    held_up_ = slot_ == PassingCalls::kNone || mm.tracked(*range);
  }
  ~Passing() {
    if (slot_ != PassingCalls::kNone) calls_.retract(slot_);
  }
  Passing(const Passing&) = delete;
  Passing& operator=(const Passing&) = delete;

  bool may() const { return !held_up_; }

 private:
  PassingCalls& calls_;
  PassingCalls::Slot slot_ = PassingCalls::kNone;
  bool held_up_ = false;
};

/// Makes the call without the lock, unless there is something of ours in its ranges: then nothing.
template <typename Call>
std::optional<long> LiveHostMm::run_past(HostRange range, std::optional<HostRange> also, Call call) {
  const Passing first(*this, range);
  const Passing second(*this, also);
  if (!first.may() || !second.may()) return std::nullopt;
  SX_MARK("live.hook.passing");
  return call();
}

/// The mapping of `range` goes away or is replaced: munmap, mmap(MAP_FIXED), brk, shmdt ...
template <typename Call>
long LiveHostMm::replace_mapping(HostRange range, Call call) {
  if (const auto result = run_past(range, {}, call)) {
    if (ok(*result)) notify_late(range, HostEvent::kUnmap);
    return *result;
  }
  Locked lock(*this);
  notify(range, HostEvent::kUnmap);
  unregister_range(range);
  const long result = call();
  if (ok(result)) {
    drop_pages(range);
    pins_.remove(granules_, range);
  } else {
    restore_registration(range);
  }
  return result;
}

/// The mapping stays, its contents go: MADV_DONTNEED and its kin.
template <typename Call>
long LiveHostMm::discard_contents(HostRange range, Call call) {
  if (const auto result = run_past(range, {}, call)) {
    notify_late(range, HostEvent::kClear);
    return *result;
  }
  Locked lock(*this);
  notify(range, HostEvent::kClear);
  unregister_range(range);
  const long result = call();
  // ENOMEM: there is a hole in the range, and the rest has been discarded.
  if (ok(result) || errno_of(result) == ENOMEM) {
    drop_pages(range);
  } else {
    restore_registration(range);
  }
  return result;
}

/// The mapping changes under its pages: they come home first.
template <typename Call>
long LiveHostMm::change_mapping(HostRange range, HostEvent kind, Call call) {
  if (const auto result = run_past(range, {}, call)) {
    notify_late(range, kind);
    return *result;
  }
  Locked lock(*this);
  insist_home(range);
  notify(range, kind);
  unregister_range(range);
  const long result = call();
  restore_registration(range);
  return result;
}

long LiveHostMm::hook_munmap(std::uint64_t address, std::uint64_t length) {
  auto call = [=] { return raw_syscall(SYS_munmap, address, length); };
  const auto range = pages_of(address, length);
  return range ? replace_mapping(*range, call) : call();
}

long LiveHostMm::hook_mmap(const MmapArgs& a) {
  auto call = [&] { return raw_syscall(SYS_mmap, a.address, a.length, a.protection, a.flags, a.fd, a.offset); };
  const auto range = pages_of(a.address, a.length);
  const bool replaces = (a.flags & MAP_FIXED) != 0 && (a.flags & MAP_FIXED_NOREPLACE) == 0;
  const long result = replaces && range ? replace_mapping(*range, call) : call();
  if ((a.flags & MAP_LOCKED) != 0 && ok(result)) {
    note_locked(*pages_of(static_cast<std::uint64_t>(result), a.length));
  }
  return result;
}

long LiveHostMm::hook_brk(std::uint64_t address) {
  const std::uint64_t last = last_break_.load(std::memory_order_relaxed);
  long result = 0;
  if (address == 0 || (last != 0 && address >= last)) {
    result = raw_syscall(SYS_brk, address);
  } else {
    const auto now = static_cast<std::uint64_t>(raw_syscall(SYS_brk, 0));
    const std::uint64_t from = align_up(address, kPageSize);
    const std::uint64_t to = align_up(now, kPageSize);
    // brk answers with the break in force, never with an error: compare to see whether it shrank.
    auto call = [address] {
      const long got = raw_syscall(SYS_brk, address);
      return static_cast<std::uint64_t>(got) == address ? got : -static_cast<long>(EINVAL);
    };
    if (from >= to) {
      result = raw_syscall(SYS_brk, address);
    } else {
      result = replace_mapping(HostRange::between(HostVa(from), HostVa(to)), call);
      if (!ok(result)) result = raw_syscall(SYS_brk, 0);
    }
  }
  last_break_.store(static_cast<std::uint64_t>(result), std::memory_order_relaxed);
  return result;
}

long LiveHostMm::hook_mremap(const MremapArgs& a) {
  const auto old_range = pages_of(a.old_address, a.old_length);
  const auto target = pages_of(a.new_address, a.new_length);
  const bool fixed = (a.flags & MREMAP_FIXED) != 0 && target;
  auto call = [&a] {
    return raw_syscall(SYS_mremap, a.old_address, a.old_length, a.new_length, a.flags, a.new_address);
  };
  if (!old_range) return call();
  const auto result = run_past(*old_range, fixed ? target : std::nullopt, call);
  if (!result) return move_mapping(a, *old_range);
  if (ok(*result) && static_cast<std::uint64_t>(*result) != a.old_address) {
    notify_late(*old_range, HostEvent::kUnmap);
  }
  return *result;
}

long LiveHostMm::move_mapping(const MremapArgs& a, HostRange old_range) {
  auto call = [&a](unsigned long flags) {
    return raw_syscall(SYS_mremap, a.old_address, a.old_length, a.new_length, flags, a.new_address);
  };
  const std::uint64_t new_bytes = align_up(a.new_length, kPageSize);
  const bool fixed = (a.flags & MREMAP_FIXED) != 0;
  if (!fixed && new_bytes != 0 && new_bytes < old_range.size()) {  // shrinks in place
    const auto tail = HostRange::between(old_range.start() + new_bytes, old_range.end());
    return replace_mapping(tail, [&] { return call(a.flags); });
  }
  Locked lock(*this);
  insist_home(old_range);
  unregister_range(old_range);  // also undoes splits of the mapping, which mremap does not accept
  if (!fixed && (a.flags & MREMAP_MAYMOVE) != 0 && (a.flags & ~MREMAP_MAYMOVE) == 0) {
    // In place nothing changes for the old pages, and no notifier is called.
    const long grown = call(0);
    if (ok(grown) || errno_of(grown) != ENOMEM) return grown;
  }
  notify(old_range, HostEvent::kUnmap);
  const auto target = pages_of(a.new_address, a.new_length);
  if (fixed && target) {
    notify(*target, HostEvent::kUnmap);
    unregister_range(*target);
  }
  const long result = call(a.flags);
  if (fixed && target) {
    if (ok(result)) {
      drop_pages(*target);
      pins_.remove(granules_, *target);
    } else {
      restore_registration(*target);
    }
  }
  if (ok(result)) pins_.remove(granules_, old_range);
  return result;
}

long LiveHostMm::hook_madvise(std::uint64_t address, std::uint64_t length, int advice) {
  auto call = [=] { return raw_syscall(SYS_madvise, address, length, advice); };
  const auto range = pages_of(address, length);
  if (!range) return call();
  switch (advice) {
    case MADV_DONTNEED:
    case kMadvDontneedLocked:
    case MADV_FREE:
    case MADV_REMOVE:
    case kMadvGuardInstall: return discard_contents(*range, call);
    case MADV_PAGEOUT:
    case kMadvCollapse:
    case MADV_MERGEABLE: return change_mapping(*range, HostEvent::kClear, call);
    default: return call();
  }
}

long LiveHostMm::hook_mprotect(std::uint64_t address, std::uint64_t length, long protection) {
  auto call = [=] { return raw_syscall(SYS_mprotect, address, length, protection); };
  const auto range = pages_of(address, length);
  return range ? change_mapping(*range, HostEvent::kProtect, call) : call();
}

long LiveHostMm::hook_pkey_mprotect(std::uint64_t address, std::uint64_t length, long protection, long key) {
  auto call = [=] { return raw_syscall(SYS_pkey_mprotect, address, length, protection, key); };
  const auto range = pages_of(address, length);
  return range ? change_mapping(*range, HostEvent::kProtect, call) : call();
}

bool LiveHostMm::is_own_pidfd(int pidfd) const {
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

long LiveHostMm::hook_process_madvise(int pidfd, std::uint64_t iovec, std::uint64_t count, int advice, unsigned flags) {
  const auto* vectors = reinterpret_cast<const struct iovec*>(iovec);
  bool care = false;
  if (!disabled() && count <= 1024 && flags == 0 && vectors != nullptr && is_own_pidfd(pidfd)) {
    for (std::uint64_t i = 0; i < count && !care; ++i) {
      const auto range = pages_of(number_of(vectors[i].iov_base), vectors[i].iov_len);
      care = range && tracked(*range);
    }
  }
  if (!care) return raw_syscall(SYS_process_madvise, pidfd, iovec, count, advice, flags);
  long done = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const struct iovec one = vectors[i];  // read outside the lock: it is client memory
    const long result = hook_madvise(number_of(one.iov_base), one.iov_len, advice);
    if (!ok(result)) return done != 0 ? done : result;
    done += static_cast<long>(one.iov_len);
  }
  return done;
}

long LiveHostMm::hook_shmat(int id, std::uint64_t address, int flags) {
  auto call = [=] { return raw_syscall(SYS_shmat, id, address, flags); };
  if ((flags & SHM_REMAP) == 0 || address == 0) return call();
  struct shmid_ds info {};
  if (!ok(raw_syscall(SYS_shmctl, id, IPC_STAT, &info))) return call();
  const std::uint64_t at = (flags & SHM_RND) != 0 ? align_down(address, kPageSize) : address;
  const auto range = pages_of(at, info.shm_segsz);
  return range ? replace_mapping(*range, call) : call();
}

long LiveHostMm::hook_shmdt(std::uint64_t address) {
  auto call = [=] { return raw_syscall(SYS_shmdt, address); };
  if (disabled()) return call();
  const auto vma = maps_.at_or_above(HostVa(address));
  if (!vma || vma->range.start() != HostVa(address)) return call();
  return replace_mapping(vma->range, call);
}

long LiveHostMm::hook_remap_file_pages(std::uint64_t address, std::uint64_t size, long protection,
                                       std::uint64_t page_offset, long flags) {
  auto call = [=] { return raw_syscall(SYS_remap_file_pages, address, size, protection, page_offset, flags); };
  const auto range = pages_of(align_down(address, kPageSize), size);
  return range ? replace_mapping(*range, call) : call();
}

long LiveHostMm::hook_mlock(std::uint64_t address, std::uint64_t length, unsigned flags) {
  auto call = [=] {
    return flags == 0 ? raw_syscall(SYS_mlock, address, length) : raw_syscall(SYS_mlock2, address, length, flags);
  };
  const std::uint64_t start = align_down(address, kPageSize);
  const auto range = pages_of(start, length + (address - start));
  if (range) note_locked(*range);
  if (!range || !tracked(*range)) return call();
  {
    // Locking populates, and a lock held meanwhile would keep the reader from serving that: what
    // comes home here stays home, because it is no more registered when the call runs.
    Locked lock(*this);
    insist_home(*range);
    unregister_range(*range);
    restore_registration(*range);
    const long result = raw_syscall(SYS_mlock2, address, length, kMlockOnFault);
    if (!ok(result) || (flags & kMlockOnFault) != 0) return result;
  }
  return call();
}

long LiveHostMm::hook_mlockall(int flags) {
  if (disabled()) return lock_client_memory(flags);
  if ((flags & MCL_CURRENT) != 0) {
    locked_everywhere_.store(true);
    Locked lock(*this);
    evict_everything(MoveCause::kMapping);
  }
  if ((flags & MCL_FUTURE) != 0) locked_everywhere_.store(true);
  return lock_all(flags, maps_);
}

long LiveHostMm::hook_syscall(long number, const std::array<long, 6>& a) {
  if (const auto reach = reach_into_engine_memory(number, a)) {
    return call_around_engine_memory(*reach, [&](HostRange part) {
      std::array<long, 6> rest = a;
      rest[0] = static_cast<long>(part.start().value());
      rest[1] = static_cast<long>(part.size());
      return hook_syscall(number, rest);
    });
  }
  auto u = [&a](std::size_t i) { return static_cast<std::uint64_t>(a[i]); };
  auto s = [&a](std::size_t i) { return static_cast<int>(a[i]); };
  switch (number) {
    case SYS_munmap: return hook_munmap(u(0), u(1));
    case SYS_mmap: return hook_mmap({u(0), u(1), a[2], a[3], a[4], a[5]});
    case SYS_mremap: return hook_mremap({u(0), u(1), u(2), static_cast<unsigned long>(a[3]), u(4)});
    case SYS_brk: return hook_brk(u(0));
    case SYS_madvise: return hook_madvise(u(0), u(1), s(2));
    case SYS_mprotect: return hook_mprotect(u(0), u(1), a[2]);
    case SYS_pkey_mprotect: return hook_pkey_mprotect(u(0), u(1), a[2], a[3]);
    case SYS_process_madvise: return hook_process_madvise(s(0), u(1), u(2), s(3), static_cast<unsigned>(a[4]));
    case SYS_shmat: return hook_shmat(s(0), u(1), s(2));
    case SYS_shmdt: return hook_shmdt(u(0));
    case SYS_remap_file_pages: return hook_remap_file_pages(u(0), u(1), a[2], u(3), a[4]);
    case SYS_mlock: return hook_mlock(u(0), u(1), 0);
    case SYS_mlock2: return hook_mlock(u(0), u(1), static_cast<unsigned>(a[2]));
    case SYS_mlockall: return hook_mlockall(s(0));
    default: return raw_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
}

}  // namespace softxe::live
