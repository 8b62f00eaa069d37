// Windows and ranges: find or create (spec/svm.md 1.1 - 1.3).
#include "base/log.h"
#include "base/step.h"
#include "svm/svm.h"

namespace softxe {

Svm::Svm(Vm& vm, SvmConfig config) : vm_(vm), config_(std::move(config)) { vm_.set_mirror_ranges(this); }

Svm::~Svm() {
  vm_.set_mirror_ranges(nullptr);
  if (unmap_watcher_) config_.host.unwatch(*unmap_watcher_);
  while (!windows_.empty()) {
    SvmNotifier& window = *windows_.begin();
    config_.host.unwatch(window);  // no callback runs from here on
    windows_.erase(windows_.begin());
    {
      Guard hold(gc_lock_);
      garbage_.clear();
    }
    window.ranges_.clear_and_dispose([this](SvmRange* range) {
      vm_.counters().count(event_of(EventKind::kRangeRemove, range->extent()));
      delete range;
    });
    delete &window;
  }
}

SvmNotifier* Svm::find_window(HostVa at) {
  auto it = windows_.find(at.aligned_down(config_.window_bytes));
  return it == windows_.end() ? nullptr : &*it;
}

// Registered before the CPU map is looked at, so that no event between the two is missed (1.1).
Result<SvmNotifier*> Svm::make_window(HostVa at) {
  if (SvmNotifier* window = find_window(at)) return window;
  SX_TRY_VOID(SX_STEP("svm.window.create"));
  auto window = std::make_unique<SvmNotifier>(*this, HostRange::block_around(at, config_.window_bytes));
  SX_TRY_VOID(config_.host.watch(*window));
  windows_.insert(*window);
  return window.release();
}

void Svm::discard_window_if_empty(SvmNotifier& window) {
  if (!window.ranges_.empty()) return;
  config_.host.unwatch(window);
  windows_.erase(windows_.iterator_to(window));
  delete &window;
}

SvmNotifier::Ranges::iterator Svm::first_ending_above(SvmNotifier& window, HostVa at) {
  auto it = window.ranges_.upper_bound(at);
  if (it != window.ranges_.begin()) {
    auto before = std::prev(it);
    if (at < before->extent().end()) return before;
  }
  return it;
}

SvmRange* Svm::find_range(HostRange range) {
  for (auto w = windows_.lower_bound(range.start().aligned_down(config_.window_bytes));
       w != windows_.end() && w->window().start() < range.end(); ++w) {
    auto it = first_ending_above(*w, range.start());
    if (it != w->ranges_.end() && it->extent().start() < range.end()) return &*it;
  }
  return nullptr;
}

bool Svm::any_in(GpuRange range) { return find_range(mirror_of(range)) != nullptr; }

void Svm::for_each_range(const std::function<void(const SvmRange&, const SvmRangeState&)>& visit) {
  ReadGuard hold(notifier_lock_);
  for (SvmNotifier& window : windows_) {
    for (SvmRange& range : window.ranges_) visit(range, range.state(key()));
  }
}

SvmRangeState Svm::state_of(const SvmRange& range) const {
  ReadGuard hold(notifier_lock_);
  return range.state(key());
}

// 1.2: the largest of 2M, 64K, 4K that fits every bound. 4K always does.
std::optional<HostRange> Svm::choose_chunk(HostVa at, const Vma& vma, const CpuVma& cpu, SvmNotifier& window,
                                           const ChunkRules& rules) {
  const HostRange gpu = mirror_of(vma.range());
  for (std::uint64_t bytes : {k2M, k64K, kPageSize}) {
    if (bytes > rules.max_bytes) continue;
    const HostRange chunk = HostRange::block_around(at, bytes);
    if (!cpu.range.contains(chunk) || !window.window().contains(chunk) || !gpu.contains(chunk)) {
      continue;
    }
    if (bytes == kPageSize) return chunk;
    auto taken = first_ending_above(window, chunk.start());
    if (taken != window.ranges_.end() && taken->extent().start() < chunk.end()) continue;
    if (bytes <= rules.populated_check_bytes && !config_.host.populated(chunk, rules.owner)) continue;
    return chunk;
  }
  return std::nullopt;
}

bool Svm::fits(HostRange chunk, const Vma& vma) {
  auto cpu = config_.host.find_vma(chunk.start(), chunk);
  return cpu && cpu->range.contains(chunk) && mirror_of(vma.range()).contains(chunk) &&
         HostRange::block_around(chunk.start(), config_.window_bytes).contains(chunk);
}

// The kernel holds the CPU map's lock from the look to the insertion. Here the memory may have been mapped anew in
// between, as another kind or smaller, and no event would tell a range that was not there yet: look again. An event
// anywhere in the window counts, so others who map and unmap beside us cost rounds, too.
Result<SvmRange*> Svm::find_or_create(HostVa at, const Vma& vma, ChunkRules rules) {
  SX_TRY(SvmNotifier * window, make_window(at));
  Result<SvmRange*> found = nullptr;
  for (unsigned looks = 0; found && *found == nullptr; ++looks) {
    found = looks < kLooksMax ? look_or_create(at, vma, rules, *window)
                              : fail(EBUSY, "the process changes its mappings around this address without a pause");
  }
  if (!found) discard_window_if_empty(*window);
  return found;
}

Result<SvmRange*> Svm::look_or_create(HostVa at, const Vma& vma, const ChunkRules& rules, SvmNotifier& window) {
  const std::uint64_t sequence = config_.host.read_begin(window);
  SX_TRY(CpuVma cpu, config_.host.find_vma(at, HostRange::block_around(at, k2M)));
  if (!vma.flags().read_only && !cpu.writable) {
    return fail(EPERM, "CPU mapping is read-only and the mirror VMA is not");
  }
  if (cpu.kind == CpuVma::Kind::kDevice || cpu.kind == CpuVma::Kind::kSpecial) {
    return fail(EIO, "CPU mapping is device memory");
  }
  auto it = first_ending_above(window, at);
  if (it != window.ranges_.end() && it->extent().contains(at)) return &*it;

  auto chunk = choose_chunk(at, vma, cpu, window, rules);
  SX_ASSERT(chunk.has_value());
  SX_TRY_VOID(SX_STEP("svm.range.create"));
  const bool may_migrate = !config_.tile_vram.empty() && cpu.kind == CpuVma::Kind::kAnonPrivate;
  auto range = std::make_unique<SvmRange>(*chunk, may_migrate ? MayMigrate::kYes : MayMigrate::kNo);
  range->notifier = &window;
  Guard hold(notifier_lock_);
  if (window.sequence() != sequence) return nullptr;
  window.ranges_.insert(*range);
  ++range_count_;
  vm_.counters().count(event_of(EventKind::kRangeCreate, *chunk));
  return range.release();
}

// The range must be unbound. It leaves the tree and the collector's list under one hold of the notifier lock:
// an munmap between the two would find it, kill it and queue what is about to be freed. One that came before has killed
// it: the list knows a dead range by its object alone, so its reset goes on as an interval.
void Svm::remove_range(SvmRange& range, Reset reset) {
  SvmNotifier& window = *range.notifier;
  SX_MARK("svm.range.before_remove");
  // kExact has the interval already, from its watcher.
  const bool pass_on = reset == Reset::kByNextPass && vm_.config().reset != ResetMode::kExact;
  if (pass_on) {
    Guard hold_gc(gc_lock_);
    unmapped_.reserve(unmapped_.size() + 1);
  }
  {
    Guard hold(notifier_lock_);
    window.ranges_.erase(window.ranges_.iterator_to(range));
    --range_count_;
    Guard hold_gc(gc_lock_);
    if (range.queued()) {
      garbage_.erase(garbage_.iterator_to(range));
      if (pass_on) unmapped_.push_back({range.extent(), range.death});
    }
  }
  discard_window_if_empty(window);
  delete &range;
}

}  // namespace softxe
