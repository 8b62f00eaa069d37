// EventPump: what was read from the client's userfaultfd and not yet dealt with.
//
// Fill ioctls answer EAGAIN while an event waits to be read, so whoever meets EAGAIN must be able to
// read (spec/live-memory.md 4, hazard 7), even though only the reader thread serves faults. Reading and
// queueing happen under one tiny spin lock: who takes the mm lock and then finds the event queue empty
// under the spin lock knows that no event was read before and is still unhandled.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "host/live/arena.h"
#include "host/live/uffd.h"

namespace softxe::live {

/// A fixed ring in the arena. Guarded by the pump's spin lock.
template <typename T>
class Ring {
 public:
  bool init(Arena& arena, std::uint32_t capacity) {
    capacity_ = capacity;
    slots_ = static_cast<T*>(arena.take(capacity * sizeof(T)));
    return slots_ != nullptr;
  }
  bool push(const T& value) {
    if (size_ == capacity_) return false;
    SX_ASSERT(slots_ != nullptr);
    slots_[(head_ + size_++) % capacity_] = value;
    return true;
  }
  bool pop(T& value) {
    if (size_ == 0) return false;
    value = slots_[head_];
    head_ = (head_ + 1) % capacity_;
    --size_;
    return true;
  }
  std::uint32_t size() const { return size_; }
  std::uint32_t room() const { return capacity_ - size_; }
  template <typename Predicate>
  bool any(Predicate predicate) const {
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (predicate(slots_[(head_ + i) % capacity_])) return true;
    }
    return false;
  }
  const T* newest() const { return size_ == 0 ? nullptr : &slots_[(head_ + size_ - 1) % capacity_]; }

 private:
  T* slots_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

/// Thread-safe. Callers are engine threads (pinned stack, signals blocked).
class EventPump {
 public:
  bool init(Arena& arena) { return events_.init(arena, 1u << 16) && faults_.init(arena, 1u << 14); }

  /// Reads all that is readable. True when anything is queued (now or before).
  bool pump_as_reader(const Uffd& uffd) { return pump(uffd); }
  /// For whoever is not the reader. It sleeps until its descriptor has something to read, and here that is taken away
  /// from it: the next release of the mm lock wakes it. Hold that lock, or take it soon.
  bool pump_for_reader(const Uffd& uffd) {
    const bool any = pump(uffd);
    if (any) set_reader_waits(true);
    return any;
  }
  /// The reader has found the mm lock taken, or has something to do that others have read.
  bool reader_waits() const { return reader_waits_.load(std::memory_order_relaxed); }
  void set_reader_waits(bool waits) { reader_waits_.store(waits); }
  /// Whether calls that no hook saw may have begun before events_read() was `read_before` and wait still: they have
  /// been read once any event has been.
  bool unread_since(const Uffd& uffd, std::uint64_t read_before) const {
    return events_read() == read_before && uffd.event_in_flight();
  }
  bool pop_event(UffdMessage& message);
  /// Runs `fill`, which puts pages into `target` of the client's memory, while nobody reads events: who discards or
  /// unmaps there by a call that no hook saw waits for the read, so the fill comes before its call. EINTR: such an
  /// event has been read and waits to be dealt with, which comes first; nothing was filled.
  template <typename Fill>
  UffdOutcome undisturbed(HostRange target, Fill fill) {
    lock();
    const UffdOutcome out = speaks_of(target) ? UffdOutcome{.err = EINTR} : fill();
    unlock();
    return out;
  }
  /// Page address of the oldest unserved fault.
  bool pop_fault(std::uint64_t& page);
  bool has_work();
  /// Whether an event that has been read concerns `range`.
  bool has_events_in(HostRange range);
  /// No room for events: nothing is read until some have been dealt with, their causers stay blocked.
  bool is_full() const { return full_.load(std::memory_order_acquire); }
  /// Events (not faults) ever read.
  std::uint64_t events_read() const { return events_read_.load(std::memory_order_acquire); }
  /// Faults were dropped for lack of room since the last call: every waiter must be woken to ask again.
  bool take_overflow();
  /// In a fork child: nobody is inside, and nothing that was queued concerns this process.
  void reset();

 private:
  bool pump(const Uffd& uffd);
  void lock();
  void queue_event(const UffdMessage& message);
  bool speaks_of(HostRange range) const;
  void unlock() { busy_.store(false, std::memory_order_release); }

  std::atomic<bool> busy_{false};
  std::atomic<std::uint64_t> events_read_{0};
  std::atomic<bool> full_{false};
  std::atomic<bool> reader_waits_{false};
  bool overflow_ = false;
  static constexpr std::uint32_t kBatch = 32;
  UffdMessage buffer_[kBatch] = {};  ///< not on a stack: the kernel writes here
  Ring<UffdMessage> events_;
  Ring<std::uint64_t> faults_;
};

}  // namespace softxe::live
