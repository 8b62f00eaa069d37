// Bounded fault queues of one device: four, chosen by ASID mod 4, so that the faults of one VM are
// answered in order and different VMs in parallel (spec/svm.md 4.2).
//
// The simulator drives run_once(); live workers may, too. Memory is fixed at construction.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/lock.h"
#include "base/result.h"
#include "hw/fault.h"

namespace softxe {

/// Where a parked engine finds its answer. Owned by the engine; must outlive the answer.
class FaultTicket {
 public:
  enum class State : std::uint8_t { kIdle, kPending, kRetry, kFail };
  State state() const { return state_.load(std::memory_order_acquire); }
  bool answered() const { return state() == State::kRetry || state() == State::kFail; }
  void reset() { state_.store(State::kIdle, std::memory_order_relaxed); }

 private:
  friend class FaultQueue;
  std::atomic<State> state_{State::kIdle};
};

/// Thread-safe.
class FaultQueue {
 public:
  static constexpr std::uint32_t kQueues = 4;

  /// Capacity of each queue in faults; rounded up to a power of two.
  explicit FaultQueue(std::uint32_t faults_per_queue);

  /// ENOSPC when the queue of this ASID is full; the ticket then stays idle.
  Status post(const PageFault& fault, FaultTicket& ticket);
  /// Answers the oldest fault of one queue through `sink`. False when that queue was empty, or another
  /// thread is serving it.
  bool run_once(std::uint32_t queue, FaultSink& sink);
  /// Same for any queue, starting after the one served last.
  bool run_any(FaultSink& sink);
  /// Drops queued faults of a GT (GT reset): tickets are answered kFail, the sink never sees them.
  std::uint32_t squash(std::uint8_t gt);
  std::uint32_t pending(std::uint32_t queue) const;
  std::uint32_t capacity() const { return capacity_; }

 private:
  struct Item {
    PageFault fault;
    FaultTicket* ticket = nullptr;  ///< null after a squash
  };
  struct Queue {
    mutable LeafMutex lock{"FaultQueue"};
    std::unique_ptr<Item[]> items SX_GUARDED_BY(lock);
    std::uint32_t head SX_GUARDED_BY(lock) = 0;
    std::uint32_t count SX_GUARDED_BY(lock) = 0;
    bool serving SX_GUARDED_BY(lock) = false;  ///< keeps the answers of one VM in order
  };
  const std::uint32_t capacity_;
  std::array<Queue, kQueues> queues_;
  std::atomic<std::uint32_t> next_{0};
};

}  // namespace softxe
