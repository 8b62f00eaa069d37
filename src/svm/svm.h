// Svm: the CPU mirror of one fault-mode VM: notifiers, ranges, pages, migration, collector.
//
// It owns every SvmRange and SvmNotifier of the VM. All members that build or change state are called
// with the Vm's lock held for writing (spec/vm.md 9: faults, binds, madvise and collection exclude each
// other); CPU-side events arrive through SvmNotifier::invalidate() with only the mm lock held.
//
//   svm_lookup.cc   windows and ranges: find or create, chunk choice (spec/svm.md 1.2, 1.3)
//   svm_events.cc   what a CPU-side event does (2.1)
//   svm_pages.cc    collecting pages and committing PTEs (1.5, 1.6, 6.3)
//   svm_migrate.cc  moving a range to VRAM and back (5.1, 5.3, 4.8)
//   svm_gc.cc       the collector, madvise's zaps and removals (3.3, 3.7)
//
// Locking order: Vm lock (w) -> migrate lock -> mm lock (inside HostMm) -> notifier_lock_ -> leaves.
// An event may come at any moment between steps; races are resolved by sequence numbers and retries,
// never by holding a lock across steps (1.7).
#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/lock.h"
#include "host/host_mm.h"
#include "hw/invalidation.h"
#include "hw/page_table.h"
#include "svm/pagemap.h"
#include "svm/svm_range.h"
#include "vm/vm.h"

namespace softxe {

using MigrateLock = SharedMutex<LockRank::kMigrate>;

class Svm;

/// One aligned window of CPU addresses; exists while it has ranges.
class SvmNotifier final : public IntervalNotifier,
                          public boost::intrusive::set_base_hook<boost::intrusive::tag<SvmNotifier>> {
 public:
  SvmNotifier(Svm& svm, HostRange window) : IntervalNotifier(window), svm_(svm) {}
  void invalidate(HostRange range, HostEvent kind) override;

 private:
  friend class Svm;
  friend class SelfChecker;
  using Ranges = boost::intrusive::set<SvmRange, boost::intrusive::key_of_value<SvmRangeKey>>;

  std::uint64_t window_end() const { return window().end().value(); }

  Svm& svm_;
  Ranges ranges_;  ///< changed under svm_.notifier_lock_ (r) and the Vm lock (w)
};

/// ResetMode::kExact: sees every unmap over the VMAs that have something to reset, with or without SVM
/// ranges. One window: the hull of those VMAs, so that an munmap elsewhere costs nothing.
class UnmapWatcher final : public IntervalNotifier {
 public:
  UnmapWatcher(Svm& svm, HostRange window) : IntervalNotifier(window), svm_(svm) {}
  void invalidate(HostRange range, HostEvent kind) override;

 private:
  Svm& svm_;
};

/// What a device gives each of its VMs (spec/svm.md 1.1).
inline constexpr std::uint64_t kNotifierWindowBytes = 512ull * 1024 * 1024;

struct SvmConfig {
  HostMm& host;
  InvalidationDomain& invalidations;
  MigrateLock& migrate_lock;  ///< one per driver: serialises retries of racing devices (5.3)
  CounterSet& counters;
  OwnerGroup owner;                                   ///< the VM's interconnect group
  std::vector<Pagemap*> tile_vram;                    ///< of this device, by tile; empty on integrated devices
  std::uint64_t window_bytes = kNotifierWindowBytes;  ///< power of two
  /// Asks for a collector pass soon; called from event callbacks: must not block or allocate.
  std::function<void()> kick_collector = [] {};
};

/// How find_or_create() chooses an extent for a new range.
struct ChunkRules {
  /// Chunks up to this size are taken only when every page is already populated (1.2). 0: never check.
  std::uint64_t populated_check_bytes = 0;
  OwnerGroup owner = OwnerGroup::kNobody;
  std::uint64_t max_bytes = k2M;  ///< smaller after a chunk proved uncollectable (4.6, REC a)
};

enum class CollectOutcome : std::uint8_t {
  kNothing,      ///< no VMA was touched
  kVmasChanged,  ///< -EAGAIN of the kernel: look your VMA up again
};

class Svm final : public MirrorRanges {
 public:
  Svm(Vm& vm, SvmConfig config);
  /// Unregisters every notifier, then drops all ranges. The VM must be closed.
  ~Svm() override;

  // --- ranges; Vm lock (w) -----------------------------------------------------------------------

  /// The range that covers `at`, made if there is none. `vma` is the mirror VMA at `at`.
  /// EINVAL: outside the VM. EFAULT: process gone. ENOENT: no CPU mapping. EPERM: CPU mapping read-only
  /// and `vma` is not. EIO: device mapping. ENOMEM (spec/svm.md 1.3, in that order). EBUSY: mappings in the window
  /// changed during every one of kLooksMax looks.
  Result<SvmRange*> find_or_create(HostVa at, const Vma& vma, ChunkRules rules) SX_REQUIRES(vm_.lock);

  /// Memory that would migrate, on a machine that cannot move it: atomics that need VRAM act on it in place.
  bool immovable(const SvmRange& range) const {
    return range.may_migrate() == MayMigrate::kYes && !config_.host.can_move(range.extent());
  }

  /// True when a range of exactly this extent would be legal: inside one CPU mapping, one window and `vma`.
  bool fits(HostRange chunk, const Vma& vma);

  /// Collects all pages with write intent unless `vma` is READONLY. On success the range is collected
  /// and `homes()` describes it until the next call. EOPNOTSUPP: mixed homes; the range was evicted.
  /// EFAULT, EBUSY, ENOMEM as HostMm::collect.
  Status get_pages(SvmRange& range, const Vma& vma, OwnerGroup owner, Pagemap* vram_only) SX_REQUIRES(vm_.lock);

  /// Writes the PTEs of the pages get_pages() just collected, on `tiles`. EAGAIN: invalidated since.
  /// ENOMEM: no page table.
  Status bind(SvmRange& range, const Vma& vma, TileMask tiles) SX_REQUIRES(vm_.lock);

  /// True when the rules of 5.1 say the range should move to `target`.
  bool should_migrate(const SvmRange& range, const Pagemap& target) const SX_EXCLUDES(notifier_lock_);

  /// Moves the range's pages into VRAM of `target`; 5.3 with its one retry under the exclusive lock.
  Status migrate(SvmRange& range, Pagemap& target, std::uint64_t residency_ns, MoveCause cause) SX_REQUIRES(vm_.lock);

  /// The pages of a range are not what was collected, although no event said so: zapped, to be collected anew.
  void forget_pages(SvmRange& range) SX_REQUIRES(vm_.lock);

  /// Makes every page of `range` (at most 2 MiB) present in system memory, with that right. EFAULT, EBUSY, ENOMEM as
  /// HostMm::collect.
  Status fault_in(HostRange range, CollectRequest::Intent intent) SX_REQUIRES(vm_.lock);

  /// Makes every page CPU-resident, honouring the residency deadline (4.8). Result mostly ignored.
  Status evict(SvmRange& range) SX_REQUIRES(vm_.lock);

  // --- collector; Vm lock (w) ----------------------------------------------------------------------

  /// One full pass (3.3). ENOENT: VM closed or banned. Another error: the VM was killed.
  Result<CollectOutcome> collect_garbage() SX_REQUIRES(vm_.lock);
  bool garbage_pending() const;

  /// ResetMode::kExact: attributes in `range` are not default any more, so unmaps there matter. ENOMEM.
  Status watch_unmaps(GpuRange range) SX_REQUIRES(vm_.lock);

  /// Madvise changed an attribute in `range`: zap every range that intersects it. Returns pages zapped.
  std::uint64_t zap(GpuRange range) SX_REQUIRES(vm_.lock);

  /// Unbinds and removes one range now, off the collector's list too. Its pages stay where they are. When it has died,
  /// the next pass resets its attributes all the same.
  void discard(SvmRange& range) SX_REQUIRES(vm_.lock);

  // MirrorRanges, for vm/: the Vm lock is held for writing.
  bool any_in(GpuRange range) override;
  void drop_straddling(GpuRange range) override;

  // --- looking -----------------------------------------------------------------------------------

  std::size_t range_count() const { return range_count_; }
  /// Calls `visit` for every range in address order, with the notifier lock held (r). Vm lock (r).
  void for_each_range(const std::function<void(const SvmRange&, const SvmRangeState&)>& visit)
      SX_EXCLUDES(notifier_lock_);
  /// The range's state as it is now; events may change it at once.
  SvmRangeState state_of(const SvmRange& range) const SX_EXCLUDES(notifier_lock_);
  /// For the analysis, which cannot see that the Svm and its owner name the same lock: asserts that this thread holds
  /// the lock of a VM for writing.
  void assert_vm_locked() const SX_ASSERT_CAPABILITY(vm_.lock) { vm_.lock.assert_held(); }
  /// First range that intersects, or null.
  SvmRange* find_range(HostRange range);
  OwnerGroup owner() const { return config_.owner; }
  HostMm& host() { return config_.host; }
  const SvmConfig& config() const { return config_; }

 private:
  friend class SelfChecker;  // self_check.cc
  friend class SvmNotifier;
  friend class UnmapWatcher;
  struct WindowKey {
    using type = HostVa;
    HostVa operator()(const SvmNotifier& n) const { return n.window().start(); }
  };
  using Notifiers = boost::intrusive::set<
      SvmNotifier, boost::intrusive::base_hook<boost::intrusive::set_base_hook<boost::intrusive::tag<SvmNotifier>>>,
      boost::intrusive::key_of_value<WindowKey>>;
  using GarbageList = boost::intrusive::list<SvmRange, boost::intrusive::constant_time_size<false>>;

  // svm_lookup.cc
  static constexpr unsigned kLooksMax = 10'000;
  /// Null: an event came in between.
  Result<SvmRange*> look_or_create(HostVa at, const Vma& vma, const ChunkRules& rules, SvmNotifier& window);
  SvmNotifier* find_window(HostVa at);
  Result<SvmNotifier*> make_window(HostVa at);
  void discard_window_if_empty(SvmNotifier& window);
  std::optional<HostRange> choose_chunk(HostVa at, const Vma& vma, const CpuVma& cpu, SvmNotifier& window,
                                        const ChunkRules& rules);
  /// What becomes of the reset that a dead range stands for.
  enum class Reset : std::uint8_t { kByCaller, kByNextPass };
  void remove_range(SvmRange& range, Reset reset) SX_EXCLUDES(notifier_lock_);
  /// First range of the window that ends above `at`; the window's end when there is none.
  static SvmNotifier::Ranges::iterator first_ending_above(SvmNotifier& window, HostVa at);

  // svm_events.cc
  void on_event(SvmNotifier& window, HostRange range, HostEvent kind) SX_EXCLUDES(notifier_lock_);
  /// Drops the pages of what intersects; on an unmap kills and queues it. True when something was queued.
  bool take_pages(SvmNotifier& window, HostRange range, HostEvent kind) SX_REQUIRES(notifier_lock_);
  struct Zapped {
    std::uint64_t pages = 0;
    std::uint64_t mappings = 0;  ///< of ranges, counted once for each tile
  };
  /// Zaps every live mapping that intersects `range`; the batch is yet to be waited for. Notifier lock held.
  Zapped zap_intersecting(SvmNotifier& window, HostRange range, InvalidationBatch& batch) SX_REQUIRES(notifier_lock_);
  void finish(InvalidationBatch& batch);

  // svm_pages.cc
  Status classify(const Pagemap* vram_only, DevmemHeap*& heap) const;
  std::vector<PteRun> make_runs(const SvmRange& range, const Vma& vma, unsigned tile) const;

  // svm_gc.cc
  void on_unmap(HostRange range);
  Result<CollectOutcome> reset_unmapped() SX_REQUIRES(vm_.lock);
  void make_room_for_reset(const Vma& vma, GpuRange part) SX_REQUIRES(vm_.lock);
  void unbind(SvmRange& range) SX_EXCLUDES(notifier_lock_);
  SvmRange* pop_garbage();

  SvmStateKey key() const SX_REQUIRES_SHARED(notifier_lock_) { return {}; }

  Vm& vm_;
  SvmConfig config_;
  mutable SharedMutex<LockRank::kSvmNotifier> notifier_lock_{"Svm::notifier_lock"};
  Notifiers windows_;  ///< address order; Vm lock (w)
  std::size_t range_count_ = 0;
  PageHomes homes_;  ///< of the range collected last; Vm lock (w)

  mutable Mutex<LockRank::kGcList> gc_lock_{"Svm::gc_list"};
  GarbageList garbage_ SX_GUARDED_BY(gc_lock_);
  /// Unmapped intervals not yet reset. kExact: all; else those of dead ranges that the collector has not seen. Capacity
  /// is reserved: the callback must not allocate; when it is used up the last interval grows to the hull.
  static constexpr std::size_t kUnmappedMax = 4096;
  struct Unmapped {
    HostRange range;
    std::uint64_t cause;  ///< event that says so
  };
  std::vector<Unmapped> unmapped_ SX_GUARDED_BY(gc_lock_);
  std::unique_ptr<UnmapWatcher> unmap_watcher_;  ///< Vm lock (w)
};

}  // namespace softxe
