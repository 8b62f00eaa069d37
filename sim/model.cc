#include "sim/model.h"

#include <algorithm>

namespace softxe::sim {
namespace {

constexpr std::uint64_t kWindow = 512ull << 20;  // svm 1.1

Span block(std::uint64_t at, std::uint64_t bytes) { return {align_down(at, bytes), align_down(at, bytes) + bytes}; }

ModelBo& bo_of(const ModelVma& vma) { return *static_cast<ModelBo*>(const_cast<void*>(vma.bo)); }

}  // namespace

void Model::cpu_unmapped(Span span) {
  for (auto& [start, range] : ranges_) {
    if (range.dead || !range.span.intersects(span)) continue;
    range.dead = true;
    garbage_.push_back(start);
  }
  if (watched_ && watched_->intersects(span)) {
    unmapped_.push_back({std::max(span.start, watched_->start), std::min(span.end, watched_->end)});
  }
}

// --- VMAs ---------------------------------------------------------------------------------------------------------

const ModelVma* Model::vma_at(std::uint64_t at) const {
  for (const ModelVma& vma : vmas_) {
    if (vma.span.contains(at)) return &vma;
  }
  return nullptr;
}

void Model::cut(std::uint64_t at) {
  for (std::size_t i = 0; i < vmas_.size(); ++i) {
    if (!vmas_[i].span.contains(at) || vmas_[i].span.start == at) continue;
    ModelVma upper = vmas_[i];
    upper.span.start = at;
    if (upper.bo != nullptr) upper.offset += at - vmas_[i].span.start;
    vmas_[i].span.end = at;
    vmas_.insert(vmas_.begin() + static_cast<std::ptrdiff_t>(i) + 1, upper);
    return;
  }
}

void Model::replace(Span span, const ModelVma& fresh) {
  cut(span.start);
  cut(span.end);
  std::erase_if(vmas_, [&](const ModelVma& vma) { return span.contains(vma.span); });
  ModelVma vma = fresh;
  vma.span = span;
  auto after = std::find_if(vmas_.begin(), vmas_.end(), [&](const ModelVma& v) { return v.span.start >= span.end; });
  vmas_.insert(after, vma);
}

// One step on each side, over default neighbours with the same flags and PAT (vm 7.5, Q16 and Q17
// fixed).
Span Model::extended(Span span, const ModelVma& like) const {
  auto joins = [&](const ModelVma* v) {
    return v != nullptr && v->mirror() && v->is_default() && v->autoreset == like.autoreset &&
           v->read_only == like.read_only && v->default_pat == like.default_pat;
  };
  Span result = span;
  if (span.start != 0) {
    if (const ModelVma* before = vma_at(span.start - 1); joins(before)) result.start = before->span.start;
  }
  if (span.end < vm_bytes_) {
    if (const ModelVma* after = vma_at(span.end); joins(after)) result.end = after->span.end;
  }
  return result;
}

// A mirror may replace whole mirrors with their ranges; what loses a part, or to something else,
// must have no range there (svm 3.7).
int Model::map(Span span, const ModelVma& what) {
  const Span whole = what.mirror() ? extended(span, what) : span;
  for (const ModelVma& vma : vmas_) {
    if (!vma.mirror() || !vma.span.intersects(whole)) continue;
    if (what.mirror() && whole.contains(vma.span)) continue;
    const Span hole{std::max(vma.span.start, whole.start), std::min(vma.span.end, whole.end)};
    if (any_range(hole)) return EBUSY;
  }
  replace(whole, what);
  return 0;
}

int Model::unmap(Span span) {
  for (const ModelVma& vma : vmas_) {
    if (!vma.mirror() || !vma.span.intersects(span)) continue;
    const Span hole{std::max(vma.span.start, span.start), std::min(vma.span.end, span.end)};
    if (any_range(hole)) return EBUSY;
  }
  cut(span.start);
  cut(span.end);
  std::erase_if(vmas_, [&](const ModelVma& vma) { return span.contains(vma.span); });
  return 0;
}

// --- advice -------------------------------------------------------------------------------------------------------

// VMAs without an object are cut at both borders, and the ranges that straddle one go
// (vm 5.2, 7.6).
void Model::cut_for_advice(Span span) {
  for (std::uint64_t border : {span.start, span.end}) {
    const ModelVma* vma = vma_at(border);
    if (vma != nullptr && vma->bo == nullptr) cut(border);
  }
  for (auto it = ranges_.begin(); it != ranges_.end();) {
    const Span extent = (it++)->second.span;
    const ModelVma* vma = vma_at(extent.start);
    if (vma != nullptr && !vma->span.contains(extent)) forget_range(extent.start);
  }
}

void Model::advise(Span span, const std::function<void(ModelVma&)>& change) {
  for (ModelVma& vma : vmas_) {
    if (!span.intersects(vma.span)) continue;
    const ModelVma before = vma;
    change(vma);
    if (vma == before || reset_ != ResetMode::kExact || !vma.mirror()) continue;
    if (!vma.autoreset || vma.is_default()) continue;
    if (!watched_) watched_ = vma.span;
    watched_ = Span{std::min(watched_->start, vma.span.start), std::max(watched_->end, vma.span.end)};
  }
}

// An object that may not live where the advice needs it refuses the call (vm 5.3).
int Model::set_atomic(Span span, AtomicAccess access) {
  cut_for_advice(span);
  for (const ModelVma& vma : vmas_) {
    if (!span.intersects(vma.span) || vma.bo == nullptr) continue;
    const ModelBo& bo = bo_of(vma);
    if (access == AtomicAccess::kDevice && !bo.vram && !(bo.system && device_.smem_atomics)) return EINVAL;
    if (access == AtomicAccess::kGlobal && !(bo.vram && bo.system)) return EINVAL;
    if (access == AtomicAccess::kCpu && !bo.system) return EINVAL;
  }
  advise(span, [&](ModelVma& vma) {
    vma.atomic = access;
    if (vma.bo != nullptr) bo_of(vma).atomic = access;
  });
  return 0;
}

void Model::set_preferred(Span span, bool system) {
  cut_for_advice(span);
  advise(span, [&](ModelVma& vma) {
    if (vma.mirror()) vma.prefer_system = system;
  });
}

void Model::set_pat(Span span, unsigned pat) {
  cut_for_advice(span);
  advise(span, [&](ModelVma& vma) { vma.pat = pat; });
}

// --- the collector ------------------------------------------------------------------------------------------------

// vm 7.3; flags and bind PAT are kept, equal neighbours only are merged.
void Model::reset_attributes(Span span) {
  const ModelVma* found = vma_at(span.start);
  if (found == nullptr || !found->mirror()) return;
  const ModelVma vma = *found;
  if (reset_ != ResetMode::kAlways && !vma.autoreset) return;
  const Span target = vma.is_default() ? vma.span : span;
  ModelVma fresh{
      .autoreset = vma.autoreset, .read_only = vma.read_only, .pat = vma.default_pat, .default_pat = vma.default_pat};
  replace(extended(target, fresh), fresh);
}

void Model::collect() {
  std::vector<std::uint64_t> list = std::move(garbage_);
  garbage_.clear();
  for (std::uint64_t start : list) {
    const Span extent = ranges_[start].span;
    ranges_.erase(start);
    if (reset_ != ResetMode::kExact) reset_attributes(extent);
  }
  while (!unmapped_.empty()) {
    const Span interval = unmapped_.back();
    unmapped_.pop_back();
    for (std::uint64_t at = interval.start; at < interval.end;) {
      auto vma = std::find_if(vmas_.begin(), vmas_.end(), [&](const ModelVma& v) { return v.span.end > at; });
      if (vma == vmas_.end() || vma->span.start >= interval.end) break;
      const Span part{std::max(at, vma->span.start), std::min(interval.end, vma->span.end)};
      at = part.end;
      reset_attributes(part);
    }
  }
}

// --- ranges -------------------------------------------------------------------------------------------------------

const ModelRange* Model::range_at(std::uint64_t at) const {
  auto it = ranges_.upper_bound(at);
  if (it == ranges_.begin()) return nullptr;
  --it;
  return it->second.span.contains(at) ? &it->second : nullptr;
}

bool Model::any_range(Span span) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const auto& entry) { return entry.second.span.intersects(span); });
}

void Model::forget_range(std::uint64_t start) {
  ranges_.erase(start);
  std::erase(garbage_, start);
}

void Model::adopt_ranges(std::map<std::uint64_t, ModelRange> ranges) {
  ranges_ = std::move(ranges);
  garbage_.clear();
  unmapped_.clear();
}

// svm 1.2: the largest of 2M, 64K, 4K inside mapping, VMA and window that meets no range; below 2M
// only when every page is there already (no `populated`: never asked). The page at `at` is mapped.
std::uint64_t Model::find_or_create(std::uint64_t at, const ModelVma& vma, const Populated& populated,
                                    std::uint64_t largest) {
  if (const ModelRange* range = range_at(at)) return range->span.start;
  const Span mapping = client_.mapping_around(at);
  const bool may_migrate = device_.discrete && client_.page(at)->kind == MemoryKind::kAnon;
  for (std::uint64_t bytes : {k2M, k64K, kPageSize}) {
    const Span chunk = block(at, bytes);
    if (bytes > largest || !mapping.contains(chunk) || !vma.span.contains(chunk)) continue;
    if (!block(at, kWindow).contains(chunk)) continue;
    if (bytes != kPageSize && any_range(chunk)) continue;
    bool there = true;
    for (std::uint64_t p = chunk.start; bytes == k64K && populated && p < chunk.end; p += kPageSize) {
      there = there && client_.page(p)->readable && populated(p);
    }
    if (!there) continue;
    ranges_[chunk.start] = {chunk, may_migrate, false};
    return chunk.start;
  }
  return at;
}

// --- faults -------------------------------------------------------------------------------------------------------

Result<bool> Model::needs_vram(const ModelVma& vma, Access access) const {
  if (access != Access::kAtomic) return false;
  const AtomicAccess advice = vma.bo != nullptr ? bo_of(vma).atomic : vma.atomic;
  if (advice == AtomicAccess::kCpu) return softxe::fail(EACCES, "CPU atomics");
  if (!device_.discrete) return false;
  return advice != AtomicAccess::kDevice || !device_.smem_atomics;
}

// svm 4.5, 1.3, 4.9.
int Model::fault(const GpuFault& fault, const Populated& populated) {
  for (bool collected = false;; collected = true) {
    const ModelVma* vma = vma_at(fault.at);
    if (vma == nullptr) return EINVAL;
    if (vma->read_only && fault.access != Access::kRead) return EPERM;
    const auto needs = needs_vram(*vma, fault.access);
    if (!needs) return needs.error().err;
    if (!vma->mirror()) return serve_owned(fault, *vma, *needs);
    if (!collected) {
      collect();
      continue;  // the VMA may be another one now (vm 7.2)
    }
    const ModelPage* memory = client_.page(fault.at);
    if (memory == nullptr) return ENOENT;
    if (!memory->writable && !vma->read_only) return EPERM;
    return serve(fault, *vma, *needs, populated);
  }
}

// Objects have VRAM of tile 0 only (workload.h).
int Model::serve_owned(const GpuFault& fault, const ModelVma& vma, bool needs_vram) const {
  if (vma.bo == nullptr || !needs_vram) return 0;
  return bo_of(vma).vram && fault.tile == 0 ? 0 : EINVAL;
}

bool Model::accessible(std::uint64_t at, const ModelVma& vma) const {
  const ModelPage* memory = client_.page(at);
  return memory != nullptr && (vma.read_only ? memory->readable : memory->writable);
}

// A chunk is collected as a whole or not at all; one with a bad page gives way to a smaller one,
// for an access that needs VRAM only once: it has three tries (svm 4.6, REC a).
int Model::serve(const GpuFault& fault, const ModelVma& vma, bool needs_vram, const Populated& populated) {
  Span filled;  // a collection that fails has brought in what stands before the bad page
  auto there = [&](std::uint64_t p) { return filled.contains(p) || populated(p); };
  for (std::uint64_t largest = k2M, shrunk = 0;; ++shrunk) {
    const std::uint64_t start = find_or_create(fault.at, vma, device_.discrete ? Populated(there) : nullptr, largest);
    const ModelRange range = ranges_[start];
    if (needs_vram && !range.may_migrate) return EACCES;
    // Smaller than a page of VRAM: the chunk grows if it may (E17).
    if (needs_vram && range.span.size() < device_.vram_page_bytes) return kUnsure;
    std::uint64_t bad = range.span.start;
    while (bad < range.span.end && accessible(bad, vma)) bad += kPageSize;
    if (bad == range.span.end) return 0;
    filled = {range.span.start, bad};
    if (needs_vram && shrunk == 1) return kUnsure;
    if (range.span.size() == kPageSize) return EFAULT;
    forget_range(start);
    largest = range.span.size() == k2M ? k64K : kPageSize;
  }
}

// Objects first: they refuse what they cannot do. svm 7.2: chunks are never asked whether they are
// populated; holes are skipped; read-only memory fails.
int Model::prefetch(Span span, std::optional<unsigned> tile) {
  for (const ModelVma& vma : vmas_) {
    if (vma.bo == nullptr || !vma.span.intersects(span)) continue;
    const ModelBo& bo = bo_of(vma);
    const bool may = tile ? bo.vram && *tile == 0 : bo.system || !bo.in_vram;  // evicted is there already
    if (!may) return EINVAL;
  }
  for (const ModelVma& vma : std::vector<ModelVma>(vmas_)) {
    if (!vma.mirror() || !vma.span.intersects(span)) continue;
    const Span part{std::max(vma.span.start, span.start), std::min(vma.span.end, span.end)};
    for (std::uint64_t at = part.start; at < part.end;) {
      const ModelPage* memory = client_.page(at);
      if (memory == nullptr) {
        at += kPageSize;
        continue;
      }
      if (!memory->writable && !vma.read_only) return EPERM;
      at = ranges_[find_or_create(at, vma, nullptr, k2M)].span.end;
    }
  }
  return 0;
}

}  // namespace softxe::sim
