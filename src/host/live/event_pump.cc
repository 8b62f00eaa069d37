#include "host/live/event_pump.h"

#include "base/raw_syscall.h"
#include "base/result.h"

namespace softxe::live {

void EventPump::lock() {
  for (unsigned spins = 0; busy_.exchange(true, std::memory_order_acquire); ++spins) {
    if (spins < 30) {
      asm volatile("pause");
    } else {
      raw_syscall(SYS_sched_yield);
    }
  }
}

bool EventPump::pump(const Uffd& uffd) {
  lock();

  for (int n = kBatch; n == static_cast<int>(kBatch) && events_.room() >= kBatch;) {
    n = uffd.read(buffer_, static_cast<int>(kBatch));
    for (int i = 0; i < n; ++i) {
      if (buffer_[i].event == UffdMessage::kPageFault) {
        if (!faults_.push(align_down(buffer_[i].arg[1], kPageSize))) overflow_ = true;
      } else {
        queue_event(buffer_[i]);
      }
    }
  }
  full_.store(events_.room() < kBatch, std::memory_order_release);
  const bool any = events_.size() != 0 || faults_.size() != 0 || overflow_;
  unlock();
  return any;
}

void EventPump::queue_event(const UffdMessage& message) {
  events_read_.fetch_add(1, std::memory_order_release);
  const UffdMessage* newest = events_.newest();
  const bool idempotent = message.event == UffdMessage::kRemove || message.event == UffdMessage::kUnmap;
  // Not dealt with yet, so once is enough: a loop of madvise(DONTNEED) must not fill the ring.
  if (idempotent && newest != nullptr && newest->event == message.event && newest->arg[0] == message.arg[0] &&
      newest->arg[1] == message.arg[1]) {
    return;
  }
  const bool queued = events_.push(message);
  SX_ASSERT(queued);  // pump() reads only when there is room for a batch
}

bool EventPump::pop_event(UffdMessage& message) {
  lock();
  const bool found = events_.pop(message);
  if (found) full_.store(false, std::memory_order_release);
  unlock();
  return found;
}

bool EventPump::pop_fault(std::uint64_t& page) {
  lock();
  const bool found = faults_.pop(page);
  unlock();
  return found;
}

bool EventPump::has_work() {
  lock();
  const bool any = events_.size() != 0 || faults_.size() != 0 || overflow_;
  unlock();
  return any;
}

bool EventPump::speaks_of(HostRange range) const {
  return events_.any([&](const UffdMessage& message) {
    const auto gone = message.range_left();
    return gone && gone->intersects(range);
  });
}

bool EventPump::has_events_in(HostRange range) {
  lock();
  const bool any = speaks_of(range);
  unlock();
  return any;
}

bool EventPump::take_overflow() {
  lock();
  const bool was = overflow_;
  overflow_ = false;
  unlock();
  return was;
}

void EventPump::reset() {
  UffdMessage message;
  std::uint64_t page;
  busy_.store(false);
  while (events_.pop(message)) {
  }
  while (faults_.pop(page)) {
  }
  overflow_ = false;
  full_.store(false);
}

}  // namespace softxe::live
