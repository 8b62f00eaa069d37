#include "host/live/event_pump.h"

#include "base/result.h"
#include "host/live/raw_syscall.h"

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
  constexpr int kBatch = static_cast<int>(sizeof buffer_ / sizeof buffer_[0]);
  for (int n = kBatch; n == kBatch;) {
    n = uffd.read(buffer_, kBatch);
    for (int i = 0; i < n; ++i) {
      if (buffer_[i].event == UffdMessage::kPageFault) {
        if (!faults_.push(align_down(buffer_[i].arg[1], kPageSize))) overflow_ = true;
      } else {
        // Bounded by the number of threads times the events one can cause while the mm lock is held.
        const bool queued = events_.push(buffer_[i]);
        SX_ASSERT(queued);
        events_read_.fetch_add(1, std::memory_order_release);
      }
    }
  }
  const bool any = events_.size() != 0 || faults_.size() != 0 || overflow_;
  unlock();
  return any;
}

bool EventPump::pop_event(UffdMessage& message) {
  lock();
  const bool found = events_.pop(message);
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
}

}  // namespace softxe::live
