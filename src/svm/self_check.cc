#include "svm/self_check.h"

#include <fmt/format.h>

#include <array>
#include <atomic>

namespace softxe {

namespace {

#ifdef NDEBUG
constexpr SelfCheck kAtStart = SelfCheck::kOff;
#else
constexpr SelfCheck kAtStart = SelfCheck::kOn;
#endif
std::atomic<SelfCheck> self_check_mode{kAtStart};

std::string at(const SvmRange& range, const char* what) {
  return fmt::format("range [{:#x}, {:#x}): {}", range.extent().start().value(), range.extent().end().value(), what);
}

}  // namespace

/// One look at the mirror of one VM. The notifier's lock keeps CPU-side events out.
class SelfChecker {
 public:
  SelfChecker(Vm& vm, Svm& svm) : vm_(vm), svm_(svm) {}

  std::string run() {
    Guard hold(svm_.notifier_lock_);
    for (const SvmNotifier& window : svm_.windows_) {
      if (std::string what = check_window(window); !what.empty()) return what;
    }
    if (ranges_ != svm_.range_count_) return "the count of ranges is wrong";
    std::string what = check_list();
    if (what.empty()) what = check_watcher();
    return what;
  }
  /// Pages of valid ranges, by tile; after run().
  std::uint64_t pages(unsigned tile) const { return pages_[tile]; }

 private:
  // I7, I9.
  std::string check_window(const SvmNotifier& window) SX_REQUIRES(svm_.notifier_lock_) {
    const HostRange extent = window.window();
    if (window.ranges_.empty()) return "a notifier without ranges";
    if (extent.size() != svm_.config_.window_bytes || !extent.start().is_aligned(extent.size())) {
      return "a notifier that is no aligned window";
    }
    const SvmRange* before = nullptr;
    for (const SvmRange& range : window.ranges_) {
      ++ranges_;
      if (before != nullptr && range.extent().start() < before->extent().end()) return at(range, "overlaps another");
      before = &range;
      if (range.notifier != &window || !extent.contains(range.extent())) return at(range, "leaves its window");
      if (std::string what = check_range(range); !what.empty()) return what;
    }
    return {};
  }

  // I7, I8; the legal combinations of spec/svm.md 10.1.
  std::string check_range(const SvmRange& range) SX_REQUIRES(svm_.notifier_lock_) {
    vm_.lock.assert_held_shared();
    const SvmRangeState& state = range.state(svm_.key());
    const std::uint64_t bytes = range.extent().size();
    if (bytes != k2M && bytes != k64K && bytes != kPageSize) return at(range, "is of no legal size");
    if (!range.extent().start().is_aligned(bytes)) return at(range, "is not naturally aligned");
    const Vma* vma = vm_.find_at_or_above(range.gpu_extent().start());
    if (vma == nullptr || !vma->range().contains(range.gpu_extent())) return at(range, "leaves its VMA");
    if (!vma->is_mirror()) return at(range, "stands in a VMA that is no mirror");
    if ((state.present() & ~vm_.all_tiles()) != 0) return at(range, "is bound on a tile that is not there");
    {
      Guard hold(svm_.gc_lock_);
      if (range.queued()) ++queued_;
      // A pass that failed has taken the range off the list and killed the VM.
      if (range.queued() != state.dead() && !vm_.banned()) return at(range, "must be queued when, and only when, dead");
    }
    for (unsigned tile = 0; tile < vm_.config().tile_count; ++tile) {
      if (std::string what = check_ptes(range, state, *vma, tile); !what.empty()) return what;
    }
    return {};
  }

  // I6, invariants 22 and 23: a valid range is mapped whole and as its pages are; any other not at
  // all.
  std::string check_ptes(const SvmRange& range, const SvmRangeState& state, const Vma& vma, unsigned tile) {
    const bool valid = state.valid_on(static_cast<TileMask>(1u << tile));
    if (valid && !state.collected()) return at(range, "is mapped without pages");
    const auto& local = svm_.config_.tile_vram;
    const DevmemHeap* own = tile < local.size() ? local[tile] : nullptr;
    const PteKind kind = state.heap() == nullptr ? PteKind::kSystem
                         : state.heap() == own   ? PteKind::kVram
                                                 : PteKind::kEngine;
    std::uint64_t mapped = 0;
    const char* wrong = nullptr;
    vm_.table(tile).for_each_leaf(range.gpu_extent(), [&](const Translation& leaf) {
      mapped += leaf.entry_bytes;
      if (leaf.entry_bytes > range.extent().size()) wrong = "has an entry larger than it is";
      if (leaf.flags.kind != kind) wrong = "shows another kind of memory than it collected";
      if (leaf.flags.writable && vma.flags().read_only) wrong = "is writable in a READONLY VMA";
    });
    if (!valid && mapped != 0) return at(range, "has entries though it is not valid");
    if (valid && mapped != range.extent().size()) return at(range, "is valid but not mapped whole");
    if (wrong != nullptr) return at(range, wrong);
    pages_[tile] += mapped / kPageSize;
    return {};
  }

  // Every entry of the list has been met in the tree: nothing else may be on it.
  std::string check_list() {
    Guard hold(svm_.gc_lock_);
    return svm_.garbage_.size() == queued_ ? "" : "the collector's list holds a range that is not in the tree";
  }

  // ResetMode::kExact: what has something to reset is watched.
  std::string check_watcher() {
    vm_.lock.assert_held_shared();
    if (vm_.config().reset != ResetMode::kExact || vm_.banned()) return {};
    for (auto it = vm_.space().begin(); it != vm_.space().end(); ++it) {
      VaNode& node = *it;
      const auto& vma = static_cast<const Vma&>(node);
      if (!vma.is_mirror() || !vma.flags().autoreset || vma.attr.is_default()) continue;
      if (svm_.unmap_watcher_ && svm_.unmap_watcher_->window().contains(mirror_of(vma.range()))) continue;
      return fmt::format("VMA at {:#x}: its unmaps are not watched", vma.start().value());
    }
    return {};
  }

  Vm& vm_;
  Svm& svm_;
  std::size_t ranges_ = 0;
  std::size_t queued_ = 0;
  std::array<std::uint64_t, 8> pages_{};
};

void set_self_check(SelfCheck mode) { self_check_mode.store(mode, std::memory_order_relaxed); }

std::string broken_invariant(VmContext& context) {
  Vm& vm = context.vm;
  if (vm.closed()) return {};
  Vm::OwnedPages owned;
  if (std::string what = context.vm.broken_invariant(owned); !what.empty()) return what;
  if (!context.svm) return {};
  SelfChecker checker(vm, *context.svm);
  if (std::string what = checker.run(); !what.empty()) return what;
  for (unsigned tile = 0; tile < vm.config().tile_count; ++tile) {
    const std::uint64_t present = vm.table(tile).present_pages();
    if (!owned.counted || present == checker.pages(tile) + owned.pages[tile]) continue;
    // Another thread's event or eviction may have come between the counts: only what stands still
    // is judged.
    Vm::OwnedPages again;
    SelfChecker second(vm, *context.svm);
    if (!context.vm.broken_invariant(again).empty() || !second.run().empty()) continue;
    if (again.pages != owned.pages || second.pages(tile) != checker.pages(tile)) continue;
    if (vm.table(tile).present_pages() != present) continue;
    return fmt::format("tile {}: {} pages are mapped, ranges and VMAs hold {}", tile, present,
                       checker.pages(tile) + owned.pages[tile]);
  }
  return {};
}

void self_check(VmContext& context, const char* after) {
  if (self_check_mode.load(std::memory_order_relaxed) == SelfCheck::kOff) return;
  const std::string what = broken_invariant(context);
  if (what.empty()) return;
  detail::assert_failed(what.c_str(), after, 0);
}

}  // namespace softxe
