// SvmRange: an aligned chunk of a CPU-address mirror that has, or had, GPU PTEs (spec/svm.md 1.4).
//
// Its extent never changes; a range that must change is destroyed and made anew by a later fault.
// States, as SvmRangeState encodes them with its variant and the per-tile masks:
//
//   live, no pages          made by a fault, or its pages were invalidated by a CPU-side event
//   live, pages             collected: PTEs may be (or stay) present; `pages_` tells what they map
//   dead                    CPU side (partly) unmapped; never bound again; on the collector's list once
//
// `dead` holds no pages: both are alternatives of one variant, so "dead and bound" cannot be written.
// The state is guarded by the owning Svm's notifier lock: write = event callback; read plus the Vm lock (w) = fault,
// prefetch, collector. Reaching it takes a SvmStateKey, which only an Svm whose lock is held gives out; everybody else
// gets a copy from Svm::state_of().
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/set_hook.hpp>
#include <cstdint>
#include <variant>

#include "base/address.h"
#include "base/event.h"
#include "vm/vma.h"

namespace softxe {

class DevmemHeap;
class SvmNotifier;

namespace svm_state {
/// Nothing collected.
struct Empty {};
/// Collected and not invalidated since. `heap` is the VRAM the pages are in; null = system memory.
struct Collected {
  DevmemHeap* heap;
};
/// The CPU mapping went away. Terminal.
struct Dead {
  enum class Extent : std::uint8_t { kWhole, kPartial } extent;
};
}  // namespace svm_state

/// What one range holds and where it is mapped: a value.
class SvmRangeState {
 public:
  using Pages = std::variant<svm_state::Empty, svm_state::Collected, svm_state::Dead>;

  bool dead() const { return std::holds_alternative<svm_state::Dead>(pages_); }
  bool collected() const { return std::holds_alternative<svm_state::Collected>(pages_); }
  /// The VRAM its pages are in; null when nothing is collected or they are in system memory.
  DevmemHeap* heap() const {
    auto* c = std::get_if<svm_state::Collected>(&pages_);
    return c != nullptr ? c->heap : nullptr;
  }
  const Pages& pages() const { return pages_; }

  /// A successful collection. The range must be live.
  void set_collected(DevmemHeap* heap) {
    SX_ASSERT(!dead());
    pages_ = svm_state::Collected{heap};
  }
  /// A CPU-side event took the pages away; a dead range stays dead.
  void drop_pages() {
    if (!dead()) pages_ = svm_state::Empty{};
  }
  /// The CPU mapping went away. True when it was alive until now (it must then be queued).
  bool kill(svm_state::Dead::Extent extent) {
    if (auto* dead_state = std::get_if<svm_state::Dead>(&pages_)) {
      if (extent == svm_state::Dead::Extent::kPartial) dead_state->extent = extent;
      return false;
    }
    pages_ = svm_state::Dead{extent};
    return true;
  }

  bool valid_on(TileMask tile_bit) const { return (valid() & tile_bit) != 0; }
  /// Tiles with entries that are as the pages are.
  TileMask valid() const { return static_cast<TileMask>(present_ & ~invalidated_); }
  TileMask present() const { return present_; }
  TileMask invalidated() const { return invalidated_; }
  /// PTEs of `tiles` were written.
  void set_bound(TileMask tiles) {
    SX_ASSERT(collected());
    present_ |= tiles;
    invalidated_ = static_cast<TileMask>(invalidated_ & ~tiles);
  }
  /// PTEs of `tiles` were zapped.
  void set_zapped(TileMask tiles) { invalidated_ = static_cast<TileMask>(invalidated_ | (present_ & tiles)); }
  /// PTEs are gone everywhere (collector).
  void set_unbound() { present_ = 0; }

 private:
  TileMask present_ = 0;
  TileMask invalidated_ = 0;
  Pages pages_;
};

/// The proof that a thread holds the notifier lock of the Svm that gave it.
class SvmStateKey {
  friend class Svm;
  SvmStateKey() = default;
};

enum class MayMigrate : std::uint8_t { kNo, kYes };

class SvmRange : public boost::intrusive::set_base_hook<>,
                 public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>> {
 public:
  SvmRange(HostRange extent, MayMigrate may_migrate) : extent_(extent), may_migrate_(may_migrate) {}
  SvmRange(const SvmRange&) = delete;
  SvmRange& operator=(const SvmRange&) = delete;

  HostRange extent() const { return extent_; }
  GpuRange gpu_extent() const { return mirror_of(extent_); }
  MayMigrate may_migrate() const { return may_migrate_; }

  SvmRangeState& state(const SvmStateKey&) { return state_; }
  const SvmRangeState& state(const SvmStateKey&) const { return state_; }

  /// On the collector's list? Under the list's lock.
  bool queued() const {
    using Hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>>;
    return static_cast<const Hook*>(this)->is_linked();
  }

  friend bool operator<(const SvmRange& a, const SvmRange& b) { return a.extent_.start() < b.extent_.start(); }

  SvmNotifier* notifier = nullptr;  ///< the window it belongs to; set at insertion
  /// The event of its death; before it, none. Written under the notifier lock, read by who has taken it off the list.
  std::uint64_t death = kNoEvent;

 private:
  HostRange extent_;
  MayMigrate may_migrate_;
  SvmRangeState state_;
};

/// Orders ranges by start for look-ups by address.
struct SvmRangeKey {
  using type = HostVa;
  HostVa operator()(const SvmRange& r) const { return r.extent().start(); }
};

}  // namespace softxe
