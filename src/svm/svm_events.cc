// What a CPU-side event does to ranges (spec/svm.md 2.1).
//
// Runs on the thread that changes the mapping (maybe inside the client's allocator) or on the CPU-fault
// thread, with the mm lock held: nothing here allocates from the host, takes the Vm lock or blocks on
// anything but engine sections, which never block.
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

void SvmNotifier::invalidate(HostRange range, HostEvent kind) { svm_.on_event(*this, range, kind); }

// The whole range is zapped, not only the event's part, on every tile where it is valid.
Svm::Zapped Svm::zap_intersecting(SvmNotifier& window, HostRange range, InvalidationBatch& batch) {
  Zapped zapped;
  for (auto it = first_ending_above(window, range.start());
       it != window.ranges_.end() && it->extent().start() < range.end(); ++it) {
    SvmRangeState& state = it->state(key());
    if (state.dead()) continue;
    const TileMask valid = state.valid();
    for (unsigned tile = 0; tile < vm_.config().tile_count; ++tile) {
      if ((valid & (1u << tile)) == 0) continue;
      PagesAffected affected = vm_.table(tile).zap(it->gpu_extent());
      zapped.pages += affected.pages();
      ++zapped.mappings;
      batch.add(std::move(affected));
    }
    state.set_zapped(valid);
  }
  return zapped;
}

void Svm::finish(InvalidationBatch& batch) {
  InvalidationCount done = batch.wait();
  if (done.invalidations == 0 && done.pages == 0) return;
  vm_.counters().count({.word = event_word(done.invalidations, done.pages), .kind = EventKind::kTlb});
}

bool Svm::take_pages(SvmNotifier& window, HostRange range, HostEvent kind) {
  bool queued = false;
  for (auto it = first_ending_above(window, range.start());
       it != window.ranges_.end() && it->extent().start() < range.end(); ++it) {
    SvmRangeState& state = it->state(key());
    state.drop_pages();
    if (kind != HostEvent::kUnmap) continue;
    const auto extent =
        range.contains(it->extent()) ? svm_state::Dead::Extent::kWhole : svm_state::Dead::Extent::kPartial;
    if (!state.kill(extent)) continue;
    it->death = vm_.counters().count(
        {.address = it->extent().start().value(),
         .size = it->extent().size(),
         .kind = EventKind::kRangeDie,
         .cause = extent == svm_state::Dead::Extent::kWhole ? EventCause::kWhole : EventCause::kPartial});
    Guard hold_gc(gc_lock_);
    garbage_.push_back(*it);
    queued = true;
  }
  return queued;
}

void Svm::on_event(SvmNotifier& window, HostRange range, HostEvent kind) {
  SX_MARK("svm.event.enter");
  bool queued = false;
  std::optional<EventScope> told;
  {
    Guard hold(notifier_lock_);
    auto first = first_ending_above(window, range.start());
    if (first == window.ranges_.end() || !(first->extent().start() < range.end())) return;

    told.emplace(vm_.counters().count({.address = range.start().value(),
                                       .size = range.size(),
                                       .kind = kind == HostEvent::kUnmap ? EventKind::kUnmap : EventKind::kInvalidate,
                                       .cause = event_cause(kind)}));
    InvalidationBatch batch(config_.invalidations);
    const std::uint64_t begin_ns = config_.host.clock().now_ns();
    const Zapped zapped = zap_intersecting(window, range, batch);
    finish(batch);
    // Whoever closes the VM may have cleared the entries and not have flushed yet. Asked behind the zap: one that found
    // them gone finds the VM closed.
    const bool closed = vm_.closed();
    if (closed) config_.invalidations.invalidate_all();
    if (zapped.mappings != 0) vm_.counters().count({.word = zapped.mappings, .kind = EventKind::kZap});
    if (zapped.pages != 0) {
      vm_.counters().add(Counter::svm_tlb_inval_us, (config_.host.clock().now_ns() - begin_ns) / 1000);
    }
    queued = take_pages(window, range, closed ? HostEvent::kClear : kind);
  }
  if (queued) config_.kick_collector();
  SX_MARK("svm.event.leave");
}

}  // namespace softxe
