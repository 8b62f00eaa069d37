#include "host/sim/sim_process.h"

#include <utility>

namespace softxe {
namespace {

/// User space ends here, as on x86-64.
constexpr std::uint64_t kTaskSize = 0x7fff'ffff'f000;

bool mergeable(const SimVma& a, const SimVma& b) {
  return a.range.end() == b.range.start() && a.kind == b.kind && a.share == b.share && a.prot == b.prot &&
         a.object == b.object && a.locked == b.locked && a.dont_fork == b.dont_fork &&
         a.page_offset + a.range.pages() == b.page_offset;
}

}  // namespace

SimVma* SimProcess::find(HostVa va) {
  auto it = vmas_.upper_bound(va.value());
  if (it == vmas_.begin()) return nullptr;
  SimVma& vma = std::prev(it)->second;
  return vma.range.contains(va) ? &vma : nullptr;
}

SimVma* SimProcess::first_in(HostRange range) {
  if (SimVma* vma = find(range.start())) return vma;
  auto it = vmas_.lower_bound(range.start().value());
  if (it == vmas_.end() || it->first >= range.end().value()) return nullptr;
  return &it->second;
}

bool SimProcess::fully_mapped(HostRange range) {
  HostVa at = range.start();
  while (at < range.end()) {
    SimVma* vma = find(at);
    if (vma == nullptr) return false;
    at = vma->range.end();
  }
  return true;
}

Result<HostVa> SimProcess::find_gap(HostVa from, std::uint64_t size_bytes) {
  HostVa at = from;
  while (at.value() + size_bytes <= kTaskSize) {
    SimVma* vma = first_in(HostRange::of(at, size_bytes));
    if (vma == nullptr) return at;
    at = vma->range.end();
  }
  return fail(ENOMEM, "no free address range of that size");
}

void SimProcess::insert(SimVma vma) {
  SX_ASSERT(first_in(vma.range) == nullptr);
  HostRange range = vma.range;
  vmas_.emplace(range.start().value(), std::move(vma));
  merge(range);
}

void SimProcess::split_at(HostVa va) {
  SimVma* vma = find(va);
  if (vma == nullptr || vma->range.start() == va) return;
  SimVma upper = *vma;
  upper.page_offset = vma->object_page(va);
  upper.range = HostRange::between(va, vma->range.end());
  vma->range = HostRange::between(vma->range.start(), va);
  vmas_.emplace(va.value(), std::move(upper));
}

void SimProcess::isolate(HostRange range) {
  split_at(range.start());
  split_at(range.end());
}

void SimProcess::erase(HostRange range) {
  isolate(range);
  SX_ASSERT(ptes_begin(range) == ptes_end(range));
  vmas_.erase(vmas_.lower_bound(range.start().value()), vmas_.lower_bound(range.end().value()));
}

void SimProcess::merge(HostRange around) {
  auto it = vmas_.lower_bound(around.start().value());
  if (it != vmas_.begin()) --it;
  while (it != vmas_.end() && it->first <= around.end().value()) {
    auto next = std::next(it);
    if (next == vmas_.end()) return;
    if (!mergeable(it->second, next->second)) {
      it = next;
      continue;
    }
    it->second.range = it->second.range.hull(next->second.range);
    vmas_.erase(next);
  }
}

SimPte* SimProcess::pte(HostVa va) {
  auto it = ptes_.find(vpn(va));
  return it == ptes_.end() ? nullptr : &it->second;
}

}  // namespace softxe
