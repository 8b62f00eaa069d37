// Which memory a call really changes: the column "reach" of the table in client_call.cc.
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/statfs.h>

#include <algorithm>

#include "base/raw_syscall.h"
#include "host/live/client_call.h"

namespace softxe::live {
namespace {

// Values of the kernel's ABI that Debian 12's headers lack.
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
  std::optional<HostRange> mapping;
  if (detail == Detail::kExact) {
    const auto vma = maps_->at_or_above(HostVa(call.word(0)));
    if (!vma || !vma->range.contains(HostVa(call.word(0)))) return false;
    // No bytes of shared memory are a second mapping of it; of other memory, a mistake.
    if (call.word(1) == 0 && !vma->shared) return false;
    page_bytes = vma->page_bytes;
    mapping = vma->range;
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
  // Since 6.17 several mappings move with the gaps between them, and below a gap the target stays as it was.
  const bool replaced = !source || (mapping && mapping->contains(*source));
  if (target) plan.add({*target, row.event, replaced ? VramPages::kGo : VramPages::kComeHome});
  return plan.count != 0;
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

}  // namespace softxe::live
