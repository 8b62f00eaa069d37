#include "drv/exec/fork_syncs.h"

#include <poll.h>
#include <unistd.h>

#include <vector>

#include "base/log.h"
#include "base/raw_syscall.h"

namespace softxe {

namespace {
constexpr int kNoSignal = 0;
}  // namespace

SyncobjPtr ForkSyncs::copy(const SyncobjPtr& object) {
  if (object == nullptr) return nullptr;
  if (const auto known = objects_.find(object.get()); known != objects_.end()) return known->second.copy;
  auto made = std::make_shared<Syncobj>();
  made->replace(copy(object->head()));
  objects_[object.get()] = {object, made};
  return made;
}

// From the oldest point that is not done: chains may be long, so no recursion.
FencePtr ForkSyncs::copy(const FencePtr& fence) {
  std::vector<FencePtr> chain;
  FencePtr before;
  for (FencePtr at = fence; at != nullptr;) {
    if (const auto known = fences_.find(at.get()); known != fences_.end()) {
      before = known->second.copy;
      break;
    }
    chain.push_back(at);
    const auto* node = dynamic_cast<const ChainNode*>(at.get());
    at = node != nullptr ? node->before() : nullptr;
  }
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) before = copy_node(*at, before);
  return before;
}

FencePtr ForkSyncs::copy_node(const FencePtr& fence, const FencePtr& before) {
  FencePtr made;
  if (const auto* node = dynamic_cast<const ChainNode*>(fence.get()); node != nullptr) {
    made = ChainNode::copy_of(*node, before);
  } else {
    made = Fence::pending();
  }
  fences_[fence.get()] = {fence, made};
  if (fence->signalled()) {
    made->signal(fence->error());
  } else {
    relay(fence, made);
  }
  return made;
}

void ForkSyncs::relay(const FencePtr& original, const FencePtr& copy) {
  if (board_ == nullptr) {
    auto made = SignalBoard::make();
    if (made) board_ = std::move(*made);
  }
  const Status relayed = board_ != nullptr ? SignalBoard::relay(board_, original, copy)
                                           : fail(ENOMEM, "no memory to share with a fork child");
  if (relayed) return;
  SX_ERROR("a pending fence is an error in the fork child: {}", relayed.error().why);
  copy->signal(ECANCELED);
}

void ForkSyncs::open_parent() {
  parent_pid_ = getpid();
  if (!has_pending()) return;
  const long fd = raw_syscall(SYS_pidfd_open, parent_pid_, 0);
  if (errno_of(fd) != 0) return;
  const OwnedFd low(static_cast<int>(fd));
  if (auto high = OwnedFd::duplicate_high(low.get())) parent_ = std::move(*high);
}

bool ForkSyncs::parent_lives() const {
  pollfd entry{parent_.get(), POLLIN, 0};
  const timespec at_once{};
  if (parent_.get() < 0 || raw_syscall(SYS_ppoll, &entry, 1, &at_once, nullptr, 0) < 0 ||
      (entry.revents & POLLNVAL) != 0)
    return errno_of(raw_syscall(SYS_kill, parent_pid_, kNoSignal)) != ESRCH;
  return (entry.revents & POLLIN) == 0;
}

void ForkSyncs::pass_on() {
  if (board_ != nullptr) board_->pass_on();
}

void ForkSyncs::watch() {
  if (board_ == nullptr) return;
  board_->watch([this] { return parent_lives(); });
  parent_ = OwnedFd();
}

}  // namespace softxe
