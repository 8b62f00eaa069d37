// The collector, and the removals and zaps that madvise asks for (spec/svm.md 3.3, 3.7; vm.md 7.3, 7.6).
#include "base/log.h"
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

bool Svm::garbage_pending() const {
  Guard hold(gc_lock_);
  return !garbage_.empty();
}

SvmRange* Svm::pop_garbage() {
  Guard hold(gc_lock_);
  if (garbage_.empty()) return nullptr;
  SvmRange& range = garbage_.front();
  garbage_.pop_front();
  return &range;
}

// After this no PTE and no TLB entry of the range is left; its tables are freed.
void Svm::unbind(SvmRange& range) {
  if (range.present() == 0) return;
  InvalidationBatch batch(config_.invalidations);
  {
    Guard hold(notifier_lock_);
    const GpuRange extent = range.gpu_extent();
    for (unsigned tile = 0; tile < vm_.config().tile_count; ++tile) {
      if ((range.present() & (1u << tile)) == 0) continue;
      if (vm_.config().modes.scratch) {
        // The mirror VMA stays: its holes fault, they do not fall back to scratch (svm.md 4.11).
        batch.add(vm_.table(tile).zap(extent));
      } else {
        batch.add(vm_.table(tile).unbind(extent));
      }
    }
    range.set_unbound();
  }
  finish(batch);
}

void Svm::discard(SvmRange& range) {
  unbind(range);
  {
    Guard hold(gc_lock_);
    if (range.queued()) garbage_.erase(garbage_.iterator_to(range));
  }
  remove_range(range);
}

Result<CollectOutcome> Svm::collect_garbage() {
  SX_TRY_VOID(vm_.check_usable());
  CollectOutcome outcome = CollectOutcome::kNothing;
  while (SvmRange* range = pop_garbage()) {
    const GpuRange extent = range->gpu_extent();
    if (Status may = SX_STEP("svm.gc.unbind"); !may) {
      vm_.kill("collector could not unbind a range");
      return fail(may.error());
    }
    unbind(*range);
    remove_range(*range);
    vm_.counters().add(Counter::svm_range_collected_count);
    SX_MARK("svm.gc.removed");
    SX_TRY(ResetOutcome reset, vm_.reset_attributes(extent));
    if (reset == ResetOutcome::kVmasChanged) outcome = CollectOutcome::kVmasChanged;
  }
  return outcome;
}

std::uint64_t Svm::zap(GpuRange range) {
  InvalidationBatch batch(config_.invalidations);
  std::uint64_t pages = 0;
  const HostRange host_range = mirror_of(range);
  {
    Guard hold(notifier_lock_);
    for (SvmNotifier& window : windows_) {
      if (auto part = window.window().intersection(host_range)) {
        pages += zap_intersecting(window, *part, batch);
      }
    }
  }
  if (pages != 0) vm_.counters().add(Counter::madvise_zap_count);
  finish(batch);
  return pages;
}

// Zapped and flushed before it leaves the tree, so that a munmap racing with this finds either the range
// or nothing a GPU could reach (spec/svm.md 3.7 quirk, fixed).
void Svm::drop_straddling(GpuRange range) {
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
    if (victim->heap() != nullptr) static_cast<void>(evict(*victim));
    discard(*victim);
  }
}

}  // namespace softxe
