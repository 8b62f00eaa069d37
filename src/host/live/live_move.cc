// Ranges to VRAM and back, as the driver asks for it.
#include <sys/mman.h>

#include <ctime>

#include "base/raw_syscall.h"
#include "host/live/live_host_mm.h"
#include "host/live/migration.h"

namespace softxe::live {

bool LiveHostMm::can_move(HostRange range) {
  if (res_.rung != Rung::kUserOnly) return res_.rung == Rung::kFull;
  const Locked lock(*this);
  return memory_.named.contains(range);
}

Status LiveHostMm::allow_migration(HostRange range) {
  if (res_.rung != Rung::kUserOnly || disabled()) return {};
  const Locked lock(*this);
  SX_TRY(CpuVma vma, LogicalMappings(res_).at(range.start(), range));
  if (vma.kind != CpuVma::Kind::kAnonPrivate || !vma.range.contains(range))
    return fail(EINVAL, "not a part of one anonymous mapping");
  return memory_.named.add(range);
}

bool LiveHostMm::stands_in(HostRange range, const DevmemHeap& heap) {
  if (disabled() || !GranuleMap::addressable(range)) return false;
  const Locked lock(*this);
  const auto piece = memory_.residents.first_in(range);
  return piece && piece->range == range && piece->allocation->heap == &heap &&
         HostVa(number_of(piece->frame())).is_aligned(range.size());
}

Result<MigrateCounts> LiveHostMm::migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                                    std::uint64_t residency_ns) {
  bool shared_pages = false;
  auto result = try_migrate(range, allocation, residency_ns, shared_pages);
  if (result || !shared_pages) return result;
  // Shared since a fork: break copy-on-write, without the lock (the fault may need the reader).
  res_.counters.cow_breaks.fetch_add(1, std::memory_order_relaxed);
  raw_syscall(SYS_madvise, range.start().value(), range.size(), MADV_POPULATE_WRITE);
  return try_migrate(range, allocation, residency_ns, shared_pages);
}

Result<MigrateCounts> LiveHostMm::try_migrate(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns,
                                              bool& shared_pages) {
  const Locked lock(*this);
  Migration migration(res_, memory_, range, allocation);
  auto result = migration.run(residency_ns);
  shared_pages = migration.met_shared_pages();
  return result;
}

Status LiveHostMm::evict(DevmemAllocation& allocation) {
  constexpr int kTriesMax = 100;
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  const Locked lock(*this);
  for (int i = 0; i < kTriesMax; ++i) {
    if (memory_.residents.bring_allocation_home(allocation, MoveCause::kEviction)) return {};
    memory_.missed.drain();
    if (allocation.host_private == nullptr) return {};
  }
  return fail(EBUSY, "some pages could not leave VRAM");
}

}  // namespace softxe::live
