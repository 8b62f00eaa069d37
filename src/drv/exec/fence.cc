#include "drv/exec/fence.h"

#include <algorithm>
#include <deque>

#include "base/flow_locals.h"

namespace softxe {

namespace {

struct Call {
  Fence::Callback callback;
  int error;
};

using Calls = std::deque<Call>;

/// Calls waiting to be made in the outermost signal() of this flow; null outside of one.
Calls* pending_calls() { return static_cast<Calls*>(flow_locals().fence_calls); }

void run_callbacks(std::vector<std::pair<Fence::Ticket, Fence::Callback>>&& callbacks, int error) {
  if (callbacks.empty()) return;
  if (Calls* const outermost = pending_calls()) {
    for (auto& [ticket, callback] : callbacks) outermost->push_back({std::move(callback), error});
    return;
  }
  Calls queue;
  flow_locals().fence_calls = &queue;
  for (auto& [ticket, callback] : callbacks) queue.push_back({std::move(callback), error});
  while (!queue.empty()) {
    const Call call = std::move(queue.front());
    queue.pop_front();
    call.callback(call.error);
  }
  flow_locals().fence_calls = nullptr;
}

/// Counts down the members of an all_of(). Owned by their callbacks, so it owns none of them.
struct AllOf {
  explicit AllOf(std::size_t members) : errors(members, 0), left(members), all(Fence::pending()) {}

  void one_done(std::size_t index, int error) {
    errors[index] = error;
    if (left.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const auto first = std::find_if(errors.begin(), errors.end(), [](int e) { return e != 0; });
    all->signal(first == errors.end() ? 0 : *first);
  }

  std::vector<int> errors;  ///< each written by its member's callback, read by the last one
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
  run_callbacks(std::move(callbacks), error);
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
  callback(error());
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
  auto state = std::make_shared<AllOf>(fences.size());
  for (std::size_t i = 0; i < fences.size(); ++i)
    fences[i]->on_signal([state, i](int error) { state->one_done(i, error); });
  return state->all;
}

bool all_signalled(std::span<const FencePtr> fences) {
  for (const FencePtr& fence : fences)
    if (!fence->signalled()) return false;
  return true;
}

}  // namespace softxe
