#include "host/live/client_call.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/statfs.h>

#include <algorithm>

#include "host/live/client_memory.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {
namespace {

// Values of the kernel's ABI that Debian 12's headers lack.
constexpr int kMadvDontneedLocked = 24;
constexpr int kMadvCollapse = 25;
constexpr int kMadvGuardInstall = 102;
constexpr unsigned kMlockOnFault = 1;
constexpr unsigned long kMremapDontunmap = 4;
constexpr long kProtGrowsDown = 0x01000000;
constexpr unsigned kHugeShift = 26;  // MAP_HUGE_SHIFT
constexpr std::uint64_t kHugeMask = 0x3f;
constexpr std::uint64_t kHugetlbfsMagic = 0x958458f6;

/// Page size of what mmap() would map from `fd`: more than 4 KiB only for hugetlbfs.
std::uint64_t page_bytes_of_file(long fd) {
  struct statfs info {};
  if (errno_of(raw_syscall(SYS_fstatfs, fd, &info)) != 0) return kPageSize;
  return static_cast<std::uint64_t>(info.f_type) == kHugetlbfsMagic ? static_cast<std::uint64_t>(info.f_bsize)
                                                                    : kPageSize;
}

/// The page size by which mmap() rounds its length.
std::uint64_t page_bytes_of_mapping(const ClientCall& mmap_call) {
  const long flags = mmap_call.args[3];
  if ((flags & MAP_ANONYMOUS) == 0) return page_bytes_of_file(mmap_call.args[4]);
  if ((flags & MAP_HUGETLB) == 0) return kPageSize;
  const std::uint64_t shift = (static_cast<std::uint64_t>(flags) >> kHugeShift) & kHugeMask;
  return shift == 0 ? k2M : std::max(kPageSize, std::uint64_t{1} << shift);
}

constexpr std::uint64_t kAddressesEnd = 1ull << 47;

/// Sealed memory (mseal) refuses to be resized, even to the size it has; anything else takes that for no change.
bool is_sealed(HostVa page) {
  return errno_of(raw_syscall(SYS_mremap, page.value(), kPageSize, kPageSize, 0)) == EPERM;
}

/// align_up() that does not wrap: 0 for what cannot be a length.
std::uint64_t rounded(std::uint64_t length, std::uint64_t page_bytes) {
  const std::uint64_t size = align_up(length, page_bytes);
  return size < length ? 0 : size;
}

}  // namespace

std::optional<HostRange> pages_of(std::uint64_t address, std::uint64_t length) {
  if (!is_aligned(address, kPageSize) || length == 0) return std::nullopt;
  const std::uint64_t size = rounded(length, kPageSize);
  if (size == 0 || address + size < address) return std::nullopt;
  return HostRange::of(HostVa(address), size);
}

std::uint64_t start_of_break() {
  const long fd = raw_syscall(SYS_openat, AT_FDCWD, "/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[1024];
  const long size = raw_syscall(SYS_read, fd, text, sizeof text);
  raw_syscall(SYS_close, fd);
  if (size <= 0) return 0;
  // The second field may hold anything, up to the last bracket; the break is the 47th.
  const char* const end = text + size;
  const char* at = end;
  while (at != text && *(at - 1) != ')') --at;
  for (int field = 2; field < 47 && at != end; ++at) field += *at == ' ' ? 1 : 0;
  std::uint64_t value = 0;
  for (; at != end && *at >= '0' && *at <= '9'; ++at) value = value * 10 + static_cast<std::uint64_t>(*at - '0');
  return value;
}

// --- calls ----------------------------------------------------------------------------------------

long ClientCall::make() const {
  if (number == kNoCall) return 0;
  if (number != SYS_process_madvise || vector.iov_len == 0) {
    return raw_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
  }
  return raw_syscall(number, args[0], &vector, 1, args[3], args[4]);
}

ClientCall ClientCall::on(HostRange range) const {
  ClientCall part = *this;
  if (number == SYS_process_madvise) {
    part.vector = {reinterpret_cast<void*>(range.start().value()), range.size()};
  } else {
    part.args[0] = static_cast<long>(range.start().value());
    part.args[1] = static_cast<long>(range.size());
  }
  return part;
}

/// brk answers with the break in force, never with an error.
bool ClientCall::succeeded(long result) const { return number == SYS_brk ? result == args[0] : errno_of(result) == 0; }

void CallPlan::add(Affected part) {
  if (count == kPartsMax) {
    parts[count - 1].range = parts[count - 1].range.hull(part.range);
    return;
  }
  parts[count++] = part;
}

bool CallPlan::tells(HostRange range, HostEvent kind) const {
  const auto parts_told = affected();
  return std::any_of(parts_told.begin(), parts_told.end(),
                     [&](const Affected& part) { return part.event == kind && part.range.contains(range); });
}

// --- the table --------------------------------------------------------------------------------------

/// `reach` finds the memory; it answers false when the call changes none.
struct CallPlanner::Row {
  long number;
  Reach reach;
  std::optional<HostEvent> event;
  VramPages pages;
  Walk walk;
};

// clang-format off
constexpr CallPlanner::Row CallPlanner::kRows[] = {
    // call                 the memory it changes                  notifiers hear         pages in VRAM          failures
    {SYS_munmap,            &CallPlanner::named_pages,             HostEvent::kUnmap,     VramPages::kGo,        Walk::kUnmapOnly},
    {SYS_mmap,              &CallPlanner::replaced_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_mremap,            &CallPlanner::moved_pages,             HostEvent::kUnmap,     VramPages::kComeHome,  Walk::kWhole},
    {SYS_brk,               &CallPlanner::break_tail,              HostEvent::kUnmap,     VramPages::kGo,        Walk::kUnmapOnly},
    {SYS_shmat,             &CallPlanner::attached_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_shmdt,             &CallPlanner::detached_pages,          HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_remap_file_pages,  &CallPlanner::remapped_file_pages,     HostEvent::kUnmap,     VramPages::kGo,        Walk::kWhole},
    {SYS_madvise,           &CallPlanner::advised_pages,           HostEvent::kClear,     VramPages::kGo,        Walk::kEachMapping},
    {SYS_process_madvise,   &CallPlanner::advised_pages,           HostEvent::kClear,     VramPages::kGo,        Walk::kEachMapping},
    {SYS_mprotect,          &CallPlanner::protected_pages,         HostEvent::kProtect,   VramPages::kComeHome,  Walk::kWhole},
    {SYS_pkey_mprotect,     &CallPlanner::protected_pages,         HostEvent::kProtect,   VramPages::kComeHome,  Walk::kWhole},
    {SYS_mlock,             &CallPlanner::locked_pages,            std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
    {SYS_mlock2,            &CallPlanner::locked_pages,            std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
    {SYS_ioctl,             &CallPlanner::handled_pages,           std::nullopt,          VramPages::kComeHome,  Walk::kWhole},
};

/// Advice that is not here changes no page (or only brings pages in), or is refused.
struct CallPlanner::AdviceRow {
  int advice;
  VramPages pages;
  Walk walk;
};
constexpr CallPlanner::AdviceRow CallPlanner::kAdvice[] = {
    {MADV_DONTNEED,       VramPages::kGo,        Walk::kEachMapping},
    {kMadvDontneedLocked, VramPages::kGo,        Walk::kEachMapping},
    {MADV_FREE,           VramPages::kGo,        Walk::kEachMapping},
    {MADV_REMOVE,         VramPages::kGo,        Walk::kEachMapping},
    {kMadvGuardInstall,   VramPages::kGo,        Walk::kEachMapping},
    {MADV_PAGEOUT,        VramPages::kComeHome,  Walk::kWhole},
    {kMadvCollapse,       VramPages::kComeHome,  Walk::kWhole},
    {MADV_MERGEABLE,      VramPages::kComeHome,  Walk::kWhole},
};

/// Requests of the client's own userfaultfd. The kernel asks of most only that the memory is registered with some
/// userfaultfd, ours as well as theirs; so it is with none of ours when they are made.
struct CallPlanner::HandlerRow {
  unsigned long request;
  std::size_t start;   ///< index of the word in the argument that begins the range
  std::size_t length;  ///< index of the word that is its length
  std::optional<std::size_t> source;  ///< index of the word that begins what is taken away: the same length
  std::optional<HostEvent> event;     ///< for the range
  bool reads_client;                  ///< it may wait for a page: not under the lock
};
constexpr CallPlanner::HandlerRow CallPlanner::kHandlers[] = {
    // request                 range: start, length   taken from      notifiers hear         may wait
    {0xc020aa00 /* REGISTER */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0x8010aa01 /* UNREGISTER */,   0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc028aa03 /* COPY */,         0, 2,             std::nullopt,   std::nullopt,          true},
    {0xc020aa04 /* ZEROPAGE */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc028aa05 /* MOVE */,         0, 2,             1,              std::nullopt,          false},
    {0xc018aa06 /* WRITEPROTECT */, 0, 1,             std::nullopt,   HostEvent::kProtect,   false},
    {0xc020aa07 /* CONTINUE */,     0, 1,             std::nullopt,   std::nullopt,          false},
    {0xc020aa08 /* POISON */,       0, 1,             std::nullopt,   std::nullopt,          false},
};
// clang-format on

std::optional<CallPlan> CallPlanner::plan(const ClientCall& call, Detail detail) const {
  for (const Row& row : kRows) {
    if (row.number != call.number) continue;
    CallPlan plan;
    plan.call = call;
    plan.walk = row.walk;
    if (!(this->*row.reach)(row, detail, plan)) return std::nullopt;
    return plan;
  }
  return std::nullopt;
}

std::optional<long> CallPlanner::refusal(const CallPlan& plan) const {
  for (const Affected& part : plan.affected()) {
    if (part.event == HostEvent::kUnmap && is_sealed(part.range.start())) return plan.call.make();
  }
  if (plan.call.number != SYS_mmap) return std::nullopt;
  ClientCall trial = plan.call;
  trial.args[0] = 0;
  trial.args[3] &= ~(MAP_FIXED | MAP_POPULATE | MAP_LOCKED);
  const long at = trial.make();
  const int err = errno_of(at);
  if (err == 0) raw_syscall(SYS_munmap, at, plan.parts[0].range.size());
  // Where memory is short, replacing may succeed although there is no room for two.
  return err == 0 || err == ENOMEM || err == EAGAIN ? std::nullopt : std::optional<long>(at);
}

bool CallPlanner::cannot_fail(const CallPlan& plan) const {
  if (plan.walk != Walk::kUnmapOnly) return false;
  const HostRange range = plan.parts[0].range;
  // refusal() has seen that its first page is not sealed. That a part of one block is sealed, by a call that no hook
  // saw, is not worth a question to the kernel, which costs as much as an unmap.
  if (range.start().aligned_down(k2M) == (range.end() - 1).aligned_down(k2M)) return true;
  const auto vma = maps_->at_or_above(range.start());
  return vma && vma->range.contains(range);
}

// --- what a call reaches ----------------------------------------------------------------------------

bool CallPlanner::named_pages(const Row& row, Detail, CallPlan& plan) const {
  const auto range = pages_of(plan.call.word(0), plan.call.word(1));
  if (!range) return false;
  plan.add({*range, row.event, row.pages});
  return true;
}

/// With PROT_GROWSDOWN the protection reaches down to the start of the mapping.
bool CallPlanner::protected_pages(const Row& row, Detail detail, CallPlan& plan) const {
  if (!named_pages(row, detail, plan)) return false;
  HostRange& range = plan.parts[0].range;
  if ((plan.call.args[2] & kProtGrowsDown) == 0) return true;
  if (const auto vma = maps_->at_or_above(range.start())) range = range.hull(vma->range);
  return true;
}

/// mmap(): with MAP_FIXED what is there goes, up to the end of the last huge page of the new mapping.
bool CallPlanner::replaced_pages(const Row& row, Detail, CallPlan& plan) const {
  const long flags = plan.call.args[3];
  if ((flags & MAP_FIXED) == 0 || (flags & MAP_FIXED_NOREPLACE) != 0) return false;
  const auto range = pages_of(plan.call.word(0), rounded(plan.call.word(1), page_bytes_of_mapping(plan.call)));
  if (!range) return false;
  plan.add({*range, row.event, row.pages});
  return true;
}

/// brk(): memory above the new break goes. A break below the heap is refused.
bool CallPlanner::break_tail(const Row& row, Detail, CallPlan& plan) const {
  if (plan.call.word(0) < start_brk_) return false;
  const auto now = static_cast<std::uint64_t>(raw_syscall(SYS_brk, 0));
  const std::uint64_t from = rounded(plan.call.word(0), kPageSize);
  const std::uint64_t to = align_up(now, kPageSize);
  if (from == 0 || from >= to) return false;
  plan.add({HostRange::between(HostVa(from), HostVa(to)), row.event, row.pages});
  return true;
}

/// What a segment maps, 0 when shmat() refuses it. How much that is (huge pages) only a mapping of it tells.
std::uint64_t CallPlanner::bytes_attached(const ClientCall& shmat_call) const {
  const long trial = raw_syscall(SYS_shmat, shmat_call.args[0], 0, shmat_call.args[2] & ~(SHM_REMAP | SHM_RND));
  if (errno_of(trial) == ENOMEM) {  // no room for two: the segment's own number must do
    struct shmid_ds info {};
    return errno_of(raw_syscall(SYS_shmctl, shmat_call.args[0], IPC_STAT, &info)) == 0 ? info.shm_segsz : 0;
  }
  if (errno_of(trial) != 0) return 0;
  const HostVa at(static_cast<std::uint64_t>(trial));
  const auto vma = maps_->at_or_above(at);
  const std::uint64_t size = vma ? vma->range.end() - at : 0;
  raw_syscall(SYS_shmdt, trial);
  return size;
}

/// shmat(): with SHM_REMAP what is there goes.
bool CallPlanner::attached_pages(const Row& row, Detail, CallPlan& plan) const {
  const auto flags = static_cast<int>(plan.call.args[2]);
  const std::uint64_t at = (flags & SHM_RND) != 0 ? align_down(plan.call.word(1), kPageSize) : plan.call.word(1);
  if ((flags & SHM_REMAP) == 0 || at == 0) return false;
  const auto range = pages_of(at, bytes_attached(plan.call));
  if (!range) return false;
  plan.add({*range, row.event, row.pages});
  return true;
}

/// shmdt(): every piece of the segment that is where the segment would have it; mprotect() and munmap() cut it
/// into pieces, and the first may be gone.
bool CallPlanner::detached_pages(const Row& row, Detail, CallPlan& plan) const {
  const HostVa address(plan.call.word(0));
  if (!address.is_aligned(kPageSize)) return false;
  std::uint64_t segment = 0;  // the inode is the segment's number
  HostVa end(kAddressesEnd);
  for (HostVa at = address; at < end;) {
    const auto vma = maps_->at_or_above(at);
    if (!vma || vma->range.start() < address) break;
    at = vma->range.end();
    if (!vma->is_segment() || vma->range.start() - address != vma->offset) continue;
    if (plan.count == 0) {
      segment = vma->inode;
      struct shmid_ds info {};
      const long known = raw_syscall(SYS_shmctl, segment, IPC_STAT, &info);
      if (errno_of(known) == 0) end = address + std::max(rounded(info.shm_segsz, k2M), k2M);
    }
    if (vma->inode != segment) continue;
    Affected& last = plan.parts[plan.count == 0 ? 0 : plan.count - 1];
    if (plan.count != 0 && last.range.end() == vma->range.start()) {
      last.range = last.range.hull(vma->range);
    } else {
      plan.add({vma->range, row.event, row.pages});
    }
  }
  return plan.count != 0;
}

/// remap_file_pages(): whole pages of one shared mapping; anything else is refused.
bool CallPlanner::remapped_file_pages(const Row& row, Detail, CallPlan& plan) const {
  const auto range = pages_of(align_down(plan.call.word(0), kPageSize), align_down(plan.call.word(1), kPageSize));
  if (!range || plan.call.args[2] != 0) return false;
  const auto vma = maps_->at_or_above(range->start());
  if (!vma || !vma->range.contains(range->start()) || !vma->shared) return false;
  plan.add({*range, row.event, row.pages});
  return true;
}

/// mremap(): the old place, and what the new one replaces. Arguments that every kernel refuses have no plan.
bool CallPlanner::moved_pages(const Row& row, Detail detail, CallPlan& plan) const {
  const auto& call = plan.call;
  const auto flags = call.word(3);
  const bool fixed = (flags & MREMAP_FIXED) != 0;
  const bool keeps = (flags & kMremapDontunmap) != 0;
  if (!is_aligned(call.word(0), kPageSize) || call.word(2) == 0) return false;
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | kMremapDontunmap)) != 0) return false;
  if ((fixed || keeps) && (flags & MREMAP_MAYMOVE) == 0) return false;
  std::uint64_t page_bytes = k2M;  // as far as a mapping of huge pages would reach
  if (detail == Detail::kExact) {
    const auto vma = maps_->at_or_above(HostVa(call.word(0)));
    if (!vma || !vma->range.contains(HostVa(call.word(0)))) return false;
    // No bytes of shared memory are a second mapping of it; of other memory, a mistake.
    if (call.word(1) == 0 && !vma->shared) return false;
    page_bytes = vma->page_bytes;
  }
  plan.is_widest = detail == Detail::kWidest;
  const auto source = pages_of(call.word(0), rounded(call.word(1), page_bytes));
  const std::uint64_t new_bytes = rounded(call.word(2), page_bytes);
  const auto target = fixed ? pages_of(call.word(4), new_bytes) : std::nullopt;
  if ((fixed && !target) || (!source && call.word(1) != 0)) return false;
  if (detail == Detail::kExact && source && target && source->intersects(*target)) return false;
  if (detail == Detail::kExact && !fixed && !keeps && source) {
    if (new_bytes < source->size()) {  // shrinks in place
      plan.walk = Walk::kUnmapOnly;
      plan.add({HostRange::between(source->start() + new_bytes, source->end()), row.event, VramPages::kGo});
      return true;
    }
    if ((flags & MREMAP_MAYMOVE) != 0) {
      plan.in_place = call;
      plan.in_place->args[3] = 0;
    }
  }
  if (source) plan.add({*source, row.event, row.pages});
  if (target) plan.add({*target, row.event, VramPages::kGo});
  return plan.count != 0;
}

bool CallPlanner::advised_pages(const Row& row, Detail, CallPlan& plan) const {
  const bool by_process = plan.call.number == SYS_process_madvise;
  const auto advice = static_cast<int>(plan.call.args[by_process ? 3 : 2]);
  const auto range =
      by_process ? pages_of(reinterpret_cast<std::uint64_t>(plan.call.vector.iov_base), plan.call.vector.iov_len)
                 : pages_of(plan.call.word(0), plan.call.word(1));
  if (!range) return false;
  for (const AdviceRow& known : kAdvice) {
    if (known.advice != advice) continue;
    plan.walk = known.walk;
    plan.add({*range, row.event, known.pages});
    return true;
  }
  return false;
}

/// Locking populates, and a lock held meanwhile would keep the reader from serving that: under the lock the memory
/// is locked without, and from then on it cannot leave.
bool CallPlanner::locked_pages(const Row& row, Detail, CallPlan& plan) const {
  if (plan.call.number == SYS_mlock2 && (plan.call.word(2) & ~std::uint64_t{kMlockOnFault}) != 0) return false;
  const std::uint64_t start = align_down(plan.call.word(0), kPageSize);
  const auto range = pages_of(start, plan.call.word(1) + (plan.call.word(0) - start));
  if (!range) return false;
  plan.add({*range, row.event, row.pages});
  plan.unlocked = plan.call;
  plan.call = {SYS_mlock2, {plan.call.args[0], plan.call.args[1], kMlockOnFault}};
  return true;
}

/// ioctl() of a userfaultfd; other descriptors know none of these requests.
bool CallPlanner::handled_pages(const Row& row, Detail, CallPlan& plan) const {
  for (const HandlerRow& known : kHandlers) {
    if (known.request != plan.call.word(1)) continue;
    std::array<std::uint64_t, 3> argument{};
    const std::size_t known_bytes = std::min(sizeof argument, std::size_t{_IOC_SIZE(known.request)});
    if (!read_client(argument.data(), HostVa(plan.call.word(2)), known_bytes)) return false;
    const std::uint64_t bytes = argument[known.length];
    const auto range = pages_of(argument[known.start], bytes);
    if (!range) return false;
    plan.add({*range, known.event, row.pages});
    const auto source = known.source ? pages_of(argument[*known.source], bytes) : std::nullopt;
    if (source) plan.add({*source, HostEvent::kClear, row.pages});
    if (known.reads_client) {
      plan.unlocked = plan.call;
      plan.call.number = kNoCall;
    }
    return true;
  }
  return false;
}

}  // namespace softxe::live
