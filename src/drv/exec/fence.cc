#include "drv/exec/fence.h"

#include <deque>

namespace softxe {

namespace {

/// Callbacks waiting to run in the outermost signal() of this thread; null outside of one.
thread_local std::deque<Fence::Callback>* pending_callbacks = nullptr;

void run_callbacks(std::vector<std::pair<Fence::Ticket, Fence::Callback>> callbacks) {
  if (callbacks.empty()) return;
  if (pending_callbacks != nullptr) {
    for (auto& [ticket, callback] : callbacks) pending_callbacks->push_back(std::move(callback));
    return;
  }
  std::deque<Fence::Callback> queue;
  pending_callbacks = &queue;
  for (auto& [ticket, callback] : callbacks) queue.push_back(std::move(callback));
  while (!queue.empty()) {
    const Fence::Callback callback = std::move(queue.front());
    queue.pop_front();
    callback();
  }
  pending_callbacks = nullptr;
}

/// Counts down the members of an all_of().
struct AllOf {
  explicit AllOf(std::span<const FencePtr> fences)
      : members(fences.begin(), fences.end()), left(fences.size()), all(Fence::pending()) {}

  void one_done() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    int error = 0;
    for (const FencePtr& member : members)
      if (error == 0) error = member->error();
    all->signal(error);
  }

  const std::vector<FencePtr> members;
  std::atomic<std::size_t> left;
  const FencePtr all;
};

}  // namespace

FencePtr Fence::signalled_stub(int error) {
  FencePtr fence = pending();
  fence->signal(error);
  return fence;
}

bool Fence::signal(int error) {
  std::vector<std::pair<Ticket, Callback>> callbacks;
  {
    Guard hold(lock_);
    if (signalled()) return false;
    error_ = error;
    signalled_.store(true, std::memory_order_release);
    callbacks.swap(callbacks_);
  }
  run_callbacks(std::move(callbacks));
  return true;
}

Fence::Ticket Fence::on_signal(Callback callback) {
  {
    Guard hold(lock_);
    if (!signalled()) {
      const Ticket ticket = next_ticket_++;
      callbacks_.emplace_back(ticket, std::move(callback));
      return ticket;
    }
  }
  callback();
  return 0;
}

void Fence::forget(Ticket ticket) {
  Callback dropped;  // its destructor runs after the lock is released
  Guard hold(lock_);
  for (auto it = callbacks_.begin(); it != callbacks_.end(); ++it) {
    if (it->first != ticket) continue;
    dropped = std::move(it->second);
    callbacks_.erase(it);
    return;
  }
}

Status Fence::wait(WaitContext& context, Deadline deadline) {
  if (signalled()) return {};
  auto monitor = std::make_shared<Monitor>();
  const Ticket ticket = on_signal([monitor] { monitor->update([] {}); });
  const Status status = monitor->wait(context, deadline, [this] { return signalled(); });
  if (!status) forget(ticket);
  return status;
}

FencePtr all_of(std::span<const FencePtr> fences) {
  if (fences.empty()) return Fence::signalled_stub();
  if (fences.size() == 1) return fences[0];
  auto state = std::make_shared<AllOf>(fences);
  for (const FencePtr& fence : fences) fence->on_signal([state] { state->one_done(); });
  return state->all;
}

bool all_signalled(std::span<const FencePtr> fences) {
  for (const FencePtr& fence : fences)
    if (!fence->signalled()) return false;
  return true;
}

}  // namespace softxe
