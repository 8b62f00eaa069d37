// What is compared after every step (runner.h).
#include <fmt/format.h>

#include <cstring>
#include <set>

#include "sim/world.h"

namespace softxe::sim {
namespace {

/// The machine's own books are gone through every so many steps: they are not what is under test.
constexpr std::uint64_t kMachineCheckSteps = 16;

std::string show(const ModelVma& v) {
  return fmt::format("[{:#x}..{:#x} kind={} atomic={} system={} pat={}/{} autoreset={} ro={} offset={:#x}]",
                     v.span.start, v.span.end, static_cast<int>(v.kind), static_cast<int>(v.atomic), v.prefer_system,
                     v.pat, v.default_pat, v.autoreset, v.read_only, v.offset);
}

std::uint64_t word_at(const std::byte* page, std::uint64_t offset) {
  std::uint64_t word = 0;
  if (page != nullptr) std::memcpy(&word, page + offset, sizeof word);
  return word;
}

std::size_t index_of(std::uint64_t at) { return (at - kSpaceStart) / kPageSize; }

}  // namespace

std::string World::compare() {
  if (steps_ % kMachineCheckSteps == 0) mm_.check_invariants();
  pages_.resize(kSpacePages);
  mm_.peek_all(HostRange::between(HostVa(kSpace.start), HostVa(kSpace.end)), pages_);
  std::string what = compare_memory();
  for (OpenVm& vm : vms_) {
    if (what.empty()) what = compare_vm(vm);
    if (!what.empty() && vms_.size() > 1) what += fmt::format(" (VM {} or below)", &vm - vms_.data());
  }
  for (Card& card : cards_) {
    if (what.empty()) what = compare_vram(card);
    if (what.empty()) what = compare_counters(card);
  }
  if (what.empty()) what = compare_events();
  return what;
}

// I2, I4: every page's home has the bytes the model has. I3: nothing but private memory is in VRAM.
std::string World::compare_memory() {
  using State = SimHostMm::PageState;
  for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
    const SimHostMm::Peeked& seen = pages_[index_of(at)];
    ModelPage* page = client_.page(at);
    if ((seen.state == State::kUnmapped) != (page == nullptr)) {
      return fmt::format("page {:#x}: mapped in one of engine and model only", at);
    }
    if (page == nullptr) continue;
    Words words{};
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = word_at(seen.bytes, kWordOffsets[i]);
    if (page->lazy && words == Words{}) page->own = {};
    if (words != page->words()) {
      bad_page_ = at;
      return fmt::format("page {:#x}: contents {:#x} {:#x}, model {:#x} {:#x}", at, words[0], words[1],
                         page->words()[0], page->words()[1]);
    }
    if (seen.state == State::kDevice && page->kind != MemoryKind::kAnon) {
      return fmt::format("page {:#x}: shared memory in VRAM", at);
    }
  }
  return "";
}

std::string World::compare_vm(OpenVm& vm) {
  const bool may_be_killed = vm.banned() && config_.failures;
  if (vm.banned() && !may_be_killed) return "the VM was killed";
  {
    ReadGuard hold(vm.context->vm.lock);
    if (std::string broken = broken_invariant(*vm.context); !broken.empty()) return broken;
  }
  std::string what = compare_vmas(vm);
  // A killed VM's ranges only wait for its end (vm 2.6).
  if (what.empty() && !vm.banned()) what = compare_ranges(vm);
  for (unsigned tile = 0; tile < config_.profile->tiles; ++tile) {
    if (what.empty()) what = compare_table(vm, tile);
  }
  return what;
}

// Attributes of every page and the coverage of the address space are the VMAs', one by one.
std::string World::compare_vmas(OpenVm& vm) {
  const std::vector<ModelVma> engine = engine_vmas(vm);
  const std::vector<ModelVma>& model = vm.model->vmas();
  for (std::size_t i = 0; i < std::max(engine.size(), model.size()); ++i) {
    if (i < engine.size() && i < model.size() && engine[i] == model[i]) continue;
    return fmt::format("VMA {}: engine {}, model {}", i, i < engine.size() ? show(engine[i]) : "none",
                       i < model.size() ? show(model[i]) : "none");
  }
  return "";
}

// I7, I8, I9; that each range is natural, inside its VMA and window, queued iff dead:
// broken_invariant().
std::string World::compare_ranges(OpenVm& vm) {
  const auto engine = engine_ranges(vm);
  const auto& model = vm.model->ranges();
  for (const auto& [start, range] : engine) {
    auto twin = model.find(start);
    if (twin == model.end() || !(twin->second.span == range.span) || twin->second.dead != range.dead) {
      return fmt::format(
          "range {:#x}..{:#x} dead={}: the model has {}", range.span.start, range.span.end, range.dead,
          twin == model.end() ? "none" : fmt::format("..{:#x} dead={}", twin->second.span.end, twin->second.dead));
    }
  }
  for (const auto& [start, range] : model) {
    if (!engine.contains(start)) return fmt::format("range {:#x}..{:#x}: the engine has none", start, range.span.end);
  }
  if (vm.context->svm->garbage_pending() != vm.model->garbage()) return "the collector's list: engine and model differ";
  return "";
}

// I1, I6 over one tile's table, page by page; and no PTE outside of the space, where nothing is
// mapped.
std::string World::compare_table(OpenVm& vm, unsigned tile) {
  PageTable& table = vm.context->vm.table(tile);
  table.check_invariants();
  std::vector<Translation> leaves;
  table.for_each_leaf(GpuRange::between(GpuVa(kSpace.start), GpuVa(kSpace.end)),
                      [&](const Translation& leaf) { leaves.push_back(leaf); });
  std::uint64_t present = 0;
  auto leaf = leaves.begin();
  for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
    while (leaf != leaves.end() && leaf->entry_va.value() + leaf->entry_bytes <= at) ++leaf;
    const Translation* pte = leaf != leaves.end() && leaf->entry_va.value() <= at ? &*leaf : nullptr;
    if (pte != nullptr) ++present;
    if (std::string what = compare_pte(vm, at, pte, tile); !what.empty()) {
      return fmt::format("page {:#x} on tile {}: {}", at, tile, what);
    }
  }
  return table.present_pages() == present ? "" : "PTEs where nothing was ever mapped";
}

// I1: a PTE stands only over memory that is mapped, permitted and mirrored. I6: it shows the page's
// one home.
std::string World::compare_pte(OpenVm& vm, std::uint64_t at, const Translation* pte, unsigned tile) {
  const ModelVma* vma = vm.model->vma_at(at);
  if (vma == nullptr) return pte != nullptr ? "a PTE without a VMA" : "";
  if (!vma->mirror() && pte == nullptr) return "";
  if (vma->kind == VmaKind::kNull) return pte->flags.kind == PteKind::kNull ? "" : "a null mapping shows memory";
  const std::byte* bytes = nullptr;
  if (pte != nullptr && pte->flags.kind == PteKind::kVram) {
    const std::uint64_t address = pte->address + (at - pte->entry_va.value());
    bytes = cards_[vm.card].device->vram_map(tile).resolve(DevPa(address), kPageSize).host;
  } else if (pte != nullptr) {
    bytes = reinterpret_cast<const std::byte*>(pte->address + (at - pte->entry_va.value()));
  }
  if (pte != nullptr && pte->flags.writable && vma->read_only) return "a writable PTE in a READONLY VMA";
  if (vma->kind == VmaKind::kBo) {
    for (const Object& object : objects_) {
      if (vma->bo != &object.model) continue;
      const std::uint64_t offset = at - vma->span.start + vma->offset;
      if (bytes != object.bo->engine_mapping() + offset) return "the PTE does not show the object";
      const Words& words = object.model.pages[offset / kPageSize];
      for (std::size_t i = 0; i < words.size(); ++i) {
        if (word_at(bytes, kWordOffsets[i]) != words[i]) return "the object's contents differ";
      }
    }
    return "";
  }
  const auto bit = static_cast<TileMask>(1u << tile);
  SvmRange* range = vm.context->svm->find_range(HostRange::of(HostVa(at), kPageSize));
  const bool valid = range != nullptr && vm.context->svm->state_of(*range).valid_on(bit);
  if ((pte != nullptr) != valid) return valid ? "no PTE in a valid range" : "a PTE without a valid range";
  if (!valid) return "";
  const SimHostMm::Peeked& seen = pages_[index_of(at)];
  const ModelPage* page = client_.page(at);
  if (page == nullptr || !(vma->read_only ? page->readable : page->writable)) return "a PTE over memory that is away";
  if (bytes != seen.bytes) return "the PTE does not show the page's home";
  const bool device = seen.state == SimHostMm::PageState::kDevice;
  if (device == (pte->flags.kind == PteKind::kSystem)) return "the PTE's kind is wrong";
  if (pte->flags.pat_index != vma->pat) return "the PTE's PAT is stale";
  if (pte->flags.atomic_enable && vma->atomic == AtomicAccess::kCpu) return "atomics enabled against the advice";
  return "";
}

// I10: what is used is what allocations with at least one page hold, and the objects that stand
// there.
std::string World::compare_vram(Card& card) {
  std::set<DevmemAllocation*> live;
  for (const SimHostMm::Peeked& page : pages_) {
    if (page.allocation != nullptr) live.insert(page.allocation);
  }
  for (unsigned tile = 0; tile < card.device->vram_tiles(); ++tile) {
    card.device->vram(tile).check_invariants();
    std::uint64_t bytes = 0;
    for (DevmemAllocation* allocation : live) {
      if (allocation->heap == card.device->pagemap(tile).get()) bytes += allocation->block.size();
    }
    for (const Object& object : objects_) {
      if (&card == cards_.data() && tile == 0 && object.bo->in_vram()) bytes += kBoBytes;
    }
    const std::uint64_t used = card.device->vram(tile).usage().used_bytes;
    if (used != bytes) return fmt::format("VRAM in use: {}, allocations and objects hold {}", used, bytes);
  }
  return "";
}

// Every event has a cause, and counters are the sums over events.
std::string World::compare_events() {
  tap_.drain();
  static_cast<void>(tap_.take());
  if (tap_.lost()) return "events were lost";
  std::string broken = tap_.check().broken();
  for (std::size_t i = 0; i < cards_.size() && broken.empty(); ++i) {
    broken =
        tap_.check().compare(static_cast<unsigned>(i), [&](Counter c) { return cards_[i].device->counters().get(c); });
  }
  return broken;
}

// I15, and identities of the report.
std::string World::compare_counters(Card& card) {
  auto now = [&](Counter c) { return card.device->counters().get(c); };
  for (std::size_t i = 0; i < kCounterCount; ++i) {
    const std::uint64_t value = now(static_cast<Counter>(i));
    if (value < card.counters[i]) return fmt::format("counter {} went back", kCounterNames[i]);
    card.counters[i] = value;
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

// Nothing may be left of VRAM that no page and no object holds: compare() sees it.
std::string World::sweep() {
  processes_[0] = {Pid::kMain, 0};
  for (const auto& [name, process] : processes_) {
    for (std::uint64_t at = kSpace.start; at < kSpace.end; at += kPageSize) {
      for (std::uint64_t offset : kWordOffsets) {
        Op read{.kind = Op::Kind::kCpuRead, .span = {at + offset, at + offset + 8}};
        read.process = name;
        if (std::string what = cpu_access(read); !what.empty()) {
          bad_page_ = at;
          return fmt::format("final sweep, {:#x}: {}", at + offset, what);
        }
      }
    }
  }
  processes_.erase(0);
  mm_.check_invariants();
  return compare();
}

// --- views --------------------------------------------------------------------------------------------------------

std::vector<ModelVma> World::engine_vmas(OpenVm& vm) SX_NO_THREAD_SAFETY_ANALYSIS {
  std::vector<ModelVma> result;
  Vm& engine = vm.context->vm;
  for (const Vma* vma : engine.vmas_in(engine.space().managed())) {
    ModelVma seen{.span = {vma->start().value(), vma->end().value()},
                  .kind = vma->kind(),
                  .autoreset = vma->flags().autoreset,
                  .read_only = vma->flags().read_only,
                  .atomic = vma->attr.atomic,
                  .prefer_system = vma->attr.preferred.devmem_fd == kPreferDefaultSystem,
                  .pat = static_cast<unsigned>(vma->attr.pat),
                  .default_pat = static_cast<unsigned>(vma->attr.default_pat)};
    for (const Object& object : objects_) {
      if (vma->bo() != nullptr && vma->bo().get() == object.bo.get()) seen.bo = &object.model;
    }
    if (seen.bo != nullptr) seen.offset = vma->offset_bytes();
    result.push_back(seen);
  }
  return result;
}

std::map<std::uint64_t, ModelRange> World::engine_ranges(OpenVm& vm) {
  std::map<std::uint64_t, ModelRange> result;
  vm.context->svm->for_each_range([&](const SvmRange& range, const SvmRangeState& state) {
    const std::uint64_t start = range.extent().start().value();
    result[start] = {{start, range.extent().end().value()}, range.may_migrate() == MayMigrate::kYes, state.dead()};
  });
  return result;
}

std::string World::expectations() const {
  constexpr const char* kAtomic[] = {"", " atomic=device", " atomic=global", " atomic=cpu"};
  std::string text;
  for (std::size_t name = 0; name < vms_.size(); ++name) {
    const OpenVm& vm = vms_[name];
    if (vm.banned()) continue;
    text += fmt::format("expect vmas v{} {{\n", name);
    for (const ModelVma& vma : vm.model->vmas()) {
      text += fmt::format("  [{:#x}..{:#x}{}{}{}{}{}]\n", vma.span.start, vma.span.end,
                          vma.kind == VmaKind::kBo     ? " bo"
                          : vma.kind == VmaKind::kNull ? " null"
                                                       : "",
                          kAtomic[static_cast<int>(vma.atomic)], vma.prefer_system ? " preferred=system" : "",
                          vma.pat != vma.default_pat ? fmt::format(" pat={}", vma.pat) : "",
                          vma.read_only ? " +readonly" : " -readonly");
    }
    text += fmt::format("}}\nexpect ranges v{} {{\n", name);
    for (const auto& [start, range] : vm.model->ranges()) {
      text += fmt::format("  [{:#x}+{:#x} {}]\n", start, range.span.size(), range.dead ? "dead" : "live");
    }
    text += "}\n";
  }
  if (bad_page_ == 0) return text;
  const ModelPage* page = client_.page(bad_page_);
  for (std::size_t i = 0; i < kWordOffsets.size() && page != nullptr && page->readable; ++i) {
    text += fmt::format("cpu read {:#x} u64 {:#x}\n", bad_page_ + kWordOffsets[i], page->words()[i]);
  }
  return text;
}

}  // namespace softxe::sim
