// SignalTableHold: how the tables of client signal handlers are read and changed.
#pragma once

#include <cstdint>

#include "host/live/engine_section.h"
#include "preload/spin_futex.h"

namespace softxe::preload {

/// Holds a table's lock with all signals blocked, so that no handler wants it on this thread.
class SX_SCOPED_CAPABILITY SignalTableHold {
 public:
  explicit SignalTableHold(SpinFutex& lock) SX_ACQUIRE(lock) : mask_(live::block_signals()), lock_(lock) {
    lock_.lock();
  }
  ~SignalTableHold() SX_RELEASE() {
    lock_.unlock();
    live::restore_signals(mask_);
  }
  SignalTableHold(const SignalTableHold&) = delete;
  SignalTableHold& operator=(const SignalTableHold&) = delete;

 private:
  std::uint64_t mask_;
  SpinFutex& lock_;
};

}  // namespace softxe::preload
