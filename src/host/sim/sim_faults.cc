// Loads and stores of the simulated CPU, and what they fault in.
#include <algorithm>
#include <cstring>

#include "base/event_ring.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"

namespace softxe {
namespace {

constexpr SimPte frame_pte(FrameId frame) {
  return SimPte{.kind = SimPte::Kind::kFrame, .lazy_free = false, .frame = frame, .allocation = nullptr, .page = 0};
}

/// Bytes from `va` to the end of its page, at most `left`.
std::uint64_t within_page(HostVa va, std::uint64_t left) {
  return std::min(left, kPageSize - (va.value() & (kPageSize - 1)));
}

}  // namespace

// --- accesses ---------------------------------------------------------------------------------------

Result<std::byte*> SimHostMm::cpu_reach(SimProcess& p, HostVa va, Access access) {
  if (!p.alive) return fail(ESRCH, "the process is gone");
  HostVa page = va.aligned_down(kPageSize);
  const SimVma* vma = p.find(page);
  if (vma == nullptr) return fail(kCpuSegv, "nothing is mapped at this CPU address");
  if (access == Access::kWrite ? !can_write(vma->prot) : !can_read(vma->prot)) {
    return fail(kCpuSegv, "the mapping's protection refuses the access");
  }
  if (const SimPte* pte = p.pte(page); pte != nullptr && pte->kind == SimPte::Kind::kDevice) {
    const softxe::EventScope touch(emit(event_of(EventKind::kCpuFault, HostRange::of(page, kPageSize))));
    SX_TRY_VOID(cpu_fault_on_device(page, MoveCause::kCpuFault, options_.wait));
  }
  SX_TRY(Faulted faulted, fault_in(p, page, access));
  return frames_.data(faulted.frame) + (va - page);
}

Status SimHostMm::cpu_read(HostVa va, std::span<std::byte> to, Pid pid) {
  SX_MARK("host.sim.cpu_read");
  Guard guard(lock_);
  while (!to.empty()) {
    SX_TRY(const std::byte* from, cpu_reach(process(pid), va, Access::kRead));
    std::uint64_t bytes = within_page(va, to.size());
    std::memcpy(to.data(), from, bytes);
    to = to.subspan(bytes);
    va += bytes;
  }
  return {};
}

Status SimHostMm::cpu_write(HostVa va, std::span<const std::byte> from, Pid pid) {
  SX_MARK("host.sim.cpu_write");
  Guard guard(lock_);
  while (!from.empty()) {
    SX_TRY(std::byte * to, cpu_reach(process(pid), va, Access::kWrite));
    std::uint64_t bytes = within_page(va, from.size());
    std::memcpy(to, from.data(), bytes);
    from = from.subspan(bytes);
    va += bytes;
  }
  return {};
}

Result<std::uint32_t> SimHostMm::cpu_fetch_add(HostVa va, std::uint32_t addend, Pid pid) {
  SX_MARK("host.sim.cpu_atomic");
  SX_ASSERT(va.is_aligned(sizeof addend));
  Guard guard(lock_);
  SX_TRY(std::byte * at, cpu_reach(process(pid), va, Access::kWrite));
  return __atomic_fetch_add(reinterpret_cast<std::uint32_t*>(at), addend, __ATOMIC_SEQ_CST);
}

// --- VRAM pages coming home on a touch ------------------------------------------------------------------

Status SimHostMm::wait_residency(const DevmemAllocation& allocation, WaitPolicy policy) {
  std::uint64_t now = clock_.now_ns();
  if (now >= allocation.residency_deadline_ns) return {};
  if (policy == WaitPolicy::kReport) return fail(kCpuWaits, "the page may not leave VRAM yet");
  clock_.advance_ns(allocation.residency_deadline_ns - now);
  return {};
}

/// The aligned block of the allocation's size around the page, within the mapping, pages of the same
/// allocation only (spec/svm.md 5.7).
Status SimHostMm::cpu_fault_on_device(HostVa page, MoveCause cause, WaitPolicy policy) {
  DevmemAllocation& allocation = *main().pte(page)->allocation;
  SX_TRY_VOID(wait_residency(allocation, policy));
  HostRange block = HostRange::block_around(page, allocation.block.size());
  block = *block.intersection(main().find(page)->range);
  std::vector<HostVa> pages = device_pages_in(block);
  std::erase_if(pages, [&](HostVa va) {
    lock_.assert_held();
    return main().pte(va)->allocation != &allocation;
  });
  Status moved = move_home(pages, cause);
  if (!moved && cause == MoveCause::kCpuFault) return fail(kCpuBus, moved.error().why);
  return moved;
}

// --- system pages -------------------------------------------------------------------------------------

Result<SimHostMm::Faulted> SimHostMm::fault_in(SimProcess& p, HostVa page, Access access) {
  const SimVma& vma = *p.find(page);
  SimPte* pte = p.pte(page);
  if (pte != nullptr && pte->kind == SimPte::Kind::kGuard) {
    return fail(kCpuSegv, "the page is a guard page");
  }
  if (pte != nullptr && pte->kind == SimPte::Kind::kSwapped) {
    SX_TRY_VOID(swap_in(p, page));
    pte = p.pte(page);
  }
  if (!vma.anonymous() && pte == nullptr) return fault_in_object(p, vma, page, access);
  if (access == Access::kWrite) return make_writable(p, vma, page);
  if (pte == nullptr) pte = &p.set_pte(page, SimPte{});
  if (pte->kind == SimPte::Kind::kZero) return Faulted{SimFrames::kZeroPage, false};
  SX_ASSERT(pte->kind == SimPte::Kind::kFrame);
  bool exclusive = vma.share == Share::kShared || frames_.refs(pte->frame) == 1;
  return Faulted{pte->frame, exclusive && can_write(vma.prot)};
}

Result<SimHostMm::Faulted> SimHostMm::fault_in_object(SimProcess& p, const SimVma& vma, HostVa page, Access access) {
  SimObject& object = *vma.object;
  std::uint64_t index = vma.object_page(page);
  if (index * kPageSize >= object.size_bytes) return fail(kCpuBus, "beyond the end of the file");
  auto it = object.pages.find(index);
  if (it == object.pages.end()) {
    SX_TRY_VOID(SX_STEP("host.sim.fault.alloc"));
    SX_TRY(FrameId fresh, frames_.alloc());
    it = object.pages.emplace(index, fresh).first;
  }
  frames_.ref(it->second);
  p.set_pte(page, frame_pte(it->second));
  if (access == Access::kWrite) return make_writable(p, vma, page);
  return Faulted{it->second, vma.share == Share::kShared && can_write(vma.prot)};
}

Status SimHostMm::swap_in(SimProcess& p, HostVa page) {
  SX_TRY_VOID(SX_STEP("host.sim.swap_in.alloc"));
  SX_TRY(FrameId fresh, frames_.alloc());
  FrameId parked = p.pte(page)->frame;
  std::memcpy(frames_.data(fresh), frames_.data(parked), kPageSize);
  frames_.unref(parked);
  p.set_pte(page, frame_pte(fresh));
  return {};
}

/// Gives the page a frame of its own where it has none: hole, zero page, frame shared by fork or
/// with a file. Replacing a page that was mapped is an event (spec/svm.md 2.2, COW break).
Result<SimHostMm::Faulted> SimHostMm::make_writable(SimProcess& p, const SimVma& vma, HostVa page) {
  SimPte* pte = p.pte(page);
  if (pte != nullptr && pte->kind == SimPte::Kind::kFrame &&
      (vma.share == Share::kShared || frames_.refs(pte->frame) == 1)) {
    pte->lazy_free = false;
    return Faulted{pte->frame, true};
  }
  SX_TRY_VOID(SX_STEP("host.sim.fault.alloc"));
  SX_TRY(FrameId fresh, frames_.alloc());
  if (pte == nullptr) {
    p.set_pte(page, frame_pte(fresh));
    return Faulted{fresh, true};
  }
  const HostRange replaced = HostRange::of(page, kPageSize);
  const softxe::EventScope touch(current_cause() == kNoEvent ? emit(event_of(EventKind::kCpuFault, replaced))
                                                             : kNoEvent);
  EventScope event(*this, p, replaced, HostEvent::kClear);
  if (pte->kind == SimPte::Kind::kFrame) {
    std::memcpy(frames_.data(fresh), frames_.data(pte->frame), kPageSize);
    frames_.unref(pte->frame);
  }
  *pte = frame_pte(fresh);
  return Faulted{fresh, true};
}

// --- pages going away -----------------------------------------------------------------------------------

void SimHostMm::drop_pte(SimProcess& p, HostVa page) {
  const SimPte* found = p.pte(page);
  if (found == nullptr) return;
  SimPte pte = *found;
  p.clear_pte(page);
  switch (pte.kind) {
    case SimPte::Kind::kFrame:
    case SimPte::Kind::kSwapped: frames_.unref(pte.frame); break;
    case SimPte::Kind::kDevice:
      leave_device(*pte.allocation, pte.page);
      release_if_empty(*pte.allocation);
      break;
    case SimPte::Kind::kZero:
    case SimPte::Kind::kGuard: break;
  }
}

void SimHostMm::drop_ptes(SimProcess& p, HostRange range) {
  for (auto it = p.ptes_begin(range); it != p.ptes_end(range); it = p.ptes_begin(range)) {
    drop_pte(p, SimProcess::va_of(it->first));
  }
}

}  // namespace softxe
