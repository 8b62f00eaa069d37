#include "host/sim/sim_host_mm.h"

#include <algorithm>
#include <cstring>

#include "base/step.h"

namespace softxe {
namespace {

std::byte* device_page(const DevmemAllocation& allocation, std::uint32_t page) {
  return allocation.frame + page * kPageSize;
}

}  // namespace

SimHostMm::EventScope::EventScope(SimHostMm& mm, const SimProcess& p, HostRange range, HostEvent kind)
    : mm_(mm), mirrored_(&p == mm.processes_[0].get()), range_(range), kind_(kind) {
  mm_.lock_.assert_held();
  if (mirrored_ && mm_.options_.order == NotifyOrder::kBefore) mm_.notify(range_, kind_);
}

SimHostMm::EventScope::~EventScope() {
  mm_.lock_.assert_held();
  if (mirrored_ && mm_.options_.order == NotifyOrder::kAfter) mm_.notify(range_, kind_);
}

SimHostMm::SimHostMm(ManualClock& clock, SimOptions options)
    : clock_(clock), options_(options), frames_(options.ram_bytes) {
  auto first = std::make_unique<SimProcess>();
  first->brk = options_.brk_base;
  processes_.push_back(std::move(first));
}

SimHostMm::~SimHostMm() {
  cpu_exit(Pid::kMain);
  Guard guard(lock_);
  notifiers_.clear();
  for (const Window& window : windows_) unmap_window(window);
}

SimProcess& SimHostMm::process(Pid pid) {
  auto index = static_cast<std::size_t>(pid);
  SX_ASSERT(index < processes_.size());
  return *processes_[index];
}

// --- looking --------------------------------------------------------------------------------------

Result<CpuVma> SimHostMm::vma_within(HostVa va, HostRange) {
  SX_TRY_VOID(SX_STEP("host.sim.find_vma"));
  Guard guard(lock_);
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  const SimVma* vma = main().find(va);
  if (vma == nullptr) return fail(ENOENT, "nothing is mapped at this CPU address");
  return CpuVma{vma->range, vma->kind, can_read(vma->prot), can_write(vma->prot)};
}

Result<HostVa> SimHostMm::next_mapped(HostRange range) {
  Guard guard(lock_);
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  const SimVma* vma = main().first_in(range);
  if (vma == nullptr) return fail(ENOENT, "nothing is mapped in this CPU interval");
  return std::max(vma->range.start(), range.start());
}

bool SimHostMm::populated(HostRange range, OwnerGroup owner) {
  Guard guard(lock_);
  if (!main().alive) return false;
  for (HostVa page = range.start(); page < range.end(); page += kPageSize) {
    const SimVma* vma = main().find(page);
    if (vma == nullptr || !can_read(vma->prot)) return false;
    const SimPte* pte = main().pte(page);
    if (pte == nullptr) return false;
    if (pte->kind == SimPte::Kind::kSwapped || pte->kind == SimPte::Kind::kGuard) return false;
    if (pte->kind == SimPte::Kind::kDevice &&
        (owner == OwnerGroup::kNobody || pte->allocation->heap->owner() != owner)) {
      return false;
    }
  }
  return true;
}

// --- notifiers ------------------------------------------------------------------------------------

Status SimHostMm::watch(IntervalNotifier& notifier) {
  SX_TRY_VOID(SX_STEP("host.sim.watch"));
  Guard guard(lock_);
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  notifiers_.insert(notifier);
  return {};
}

void SimHostMm::unwatch(IntervalNotifier& notifier) {
  Guard guard(lock_);
  if (notifier.is_linked()) notifiers_.erase(notifiers_.iterator_to(notifier));
}

std::uint64_t SimHostMm::read_begin(IntervalNotifier& notifier) {
  Guard guard(lock_);
  return notifier.sequence();
}

void SimHostMm::notify(HostRange range, HostEvent kind) {
  for (IntervalNotifier& notifier : notifiers_) {
    if (notifier.window().start() >= range.end()) break;
    auto part = notifier.window().intersection(range);
    if (!part) continue;
    ++events_.calls[static_cast<std::size_t>(kind)];
    notifier.advance_sequence();
    notifier.invalidate(*part, kind);
  }
}

// --- collecting -----------------------------------------------------------------------------------

Status SimHostMm::collect(HostRange range, CollectRequest request, PageHomes& homes) {
  homes.clear();
  SX_TRY_VOID(SX_STEP("host.sim.collect.enter"));
  Guard guard(lock_);
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  for (HostVa page = range.start(); page < range.end(); page += kPageSize) {
    auto home = collect_page(page, request);
    // A load's bus error is what hmm_range_fault reports as EFAULT too.
    if (!home) return home.error().err == kCpuBus ? fail(EFAULT, home.error().why) : fail(home.error());
    homes.append(*home);
  }
  return {};
}

Result<PageHome> SimHostMm::collect_page(HostVa page, CollectRequest request) {
  const SimVma* vma = main().find(page);
  if (vma == nullptr) return fail(EFAULT, "a hole in the mapping");
  bool write = request.intent == CollectRequest::Intent::kWrite;
  if (!can_read(vma->prot) || (write && !can_write(vma->prot))) {
    return fail(EFAULT, "the mapping's protection refuses the access");
  }
  if (vma->kind == CpuVma::Kind::kDevice || vma->kind == CpuVma::Kind::kSpecial) {
    return fail(EFAULT, "device memory cannot be collected");
  }
  if (const SimPte* pte = main().pte(page); pte != nullptr && pte->kind == SimPte::Kind::kDevice) {
    if (request.owner != OwnerGroup::kNobody && pte->allocation->heap->owner() == request.owner) {
      return PageHome{.where = PageHome::Where::kDevice,
                      .writable = can_write(vma->prot),
                      .system = nullptr,
                      .allocation = pte->allocation,
                      .device = pte->allocation->block.start() + pte->page * kPageSize};
    }
    SX_TRY_VOID(cpu_fault_on_device(page, MoveCause::kRangeEvict, WaitPolicy::kAdvanceClock));
  }
  SX_TRY(Faulted faulted, fault_in(main(), page, write ? Access::kWrite : Access::kRead));
  return PageHome{.where = PageHome::Where::kSystem,
                  .writable = faulted.writable,
                  .system = frames_.data(faulted.frame),
                  .allocation = nullptr,
                  .device = {}};
}

// --- to VRAM --------------------------------------------------------------------------------------

Status SimHostMm::check_collectable(HostRange range, const DevmemAllocation& allocation) {
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  const SimVma* vma = main().find(range.start());
  if (vma == nullptr) return fail(ENOENT, "nothing is mapped at the start of the range");
  if (!vma->range.contains(range)) return fail(EINVAL, "the range spans several mappings");
  if (vma->kind == CpuVma::Kind::kHugetlb || vma->kind == CpuVma::Kind::kDevice ||
      vma->kind == CpuVma::Kind::kSpecial) {
    return fail(EINVAL, "mapping of a kind that never migrates");
  }
  if (vma->kind != CpuVma::Kind::kAnonPrivate) return fail(EBUSY, "mapping is not anonymous");
  if (vma->locked) return fail(EBUSY, "mapping is locked in memory");
  if (!can_write(vma->prot)) return fail(EBUSY, "mapping is not writable");

  for (auto it = main().ptes_begin(range), end = main().ptes_end(range); it != end; ++it) {
    const SimPte& pte = it->second;
    switch (pte.kind) {
      case SimPte::Kind::kSwapped: return fail(EBUSY, "a page is swapped out");
      case SimPte::Kind::kGuard: return fail(EBUSY, "a guard page");
      case SimPte::Kind::kFrame:
        if (frames_.pinned(pte.frame)) return fail(EBUSY, "a page is pinned");
        break;
      case SimPte::Kind::kDevice:
        SX_ASSERT(pte.allocation != &allocation);
        if (pte.allocation->heap->owner() != allocation.heap->owner()) {
          return fail(EBUSY, "a page is in VRAM of another group");
        }
        break;
      case SimPte::Kind::kZero: break;
    }
  }
  return {};
}

bool SimHostMm::stands_in(HostRange range, const DevmemHeap& heap) {
  Guard guard(lock_);
  const SimPte* first = main().pte(range.start());
  if (first == nullptr || first->kind != SimPte::Kind::kDevice || first->allocation->heap != &heap) return false;
  if (!(first->allocation->block.start() + first->page * kPageSize).is_aligned(range.size())) return false;
  std::uint32_t expected = first->page;
  for (HostVa page = range.start(); page < range.end(); page += kPageSize, ++expected) {
    const SimPte* pte = main().pte(page);
    const bool next = pte != nullptr && pte->kind == SimPte::Kind::kDevice && pte->allocation == first->allocation;
    if (!next || pte->page != expected) return false;
  }
  return true;
}

Result<MigrateCounts> SimHostMm::migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                                   std::uint64_t residency_ns) {
  SX_ASSERT(allocation.block.size() == range.size() && allocation.present_count() == 0);
  SX_TRY_VOID(SX_STEP("host.sim.migrate.enter"));
  Guard guard(lock_);
  SX_TRY_VOID(check_collectable(range, allocation));
  SX_TRY_VOID(SX_STEP("host.sim.migrate.collect"));
  notify(range, HostEvent::kMigrate);
  SX_TRY_VOID(SX_STEP("host.sim.migrate.copy"));

  MigrateCounts counts;
  homes_[&allocation].assign(allocation.pages(), HostVa(0));
  std::uint32_t index = 0;
  for (HostVa page = range.start(); page < range.end(); page += kPageSize, ++index) {
    const SimPte* pte = main().pte(page);
    bool zero = pte == nullptr || pte->kind == SimPte::Kind::kZero;
    ++(zero ? counts.pages_zero_filled : counts.pages_moved);
    enter_device(page, allocation, index);
  }
  if (residency_ns > 0) allocation.residency_deadline_ns = clock_.now_ns() + residency_ns;
  return counts;
}

void SimHostMm::enter_device(HostVa page, DevmemAllocation& allocation, std::uint32_t index) {
  std::byte* to = device_page(allocation, index);
  for (Window& window : windows_) {
    if (to < window.base || to >= window.base + window.bytes) continue;
    window.used_bytes = std::max(window.used_bytes, static_cast<std::uint64_t>(to - window.base) + kPageSize);
  }
  const SimPte* pte = main().pte(page);
  if (pte == nullptr || pte->kind == SimPte::Kind::kZero) {
    std::memset(to, 0, kPageSize);
  } else if (pte->kind == SimPte::Kind::kFrame) {
    std::memcpy(to, frames_.data(pte->frame), kPageSize);
  } else {
    std::memcpy(to, device_page(*pte->allocation, pte->page), kPageSize);
  }
  drop_pte(main(), page);
  main().set_pte(page, SimPte{.kind = SimPte::Kind::kDevice,
                              .lazy_free = false,
                              .frame = FrameId{},
                              .allocation = &allocation,
                              .page = index});
  allocation.set_present(index, 1);
  homes_[&allocation][index] = page;
}

// --- to system memory -------------------------------------------------------------------------------

std::vector<HostVa> SimHostMm::device_pages_in(HostRange range) {
  std::vector<HostVa> pages;
  for (auto it = main().ptes_begin(range), end = main().ptes_end(range); it != end; ++it) {
    if (it->second.kind == SimPte::Kind::kDevice) pages.push_back(SimProcess::va_of(it->first));
  }
  return pages;
}

/// Brings exactly these VRAM pages (ascending) home, or none. Events first, as the engine itself acts.
Status SimHostMm::move_home(std::span<const HostVa> pages, MoveCause cause) {
  if (pages.empty()) return {};
  const std::uint64_t begin_ns = clock_.now_ns();
  std::vector<FrameId> fresh;
  Status allocated = SX_STEP("host.sim.to_system.alloc");
  while (allocated && fresh.size() < pages.size()) {
    auto frame = frames_.alloc();
    if (frame) {
      fresh.push_back(*frame);
    } else {
      allocated = fail(frame.error());
    }
  }
  if (!allocated) {
    for (FrameId frame : fresh) frames_.unref(frame);
    return allocated;
  }

  // One event per run of adjacent pages: what lies between two runs is not concerned.
  for (std::size_t first = 0; first < pages.size();) {
    std::size_t last = first;
    while (last + 1 < pages.size() && pages[last + 1] == pages[last] + kPageSize) ++last;
    notify(HostRange::between(pages[first], pages[last] + kPageSize), HostEvent::kMigrate);
    first = last + 1;
  }

  std::vector<std::pair<DevmemAllocation*, MovedHome>> moved;  // in the order of their first pages
  for (std::size_t i = 0; i < pages.size(); ++i) {
    SimPte pte = *main().pte(pages[i]);
    std::memcpy(frames_.data(fresh[i]), device_page(*pte.allocation, pte.page), kPageSize);
    leave_device(*pte.allocation, pte.page);
    main().set_pte(
        pages[i],
        SimPte{.kind = SimPte::Kind::kFrame, .lazy_free = false, .frame = fresh[i], .allocation = nullptr, .page = 0});
    auto mine = std::ranges::find(moved, pte.allocation, [](const auto& one) { return one.first; });
    if (mine == moved.end()) mine = moved.insert(mine, {pte.allocation, {.at = pages[i], .cause = cause}});
    ++mine->second.pages;
  }
  const std::uint64_t took_ns = (clock_.now_ns() - begin_ns) / moved.size();
  for (auto& [allocation, home] : moved) {
    home.took_ns = took_ns;
    allocation->heap->moved_to_system(*allocation, home);
    release_if_empty(*allocation);
  }
  return {};
}

void SimHostMm::leave_device(DevmemAllocation& allocation, std::uint32_t page) {
  SX_ASSERT(allocation.page_present(page));
  std::memset(device_page(allocation, page), static_cast<int>(SimFrames::kPoison), kPageSize);
  allocation.clear_present(page, 1);
}

void SimHostMm::release_if_empty(DevmemAllocation& allocation) {
  if (allocation.present_count() != 0) return;
  homes_.erase(&allocation);
  allocation.heap->release(allocation);
}

Status SimHostMm::migrate_to_system(HostRange range, MoveCause cause, Residency residency) {
  SX_TRY_VOID(SX_STEP("host.sim.to_system.enter"));
  Guard guard(lock_);
  std::vector<HostVa> pages = device_pages_in(range);
  if (residency == Residency::kHonour) {
    for (HostVa page : pages) {
      SX_TRY_VOID(wait_residency(*main().pte(page)->allocation, WaitPolicy::kAdvanceClock));
    }
  }
  return move_home(pages, cause);
}

Status SimHostMm::evict(DevmemAllocation& allocation) {
  SX_TRY_VOID(SX_STEP("host.sim.evict.enter"));
  Guard guard(lock_);
  if (!main().alive) return fail(EFAULT, "the mirrored process is gone");
  auto it = homes_.find(&allocation);
  if (it == homes_.end()) return {};
  std::vector<HostVa> pages;
  for (std::uint32_t page = 0; page < allocation.pages(); ++page) {
    if (allocation.page_present(page)) pages.push_back(it->second[page]);
  }
  std::sort(pages.begin(), pages.end());
  return move_home(pages, MoveCause::kEviction);
}

}  // namespace softxe
