// What is compared after every step (runner.h).
#include <fmt/format.h>

#include <cstring>
#include <set>

#include "sim/world.h"

namespace softxe::sim {
namespace {

std::string show(const ModelVma& v) {
  return fmt::format("[{:#x}..{:#x} atomic={} system={} pat={}/{} autoreset={}]", v.span.start, v.span.end,
                     static_cast<int>(v.atomic), v.prefer_system, v.pat, v.default_pat, v.autoreset);
}

std::uint64_t word_at(const std::byte* page, std::uint64_t offset) {
  std::uint64_t word = 0;
  if (page != nullptr) std::memcpy(&word, page + offset, sizeof word);
  return word;
}

}  // namespace

std::string World::compare() {
  mm_.check_invariants();
  {
    ReadGuard hold(vm_->vm.lock);
    vm_->vm.validate();
  }
  vm_->vm.table(0).check_invariants();
  device_->vram(0).check_invariants();
  if (vm_->vm.banned()) return "the VM was killed";
  std::string what = compare_vmas();
  if (what.empty()) what = compare_ranges();
  if (what.empty()) what = compare_pages();
  if (what.empty()) what = compare_vram();
  if (what.empty()) what = compare_counters();
  return what;
}

// Attributes of every page and the coverage of the address space are the VMAs', one by one.
std::string World::compare_vmas() {
  const std::vector<ModelVma> engine = engine_vmas();
  const std::vector<ModelVma>& model = model_->vmas();
  for (std::size_t i = 0; i < std::max(engine.size(), model.size()); ++i) {
    if (i < engine.size() && i < model.size() && engine[i] == model[i]) continue;
    return fmt::format("VMA {}: engine {}, model {}", i, i < engine.size() ? show(engine[i]) : "none",
                       i < model.size() ? show(model[i]) : "none");
  }
  return "";
}

// I7, I8, I9: also that each range is natural, inside one VMA and one window, and queued iff dead.
std::string World::compare_ranges() {
  const auto engine = engine_ranges();
  const auto& model = model_->ranges();
  for (const auto& [start, range] : engine) {
    const Span span = range.span;
    const std::uint64_t bytes = span.end - span.start;
    if ((bytes != k2M && bytes != k64K && bytes != kPageSize) || !is_aligned(start, bytes)) {
      return fmt::format("range {:#x}..{:#x} is not a natural chunk", span.start, span.end);
    }
    const ModelVma* vma = model_->vma_at(start);
    if (vma == nullptr || !vma->span.contains(span)) return fmt::format("range {:#x} leaves its VMA", start);
    auto twin = model.find(start);
    if (twin == model.end() || !(twin->second.span == span) || twin->second.dead != range.dead) {
      return fmt::format("range {:#x}..{:#x} dead={}: the model has {}", span.start, span.end, range.dead,
                         twin == model.end() ? "none"
                                             : fmt::format("..{:#x} dead={}", twin->second.span.end, twin->second.dead));
    }
  }
  for (const auto& [start, range] : model) {
    if (!engine.contains(start)) return fmt::format("range {:#x}..{:#x}: the engine has none", start, range.span.end);
  }
  if (vm_->svm->range_count() != engine.size()) return "the engine's count of ranges is wrong";
  if (vm_->svm->garbage_pending() != model_->garbage()) return "the collector's list: engine and model differ";
  return "";
}

std::string World::compare_pages() {
  for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
    if (std::string what = compare_page(at); !what.empty()) return fmt::format("page {:#x}: {}", at, what);
  }
  return "";
}

// I1: a PTE stands only over memory that is mapped, permitted and mirrored. I6: it shows the page's one home.
// I2, I4: the home has the bytes the model has. I3: nothing but private memory is in VRAM.
std::string World::compare_page(std::uint64_t at) {
  using State = SimHostMm::PageState;
  const SimHostMm::Peeked seen = mm_.peek(HostVa(at));
  const ModelPage* page = model_->page(at);
  if ((seen.state == State::kUnmapped) != (page == nullptr)) return "mapped in one of engine and model only";
  if (page != nullptr) {
    for (std::size_t i = 0; i < kWordOffsets.size(); ++i) {
      const std::uint64_t word = word_at(seen.bytes, kWordOffsets[i]);
      if (word != (*page->words)[i]) {
        return fmt::format("contents {:#x} at +{:#x}, model {:#x}", word, kWordOffsets[i], (*page->words)[i]);
      }
    }
  }
  if (seen.state == State::kDevice && page->kind != MemoryKind::kAnon) return "shared memory in VRAM";

  SvmRange* range = vm_->svm->find_range(HostRange::of(HostVa(at), kPageSize));
  const bool valid = range != nullptr && range->valid_on(1);
  const auto walked = vm_->vm.table(0).walk(GpuVa(at));
  if (walked.has_value() != valid) return valid ? "no PTE in a valid range" : "a PTE without a valid range";
  if (!valid) return "";
  if (range->dead() || !range->collected()) return "PTEs of a range that is dead or has no pages";
  if (page == nullptr || !page->readable) return "a PTE where the CPU may not read";
  if (walked->flags.writable && !page->writable) return "a writable PTE over read-only memory";
  if (model_->vma_at(at) == nullptr) return "a PTE outside every VMA";
  if (walked->flags.writable && seen.state != State::kSystem && seen.state != State::kDevice) {
    return "a writable PTE over a page that is nowhere";
  }
  const std::uint64_t offset = at - walked->entry_va.value();
  const std::byte* target = nullptr;
  if (walked->flags.kind == PteKind::kVram) {
    target = device_->vram_map(0).resolve(DevPa(walked->address + offset), kPageSize).host;
  } else {
    target = reinterpret_cast<const std::byte*>(walked->address + offset);
  }
  if (target != seen.bytes) return "the PTE does not show the page's home";
  if ((walked->flags.kind == PteKind::kVram) != (seen.state == State::kDevice)) return "the PTE's kind is wrong";
  // A mirror bind over a mirror resets attributes and leaves PTEs alone (vm 7.5): their PAT may be old then.
  if (!rebound_ && static_cast<unsigned>(walked->flags.pat_index) != model_->vma_at(at)->pat) return "the PTE's PAT is stale";
  return "";
}

// I10: what is used is what allocations with at least one page hold.
std::string World::compare_vram() {
  std::set<DevmemAllocation*> live;
  for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
    if (DevmemAllocation* allocation = mm_.peek(HostVa(at)).allocation) live.insert(allocation);
  }
  std::uint64_t bytes = 0;
  for (DevmemAllocation* allocation : live) bytes += allocation->block.size();
  const std::uint64_t used = device_->vram(0).usage().used_bytes;
  return used == bytes ? "" : fmt::format("VRAM in use: {}, allocations hold {}", used, bytes);
}

// I15, and identities of the report.
std::string World::compare_counters() {
  auto now = [&](Counter c) { return device_->counters().get(c); };
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const std::uint64_t value = now(static_cast<Counter>(i));
    if (value < counters_[i]) return fmt::format("counter {} went back", kCounterNames[i]);
    counters_[i] = value;
  }
  using C = Counter;
  if (now(C::svm_4K_pagefault_count) < now(C::svm_4K_valid_pagefault_count) ||
      now(C::svm_64K_pagefault_count) < now(C::svm_64K_valid_pagefault_count) ||
      now(C::svm_2M_pagefault_count) < now(C::svm_2M_valid_pagefault_count)) {
    return "more valid faults than faults";
  }
  if (now(C::gpu_fault_count) !=
      now(C::gpu_fault_read_count) + now(C::gpu_fault_write_count) + now(C::gpu_fault_atomic_count)) {
    return "GPU faults by type do not add up";
  }
  if (now(C::svm_migrate_to_vram_count) !=
      now(C::svm_migrate_to_vram_gpu_fault_count) + now(C::svm_migrate_to_vram_prefetch_count)) {
    return "migrations by cause do not add up";
  }
  if (now(C::svm_range_created_count) < now(C::svm_range_collected_count)) return "more ranges collected than made";
  return "";
}

std::vector<ModelVma> World::engine_vmas() {
  std::vector<ModelVma> result;
  ReadGuard hold(vm_->vm.lock);
  for (const Vma* vma : vm_->vm.vmas_in(vm_->vm.space().managed())) {
    result.push_back({.span = {vma->start().value(), vma->end().value()},
                      .autoreset = vma->flags().autoreset,
                      .atomic = vma->attr.atomic,
                      .prefer_system = vma->attr.preferred.devmem_fd == kPreferDefaultSystem,
                      .pat = static_cast<unsigned>(vma->attr.pat),
                      .default_pat = static_cast<unsigned>(vma->attr.default_pat)});
  }
  return result;
}

std::map<std::uint64_t, ModelRange> World::engine_ranges() {
  std::map<std::uint64_t, ModelRange> result;
  ReadGuard hold(vm_->vm.lock);
  vm_->svm->for_each_range([&](const SvmRange& range) {
    const std::uint64_t start = range.extent().start().value();
    result[start] = {{start, range.extent().end().value()}, range.may_migrate() == MayMigrate::kYes, range.dead()};
  });
  return result;
}

}  // namespace softxe::sim
