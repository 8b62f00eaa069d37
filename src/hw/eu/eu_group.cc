#include "hw/eu/eu_group.h"

#include <algorithm>
#include <bit>

namespace softxe {

EuGroup::EuGroup(const Shape& capacity)
    : capacity_(capacity),
      shape_(capacity),
      threads_(new EuThread[capacity.threads]),
      slm_(new std::byte[capacity.slm_bytes]) {
  SX_ASSERT(capacity.threads >= 1 && capacity.threads <= kEuGroupThreadsMax);
  SX_ASSERT(capacity.slm_bytes <= kEuSlmBytesMax);
}

bool EuGroup::fits(const Shape& shape) const {
  return shape.threads <= capacity_.threads && shape.slm_bytes <= capacity_.slm_bytes;
}

void EuGroup::restart(const Shape& shape, const EuBases& bases) {
  SX_ASSERT(fits(shape));
  shape_ = shape;
  bases_ = bases;
  live_ = ~std::uint64_t{0} >> (kEuGroupThreadsMax - shape.threads);
  next_ = 0;
  instructions_ = 0;
  barriers_.fill({});
  // What a kernel finds there is undefined, but never the bytes of another client.
  std::fill_n(slm_.get(), shape.slm_bytes, std::byte{0});
  for (std::uint32_t i = 0; i < shape.threads; ++i) {
    threads_[i].state = EuThreadState::kReady;
    threads_[i].number = static_cast<std::uint16_t>(i);
    threads_[i].barriers_waited = 0;
  }
}

/// "Active only" never waits for more threads than are left to come: one that ended counts as arrived. A named barrier
/// of a few threads is not completed by the end of others while enough are left.
bool EuGroup::arrived(std::uint64_t threads, std::uint32_t wanted, bool active_only) const {
  const auto count = [](std::uint64_t bits) { return static_cast<std::uint32_t>(std::popcount(bits)); };
  if (!active_only) return count(threads) >= wanted;
  const std::uint32_t from_the_dead = std::min(count(threads & ~live_), wanted);
  return count(threads & live_) >= std::min(wanted - from_the_dead, count(live_));
}

bool EuGroup::complete(const Barrier& barrier) const {
  return arrived(barrier.producers, barrier.producers_wanted, barrier.active_only) &&
         arrived(barrier.consumers, barrier.consumers_wanted, barrier.active_only);
}

void EuGroup::release(std::uint32_t id) {
  const std::uint32_t bit = 1u << id;
  for (EuThread& thread : threads()) {
    if (thread.state != EuThreadState::kAtBarrier || (thread.barriers_waited & bit) == 0) continue;
    thread.barriers_waited &= ~bit;
    if (thread.barriers_waited == 0) thread.state = EuThreadState::kReady;
  }
  barriers_[id] = {};
}

Status EuGroup::signal_barrier(EuThread& thread, const EuBarrierSignal& signal) {
  if (signal.id >= kEuBarriers) return fail(EINVAL, "a barrier beyond the 32 of a group");
  if (signal.role == EuBarrierSignal::Role::kReserved) return fail(EINVAL, "a barrier message of a reserved type");
  if (signal.producers == 0 && signal.consumers == 0) return fail(EINVAL, "a barrier that waits for no thread");
  Barrier& barrier = barriers_[signal.id];
  const std::uint64_t bit = std::uint64_t{1} << thread.number;
  if (signal.role != EuBarrierSignal::Role::kConsumer) barrier.producers |= bit;
  if (signal.role != EuBarrierSignal::Role::kProducer) barrier.consumers |= bit;
  barrier.producers_wanted = signal.producers;
  barrier.consumers_wanted = signal.consumers;
  barrier.active_only = signal.active_only;
  if (complete(barrier)) release(signal.id);
  return {};
}

Result<EuGroup::Wait> EuGroup::wait_barrier(EuThread& thread, std::uint32_t id) {
  if (id >= kEuBarriers) return fail(EINVAL, "a barrier beyond the 32 of a group");
  if ((barriers_[id].consumers >> thread.number & 1) == 0) return Wait::kPass;
  thread.state = EuThreadState::kAtBarrier;
  thread.barriers_waited |= 1u << id;
  return Wait::kBlock;
}

void EuGroup::thread_ended(const EuThread& thread) {
  live_ &= ~(std::uint64_t{1} << thread.number);
  for (std::uint32_t id = 0; id < kEuBarriers; ++id) {
    if (barriers_[id].used() && complete(barriers_[id])) release(id);
  }
}

EuStop EuGroup::run_next(EuThreadRunner& runner, std::uint64_t instructions_max) {
  if (ended()) return {.kind = EuStopKind::kEnded};
  std::uint32_t looked = 0;
  while (threads_[next_].state != EuThreadState::kReady) {
    if (++looked == shape_.threads) return {.kind = EuStopKind::kBarrier};
    next_ = (next_ + 1) % shape_.threads;
  }
  EuThread& thread = threads_[next_];
  const std::uint64_t before = thread.instructions;
  const EuStop stop = runner.run(thread, *this, instructions_max);
  instructions_ += thread.instructions - before;
  switch (stop.kind) {
    case EuStopKind::kEnded:
      thread.state = EuThreadState::kEnded;
      thread_ended(thread);
      break;
    case EuStopKind::kBarrier:
    case EuStopKind::kBudget: break;
    case EuStopKind::kFault:
    case EuStopKind::kIllegal:
    case EuStopKind::kUnsupported: return stop;
  }
  next_ = (next_ + 1) % shape_.threads;
  return {.kind = ended() ? EuStopKind::kEnded : EuStopKind::kBudget};
}

}  // namespace softxe
