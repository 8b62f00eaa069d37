// The collector, and the removals and zaps that madvise asks for (spec/svm.md 3.3, 3.7; vm.md 7.3, 7.6).
#include "base/log.h"
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

bool Svm::garbage_pending() const {
  Guard hold(gc_lock_);
  return !garbage_.empty() || !unmapped_.empty();
}

// --- ResetMode::kExact ----------------------------------------------------------------------------

void UnmapWatcher::invalidate(HostRange range, HostEvent kind) {
  if (kind == HostEvent::kUnmap) svm_.on_unmap(range);
}

void Svm::on_unmap(HostRange range) {
  const EventScope told(vm_.counters().count(event_of(EventKind::kUnmapped, range)));
  {
    Guard hold(gc_lock_);
    if (unmapped_.size() < kUnmappedMax) {
      unmapped_.push_back({range, current_cause()});
    } else {
      unmapped_.back().range = unmapped_.back().range.hull(range);
    }
  }
  config_.kick_collector();
}

Status Svm::watch_unmaps(GpuRange range) {
  const HostRange wanted = mirror_of(range);
  if (unmap_watcher_ && unmap_watcher_->window().contains(wanted)) return {};
  const HostRange window = unmap_watcher_ ? unmap_watcher_->window().hull(wanted) : wanted;
  {
    Guard hold(gc_lock_);
    unmapped_.reserve(kUnmappedMax);
  }
  auto fresh = std::make_unique<UnmapWatcher>(*this, window);
  SX_TRY_VOID(config_.host.watch(*fresh));
  if (unmap_watcher_) config_.host.unwatch(*unmap_watcher_);
  unmap_watcher_ = std::move(fresh);
  return {};
}

// Memory unmapped and mapped again while a fault was under way may have live ranges by now, made after the
// collector's pass. Remove them first: they may straddle the border of the new VMA, and their PTEs have the old PAT and
// atomic bits. The next access makes them anew.
void Svm::make_room_for_reset(const Vma& vma, GpuRange part) {
  const bool resets = vm_.config().reset == ResetMode::kAlways || vma.flags().autoreset;
  if (!vma.is_mirror() || !resets || vma.attr.is_default()) return;
  while (SvmRange* range = find_range(mirror_of(part))) discard(*range);
}

// After the dead ranges are gone: none crosses an interval's border any more (a partial unmap kills the
// whole range), so the VMAs may be cut there.
Result<CollectOutcome> Svm::reset_unmapped() {
  CollectOutcome outcome = CollectOutcome::kNothing;
  for (;;) {
    std::optional<Unmapped> interval;
    {
      Guard hold(gc_lock_);
      if (unmapped_.empty()) return outcome;
      interval = unmapped_.back();
      unmapped_.pop_back();
    }
    const EventScope unmapped(interval->cause);
    const GpuRange range = mirror_of(interval->range);
    for (GpuVa at = range.start(); at < range.end();) {
      Vma* vma = vm_.find_at_or_above(at);
      if (vma == nullptr || !(vma->start() < range.end())) break;
      const GpuRange part = *vma->range().intersection(GpuRange::between(at, range.end()));
      at = part.end();
      make_room_for_reset(*vma, part);
      SX_TRY(ResetOutcome reset, vm_.reset_attributes(part));
      if (reset == ResetOutcome::kVmasChanged) outcome = CollectOutcome::kVmasChanged;
    }
  }
}

SvmRange* Svm::pop_garbage() {
  Guard hold(gc_lock_);
  if (garbage_.empty()) return nullptr;
  SvmRange& range = garbage_.front();
  garbage_.pop_front();
  return &range;
}

// After this no PTE and no TLB entry of the range is left; its tables are freed. Flushed before the notifier lock is
// let go: an event that finds no entry to zap assumes that no engine can reach the pages.
void Svm::unbind(SvmRange& range) {
  Guard hold(notifier_lock_);
  SvmRangeState& state = range.state(key());
  if (state.present() == 0) return;
  InvalidationBatch batch(config_.invalidations);
  const GpuRange extent = range.gpu_extent();
  for (unsigned tile = 0; tile < vm_.config().tile_count; ++tile) {
    if ((state.present() & (1u << tile)) == 0) continue;
    if (vm_.config().modes.scratch) {
      // The mirror VMA stays: its holes fault, they do not fall back to scratch (svm.md 4.11).
      batch.add(vm_.table(tile).zap(extent));
    } else {
      batch.add(vm_.table(tile).unbind(extent));
    }
  }
  state.set_unbound();
  finish(batch);
}

void Svm::discard(SvmRange& range) {
  unbind(range);
  vm_.counters().count(event_of(EventKind::kRangeRemove, range.extent()));
  remove_range(range, Reset::kByNextPass);
}

Result<CollectOutcome> Svm::collect_garbage() {
  SX_TRY_VOID(vm_.check_usable());
  CollectOutcome outcome = CollectOutcome::kNothing;
  std::uint64_t pass = kNoEvent;
  while (SvmRange* range = pop_garbage()) {
    const GpuRange extent = range->gpu_extent();
    if (pass == kNoEvent) pass = vm_.counters().count({.kind = EventKind::kPass});
    const EventScope died(range->death);
    if (Status may = SX_STEP("svm.gc.unbind"); !may) {
      vm_.kill("collector could not unbind a range");
      return fail(may.error());
    }
    Event collected = event_of(EventKind::kRangeCollect, range->extent());
    collected.word = pass;
    const EventScope collects(vm_.counters().count(collected));
    unbind(*range);
    remove_range(*range, Reset::kByCaller);
    SX_MARK("svm.gc.removed");
    if (vm_.config().reset == ResetMode::kExact) continue;
    SX_TRY(ResetOutcome reset, vm_.reset_attributes(extent));
    if (reset == ResetOutcome::kVmasChanged) outcome = CollectOutcome::kVmasChanged;
  }
  SX_TRY(CollectOutcome exact, reset_unmapped());
  return exact == CollectOutcome::kVmasChanged ? exact : outcome;
}

// Flushed under the lock, for the same reason as in unbind().
std::uint64_t Svm::zap(GpuRange range) {
  std::uint64_t pages = 0;
  const HostRange host_range = mirror_of(range);
  Guard hold(notifier_lock_);
  InvalidationBatch batch(config_.invalidations);
  for (SvmNotifier& window : windows_) {
    if (auto part = window.window().intersection(host_range)) {
      pages += zap_intersecting(window, *part, batch).pages;
    }
  }
  finish(batch);
  if (pages != 0)
    vm_.counters().count(
        {.address = range.start().value(), .size = range.size(), .word = 1, .kind = EventKind::kAdviceZap});
  return pages;
}

void Svm::forget_pages(SvmRange& range) {
  Guard hold(notifier_lock_);
  InvalidationBatch batch(config_.invalidations);
  zap_intersecting(*range.notifier, range.extent(), batch);
  finish(batch);
  range.state(key()).drop_pages();
}

// Zapped and flushed before it leaves the tree, so that a munmap racing with this finds either the range
// or nothing a GPU could reach (spec/svm.md 3.7 quirk, fixed).
void Svm::drop_straddling(GpuRange range) {
  assert_vm_locked();
  const HostRange inside = mirror_of(range);
  for (;;) {
    SvmRange* victim = nullptr;
    for (auto w = windows_.begin(); w != windows_.end() && victim == nullptr; ++w) {
      auto part = w->window().intersection(inside);
      if (!part) continue;
      for (auto it = first_ending_above(*w, part->start());
           it != w->ranges_.end() && it->extent().start() < part->end(); ++it) {
        if (!inside.contains(it->extent())) {
          victim = &*it;
          break;
        }
      }
    }
    if (victim == nullptr) return;
    if (state_of(*victim).heap() != nullptr) static_cast<void>(evict(*victim));
    discard(*victim);
  }
}

}  // namespace softxe
