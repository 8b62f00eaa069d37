// Where pages stand: collect, populated, migrate_to_system.
#include <sys/mman.h>

#include <cstring>
#include <ctime>

#include "base/raw_syscall.h"
#include "base/step.h"
#include "host/live/live_host_mm.h"

namespace softxe::live {
namespace {

constexpr std::uint64_t kCollectTimeoutNs = 1'000'000'000;  // spec/svm.md 0.3

void sleep_ns(std::uint64_t ns) {
  const timespec duration{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  raw_syscall(SYS_nanosleep, &duration, nullptr);
}

/// Faults `range` in at its real address, as the kernel's collection would. No lock is held.
/// EAGAIN: try again.
Status fault_in(HostRange range, CollectRequest::Intent intent) {
  const int advice = intent == CollectRequest::Intent::kWrite ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  const long result = raw_syscall(SYS_madvise, range.start().value(), range.size(), advice);
  switch (errno_of(result)) {
    case 0: return {};
    case EINTR:
    case EAGAIN:
    case EBUSY: return fail(EAGAIN, "interrupted");
    case ENOMEM: {
      // A hole or no memory: mincore tells, it knows only about holes.
      unsigned char resident[256];
      constexpr std::uint64_t kStep = sizeof resident * kPageSize;
      for (HostVa at = range.start(); at < range.end(); at += kStep) {
        const std::uint64_t bytes = std::min(kStep, range.end() - at);
        if (errno_of(raw_syscall(SYS_mincore, at.value(), bytes, resident)) != 0) {
          return fail(EFAULT, "nothing is mapped in a part of the range");
        }
      }
      return fail(ENOMEM, "no memory to fault the range in");
    }
    default: return fail(EFAULT, "no permission, or beyond the end of a file");
  }
}

}  // namespace

Status LiveHostMm::collect(HostRange range, CollectRequest request, PageHomes& homes) {
  if (!GranuleMap::addressable(range)) return fail(EFAULT, "not a user address");
  if (is_engine_memory(range)) return fail(EFAULT, "nothing of the process is mapped in a part of the range");
  SX_TRY_VOID(SX_STEP("live.collect.begin"));
  const std::uint64_t give_up_ns = res_.clock.now_ns() + kCollectTimeoutNs;
  EngineSection section(*this);
  for (;;) {
    if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
    SX_TRY(std::uint64_t wait_ns, collect_device_pages(range, request.owner, homes));
    if (wait_ns == 0) {
      const Status status = collect_system_pages(range, request.intent, homes);
      if (status || status.error().err != EAGAIN) return status;
    }
    const std::uint64_t now = res_.clock.now_ns();
    if (now >= give_up_ns) return fail(EBUSY, "pages did not come to rest in time");
    if (wait_ns != 0) sleep_ns(std::min(wait_ns, give_up_ns - now));
  }
}

/// Describes what is in VRAM of `owner`, brings the rest home. Returns how long to wait before the
/// next try; 0: `homes` tells device from system pages.
Result<std::uint64_t> LiveHostMm::collect_device_pages(HostRange range, OwnerGroup owner, PageHomes& homes) {
  constexpr std::uint64_t kRetryNs = 50'000;
  Locked lock(*this);
  homes.clear();
  auto in_system = [&](HostRange part) {
    homes.append({.system = reinterpret_cast<std::byte*>(part.start().value()), .bytes = part.size()});
  };
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = memory_.residents.first_in(HostRange::between(at, range.end()));
    const HostVa gap_end = piece ? piece->range.start() : range.end();
    if (at < gap_end) in_system(HostRange::between(at, gap_end));
    if (!piece) break;
    at = piece->range.end();
    DevmemAllocation& allocation = *piece->allocation;
    const bool stays = owner != OwnerGroup::kNobody && allocation.heap->owner() == owner;
    if (!stays) {
      // Like a CPU touch: it honours the residency deadline (spec/svm.md 5.7).
      if (const std::uint64_t left = memory_.residents.deadline_left_ns(piece->range)) return left;
      if (!memory_.residents.bring_allocation_home(allocation, MoveCause::kCpuFault)) return kRetryNs;
      in_system(piece->range);
      continue;
    }
    homes.append({.where = PageHome::Where::kDevice,
                  .allocation = &allocation,
                  .device = allocation.block.start() + (std::uint64_t{piece->first_page} << kPageShift),
                  .bytes = piece->range.size()});
  }
  memory_.registration.unregister_idle(range);  // what is to be faulted in goes at the kernel's own speed
  return 0;
}

Status LiveHostMm::collect_system_pages(HostRange range, CollectRequest::Intent intent, PageHomes& homes) {
  HostVa at = range.start();
  for (const PageHome& home : homes.runs()) {
    const auto run = HostRange::of(at, home.bytes);
    at = run.end();
    if (home.where != PageHome::Where::kSystem) continue;
    if (res_.client_uffd.would_wait(run, intent, res_.pagemap))
      return fail(EFAULT, "a page waits for the client's own userfaultfd");
    SX_TRY_VOID(fault_in(run, intent));
  }
  return intent == CollectRequest::Intent::kRead ? forbid_writes(range, homes) : Status{};
}

/// System pages that the process may not store to are not the GPU's to store to.
Status LiveHostMm::forbid_writes(HostRange range, PageHomes& homes) {
  for (HostVa at = range.start(); at < range.end();) {
    const std::uint64_t page = (at - range.start()) >> kPageShift;
    const PageHome home = homes.from(page);
    HostVa stop = at + home.bytes;
    if (home.where == PageHome::Where::kSystem) {
      SX_TRY(RawVma vma, res_.maps.at_or_above(at));
      stop = std::min(stop, vma.range.end());
      if (!vma.writable) homes.forbid_writes(page, (stop - range.start()) >> kPageShift);
    }
    at = stop;
  }
  return {};
}

bool LiveHostMm::all_present(HostRange range) {
  for (HostVa at = range.start(); at < range.end();) {
    auto vma = res_.maps.at_or_above(at);
    if (!vma || vma->range.start() > at || !vma->readable) return false;
    std::uint64_t words[64];
    const HostVa stop = std::min(range.end(), vma->range.end());
    const std::uint64_t pages = std::min<std::uint64_t>((stop - at) >> kPageShift, 64);
    if (!res_.pagemap.read(at, std::span(words, pages))) return false;
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (!PageMap::is_present(words[i])) return false;
    }
    at += pages << kPageShift;
  }
  return true;
}

bool LiveHostMm::populated(HostRange range, OwnerGroup owner) {
  if (disabled() || !GranuleMap::addressable(range)) return false;
  const Locked lock(*this);
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = memory_.residents.first_in(HostRange::between(at, range.end()));
    const HostVa gap_end = piece ? piece->range.start() : range.end();
    if (at < gap_end && !all_present(HostRange::between(at, gap_end))) return false;
    if (!piece) break;
    if (piece->allocation->heap->owner() != owner) return false;
    at = piece->range.end();
  }
  return true;
}

std::size_t LiveHostMm::mark_resident(HostRange range, std::span<std::uint8_t> pages) {
  SX_ASSERT(pages.size() == range.pages());
  if (!tracked(range)) return 0;
  const Locked lock(*this);
  std::size_t marked = 0;
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = memory_.residents.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    const std::uint64_t first = (piece->range.start() - range.start()) >> kPageShift;
    std::memset(pages.data() + first, 1, piece->range.pages());
    marked += piece->range.pages();
    at = piece->range.end();
  }
  return marked;
}

Status LiveHostMm::migrate_to_system(HostRange range, MoveCause cause, Residency residency) {
  if (!GranuleMap::addressable(range)) return {};
  const std::uint64_t give_up_ns = res_.clock.now_ns() + kCollectTimeoutNs;
  EngineSection section(*this);
  for (;;) {
    if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
    std::uint64_t wait_ns = 0;
    {
      Locked lock(*this);
      if (residency == Residency::kHonour) wait_ns = memory_.residents.deadline_left_ns(range);
      if (wait_ns == 0) {
        return bring_allocations_home(range, cause);
      }
    }
    const std::uint64_t now = res_.clock.now_ns();
    if (now >= give_up_ns) return fail(EBUSY, "the residency deadline is too far away");
    sleep_ns(std::min(wait_ns, give_up_ns - now));
  }
}

}  // namespace softxe::live
