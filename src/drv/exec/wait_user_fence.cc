#include "drv/exec/wait_user_fence.h"

#include <limits>

#include "drv/exec/exec_queue.h"

namespace softxe {

namespace {

bool holds(const WaitUserFenceRequest& request, std::uint64_t word) {
  const std::uint64_t left = word & request.mask;
  const std::uint64_t right = request.value & request.mask;
  switch (request.op) {
    case CompareOp::kEq: return left == right;
    case CompareOp::kNeq: return left != right;
    case CompareOp::kGt: return left > right;
    case CompareOp::kGte: return left >= right;
    case CompareOp::kLt: return left < right;
    case CompareOp::kLte: return left <= right;
  }
  return false;
}

/// When to give up. A zero or past absolute time still allows a tick; a relative zero tests once.
Deadline deadline_of(const WaitUserFenceRequest& request, const Clock& clock) {
  if (request.timeout_ns < 0) return Deadline::never();
  const auto timeout_ns = static_cast<std::uint64_t>(request.timeout_ns);
  if (request.timeout_kind == TimeoutKind::kRelative) return Deadline::after(clock, timeout_ns);
  if (timeout_ns == 0) return Deadline::poll();
  if (timeout_ns <= clock.now_ns()) return Deadline::after(clock, kUserFenceTickNs);
  return Deadline{timeout_ns};
}

/// What the client finds in `timeout` afterwards.
std::int64_t timeout_left(const WaitUserFenceRequest& request, std::uint64_t spent_ns) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (request.timeout_kind == TimeoutKind::kAbsolute) return request.timeout_ns < 0 ? kMax : request.timeout_ns;
  const std::int64_t given = request.timeout_ns < 0 ? kMax : request.timeout_ns;
  const auto spent = static_cast<std::int64_t>(spent_ns);
  return spent >= given ? 0 : given - spent;
}

Status wait_loop(const WaitUserFenceRequest& request, const ExecQueue* queue, const UserWordReader& read,
                 UserFenceWaiters& waiters, WaitContext& context) {
  const Deadline deadline = deadline_of(request, context.clock);
  std::uint64_t pause_ns = kUserFencePollFirstNs;
  for (;;) {
    const std::uint64_t seen = waiters.generation();
    // Looked at before the compare: a deadline that passes in between gets its last compare.
    const bool last_look = deadline.passed(context.clock);
    SX_TRY(const std::uint64_t word, read(request.address));
    if (holds(request, word)) return {};
    if (context.interrupted()) return fail(EINTR, "wait for a user fence interrupted");
    if (queue != nullptr && queue->reset()) return fail(EIO, "the queue of the fence was reset");
    if (last_look) return fail(ETIME, "user fence not reached in time");
    const std::uint64_t until = context.clock.now_ns() + pause_ns;
    if (!waiters.sleep(context, seen, std::min(until, deadline.at_ns)))
      return fail(deadline.at_ns == Deadline::kNever ? EDEADLK : ETIME,
                  "nothing is left that could reach the user fence");
    pause_ns = std::min(pause_ns * 2, kUserFencePollMaxNs);
  }
}

}  // namespace

void UserFenceWaiters::notify() {
  generation_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) != 0) monitor_.update([] {});
}

bool UserFenceWaiters::sleep(WaitContext& context, std::uint64_t seen, std::uint64_t until_ns) {
  if (context.step) return context.step();
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  // A time-out here is only the next look.
  static_cast<void>(
      monitor_.wait(context, Deadline{until_ns}, [&] { return generation_.load(std::memory_order_seq_cst) != seen; }));
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  return true;
}

WaitUserFenceAnswer wait_user_fence(const WaitUserFenceRequest& request, const std::shared_ptr<ExecQueue>& queue,
                                    const UserWordReader& read, UserFenceWaiters& waiters, WaitContext& context) {
  const std::uint64_t began_ns = context.clock.now_ns();
  WaitUserFenceAnswer answer;
  answer.status = wait_loop(request, queue.get(), read, waiters, context);
  answer.timeout_ns = timeout_left(request, context.clock.now_ns() - began_ns);
  return answer;
}

}  // namespace softxe
