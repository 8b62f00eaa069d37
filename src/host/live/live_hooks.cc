// System calls of the client that change its memory: each is planned (client_call.h), then carried out here.
//
// A filter without a lock lets calls on memory that softxe does not know run past. Otherwise, under the lock: what
// must come home comes home, or the call is answered with ENOMEM; notifiers are told; the call is made; records
// follow what the kernel did. Pages that go are given up only after the call. Until then their memory stays
// registered, so that whoever touches them meanwhile waits and finds what the call has left: all of it, when it
// failed. The userfaultfd event that such a call raises is read by the reader and is no news (settle()).
#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/step.h"
#include "host/live/client_memory.h"
#include "host/live/engine_calls.h"
#include "host/live/live_host_mm.h"
#include "host/live/lock_all.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {
namespace {

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

/// False: this thread is in a sandbox now that forbids it.
bool LiveHostMm::may_move_pages() const {
  const HostVa ours = unreadable_.range().start();
  const int err = client_.ask(ours, ours);
  return err == ENOENT || err == EAGAIN;
}

/// Calls that no hook saw may be in the way for a moment; their events are dealt with in between. A thread that may
/// not move pages touches them, and the reader brings them. ENOMEM: some stay in VRAM, with their data.
Status LiveHostMm::insist_home(HostRange range) {
  constexpr int kTriesMax = 100;
  const bool by_touch = !may_move_pages();
  std::uint32_t turns = 0;
  for (int i = 0; i < kTriesMax; ++i) {
    if (bring_range_home(range, MoveCause::kMapping)) return {};
    const auto piece = residency_.first_in(range);
    if (piece && by_touch) fetch_by_touch(piece->range);
    wait_turn(turns);
    drain_events();
  }
  return fail(ENOMEM, "no memory for the pages that are in VRAM");
}

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

/// Makes the call without the lock, unless there is something of ours in what it changes: then nothing.
std::optional<long> LiveHostMm::run_past(const CallPlan& plan) {
  const auto parts = plan.affected();
  std::optional<HostRange> also;
  for (const Affected& part : parts.subspan(1)) also = also ? also->hull(part.range) : part.range;
  const Passing first(*this, parts[0].range);
  const Passing second(*this, also);
  if (!first.may() || !second.may()) return std::nullopt;
  SX_MARK("live.hook.passing");
  return plan.unlocked ? plan.unlocked->make() : plan.call.make();
}

/// The lock-free filter may have looked before another thread began to mirror this memory.
void LiveHostMm::notify_late(const CallPlan& plan, long result) {
  for (const Affected& part : plan.affected()) {
    // In place: nothing but what was cut off has changed, and that is told below.
    const bool stayed = plan.call.number == SYS_mremap && result == plan.call.args[0];
    const std::uint64_t kept = stayed ? align_up(plan.call.word(2), kPageSize) : 0;
    if (!part.event || kept >= part.range.size()) continue;
    const auto changed = HostRange::between(part.range.start() + kept, part.range.end());
    if (!tracked(changed)) continue;
    Locked lock(*this);
    notify(changed, *part.event);
  }
}

long LiveHostMm::hook_call(const ClientCall& call) {
  if (disabled()) return call.make();
  const CallPlanner planner(maps_, start_brk_);
  auto plan = planner.plan(call, CallPlanner::Detail::kWidest);
  if (!plan) return call.make();
  if (const auto result = run_past(*plan)) {
    if (plan->call.succeeded(*result)) notify_late(*plan, *result);
    return *result;
  }
  if (plan->is_widest) plan = planner.plan(call, CallPlanner::Detail::kExact);
  if (!plan) return call.make();
  const auto result = carry_out(planner, *plan);
  if (!result) return -result.error().err;
  return plan->unlocked ? plan->unlocked->make() : *result;
}

/// An error: the call was not made, and nothing has happened.
Result<long> LiveHostMm::carry_out(const CallPlanner& planner, const CallPlan& plan) {
  Locked lock(*this);
  SX_TRY_VOID(prepare_home(plan));
  if (plan.in_place) {
    const long grown = plan.in_place->make();
    if (errno_of(grown) != ENOMEM) return grown;
  }
  if (const auto refused = planner.refusal(plan)) return *refused;
  for (const Affected& part : plan.affected()) {
    if (part.event) notify(part.range, *part.event);
  }
  bool away = false;
  for (const Affected& part : plan.affected()) {
    // Not under pages that are away: others would find nothing, and a failing call would have lost them.
    if (residency_.first_in(part.range) && !planner.cannot_fail(plan)) {
      away = true;
    } else {
      unregister_range(part.range);
    }
  }
  if (away && plan.walk == Walk::kEachMapping) return call_each_mapping(plan);
  const long result = plan.call.make();
  settle(plan, result);
  return result;
}

/// Also undoes splits of the mapping, which mremap() does not accept.
Status LiveHostMm::prepare_home(const CallPlan& plan) {
  for (const Affected& part : plan.affected()) {
    if (part.pages == VramPages::kComeHome) SX_TRY_VOID(insist_home(part.range));
  }
  for (const Affected& part : plan.affected()) {
    if (part.pages == VramPages::kComeHome) unregister_range(part.range);
  }
  return {};
}

/// As the kernel walks: what a mapping refuses ends the call, what came before is done; holes are reported last.
long LiveHostMm::call_each_mapping(const CallPlan& plan) {
  const HostRange range = plan.parts[0].range;
  long result = 0;
  bool hole = false;
  for (HostVa at = range.start(); at < range.end();) {
    const auto vma = maps_.at_or_above(at);
    const auto part = vma ? vma->range.intersection(HostRange::between(at, range.end())) : std::nullopt;
    hole = hole || !part || part->start() != at;
    if (!part) break;
    at = part->end();
    const ClientCall call = plan.call.on(*part);
    const long got = call.make();
    if (ok(got)) drop_pages(*part);
    drain_events(&plan);
    if (!ok(got)) return got;
    result += got;
  }
  return hole ? -ENOMEM : result;
}

/// Records follow what the kernel did. The event that the call itself has raised is no news.
void LiveHostMm::settle(const CallPlan& plan, long result) {
  const bool done = plan.call.succeeded(result);
  for (const Affected& part : plan.affected()) {
    if (part.event != HostEvent::kUnmap) continue;
    if (done) {
      forget(part.range);
    } else {
      forget_unmapped(part.range);
      restore_registration(part.range);
    }
  }
  drain_events(&plan);
}

// --- calls by name ----------------------------------------------------------------------------------

long LiveHostMm::hook_munmap(std::uint64_t address, std::uint64_t length) {
  return hook_syscall(SYS_munmap, {static_cast<long>(address), static_cast<long>(length)});
}

long LiveHostMm::hook_mmap(const MmapArgs& a) {
  const long result = hook_call(
      {SYS_mmap, {static_cast<long>(a.address), static_cast<long>(a.length), a.protection, a.flags, a.fd, a.offset}});
  if ((a.flags & MAP_LOCKED) != 0 && ok(result)) {
    note_locked(*pages_of(static_cast<std::uint64_t>(result), a.length));
  }
  return result;
}

long LiveHostMm::hook_mremap(const MremapArgs& a) {
  return hook_syscall(
      SYS_mremap, {static_cast<long>(a.old_address), static_cast<long>(a.old_length), static_cast<long>(a.new_length),
                   static_cast<long>(a.flags), static_cast<long>(a.new_address)});
}

long LiveHostMm::hook_madvise(std::uint64_t address, std::uint64_t length, int advice) {
  return hook_syscall(SYS_madvise, {static_cast<long>(address), static_cast<long>(length), advice});
}

long LiveHostMm::hook_mprotect(std::uint64_t address, std::uint64_t length, long protection) {
  return hook_syscall(SYS_mprotect, {static_cast<long>(address), static_cast<long>(length), protection});
}

long LiveHostMm::hook_pkey_mprotect(std::uint64_t address, std::uint64_t length, long protection, long key) {
  return hook_syscall(SYS_pkey_mprotect, {static_cast<long>(address), static_cast<long>(length), protection, key});
}

long LiveHostMm::hook_remap_file_pages(std::uint64_t address, std::uint64_t size, long protection,
                                       std::uint64_t page_offset, long flags) {
  return hook_syscall(SYS_remap_file_pages, {static_cast<long>(address), static_cast<long>(size), protection,
                                             static_cast<long>(page_offset), flags});
}

long LiveHostMm::hook_shmat(int id, std::uint64_t address, int flags) {
  return hook_syscall(SYS_shmat, {id, static_cast<long>(address), flags});
}

long LiveHostMm::hook_shmdt(std::uint64_t address) { return hook_syscall(SYS_shmdt, {static_cast<long>(address)}); }

/// A growing break, the common case, costs no look at anything.
long LiveHostMm::hook_brk(std::uint64_t address) {
  const ClientCall call{SYS_brk, {static_cast<long>(address)}};
  const std::uint64_t last = last_break_.load(std::memory_order_relaxed);
  const bool shrinks = address != 0 && (last == 0 || address < last);
  const long result = shrinks ? hook_call(call) : call.make();
  last_break_.store(static_cast<std::uint64_t>(result), std::memory_order_relaxed);
  return result;
}

long LiveHostMm::hook_mlock(std::uint64_t address, std::uint64_t length, unsigned flags) {
  const std::uint64_t start = align_down(address, kPageSize);
  if (const auto range = pages_of(start, length + (address - start))) note_locked(*range);
  const auto a = static_cast<long>(address);
  const auto n = static_cast<long>(length);
  return hook_call(flags == 0 ? ClientCall{SYS_mlock, {a, n}} : ClientCall{SYS_mlock2, {a, n, flags}});
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

namespace {

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

}  // namespace

/// The kernel takes in the whole vector first, then works through it. So does this, unless none of it is known here,
/// or the kernel refuses it as a whole.
long LiveHostMm::hook_process_madvise(int pidfd, std::uint64_t iovec, std::uint64_t count, int advice, unsigned flags) {
  const ClientCall call{SYS_process_madvise,
                        {pidfd, static_cast<long>(iovec), static_cast<long>(count), advice, static_cast<long>(flags)}};
  const ClientVector vector(call.word(1), call.word(2));
  bool care = false;
  bool refused = false;
  if (disabled() || call.word(2) > ClientVector::kEntriesMax || call.args[4] != 0) return call.make();
  auto look = [&](const struct iovec& entry) {
    const auto range = pages_of(number_of(entry.iov_base), entry.iov_len);
    care = care || (range && tracked(*range));
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
    const long result = hook_call(one);
    if (!ok(result)) return failed = result, false;
    done += static_cast<long>(entry.iov_len);
    return true;
  };
  if (!vector.each(advise)) failed = -EFAULT;
  return done != 0 ? done : failed;
}

long LiveHostMm::hook_mlockall(int flags) {
  if (disabled()) return lock_client_memory(flags);
  if ((flags & MCL_CURRENT) != 0) {
    locked_everywhere_.store(true);
    Locked lock(*this);
    if (!evict_everything(MoveCause::kMapping)) return -ENOMEM;
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
  const ClientCall call{number, a};
  auto u = [&a](std::size_t i) { return static_cast<std::uint64_t>(a[i]); };
  switch (number) {
    case SYS_mmap: return hook_mmap({u(0), u(1), a[2], a[3], a[4], a[5]});
    case SYS_brk: return hook_brk(u(0));
    case SYS_process_madvise:
      return hook_process_madvise(static_cast<int>(a[0]), u(1), u(2), static_cast<int>(a[3]),
                                  static_cast<unsigned>(a[4]));
    case SYS_mlock: return hook_mlock(u(0), u(1), 0);
    case SYS_mlock2: return hook_mlock(u(0), u(1), static_cast<unsigned>(a[2]));
    case SYS_mlockall: return hook_mlockall(static_cast<int>(a[0]));
    default: return hook_call(call);
  }
}

}  // namespace softxe::live
