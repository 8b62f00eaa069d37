#include "drv/exec/syncobj.h"

namespace softxe {

namespace {

std::shared_ptr<ChainNode> as_chain(const FencePtr& fence) { return std::dynamic_pointer_cast<ChainNode>(fence); }

}  // namespace

// ---- ChainNode -----------------------------------------------------------------------------------

std::shared_ptr<ChainNode> ChainNode::append(const FencePtr& before, std::uint64_t point, const FencePtr& work) {
  const auto chain = as_chain(before);
  const bool in_order = chain == nullptr || point > chain->sequence();
  const std::uint64_t below = chain != nullptr && in_order ? chain->sequence() : 0;
  auto node = std::make_shared<ChainNode>(in_order ? point : chain->sequence(), below);
  std::vector<FencePtr> both;
  if (before != nullptr && !before->signalled()) both.push_back(before);
  both.push_back(work);
  {
    Guard hold(node->link_lock_);
    if (both.size() == 2) node->before_ = before;
  }
  // The chain's error is that of the point's own work: earlier points report theirs to their waiters.
  const std::weak_ptr<ChainNode> weak = node;
  work->on_signal([weak](int error) {
    if (const auto self = weak.lock()) self->work_error_.store(error, std::memory_order_relaxed);
  });
  all_of(both)->on_signal([weak] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->forget_before();
    self->signal(self->work_error_.load(std::memory_order_relaxed));
  });
  return node;
}

std::shared_ptr<ChainNode> ChainNode::copy_of(const ChainNode& original, const FencePtr& before) {
  auto node = std::make_shared<ChainNode>(original.sequence_, original.sequence_before_);
  {
    Guard hold(node->link_lock_);
    node->before_ = before;
  }
  node->on_signal([weak = std::weak_ptr<ChainNode>(node)] {
    if (const auto self = weak.lock()) self->forget_before();
  });
  return node;
}

void ChainNode::forget_before() {
  FencePtr dropped;  // released without the lock
  Guard hold(link_lock_);
  dropped.swap(before_);
}

FencePtr ChainNode::before() const {
  Guard hold(link_lock_);
  return before_;
}

FencePtr find_point(const FencePtr& head, std::uint64_t point) {
  if (head == nullptr || point == 0) return head;
  auto node = as_chain(head);
  if (node == nullptr || node->sequence() < point) return nullptr;
  for (;;) {
    if (node->sequence_before() < point) return node;
    const auto before = as_chain(node->before());
    // The part of the chain that answered for this point is done and gone.
    if (before == nullptr) return Fence::signalled_stub();
    node = before;
  }
}

// ---- Syncobj -------------------------------------------------------------------------------------

Syncobj::Syncobj(Initially initially) {
  if (initially == Initially::kSignalled) head_ = Fence::signalled_stub();
}

FencePtr Syncobj::head() const {
  Guard hold(lock_);
  return head_;
}

void Syncobj::replace(FencePtr fence) {
  FencePtr now = fence;
  {
    Guard hold(lock_);
    head_.swap(fence);  // the old one is released after the lock
  }
  changed(now);
}

void Syncobj::add_point(std::uint64_t point, const FencePtr& work) {
  if (point == 0) return replace(work);
  // Building a node runs foreign callbacks, so it is done outside the lock and repeated when another
  // point came in between.
  for (;;) {
    const FencePtr before = head();
    const FencePtr node = ChainNode::append(before, point, work);
    FencePtr old;
    {
      Guard hold(lock_);
      if (head_ != before) continue;
      old = std::exchange(head_, node);
    }
    changed(node);
    return;
  }
}

std::uint64_t Syncobj::query(Query what) const {
  auto node = as_chain(head());
  if (node == nullptr) return 0;
  if (what == Query::kLastSubmitted) return node->sequence();
  while (!node->signalled()) {
    const auto before = as_chain(node->before());
    const bool end = before == nullptr || node->sequence_before() == 0;
    if (end) return node->signalled() ? node->sequence() : node->sequence_before();
    node = before;
  }
  return node->sequence();
}

Syncobj::WatchTicket Syncobj::watch(Watcher watcher) {
  auto shared = std::make_shared<Watcher>(std::move(watcher));
  WatchTicket ticket = 0;
  FencePtr now;
  {
    Guard hold(lock_);
    ticket = next_ticket_++;
    watchers_.emplace_back(ticket, shared);
    now = head_;
  }
  if ((*shared)(now)) unwatch(ticket);
  return ticket;
}

void Syncobj::unwatch(WatchTicket ticket) {
  std::shared_ptr<Watcher> dropped;
  Guard hold(lock_);
  for (auto it = watchers_.begin(); it != watchers_.end(); ++it) {
    if (it->first != ticket) continue;
    dropped = std::move(it->second);
    watchers_.erase(it);
    return;
  }
}

void Syncobj::changed(const FencePtr& head) {
  std::vector<std::pair<WatchTicket, std::shared_ptr<Watcher>>> watchers;
  {
    Guard hold(lock_);
    watchers = watchers_;
  }
  for (const auto& [ticket, watcher] : watchers)
    if ((*watcher)(head)) unwatch(ticket);
}

}  // namespace softxe
