// BoAdvice: who uses a buffer object, and with that whether its bytes may be thrown away (spec/vm.md 4.4).
#pragma once

#include <atomic>
#include <cstdint>

#include "base/lock.h"
#include "vm/bo.h"

namespace softxe {

/// WILLNEED as long as one of its users says so; DONTNEED when all that it has say that; PURGED for ever. Users are
/// VMAs and dma-bufs. Thread-safe; one leaf lock, but the state may be read without, as a fork child does of its
/// parent's.
class BoAdvice {
 public:
  /// In a fork child `state` is the parent's; its own users come anew.
  explicit BoAdvice(PurgeableState state) : state_(state) {}

  PurgeableState state() const { return state_.load(std::memory_order_acquire); }
  /// From DONTNEED to PURGED; false: it was something else.
  bool purge() SX_EXCLUDES(lock_) {
    Guard hold(lock_);
    if (state() != PurgeableState::kDontNeed) return false;
    state_.store(PurgeableState::kPurged, std::memory_order_release);
    return true;
  }
  void user_added(PurgeableState says) SX_EXCLUDES(lock_) {
    Guard hold(lock_);
    ++users_;
    if (says == PurgeableState::kWillNeed) ++willneed_;
    settle();
  }
  void user_removed(PurgeableState said) SX_EXCLUDES(lock_) {
    Guard hold(lock_);
    --users_;
    if (said == PurgeableState::kWillNeed) --willneed_;
    settle();
  }
  void user_changed(PurgeableState from, PurgeableState to) SX_EXCLUDES(lock_) {
    Guard hold(lock_);
    if (from == PurgeableState::kWillNeed) --willneed_;
    if (to == PurgeableState::kWillNeed) ++willneed_;
    settle();
  }

 private:
  void settle() SX_REQUIRES(lock_) {
    if (state() == PurgeableState::kPurged) return;
    if (willneed_ != 0) {
      state_.store(PurgeableState::kWillNeed, std::memory_order_release);
    } else if (users_ > 0) {
      state_.store(PurgeableState::kDontNeed, std::memory_order_release);
    }
  }

  LeafMutex lock_{"BoAdvice"};
  std::atomic<PurgeableState> state_;             ///< written with the lock
  std::uint32_t users_ SX_GUARDED_BY(lock_) = 0;  ///< VMAs
  std::uint32_t willneed_ SX_GUARDED_BY(lock_) = 0;
};

}  // namespace softxe
