#include "sim/model_memory.h"

#include <algorithm>

namespace softxe::sim {
namespace {

/// Would the kernel show these neighbours as one mapping?
bool same_mapping(const ModelPage& a, const ModelPage& b) {
  return a.kind == b.kind && a.readable == b.readable && a.writable == b.writable && a.object == b.object &&
         a.born_page + 1 == b.born_page;
}

}  // namespace

ModelPage* ModelClient::page(std::uint64_t at, std::size_t process) {
  if (!kSpace.contains(at)) return nullptr;
  auto& entry = processes_[process][(at - kSpaceStart) / kPageSize];
  return entry ? &*entry : nullptr;
}

Span ModelClient::mapping_around(std::uint64_t at) const {
  Span span{align_down(at, kPageSize), align_down(at, kPageSize) + kPageSize};
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

bool ModelClient::one_mapping(Span span) const {
  return page(span.start) != nullptr && mapping_around(span.start).contains(span);
}

void ModelClient::munmap(Span span) {
  bool any = false;
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    any = any || slot(at).has_value();
    slot(at).reset();
  }
  if (any) on_unmap(span);
}

void ModelClient::mmap(const Mapping& mapping) {
  munmap(mapping.span);
  const std::uint64_t object = mapping.kind == MemoryKind::kAnon ? 0 : ++objects_;
  for (std::uint64_t at = mapping.span.start; at < mapping.span.end; at += kPageSize) {
    const std::uint64_t from = object != 0 ? at - mapping.span.start : at;
    ModelPage page{.kind = mapping.kind, .writable = mapping.writable, .object = object, .born_page = from / kPageSize};
    if (page.is_shared()) page.shared = std::make_shared<Words>();
    slot(at) = std::move(page);
  }
}

// The old interval is unmapped, its pages appear at the new one; DONTUNMAP leaves fresh memory
// (svm 2.2).
bool ModelClient::mremap(Span old, std::uint64_t to, bool dont_unmap) {
  if (!one_mapping(old)) return false;
  const Span target{to, to + old.size()};
  if (target.intersects(old)) return false;
  munmap(target);
  for (std::uint64_t at = old.start; at < old.end; at += kPageSize) {
    slot(to + (at - old.start)) = slot(at);
    if (!dont_unmap) {
      slot(at).reset();
    } else if (!slot(at)->is_shared()) {
      slot(at)->own = {};
      slot(at)->lazy = false;
    }
  }
  on_unmap(old);
  return true;
}

bool ModelClient::mprotect(Span span, bool readable, bool writable) {
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    if (!slot(at)) return false;  // what stands before the hole is changed
    slot(at)->readable = readable;
    slot(at)->writable = writable;
  }
  return true;
}

void ModelClient::dontneed(Span span) {
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    if (!slot(at) || slot(at)->is_shared()) continue;
    slot(at)->own = {};
    slot(at)->lazy = false;
  }
}

// Mapping after mapping, up to the first that is not anonymous.
void ModelClient::free(Span span) {
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    if (!slot(at)) continue;
    if (slot(at)->kind != MemoryKind::kAnon) return;
    slot(at)->lazy = true;
  }
}

// Mapping after mapping, up to the first that is not shared and writable. The pages leave every
// process.
void ModelClient::remove(Span span) {
  for (std::uint64_t at = span.start; at < span.end; at += kPageSize) {
    if (!slot(at)) continue;
    if (!slot(at)->is_shared() || !slot(at)->writable) return;
    *slot(at)->shared = {};
  }
}

std::uint64_t ModelClient::brk(std::uint64_t wanted) {
  const std::uint64_t old_end = align_up(break_, kPageSize);
  const std::uint64_t new_end = align_up(wanted, kPageSize);
  if (wanted < kBrkBase) return break_;
  if (new_end < old_end) munmap({new_end, old_end});
  for (std::uint64_t at = old_end; at < new_end; at += kPageSize) {
    if (slot(at)) return break_;
  }
  for (std::uint64_t at = old_end; at < new_end; at += kPageSize) slot(at) = ModelPage{.born_page = at / kPageSize};
  return break_ = wanted;
}

std::size_t ModelClient::fork() {
  processes_.push_back(processes_[0]);
  return processes_.size() - 1;
}

}  // namespace softxe::sim
