// The simulated client's memory system calls, with the events of spec/svm.md 2.2.
#include <sys/syscall.h>
#include <algorithm>
#include <cstring>

#include "base/event_ring.h"
#include "base/step.h"
#include "host/sim/sim_host_mm.h"

namespace softxe {
namespace {

bool page_aligned(HostRange range) {
  return range.start().is_aligned(kPageSize) && is_aligned(range.size(), kPageSize);
}

Result<HostRange> page_range(HostVa start, std::uint64_t size_bytes) {
  if (!start.is_aligned(kPageSize)) return fail(EINVAL, "address is not page aligned");
  return HostRange::make(start, align_up(size_bytes, kPageSize));
}

}  // namespace

// --- mmap, munmap -----------------------------------------------------------------------------------

Result<HostVa> SimHostMm::place_mapping(SimProcess& p, const MmapRequest& request) {
  SX_TRY(HostRange wanted, page_range(request.at, request.size_bytes));
  bool taken = p.first_in(wanted) != nullptr;
  switch (request.place) {
    case MmapRequest::Place::kFixed: SX_TRY_VOID(unmap_locked(p, wanted)); return wanted.start();
    case MmapRequest::Place::kFixedNoReplace:
      if (taken) return fail(EEXIST, "the address range is taken");
      return wanted.start();
    case MmapRequest::Place::kHint: break;
  }
  if (request.at.value() != 0 && !taken) return wanted.start();
  return p.find_gap(options_.mmap_base, wanted.size());
}

Result<HostVa> SimHostMm::cpu_mmap(const MmapRequest& request, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.mmap.enter"));
  Guard guard(lock_);
  SimProcess& p = process(pid);
  if (!p.alive) return fail(ESRCH, "the process is gone");
  bool anonymous = request.kind == CpuVma::Kind::kAnonPrivate;
  if (anonymous && request.object != nullptr) return fail(EINVAL, "anonymous memory has no object");
  if (!is_aligned(request.offset_bytes, kPageSize)) return fail(EINVAL, "offset is not page aligned");
  Event mmap{.address = request.at.value(), .size = request.size_bytes, .word = SYS_mmap, .kind = EventKind::kCall};
  const softxe::EventScope call(emit(mmap));
  SX_TRY(HostVa at, place_mapping(p, request));
  HostRange range = HostRange::of(at, align_up(request.size_bytes, kPageSize));
  std::shared_ptr<SimObject> object = request.object;
  if (!anonymous && object == nullptr) {
    object = std::make_shared<SimObject>();
    object->size_bytes = request.offset_bytes + range.size();
  }
  bool shared = !anonymous && (request.share == Share::kShared || request.kind == CpuVma::Kind::kShmem);
  p.insert(SimVma{.range = range,
                  .kind = request.kind,
                  .share = shared ? Share::kShared : Share::kPrivate,
                  .prot = request.prot,
                  .object = std::move(object),
                  .page_offset = anonymous ? SimProcess::vpn(at) : request.offset_bytes / kPageSize});
  return at;
}

Status SimHostMm::unmap_locked(SimProcess& p, HostRange range) {
  if (p.first_in(range) == nullptr) return {};
  EventScope event(*this, p, range, HostEvent::kUnmap);
  drop_ptes(p, range);
  p.erase(range);
  return {};
}

Status SimHostMm::cpu_munmap(HostRange range, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.munmap.enter"));
  SX_TRY(HostRange pages, page_range(range.start(), range.size()));
  Guard guard(lock_);
  const softxe::EventScope call(emit(event_of_call(SYS_munmap, pages)));
  return unmap_locked(process(pid), pages);
}

HostVa SimHostMm::cpu_brk(HostVa new_break, Pid pid) {
  Guard guard(lock_);
  SimProcess& p = process(pid);
  HostVa old_end = HostVa(align_up(p.brk.value(), kPageSize));
  HostVa new_end = HostVa(align_up(new_break.value(), kPageSize));
  if (new_break < options_.brk_base) return p.brk;
  if (new_end < old_end) {
    const softxe::EventScope call(emit(event_of_call(SYS_brk, HostRange::between(new_end, old_end))));
    if (!unmap_locked(p, HostRange::between(new_end, old_end))) return p.brk;
  } else if (new_end > old_end) {
    HostRange grown = HostRange::between(old_end, new_end);
    if (p.first_in(grown) != nullptr) return p.brk;
    p.insert(SimVma{.range = grown,
                    .kind = CpuVma::Kind::kAnonPrivate,
                    .share = Share::kPrivate,
                    .prot = Prot::kReadWrite,
                    .object = nullptr,
                    .page_offset = SimProcess::vpn(old_end)});
  }
  p.brk = new_break;
  return p.brk;
}

// --- mremap -----------------------------------------------------------------------------------------

Result<HostVa> SimHostMm::cpu_mremap(const MremapRequest& request, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.mremap.enter"));
  Guard guard(lock_);
  SimProcess& p = process(pid);
  if (!page_aligned(request.old) || request.new_size_bytes == 0) {
    return fail(EINVAL, "mremap of something that is not whole pages");
  }
  const softxe::EventScope call(emit(event_of_call(SYS_mremap, request.old)));
  std::uint64_t new_size = align_up(request.new_size_bytes, kPageSize);
  SimVma* vma = p.find(request.old.start());
  if (vma == nullptr || !vma->range.contains(request.old)) {
    return fail(EFAULT, "the old interval is not one mapping");
  }
  bool must_move = request.move == MremapRequest::Move::kFixed || request.move == MremapRequest::Move::kDontUnmap;
  if (must_move) return move_mapping(p, request);
  HostVa old_end = request.old.end();
  if (new_size <= request.old.size()) {
    if (new_size < request.old.size()) {
      SX_TRY_VOID(unmap_locked(p, HostRange::between(request.old.start() + new_size, old_end)));
    }
    return request.old.start();
  }
  HostRange tail = HostRange::between(old_end, request.old.start() + new_size);
  if (vma->range.end() == old_end && p.first_in(tail) == nullptr) {
    SimVma grown = *vma;
    grown.page_offset = vma->object_page(old_end);
    grown.range = tail;
    p.insert(std::move(grown));
    return request.old.start();
  }
  if (request.move == MremapRequest::Move::kInPlace) return fail(ENOMEM, "no room to grow in place");
  return move_mapping(p, request);
}

Result<HostVa> SimHostMm::move_mapping(SimProcess& p, const MremapRequest& request) {
  std::uint64_t new_size = align_up(request.new_size_bytes, kPageSize);
  bool keep_old = request.move == MremapRequest::Move::kDontUnmap;
  if (keep_old && new_size != request.old.size()) {
    return fail(EINVAL, "MREMAP_DONTUNMAP cannot resize");
  }
  HostVa to = request.to;
  if (request.move == MremapRequest::Move::kFixed) {
    SX_TRY(HostRange target, page_range(request.to, new_size));
    if (target.intersects(request.old)) return fail(EINVAL, "new and old interval overlap");
    SX_TRY_VOID(unmap_locked(p, target));
  } else {
    bool hint_free = to.value() != 0 && to.is_aligned(kPageSize) && p.first_in(HostRange::of(to, new_size)) == nullptr;
    if (!hint_free) {
      SX_TRY(to, p.find_gap(options_.mmap_base, new_size));
    }
  }
  if (new_size < request.old.size()) {
    SX_TRY_VOID(unmap_locked(p, HostRange::between(request.old.start() + new_size, request.old.end())));
  }
  HostRange old = HostRange::of(request.old.start(), std::min(new_size, request.old.size()));
  const SimVma* source = p.find(old.start());
  SimVma moved = *source;
  moved.page_offset = source->object_page(old.start());
  moved.range = HostRange::of(to, new_size);

  EventScope event(*this, p, old, HostEvent::kUnmap);
  p.insert(std::move(moved));
  move_entries(p, old, to);
  if (!keep_old) p.erase(old);
  return to;
}

/// Every entry of `from` reappears at the same distance from `to`; VRAM pages move along.
void SimHostMm::move_entries(SimProcess& p, HostRange from, HostVa to) {
  std::vector<std::pair<HostVa, SimPte>> entries;
  for (auto it = p.ptes_begin(from), end = p.ptes_end(from); it != end; ++it) {
    entries.emplace_back(SimProcess::va_of(it->first), it->second);
  }
  for (auto& [page, pte] : entries) {
    HostVa moved_to = to + (page - from.start());
    p.clear_pte(page);
    p.set_pte(moved_to, pte);
    if (pte.kind == SimPte::Kind::kDevice) homes_[pte.allocation][pte.page] = moved_to;
  }
}

// --- mprotect, mlock ----------------------------------------------------------------------------------

Status SimHostMm::cpu_mprotect(HostRange range, Prot prot, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.mprotect.enter"));
  SX_TRY(HostRange pages, page_range(range.start(), range.size()));
  Guard guard(lock_);
  const softxe::EventScope call(emit(event_of_call(SYS_mprotect, pages)));
  SimProcess& p = process(pid);
  HostVa at = pages.start();
  while (at < pages.end()) {
    const SimVma* vma = p.find(at);
    if (vma == nullptr) return fail(ENOMEM, "a hole in the protected interval");
    HostRange part = *vma->range.intersection(HostRange::between(at, pages.end()));
    at = part.end();
    if (vma->prot == prot) continue;
    EventScope event(*this, p, part, HostEvent::kProtect);
    p.edit_vmas(part, [prot](SimVma& each) { each.prot = prot; });
  }
  return {};
}

Status SimHostMm::cpu_mlock(HostRange range, Pid pid) {
  SX_TRY_VOID(SX_STEP("host.sim.mlock.enter"));
  SX_TRY(HostRange pages, page_range(range.start(), range.size()));
  Guard guard(lock_);
  const softxe::EventScope call(emit(event_of_call(SYS_mlock, pages)));
  SimProcess& p = process(pid);
  if (!p.fully_mapped(pages)) return fail(ENOMEM, "a hole in the locked interval");
  if (pid == Pid::kMain) SX_TRY_VOID(move_home(device_pages_in(pages), MoveCause::kMapping));
  p.edit_vmas(pages, [](SimVma& each) { each.locked = true; });
  HostVa at = pages.start();
  while (at < pages.end()) {
    const SimVma* vma = p.find(at);
    HostRange part = *vma->range.intersection(pages);
    Access access = can_write(vma->prot) ? Access::kWrite : Access::kRead;
    if (can_read(vma->prot)) SX_TRY_VOID(populate(p, part, access));
    at = part.end();
  }
  return {};
}

Status SimHostMm::cpu_munlock(HostRange range, Pid pid) {
  SX_TRY(HostRange pages, page_range(range.start(), range.size()));
  Guard guard(lock_);
  SimProcess& p = process(pid);
  if (!p.fully_mapped(pages)) return fail(ENOMEM, "a hole in the unlocked interval");
  p.edit_vmas(pages, [](SimVma& each) { each.locked = false; });
  return {};
}

// --- fork, exit -----------------------------------------------------------------------------------------

/// VRAM comes home first (decision 0013), then private pages become shared by both until written.
Result<Pid> SimHostMm::cpu_fork(Pid parent) {
  SX_TRY_VOID(SX_STEP("host.sim.fork.enter"));
  Guard guard(lock_);
  SimProcess& p = process(parent);
  if (!p.alive) return fail(ESRCH, "the process is gone");
  const softxe::EventScope call(emit({.word = SYS_fork, .kind = EventKind::kCall}));
  if (parent == Pid::kMain) {
    HostRange everything = HostRange::between(HostVa(0), HostVa(0x8000'0000'0000));
    SX_TRY_VOID(move_home(device_pages_in(everything), MoveCause::kFork));
  }
  auto child = std::make_unique<SimProcess>();
  child->brk = p.brk;
  for (const auto& [start, vma] : p.vmas()) {
    if (vma.dont_fork) continue;
    SimVma copy = vma;
    copy.locked = false;
    child->insert(std::move(copy));
    bool copy_on_write = vma.share == Share::kPrivate && can_write(vma.prot);
    if (copy_on_write) {
      EventScope event(*this, p, vma.range, HostEvent::kProtect);
    }
    for (auto it = p.ptes_begin(vma.range), end = p.ptes_end(vma.range); it != end; ++it) {
      if (it->second.kind == SimPte::Kind::kFrame || it->second.kind == SimPte::Kind::kSwapped) {
        frames_.ref(it->second.frame);
      }
      child->set_pte(SimProcess::va_of(it->first), it->second);
    }
  }
  processes_.push_back(std::move(child));
  Pid pid = Pid(static_cast<std::uint32_t>(processes_.size() - 1));
  Status unshared = unshare_pinned(p, *processes_.back());
  if (!unshared) {
    drop_ptes(*processes_.back(), HostRange::between(HostVa(0), HostVa(0x8000'0000'0000)));
    processes_.pop_back();
    return fail(unshared.error());
  }
  return pid;
}

/// A pinned private page stays the parent's alone: the child gets its copy at once, else the parent's
/// next write would move the parent off the frame that the device writes to.
Status SimHostMm::unshare_pinned(SimProcess& parent, SimProcess& child) {
  for (auto& [number, pte] : parent.ptes()) {
    if (pte.kind != SimPte::Kind::kFrame || !frames_.pinned(pte.frame)) continue;
    HostVa page = SimProcess::va_of(number);
    const SimVma* vma = child.find(page);
    if (vma == nullptr || vma->share == Share::kShared) continue;
    SX_TRY(FrameId fresh, frames_.alloc());
    std::memcpy(frames_.data(fresh), frames_.data(pte.frame), kPageSize);
    frames_.unref(pte.frame);
    SimPte copy = pte;
    copy.frame = fresh;
    child.set_pte(page, copy);
  }
  return {};
}

void SimHostMm::cpu_exit(Pid pid) {
  SX_MARK("host.sim.exit.enter");
  Guard guard(lock_);
  SimProcess& p = process(pid);
  if (!p.alive) return;
  const softxe::EventScope call(emit({.word = SYS_exit_group, .kind = EventKind::kCall, .cause = EventCause::kExit}));
  HostRange everything = HostRange::between(HostVa(0), HostVa(0x8000'0000'0000));
  // The teardown is announced before it starts under either order: nothing runs after it.
  if (pid == Pid::kMain) {
    notify(everything, HostEvent::kRelease);
    notify(everything, HostEvent::kUnmap);
  }
  p.alive = false;
  drop_ptes(p, everything);
  p.erase(everything);
}

}  // namespace softxe
