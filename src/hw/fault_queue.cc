#include "hw/fault_queue.h"

#include <bit>

namespace softxe {

FaultQueue::FaultQueue(std::uint32_t faults_per_queue)
    : capacity_(std::bit_ceil(faults_per_queue == 0 ? 1u : faults_per_queue)) {
  for (Queue& q : queues_) {
    Guard guard(q.lock);
    q.items = std::make_unique<Item[]>(capacity_);
  }
}

Status FaultQueue::post(const PageFault& fault, FaultTicket& ticket) {
  Queue& q = queues_[fault.asid % kQueues];
  Guard guard(q.lock);
  if (q.count == capacity_) return fail(ENOSPC, "fault queue is full");
  ticket.state_.store(FaultTicket::State::kPending, std::memory_order_relaxed);
  q.items[(q.head + q.count) & (capacity_ - 1)] = Item{fault, &ticket};
  ++q.count;
  return {};
}

bool FaultQueue::run_once(std::uint32_t queue, FaultSink& sink) {
  Queue& q = queues_[queue];
  Item item;
  {
    Guard guard(q.lock);
    if (q.serving) return false;
    while (q.count > 0 && item.ticket == nullptr) {  // squashed faults are dropped silently
      item = q.items[q.head];
      q.head = (q.head + 1) & (capacity_ - 1);
      --q.count;
    }
    if (item.ticket == nullptr) return false;
    q.serving = true;
  }
  const FaultReply reply = sink.page_fault(item.fault);
  {
    Guard guard(q.lock);
    q.serving = false;
  }
  // Last touch of the ticket: its engine may go on, and away, at once.
  item.ticket->state_.store(reply == FaultReply::kRetry ? FaultTicket::State::kRetry : FaultTicket::State::kFail,
                            std::memory_order_release);
  return true;
}

bool FaultQueue::run_any(FaultSink& sink) {
  const std::uint32_t first = next_.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < kQueues; ++i) {
    const std::uint32_t queue = (first + i) % kQueues;
    if (!run_once(queue, sink)) continue;
    next_.store(queue + 1, std::memory_order_relaxed);
    return true;
  }
  return false;
}

std::uint32_t FaultQueue::squash(std::uint8_t gt) {
  std::uint32_t squashed = 0;
  for (Queue& q : queues_) {
    Guard guard(q.lock);
    for (std::uint32_t i = 0; i < q.count; ++i) {
      Item& item = q.items[(q.head + i) & (capacity_ - 1)];
      if (item.ticket == nullptr || item.fault.engine.gt != gt) continue;
      item.ticket->state_.store(FaultTicket::State::kFail, std::memory_order_release);
      item.ticket = nullptr;
      ++squashed;
    }
  }
  return squashed;
}

std::uint32_t FaultQueue::pending(std::uint32_t queue) const {
  const Queue& q = queues_[queue];
  Guard guard(q.lock);
  return q.count;
}

}  // namespace softxe
