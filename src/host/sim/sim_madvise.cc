// Advice, swapping, object truncation and pins of the simulated machine; and what tests may ask.
#include <sys/syscall.h>
#include <algorithm>

#include "base/event_ring.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"

namespace softxe {

Status SimHostMm::cpu_madvise(HostRange range, CpuAdvice advice, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.madvise.enter"));
  if (!range.start().is_aligned(kPageSize)) return fail(EINVAL, "address is not page aligned");
  HostRange pages = HostRange::of(range.start(), align_up(range.size(), kPageSize));
  Guard guard(lock_);
  const softxe::EventScope call(emit(event_of_call(SYS_madvise, pages)));
  SimProcess& p = process(pid);
  bool hole = !p.fully_mapped(pages);
  HostVa at = pages.start();
  while (at < pages.end()) {
    const SimVma* found = p.first_in(HostRange::between(at, pages.end()));
    if (found == nullptr) break;
    const SimVma vma = *found;  // a copy: advice may split mappings
    HostRange part = *vma.range.intersection(pages);
    at = part.end();
    SX_TRY_VOID(advise_vma(p, vma, part, advice));
  }
  if (hole) return fail(ENOMEM, "part of the advised interval is not mapped");
  return {};
}

Status SimHostMm::advise_vma(SimProcess& p, const SimVma& vma, HostRange part, CpuAdvice advice) {
  switch (advice) {
    case CpuAdvice::kNormal:
    case CpuAdvice::kCold: return {};
    case CpuAdvice::kDontNeed: {
      if (vma.locked) return fail(EINVAL, "the mapping is locked");
      EventScope event(*this, p, part, HostEvent::kClear);
      drop_ptes(p, part);
      return {};
    }
    case CpuAdvice::kFree: {
      if (!vma.anonymous() || vma.locked) return fail(EINVAL, "MADV_FREE wants unlocked anonymous memory");
      EventScope event(*this, p, part, HostEvent::kClear);
      for (auto it = p.ptes_begin(part), end = p.ptes_end(part); it != end; ++it) {
        SimPte& pte = it->second;
        if (pte.kind == SimPte::Kind::kFrame && frames_.refs(pte.frame) == 1) pte.lazy_free = true;
      }
      return {};
    }
    case CpuAdvice::kRemove: {
      if (vma.anonymous() || vma.share != Share::kShared || !can_write(vma.prot)) {
        return fail(EINVAL, "MADV_REMOVE wants a writable shared mapping");
      }
      std::uint64_t first = vma.object_page(part.start());
      punch(*vma.object, first, first + part.pages());
      return {};
    }
    case CpuAdvice::kPageout: return page_out(p, part, LazyPages::kKeep);
    case CpuAdvice::kPopulateRead: return populate(p, part, Access::kRead);
    case CpuAdvice::kPopulateWrite: return populate(p, part, Access::kWrite);
    case CpuAdvice::kGuardInstall: {
      EventScope event(*this, p, part, HostEvent::kClear);
      drop_ptes(p, part);
      for (HostVa page = part.start(); page < part.end(); page += kPageSize) {
        p.set_pte(page, SimPte{.kind = SimPte::Kind::kGuard,
                               .lazy_free = false,
                               .frame = FrameId{},
                               .allocation = nullptr,
                               .page = 0});
      }
      return {};
    }
    case CpuAdvice::kGuardRemove:
      for (HostVa page = part.start(); page < part.end(); page += kPageSize) {
        const SimPte* pte = p.pte(page);
        if (pte != nullptr && pte->kind == SimPte::Kind::kGuard) p.clear_pte(page);
      }
      return {};
    case CpuAdvice::kDontFork:
    case CpuAdvice::kDoFork:
      p.edit_vmas(part, [advice](SimVma& each) { each.dont_fork = advice == CpuAdvice::kDontFork; });
      return {};
  }
  return fail(EINVAL, "unknown advice");
}

Status SimHostMm::populate(SimProcess& p, HostRange part, Access access) {
  for (HostVa page = part.start(); page < part.end(); page += kPageSize) {
    SX_TRY_VOID(cpu_reach(p, page, access));
  }
  return {};
}

// --- swap -----------------------------------------------------------------------------------------------

/// Private pages of this process alone go to swap; pages of objects only leave the page table. Pinned,
/// locked, shared-by-fork and VRAM pages stay.
Status SimHostMm::page_out(SimProcess& p, HostRange part, LazyPages lazy) {
  const SimVma* vma = p.find(part.start());
  if (vma->locked) return {};
  SX_TRY_VOID(SX_STEP("host.sim.page_out.alloc"));
  EventScope event(*this, p, part, HostEvent::kClear);
  for (HostVa page = part.start(); page < part.end(); page += kPageSize) {
    SimPte* pte = p.pte(page);
    if (pte == nullptr) continue;
    if (pte->kind == SimPte::Kind::kZero && lazy == LazyPages::kDrop) {
      drop_pte(p, page);
      continue;
    }
    if (pte->kind != SimPte::Kind::kFrame || frames_.pinned(pte->frame)) continue;
    bool of_object = !vma->anonymous() && vma->object->pages.contains(vma->object_page(page)) &&
                     vma->object->pages[vma->object_page(page)] == pte->frame;
    if (of_object || (pte->lazy_free && lazy == LazyPages::kDrop)) {
      drop_pte(p, page);
    } else if (frames_.refs(pte->frame) == 1) {
      auto parked = frames_.alloc();
      if (!parked) return fail(parked.error());
      std::copy_n(frames_.data(pte->frame), kPageSize, frames_.data(*parked));
      frames_.unref(pte->frame);
      *pte = SimPte{
          .kind = SimPte::Kind::kSwapped, .lazy_free = false, .frame = *parked, .allocation = nullptr, .page = 0};
    }
  }
  return {};
}

Status SimHostMm::reclaim(HostRange range, Pid pid) {
  Guard guard(lock_);
  SimProcess& p = process(pid);
  HostVa at = range.start();
  while (at < range.end()) {
    const SimVma* vma = p.first_in(HostRange::between(at, range.end()));
    if (vma == nullptr) break;
    HostRange part = *vma->range.intersection(range);
    at = part.end();
    SX_TRY_VOID(page_out(p, part, LazyPages::kDrop));
  }
  return {};
}

// --- objects ----------------------------------------------------------------------------------------------

/// Removes pages [first, end) of the object from every process that maps them, then from the object.
/// Private copies made by copy on write go too when they are beyond the end, as truncation does.
void SimHostMm::punch(SimObject& object, std::uint64_t first_page, std::uint64_t end_page) {
  for (auto& p : processes_) {
    for (auto& [start, vma] : p->vmas()) {
      if (vma.object.get() != &object) continue;
      std::uint64_t from = std::max(first_page, vma.page_offset);
      std::uint64_t to = std::min(end_page, vma.page_offset + vma.range.pages());
      if (from >= to) continue;
      HostRange part = HostRange::of(vma.range.start() + (from - vma.page_offset) * kPageSize, (to - from) * kPageSize);
      EventScope event(*this, *p, part, HostEvent::kClear);
      drop_ptes(*p, part);
    }
  }
  auto it = object.pages.lower_bound(first_page);
  while (it != object.pages.end() && it->first < end_page) {
    frames_.unref(it->second);
    it = object.pages.erase(it);
  }
}

void SimHostMm::cpu_truncate(SimObject& object, std::uint64_t size_bytes) {
  SX_MARK("host.sim.truncate.enter");
  Guard guard(lock_);
  const softxe::EventScope call(emit({.word = SYS_ftruncate, .kind = EventKind::kCall}));
  std::uint64_t old_pages = align_up(object.size_bytes, kPageSize) / kPageSize;
  std::uint64_t new_pages = align_up(size_bytes, kPageSize) / kPageSize;
  object.size_bytes = size_bytes;
  if (new_pages < old_pages) punch(object, new_pages, old_pages);
}

// --- pins -------------------------------------------------------------------------------------------------

Status SimHostMm::pin(HostVa va) {
  HostVa page = va.aligned_down(kPageSize);
  Guard guard(lock_);
  if (pins_.contains(page.value())) return fail(EBUSY, "the page is pinned already");
  SX_TRY_VOID(cpu_reach(main(), page, Access::kWrite));
  FrameId frame = main().pte(page)->frame;
  frames_.pin(frame);
  pins_[page.value()] = frame;
  return {};
}

void SimHostMm::unpin(HostVa va) {
  Guard guard(lock_);
  auto it = pins_.find(va.aligned_down(kPageSize).value());
  SX_ASSERT(it != pins_.end());
  frames_.unpin(it->second);
  pins_.erase(it);
}

// --- questions --------------------------------------------------------------------------------------------

SimHostMm::PageState SimHostMm::page_state(HostVa va, Pid pid) { return peek(va, pid).state; }

SimHostMm::Peeked SimHostMm::peek(HostVa va, Pid pid) {
  Guard guard(lock_);
  SimProcess& p = process(pid);
  const HostVa page = va.aligned_down(kPageSize);
  return peeked(p.find(page), p.pte(page), page);
}

SimHostMm::Peeked SimHostMm::peeked(const SimVma* vma, const SimPte* pte, HostVa page) {
  if (vma == nullptr) return {PageState::kUnmapped, nullptr, nullptr};
  if (pte == nullptr) {
    Peeked hole{PageState::kHole, nullptr, nullptr};
    if (vma->anonymous()) return hole;
    auto in_object = vma->object->pages.find(vma->object_page(page));
    if (in_object != vma->object->pages.end()) hole.bytes = frames_.data(in_object->second);
    return hole;
  }
  switch (pte->kind) {
    case SimPte::Kind::kFrame: return {PageState::kSystem, frames_.data(pte->frame), nullptr};
    case SimPte::Kind::kZero: return {PageState::kZero, frames_.data(SimFrames::kZeroPage), nullptr};
    case SimPte::Kind::kSwapped: return {PageState::kSwapped, frames_.data(pte->frame), nullptr};
    case SimPte::Kind::kGuard: return {PageState::kGuard, nullptr, nullptr};
    case SimPte::Kind::kDevice: break;
  }
  return {PageState::kDevice, pte->allocation->frame + pte->page * kPageSize, pte->allocation};
}

void SimHostMm::peek_all(HostRange range, std::span<Peeked> out) {
  SX_ASSERT(out.size() == range.pages());
  Guard guard(lock_);
  auto pte = main().ptes_begin(range);
  const auto end = main().ptes_end(range);
  const SimVma* vma = nullptr;
  std::size_t index = 0;
  for (HostVa page = range.start(); page < range.end(); page += kPageSize) {
    if (vma == nullptr || !vma->range.contains(page)) vma = main().find(page);
    const bool here = pte != end && pte->first == SimProcess::vpn(page);
    out[index++] = peeked(vma, here ? &pte->second : nullptr, page);
    if (here) ++pte;
  }
}

DevmemAllocation* SimHostMm::allocation_at(HostVa va) {
  Guard guard(lock_);
  const SimPte* pte = main().pte(va.aligned_down(kPageSize));
  return pte != nullptr && pte->kind == SimPte::Kind::kDevice ? pte->allocation : nullptr;
}

SimEventCounts SimHostMm::events() {
  Guard guard(lock_);
  return events_;
}

std::uint64_t SimHostMm::frames_in_use() {
  Guard guard(lock_);
  return frames_.in_use();
}

std::uint64_t SimHostMm::frame_generation(const std::byte* system) {
  Guard guard(lock_);
  auto frame = frames_.frame_of(system);
  return frame ? frames_.generation(*frame) : 0;
}

void SimHostMm::check_invariants() {
  Guard guard(lock_);
  std::map<FrameId, std::uint32_t> refs;
  std::map<const SimObject*, const SimObject*> objects;
  std::map<DevmemAllocation*, std::uint32_t> present;
  for (auto& p : processes_) {
    for (auto& [number, pte] : p->ptes()) {
      HostVa page = SimProcess::va_of(number);
      SX_ASSERT(p->find(page) != nullptr);
      if (pte.kind == SimPte::Kind::kFrame || pte.kind == SimPte::Kind::kSwapped) ++refs[pte.frame];
      if (pte.kind != SimPte::Kind::kDevice) continue;
      SX_ASSERT(p.get() == processes_[0].get());
      SX_ASSERT(pte.allocation->page_present(pte.page));
      SX_ASSERT(homes_.contains(pte.allocation) && homes_[pte.allocation][pte.page] == page);
      ++present[pte.allocation];
    }
    for (auto& [start, vma] : p->vmas()) objects[vma.object.get()] = vma.object.get();
  }
  for (auto& [object, same] : objects) {
    if (object == nullptr) continue;
    for (auto& [index, frame] : object->pages) ++refs[frame];
  }
  for (auto& [frame, count] : refs) SX_ASSERT(frames_.refs(frame) == count);
  SX_ASSERT(homes_.size() == present.size());
  for (auto& [allocation, count] : present) SX_ASSERT(allocation->present_count() == count);
}

}  // namespace softxe
