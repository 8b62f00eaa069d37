#include "drv/exec/pending_binds.h"

#include <algorithm>

#include "drv/exec/device_exec.h"

namespace softxe {

/// The user fence of one bind, as its VMAs see it.
class BindUserFence final : public UserFence {
 public:
  bool signalled() const override { return signalled_.load(std::memory_order_acquire); }
  /// Before the word is written: who saw the word may unmap at once (case B10).
  void signal() { signalled_.store(true, std::memory_order_release); }

 private:
  std::atomic<bool> signalled_{false};
};

namespace {

// More than a page-table job can hold (spec/vm.md 3.2a, the rule that satisfies clients).
constexpr std::size_t kDeferredOpsMax = 512;

// What a MAP behind a fence will make, as far as a user fence holds it.
std::optional<GpuRange> mapped_by(const ResolvedBind& op) {
  const auto* map = std::get_if<BindMap>(&op.op.what);
  if (map == nullptr || std::holds_alternative<BindMirror>(map->backing)) return std::nullopt;
  return op.range;
}

bool removes(const ResolvedBind& op, const GpuRange& mapping) {
  if (!op.range || std::holds_alternative<BindPrefetch>(op.op.what)) return false;
  return op.range->intersects(mapping);
}

std::uint64_t span_of_entry(unsigned level) { return std::uint64_t{1} << (kPageShift + std::uint64_t{9} * level); }

// The interval whose page-table entries an update of `range` writes: where a table is missing, or an entry
// covers more than a page, that is all the entry of the directory covers. Tables go under the VM's lock only.
GpuRange written_by(Vm& vm, GpuRange range) SX_REQUIRES_SHARED(vm.lock) {
  unsigned level = 0;
  for (GpuVa at : {range.start(), range.end() - 1}) {
    const WalkResult found = vm.table(0).walk(at);
    level = std::max<unsigned>(level, found ? found->level : found.error().level);
  }
  for (unsigned up = level + 1; up <= 2; ++up) {
    const std::uint64_t span = span_of_entry(up);
    if (align_up(range.start().value(), span) + span <= range.end().value()) level = up;
  }
  const std::uint64_t span = span_of_entry(level);
  const std::uint64_t start = align_down(range.start().value(), span);
  const std::uint64_t end = std::min(align_up(range.end().value(), span), vm.size_bytes());
  return GpuRange::between(GpuVa(start), GpuVa(end));
}

std::vector<GpuRange> written_by(Vm& vm, std::span<const ResolvedBind> ops) {
  std::vector<GpuRange> intervals;
  ReadGuard hold(vm.lock);
  for (const ResolvedBind& op : ops) {
    const auto* map = std::get_if<BindMap>(&op.op.what);
    if (map != nullptr && std::holds_alternative<BindMirror>(map->backing)) continue;
    // UNMAP_ALL: the object may be anywhere by then.
    intervals.push_back(op.range ? written_by(vm, *op.range) : vm.space().managed());
  }
  return intervals;
}

bool any_intersects(const std::vector<GpuRange>& some, const std::vector<GpuRange>& others) {
  return std::any_of(some.begin(), some.end(), [&](const GpuRange& one) {
    return std::any_of(others.begin(), others.end(), [&](const GpuRange& other) { return one.intersects(other); });
  });
}

void tell_prefetched(const BindCall& call) {
  for (const ResolvedBind& op : call.ops) {
    const auto* prefetch = std::get_if<BindPrefetch>(&op.op.what);
    if (prefetch != nullptr && prefetch->region.value_or(1) != 0 && op.range) call.client.named(*op.range);
  }
}

// A late write is off the signalling thread: it may wait for a page that comes back from VRAM.
void write_when_done(const BindCall& call, const FencePtr& done, const std::shared_ptr<BindUserFence>& fence) {
  const auto write = [&exec = call.exec, tell = call.client.write, word = *call.syncs.user_fence()] {
    tell(word);
    exec.waiters().notify();
  };
  if (done->signalled()) {
    fence->signal();
    return write();
  }
  done->on_signal([&exec = call.exec, fence, write] {
    fence->signal();
    exec.work().post(write);
  });
}

}  // namespace

// EBUSY as long as the fence that such a bind waits for is pending. Once it has signalled, the bind is on
// its way: waiting for it keeps a caller that repeats on EBUSY from spinning (case B31).
Status PendingBinds::check_fenced(const BindCall& call) {
  std::vector<FencePtr> on_their_way;
  {
    Guard hold(lock_);
    std::erase_if(fenced_, [](const Fenced& bind) { return bind.fence->signalled(); });
    for (const Fenced& bind : fenced_) {
      const bool hit = std::any_of(call.ops.begin(), call.ops.end(), [&](const ResolvedBind& op) {
        return std::any_of(bind.maps.begin(), bind.maps.end(),
                           [&](const GpuRange& mapping) { return removes(op, mapping); });
      });
      if (!hit) continue;
      if (!all_signalled(bind.waits_for)) return fail(EBUSY, "the user fence of a bind has not signalled");
      on_their_way.push_back(bind.done);
    }
  }
  WaitContext wait = call.exec.wait_context();
  for (const FencePtr& done : on_their_way) SX_TRY_VOID(done->wait(wait, Deadline::never()));
  return {};
}

bool PendingBinds::updates_wait() {
  Guard hold(lock_);
  std::erase_if(updates_, [](const Update& update) { return update.done->signalled(); });
  return !updates_.empty();
}

// What is written matters only to updates that wait, this one or others. Who was asked for before this one
// stands in the list since before its ioctl returned; who is asked for at the same time has no order to it.
PendingBinds::Order PendingBinds::order_of(const BindCall& call) {
  Order order;
  if (updates_wait()) {
    order.intervals = written_by(context_->vm, call.ops);
    Guard hold(lock_);
    for (const Update& update : updates_) {
      if (any_intersects(update.intervals, *order.intervals)) order.in_fences.push_back(update.done);
    }
  }
  order.in_fences.insert(order.in_fences.end(), call.syncs.in_fences().begin(), call.syncs.in_fences().end());
  return order;
}

Status PendingBinds::submit(const BindCall& call) {
  SX_TRY_VOID(check_fenced(call));
  Order order = order_of(call);
  if (call.queue.must_wait(order.in_fences)) {
    if (call.ops.size() >= kDeferredOpsMax) return fail(ENOBUFS, "page-table job too large");
    SX_TRY_VOID(vm_bind(call.device, *context_, call.ops, BindRun::kDryRun));
  }
  std::shared_ptr<BindUserFence> fence;
  if (call.syncs.user_fence()) fence = std::make_shared<BindUserFence>();
  tell_prefetched(call);
  std::vector<FencePtr> waits_for{call.queue.last()};
  waits_for.insert(waits_for.end(), order.in_fences.begin(), order.in_fences.end());
  const BindQueue::Submission bind = run(call, order, fence);
  if (bind.finished_inline) SX_TRY_VOID(bind.status);
  call.syncs.install(bind.done);
  if (!bind.finished_inline) remember_update(call, std::move(order), bind.done);
  if (fence == nullptr) return {};
  if (!bind.done->signalled())
    remember_fenced(call, {.maps = {}, .waits_for = std::move(waits_for), .done = bind.done, .fence = fence});
  write_when_done(call, bind.done, fence);
  return {};
}

BindQueue::Submission PendingBinds::run(const BindCall& call, const Order& order,
                                        const std::shared_ptr<BindUserFence>& fence) {
  return call.queue.submit(order.in_fences, [&device = call.device, context = context_, ops = call.ops, fence] {
    if (ops.empty()) return Status{};
    device.flush_collector(*context);
    return vm_bind(device, *context, ops, BindRun::kExecute, fence);
  });
}

// Looked up only now, a part of it may be done already. The rest reads as before, and only the rest matters.
void PendingBinds::remember_update(const BindCall& call, Order&& order, const FencePtr& done) {
  if (!order.intervals) order.intervals = written_by(context_->vm, call.ops);
  Guard hold(lock_);
  if (!order.intervals->empty()) updates_.push_back({.intervals = std::move(*order.intervals), .done = done});
}

void PendingBinds::remember_fenced(const BindCall& call, Fenced&& fenced) {
  for (const ResolvedBind& op : call.ops) {
    if (auto range = mapped_by(op)) fenced.maps.push_back(*range);
  }
  Guard hold(lock_);
  fenced_.push_back(std::move(fenced));
}

std::vector<FencePtr> PendingBinds::updates() const {
  std::vector<FencePtr> fences;
  Guard hold(lock_);
  for (const Update& update : updates_) fences.push_back(update.done);
  return fences;
}

}  // namespace softxe
