// Jobs and queues: submission, start, completion, reset, time-outs, group modes, pauses.
#include <algorithm>

#include "base/log.h"
#include "base/step.h"
#include "drv/exec/engine_state.h"
#include "drv/exec/queue_state.h"
#include "drv/exec/scheduler.h"

namespace softxe {

namespace {

/// The driver adds 5 % to the context's run time before it compares (spec/uapi.md 13, rule 4).
constexpr std::uint64_t kTimeoutNumerator = 105;
constexpr std::uint64_t kTimeoutDenominator = 100;

struct CauseFacts {
  const char* name;
  int error;  ///< of the fence of the job that had started
};

CauseFacts facts_of(Scheduler::ResetCause cause) {
  switch (cause) {
    case Scheduler::ResetCause::kKilled: return {"killed", ECANCELED};
    case Scheduler::ResetCause::kFault: return {"page fault", EIO};
    case Scheduler::ResetCause::kBadCommand: return {"bad command", EIO};
    case Scheduler::ResetCause::kBadKernel: return {"illegal or unsupported kernel", EIO};
    case Scheduler::ResetCause::kTimeout: return {"job time-out", ETIME};
    case Scheduler::ResetCause::kGtReset: return {"GT reset", EIO};
    case Scheduler::ResetCause::kGroup: return {"another queue of its group", ECANCELED};
  }
  return {"unknown", EIO};
}

}  // namespace

// ---- submission ----------------------------------------------------------------------------------

Status Scheduler::check_submit(const ExecQueue& queue) const {
  Guard hold(lock());
  return may_submit(state_of(queue));
}

Status Scheduler::may_submit(const QueueState& queue) const {
  if (queue.reset() || stopping_) return fail(ECANCELED, "the queue was reset or killed");
  if (queue.jobs.size() >= ExecQueue::kJobsMax) return fail(EAGAIN, "1000 jobs are outstanding");
  return {};
}

Status Scheduler::submit(Submission what, const JobSyncs& syncs) {
  SX_TRY_VOID(SX_STEP("drv.exec.submit"));
  ExecVm& vm = *what.queue->vm();
  const ExecQueue& queue = *what.queue;
  const auto job = std::make_shared<Job>(std::move(what));  // keeps the queue
  {
    Guard hold(lock());
    QueueState& state = state_of(queue);
    SX_TRY_VOID(may_submit(state));
    state.jobs.push_back(job);
    state.last = job->done;
  }
  if (vm.mode() == VmMode::kDmaFence) vm.jobs.add(job->done);
  syncs.install(job->done);
  all_of(syncs.in_fences())->on_signal([weak = weak_from_this(), job] {
    if (const auto self = weak.lock()) self->job_ready(job);
  });
  return {};
}

FencePtr Scheduler::last_fence(const ExecQueue& queue) const {
  {
    Guard hold(lock());
    const QueueState& state = state_of(queue);
    if (state.last != nullptr) return state.last;
  }
  return Fence::signalled_stub();
}

void Scheduler::job_ready(const JobPtr& job) {
  After after;
  {
    Guard hold(lock());
    job->ready = true;
    if (job->queue == nullptr) return;  // cancelled meanwhile
    start_front(state_of(*job->queue), after);
  }
  pay(after);
}

void Scheduler::start_front(QueueState& queue, After& after) {
  if (queue.reset() || queue.jobs.empty()) return;
  Job& job = *queue.jobs.front();
  if (!job.ready || job.left != 0) return;
  const std::uint64_t now = config_.clock.now_ns();
  const std::vector<EngineState*> engines = place(queue.facts);
  job.left = queue.facts.width;
  job.batches_left.store(queue.facts.width);
  enter_group(job, engines.front()->group);
  for (unsigned i = 0; i < queue.facts.width; ++i) {
    queue.contexts[i]->stage = QueueContext::Stage::kToBegin;
    queue.contexts[i]->endless = false;
    enqueue(*queue.contexts[i], *engines[i], after);
  }
  if (queue.facts.vm->mode() == VmMode::kDmaFence) {
    job.next_check_ns = now + job_timeout_ns(queue.facts);
    job.run_time_checked_ns = ~0ull;
  }
}

// ---- engine groups (spec/uapi.md 11) -------------------------------------------------------------

void Scheduler::enter_group(Job& job, EngineGroup& group) {
  const EventScope enters(job.cause);
  switch (job.queue->vm()->mode()) {
    case VmMode::kDmaFence:
      job.in_group = true;
      if (group.dma_jobs++ == 0) suspend_fault_queues(group);
      return;
    case VmMode::kPreemptFence:
      // Suspends what runs; the resume waits for dma-fence jobs only, so it follows at once.
      if (group.dma_jobs == 0) suspend_fault_queues(group);
      return;
    case VmMode::kFault:
      if (group.dma_jobs == 0) return;
      config_.counters.count({.kind = EventKind::kQueueMode, .cause = EventCause::kWait});
      job.gated_since_ns = config_.clock.now_ns();
      return;
  }
}

void Scheduler::suspend_fault_queues(EngineGroup& group) {
  for (QueueState* queue : group.fault_queues) {
    const bool active = !queue->jobs.empty() && queue->jobs.front()->left != 0;
    config_.counters.count({.kind = EventKind::kQueueMode, .cause = active ? EventCause::kSuspend : EventCause::kSkip});
    queue->stop_slices();
  }
  if (group.fault_running != 0) group.suspend_since_ns = config_.clock.now_ns();
}

void Scheduler::leave_group(Job& job, After& after) {
  if (!job.in_group) return;
  job.in_group = false;
  EngineGroup& group = group_of_queue(job.queue->facts());
  if (--group.dma_jobs == 0) wake_group(group, after);
}

/// A context came back from a slice: who waited for that?
void Scheduler::left_slice(EngineState& engine, QueueContext& context, After& after) {
  VmState& vm = *context.queue.vm;
  if (--vm.running == 0 && vm.pauses != 0) after.notify_pausers = true;
  EngineGroup& group = engine.group;
  if (context.queue.facts.vm->mode() != VmMode::kFault || --group.fault_running != 0) return;
  if (group.suspend_since_ns != 0) {
    config_.counters.add(Counter::hw_engine_group_suspend_lr_queue_us,
                         (config_.clock.now_ns() - group.suspend_since_ns) / 1000);
    group.suspend_since_ns = 0;
  }
  if (group.dma_jobs != 0) wake_group(group, after);
}

// ---- completion and reset ------------------------------------------------------------------------

void Scheduler::position_done(QueueContext& context, After& after) {
  QueueState& queue = context.queue;
  after.notify_waiters = true;
  const JobPtr job = queue.jobs.front();
  if (--job->left != 0) return;
  leave_group(*job, after);
  queue.jobs.pop_front();
  after.done.emplace_back(job, 0);
}

void Scheduler::reset(ExecQueue& queue, ResetCause cause) {
  After after;
  {
    Guard hold(lock());
    reset_locked(state_of(queue), cause, after);
  }
  pay(after);
}

void Scheduler::reset_locked(QueueState& queue, ResetCause cause, After& after) {
  if (queue.reset()) return;
  const QueueGroupPtr group = queue.facts.group;
  const bool killed = cause == ResetCause::kKilled;
  const bool all = group != nullptr && (!killed || queue.facts.role == GroupRole::kPrimary);
  if (all) group->gone.store(true, std::memory_order_relaxed);
  reset_one(queue, cause, after);
  if (!all) return;
  // A reset of the GT is nobody's doing: it hits whoever had started.
  const ResetCause of_others = killed || cause == ResetCause::kGtReset ? cause : ResetCause::kGroup;
  for (QueueState* member : group->members) reset_one(*member, of_others, after);
}

/// Jobs complete when no context is on an engine any more: their fences promise that the GPU is done
/// with the memory.
void Scheduler::reset_one(QueueState& queue, ResetCause cause, After& after) {
  if (queue.reset()) return;
  queue.shown.reset.store(true, std::memory_order_release);
  queue.first_error = facts_of(cause).error;
  if (cause != ResetCause::kKilled) {
    config_.counters.count({.err = static_cast<std::uint16_t>(facts_of(cause).error), .kind = EventKind::kBan});
    SX_INFO("queue on {} gt{} banned: {}", engine_class_name(queue.facts.cls), queue.facts.gt, facts_of(cause).name);
  }
  const std::uint64_t now = config_.clock.now_ns();
  const bool own_doing =
      cause == ResetCause::kFault || cause == ResetCause::kBadCommand || cause == ResetCause::kBadKernel;
  if (own_doing && queue.vm->first_ban_ns == 0) queue.vm->first_ban_ns = now;
  if (own_doing || cause == ResetCause::kTimeout) after.hung = true;
  for (const auto& context : queue.contexts) {
    context->stop.store(true, std::memory_order_release);
    if (context->state != QueueContext::State::kQueued) continue;
    context->switch_out(now);
    std::erase(context->engine->run_queue, context.get());
    context->state = QueueContext::State::kIdle;
    drop_current(*context, Leaves::kForGood, nullptr, after);
    const QueueGroup* const group = queue.facts.group.get();
    if (group != nullptr) wake_members(*group, Leaves::kWaits, nullptr, after);  // whom it outranked
  }
  after.notify_waiters = true;
  if (!queue.running()) cancel_jobs(queue, after);
}

void Scheduler::cancel_jobs(QueueState& queue, After& after) {
  bool first = true;
  for (const JobPtr& job : queue.jobs) {
    leave_group(*job, after);
    after.done.emplace_back(job, first && job->started ? queue.first_error : ECANCELED);
    first = false;
  }
  queue.jobs.clear();
  after.notify_waiters = true;
}

void Scheduler::reset_vm(const ExecVm& vm, ResetCause cause) {
  After after;
  {
    Guard hold(lock());
    for (QueueState& queue : queues_)
      if (queue.facts.vm.get() == &vm) reset_locked(queue, cause, after);
  }
  pay(after);
}

void Scheduler::reset_gt(std::uint16_t gt) {
  const EventScope asked(emit({.kind = EventKind::kTask}));
  After after;
  {
    Guard hold(lock());
    for (QueueState& queue : queues_) {
      const bool hit = queue.facts.gt == gt && !queue.jobs.empty() && queue.jobs.front()->started;
      if (hit) reset_locked(queue, ResetCause::kGtReset, after);
    }
  }
  pay(after);
}

void Scheduler::reset_all() {
  const EventScope asked(emit({.kind = EventKind::kTask}));
  After after;
  {
    Guard hold(lock());
    for (QueueState& queue : queues_) reset_locked(queue, ResetCause::kKilled, after);
  }
  pay(after);
}

bool Scheduler::gt_idle(std::uint16_t gt) const {
  Guard hold(lock());
  for (const auto& engine : engines_)
    if (engine->fact.gt == gt && engine->load() != 0) return false;
  return true;
}

std::uint64_t Scheduler::job_timeout_ns(const QueueFacts& facts) const {
  const ClassLimits& limits = limits_[static_cast<std::size_t>(facts.cls)];
  return std::uint64_t{limits.job_timeout_ms.load(std::memory_order_relaxed)} * 1'000'000;
}

/// Rules 3 to 5 of spec/uapi.md 13; rule 2 cannot apply, because an engine picks every job in turn. Checked
/// at the end of a slice: a job that gets none is not running either.
void Scheduler::check_timeout(QueueState& queue, std::uint64_t now_ns, After& after) {
  Job& job = *queue.jobs.front();
  if (job.next_check_ns == 0 || now_ns < job.next_check_ns) return;
  const std::uint64_t timeout_ns = job_timeout_ns(queue.facts);
  const std::uint64_t ran = queue.contexts.front()->run_time(now_ns) - job.run_time_at_start_ns;
  const bool too_long = ran * kTimeoutNumerator / kTimeoutDenominator >= timeout_ns;
  const bool hung = ran == job.run_time_checked_ns;
  if (too_long || hung) {
    return reset_locked(queue, ResetCause::kTimeout, after);
  }
  job.run_time_checked_ns = ran;
  job.next_check_ns = now_ns + timeout_ns;
}

/// A long-running VM has no job time-outs, and queues of one VM wait for each other in semaphores: what waits for a
/// value that a banned queue was to write would wait for ever, and its program with it. Waiting for the whole time-out
/// of its class after the ban, with nothing done in between, ends such a queue as well.
void Scheduler::check_orphan(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) {
  QueueState& queue = context.queue;
  if (queue.reset()) return;
  const std::uint64_t progress = context.hw->progress();
  if (end != SliceEnd::kYield || progress != context.progress_seen || context.progress_ns == 0) {
    context.progress_seen = progress;
    context.progress_ns = now_ns;
    return;
  }
  const VmState& vm = *queue.vm;
  if (vm.first_ban_ns == 0 || queue.facts.vm->mode() == VmMode::kDmaFence) return;
  const std::uint64_t timeout_ns = job_timeout_ns(queue.facts);
  if (now_ns - std::max(vm.first_ban_ns, context.progress_ns) >= timeout_ns) {
    reset_locked(queue, ResetCause::kTimeout, after);
  }
}

// ---- pauses --------------------------------------------------------------------------------------

bool Scheduler::busy(const ExecVm& vm) const {
  Guard hold(lock());
  for (const QueueState& queue : queues_)
    if (queue.facts.vm.get() == &vm && !queue.jobs.empty()) return true;
  return false;
}

void Scheduler::pause(ExecVm& vm) {
  Guard hold(lock());
  VmState& state = state_of(vm);
  state.pauses += 1;
  for (QueueState& queue : queues_)
    if (queue.vm == &state) queue.stop_slices();
  pausers_.wait(lock(), [&] {
    lock().assert_held();
    return state.running == 0;
  });
}

void Scheduler::resume(ExecVm& vm) {
  After after;
  {
    Guard hold(lock());
    VmState& state = state_of(vm);
    SX_ASSERT(state.pauses != 0);
    state.pauses -= 1;
    for (const auto& engine : engines_)
      if (!engine->run_queue.empty()) wake(*engine, after);
  }
  pay(after);
}

}  // namespace softxe
