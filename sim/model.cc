#include "sim/model.h"

#include <algorithm>

namespace softxe::sim {
namespace {

constexpr std::uint64_t kWindow = 512ull << 20;  // svm 1.1

Span block(std::uint64_t at, std::uint64_t bytes) {
  return {align_down(at, bytes), align_down(at, bytes) + bytes};
}

/// Would the kernel show these neighbours as one mapping?
bool same_mapping(const ModelPage& a, const ModelPage& b) {
  return a.kind == b.kind && a.readable == b.readable && a.writable == b.writable &&
         a.object == b.object && a.born_page + 1 == b.born_page;
}

std::shared_ptr<std::array<std::uint64_t, 2>> zeroes() {
  return std::make_shared<std::array<std::uint64_t, 2>>();
}

}  // namespace

// --- the client -------------------------------------------------------------------------------------------

const ModelPage* Model::page(std::uint64_t at, std::size_t process) const {
  auto it = processes_[process].find(align_down(at, kPageSize));
  return it == processes_[process].end() ? nullptr : &it->second;
}

Span Model::mapping_around(std::uint64_t at) const {
  Span span = block(at, kPageSize);
  for (;;) {
    const ModelPage* below = page(span.start - kPageSize);
    if (below == nullptr || !same_mapping(*below, *page(span.start))) break;
    span.start -= kPageSize;
  }
  for (;;) {
    const ModelPage* above = page(span.end);
    if (above == nullptr || !same_mapping(*page(span.end - kPageSize), *above)) break;
    span.end += kPageSize;
  }
  return span;
}

bool Model::one_mapping(Span span) const {
  return page(span.start) != nullptr && mapping_around(span.start).contains(span);
}

// An UNMAP event: every range it touches is dead, whole or not (svm 2.1 step 6).
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

void Model::munmap(Span span) {
  auto& memory = processes_[0];
  auto first = memory.lower_bound(span.start);
  auto last = memory.lower_bound(span.end);
  if (first == last) return;
  memory.erase(first, last);
  cpu_unmapped(span);
}

void Model::mmap(const Mapping& mapping) {
  munmap(mapping.span);
  const std::uint64_t object = mapping.kind == MemoryKind::kShmem ? ++objects_ : 0;
  for (std::uint64_t at = mapping.span.start; at < mapping.span.end; at += kPageSize) {
    const std::uint64_t from = object != 0 ? at - mapping.span.start : at;
    processes_[0][at] = {mapping.kind, mapping.writable, true, object, from / kPageSize, zeroes()};
  }
}

// The old interval is unmapped, its pages appear at the new one; DONTUNMAP leaves fresh memory (svm 2.2).
bool Model::mremap(Span old, std::uint64_t to, bool dont_unmap) {
  if (!one_mapping(old)) return false;
  const Span target{to, to + (old.end - old.start)};
  if (target.intersects(old)) return false;
  munmap(target);
  auto& memory = processes_[0];
  for (std::uint64_t at = old.start; at < old.end; at += kPageSize) {
    ModelPage moved = memory[at];
    if (!dont_unmap) {
      memory.erase(at);
    } else if (moved.kind == MemoryKind::kAnon) {
      memory[at].words = zeroes();
    }
    memory[to + (at - old.start)] = moved;
  }
  cpu_unmapped(old);
  return true;
}

bool Model::mprotect(Span span, bool readable, bool writable) {
  auto& memory = processes_[0];
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    auto it = memory.find(at);
    if (it == memory.end()) return false;  // what stands before the hole is changed
    it->second.readable = readable;
    it->second.writable = writable;
  }
  return true;
}

void Model::dontneed(Span span) {
  auto& memory = processes_[0];
  for (auto it = memory.lower_bound(span.start); it != memory.end() && it->first < span.end; ++it) {
    if (it->second.kind == MemoryKind::kAnon) it->second.words = zeroes();
  }
}

std::size_t Model::fork() {
  ModelMemory copy = processes_[0];
  for (auto& [at, page] : copy) {
    if (page.kind == MemoryKind::kAnon) {
      page.words = std::make_shared<std::array<std::uint64_t, 2>>(*page.words);
    }
  }
  processes_.push_back(std::move(copy));
  return processes_.size() - 1;
}

// --- VMAs -------------------------------------------------------------------------------------------------

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
  auto after = std::find_if(vmas_.begin(), vmas_.end(),
                            [&](const ModelVma& v) { return v.span.start >= span.end; });
  vmas_.insert(after, vma);
}

// One step on each side, over default neighbours with the same flags and PAT (vm 7.5, Q16 and Q17 fixed).
Span Model::extended(Span span, const ModelVma& like) const {
  auto joins = [&](const ModelVma* v) {
    return v != nullptr && v->is_default() && v->autoreset == like.autoreset &&
           v->default_pat == like.default_pat;
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

int Model::bind_mirror(Span span, bool autoreset, unsigned pat) {
  collect();
  ModelVma fresh{.autoreset = autoreset, .pat = pat, .default_pat = pat};
  const Span whole = extended(span, fresh);
  // A VMA that loses only a part must have no range there (svm 3.7).
  for (const ModelVma& vma : vmas_) {
    if (!vma.span.intersects(whole) || whole.contains(vma.span)) continue;
    const Span hole{std::max(vma.span.start, whole.start), std::min(vma.span.end, whole.end)};
    if (any_range(hole)) return EBUSY;
  }
  replace(whole, fresh);
  return 0;
}

int Model::unbind(Span span) {
  collect();
  for (const ModelVma& vma : vmas_) {
    if (!vma.span.intersects(span)) continue;
    const Span hole{std::max(vma.span.start, span.start), std::min(vma.span.end, span.end)};
    if (any_range(hole)) return EBUSY;
  }
  cut(span.start);
  cut(span.end);
  std::erase_if(vmas_, [&](const ModelVma& vma) { return span.contains(vma.span); });
  return 0;
}

// Split at both borders, drop what straddles them, change what is inside (vm 5.2, 7.6).
void Model::madvise(Span span, const std::function<void(ModelVma&)>& change) {
  collect();
  cut(span.start);
  cut(span.end);
  for (auto it = ranges_.begin(); it != ranges_.end();) {
    const Span extent = (it++)->second.span;
    const ModelVma* vma = vma_at(extent.start);
    if (vma != nullptr && !vma->span.contains(extent)) forget_range(extent.start);
  }
  for (ModelVma& vma : vmas_) {
    if (!span.contains(vma.span)) continue;
    const ModelVma before = vma;
    change(vma);
    if (vma == before || reset_ != ResetMode::kExact || !vma.autoreset || vma.is_default()) continue;
    if (!watched_) watched_ = vma.span;
    watched_ = Span{std::min(watched_->start, vma.span.start), std::max(watched_->end, vma.span.end)};
  }
}

// --- the collector ----------------------------------------------------------------------------------------

// vm 7.3; flags and bind PAT are kept, equal neighbours only are merged.
void Model::reset_attributes(Span span) {
  const ModelVma* found = vma_at(span.start);
  if (found == nullptr) return;
  const ModelVma vma = *found;
  if (reset_ != ResetMode::kAlways && !vma.autoreset) return;
  const Span target = vma.is_default() ? vma.span : span;
  ModelVma fresh{.autoreset = vma.autoreset, .pat = vma.default_pat, .default_pat = vma.default_pat};
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

// --- ranges -----------------------------------------------------------------------------------------------

const ModelRange* Model::range_at(std::uint64_t at) const {
  for (const auto& [start, range] : ranges_) {
    if (range.span.contains(at)) return &range;
  }
  return nullptr;
}

bool Model::any_range(Span span) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const auto& entry) { return entry.second.span.intersects(span); });
}

void Model::forget_range(std::uint64_t start) {
  ranges_.erase(start);
  std::erase(garbage_, start);
}

// svm 1.2: the largest of 2M, 64K, 4K inside mapping, VMA and window that meets no range; below 2M only
// when every page is there already (no `populated`: never asked). The page at `at` is mapped.
std::uint64_t Model::find_or_create(std::uint64_t at, const ModelVma& vma, const Populated& populated,
                                    std::uint64_t largest) {
  if (const ModelRange* range = range_at(at)) return range->span.start;
  const Span mapping = mapping_around(at);
  const bool may_migrate = page(at)->kind == MemoryKind::kAnon;
  for (std::uint64_t bytes : {k2M, k64K, kPageSize}) {
    const Span chunk = block(at, bytes);
    if (bytes > largest || !mapping.contains(chunk) || !vma.span.contains(chunk) || !block(at, kWindow).contains(chunk)) continue;
    if (bytes != kPageSize && any_range(chunk)) continue;
    bool there = true;
    for (std::uint64_t p = chunk.start; bytes == k64K && populated && p < chunk.end; p += kPageSize) {
      there = there && page(p)->readable && populated(p);
    }
    if (!there) continue;
    ranges_[chunk.start] = {chunk, may_migrate, false};
    return chunk.start;
  }
  return at;
}

// svm 4.5, 1.3, 4.9 of a discrete device with atomics on system memory.
int Model::fault(std::uint64_t at, Access access, const Populated& populated) {
  for (bool collected = false;; collected = true) {
    const ModelVma* vma = vma_at(at);
    if (vma == nullptr) return EINVAL;
    const bool atomic = access == Access::kAtomic;
    if (atomic && vma->atomic == AtomicAccess::kCpu) return EACCES;
    const bool needs_vram = atomic && vma->atomic != AtomicAccess::kDevice;
    if (!collected) {
      collect();
      continue;  // the VMA may be another one now (vm 7.2)
    }
    const ModelPage* memory = page(at);
    if (memory == nullptr) return ENOENT;
    if (!memory->writable) return EPERM;
    return serve(at, *vma, needs_vram, populated);
  }
}

// A chunk is collected as a whole or not at all; one with a bad page gives way to a smaller one, for an
// access that needs VRAM only once: it has three tries (svm 4.6, REC a).
int Model::serve(std::uint64_t at, const ModelVma& vma, bool needs_vram, const Populated& populated) {
  Span filled;  // a collection that fails has brought in what stands before the bad page
  auto there = [&](std::uint64_t p) { return filled.contains(p) || populated(p); };
  for (std::uint64_t largest = k2M, shrunk = 0;; ++shrunk) {
    const std::uint64_t start = find_or_create(at, vma, there, largest);
    const ModelRange range = ranges_[start];
    if (needs_vram && !range.may_migrate) return EACCES;
    std::uint64_t bad = range.span.start;
    while (bad < range.span.end && page(bad) != nullptr && page(bad)->writable) bad += kPageSize;
    if (bad == range.span.end) return 0;
    filled = {range.span.start, bad};
    if (needs_vram && shrunk == 1) return kSomeError;
    forget_range(start);
    largest = range.span.end - range.span.start == k2M ? k64K : kPageSize;
  }
}

// svm 7.2: chunks are never asked whether they are populated; holes are skipped; read-only memory fails.
int Model::prefetch(Span span) {
  collect();
  for (const ModelVma& vma : std::vector<ModelVma>(vmas_)) {
    if (!vma.span.intersects(span)) continue;
    const Span part{std::max(vma.span.start, span.start), std::min(vma.span.end, span.end)};
    for (std::uint64_t at = part.start; at < part.end;) {
      const ModelPage* memory = page(at);
      if (memory == nullptr) {
        at += kPageSize;
        continue;
      }
      if (!memory->writable) return EPERM;
      at = ranges_[find_or_create(at, vma, nullptr, k2M)].span.end;
    }
  }
  return 0;
}

void Model::adopt(std::vector<ModelVma> vmas, std::map<std::uint64_t, ModelRange> ranges) {
  vmas_ = std::move(vmas);
  ranges_ = std::move(ranges);
  garbage_.clear();
  unmapped_.clear();
}

}  // namespace softxe::sim
