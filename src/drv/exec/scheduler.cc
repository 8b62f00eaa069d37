#include "drv/exec/scheduler.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/step.h"

namespace softxe {

namespace {

/// A context that lost this often against a higher priority goes first once.
constexpr std::uint32_t kPassedOverMax = 8;

/// Of the ends that ban a queue.
std::optional<Scheduler::ResetCause> cause_of(SliceEnd end) {
  switch (end) {
    case SliceEnd::kFault: return Scheduler::ResetCause::kFault;
    case SliceEnd::kBadCommand: return Scheduler::ResetCause::kBadCommand;
    case SliceEnd::kBadKernel: return Scheduler::ResetCause::kBadKernel;
    default: return std::nullopt;
  }
}

bool may_move(const ExecQueue& queue, std::uint32_t logical_mask) {
  return queue.width() == 1 && std::popcount(logical_mask) > 1;
}

}  // namespace

GroupKind group_of(EngineClass cls) {
  switch (cls) {
    case EngineClass::kCopy: return GroupKind::kCopy;
    case EngineClass::kRender:
    case EngineClass::kCompute: return GroupKind::kRenderCompute;
    default: return GroupKind::kVideo;
  }
}

// ---- Engine --------------------------------------------------------------------------------------

bool Engine::run_once() {
  Pick pick;
  if (!scheduler_.pick(*this, pick)) {
    backend_->detach();
    return false;
  }
  const EventScope runs(scheduler_.note_begin(*this, pick));
  const SliceEnd end = scheduler_.run_slice(*this, pick);
  scheduler_.finish_slice(*this, pick, end);
  return true;
}

void Engine::work() {
  for (;;) {
    const bool ran = run_once();
    const auto what = ran ? Scheduler::Ran::kSlice : Scheduler::Ran::kNothing;
    if (scheduler_.rest(*this, what) == Scheduler::Rest::kEnd) return;
  }
}

// ---- construction --------------------------------------------------------------------------------

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config) {
  for (const EngineFact& fact : config_.profile.engines) {
    const GroupKind kind = group_of(fact.cls);
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const auto& g) { return g->gt == fact.gt && g->kind == kind; });
    if (group == groups_.end()) {
      groups_.push_back(std::make_unique<EngineGroup>());
      groups_.back()->gt = fact.gt;
      groups_.back()->kind = kind;
      group = groups_.end() - 1;
    }
    EngineId id{.engine_class = static_cast<std::uint8_t>(fact.cls),
                .instance = static_cast<std::uint8_t>(fact.instance),
                .gt = static_cast<std::uint8_t>(fact.gt)};
    for (const GtFact& gt : config_.profile.gts)
      if (gt.id == fact.gt) id.tile = static_cast<std::uint8_t>(gt.tile);
    engines_.push_back(
        std::make_unique<Engine>(*this, fact, id, **group, config_.backends.make_engine(id), config_.starter));
  }
}

Scheduler::~Scheduler() { stop(); }

void Scheduler::make_contexts(ExecQueue& queue) {
  const unsigned first = static_cast<unsigned>(std::countr_zero(queue.logical_mask_));
  for (unsigned i = 0; i < queue.width_; ++i) {
    auto context = std::make_unique<QueueContext>();
    context->queue = &queue;
    context->position = i;
    context->hw = config_.backends.make_context(engine_at(queue, first + i).id());
    queue.contexts_.push_back(std::move(context));
  }
}

Status Scheduler::attach(ExecQueue& queue) {
  make_contexts(queue);
  Guard hold(lock_);
  if (queue.group_ != nullptr) SX_TRY_VOID(join(queue));
  enter(queue);
  return {};
}

void Scheduler::attach_inherited(ExecQueue& queue) {
  make_contexts(queue);
  Guard hold(lock_);
  enter(queue);
}

void Scheduler::enter(ExecQueue& queue) {
  queue.scheduler_ = weak_from_this();
  queues_.insert(&queue);
  if (queue.vm_->mode() == VmMode::kFault) group_of_queue(queue).fault_queues.push_back(&queue);
  QueueGroup* group = queue.group_.get();
  if (group == nullptr) return;
  group->members.push_back(&queue);
  if (queue.group_priority() == QueuePriority::kHigh) group->high += 1;
  if (group->gone.load(std::memory_order_relaxed)) queue.reset_.store(true, std::memory_order_release);
}

void Scheduler::forget(ExecQueue& queue) {
  Guard hold(lock_);
  queues_.erase(&queue);
  if (queue.vm_->mode() == VmMode::kFault) std::erase(group_of_queue(queue).fault_queues, &queue);
  QueueGroup* group = queue.group_.get();
  if (group == nullptr) return;
  std::erase(group->members, &queue);
  if (queue.group_priority() == QueuePriority::kHigh) group->high -= 1;
}

Engine& Scheduler::engine_at(const ExecQueue& queue, unsigned instance) const {
  const auto found = std::find_if(engines_.begin(), engines_.end(), [&](const auto& engine) {
    const EngineFact& fact = engine->fact();
    return fact.gt == queue.gt_ && fact.cls == queue.cls_ && fact.instance == instance;
  });
  SX_ASSERT(found != engines_.end());  // the decoder lets only existing engines through
  return **found;
}

EngineGroup& Scheduler::group_of_queue(const ExecQueue& queue) const {
  return engine_at(queue, static_cast<unsigned>(std::countr_zero(queue.logical_mask_))).group_;
}

// ---- choosing ------------------------------------------------------------------------------------

std::size_t Scheduler::load(const Engine& engine) {
  return engine.run_queue_.size() + (engine.running_ != nullptr ? 1 : 0);
}

/// Engines for the positions of a job that starts: the allowed places with the least to do.
std::vector<Engine*> Scheduler::place(const ExecQueue& queue) const {
  std::vector<Engine*> best;
  std::size_t best_load = 0;
  for (unsigned first = 0; first < 32; ++first) {
    if (!(queue.logical_mask_ & 1u << first)) continue;
    std::vector<Engine*> engines;
    std::size_t sum = 0;
    for (unsigned i = 0; i < queue.width_; ++i) {
      engines.push_back(&engine_at(queue, first + i));
      sum += load(*engines.back());
    }
    if (best.empty() || sum < best_load) {
      best = std::move(engines);
      best_load = sum;
    }
  }
  return best;
}

bool Scheduler::eligible(const QueueContext& context, const EngineGroup& group) const {
  return may_run(context, group) && !outranked(context);
}

/// But for the order inside a multi-queue group.
bool Scheduler::may_run(const QueueContext& context, const EngineGroup& group) const {
  const ExecVm& vm = *context.queue->vm_;
  const QueueGroup* const members = context.queue->group_.get();
  if (members != nullptr && members->current != nullptr && members->current != &context) return false;
  if (vm.pauses_ != 0) return false;
  switch (vm.mode()) {
    case VmMode::kFault: return group.dma_jobs == 0;
    case VmMode::kDmaFence: return group.fault_running == 0;
    case VmMode::kPreemptFence: return true;
  }
  return true;
}

std::uint64_t Scheduler::timeslice_ns(const ExecQueue& queue) const {
  const std::uint32_t us = queue.properties_.timeslice_us.value_or(
      limits_[static_cast<std::size_t>(queue.cls_)].timeslice_us.load(std::memory_order_relaxed));
  return std::uint64_t{us} * 1000;
}

QueueContext* Scheduler::choose(Engine& engine, std::uint64_t now_ns) {
  QueueContext* resident = engine.resident_;
  const bool keeps =
      config_.policy == ExecPolicy::kThreads && resident != nullptr &&
      resident->state == QueueContext::State::kQueued && resident->mood != QueueContext::Mood::kYielded &&
      now_ns - engine.slice_began_ns_ < timeslice_ns(*resident->queue) && eligible(*resident, engine.group_);
  QueueContext* oldest = nullptr;
  QueueContext* highest = nullptr;
  for (QueueContext* context : engine.run_queue_) {
    if (!eligible(*context, engine.group_)) continue;
    if (oldest == nullptr) oldest = highest = context;
    if (context->queue->properties_.priority > highest->queue->properties_.priority) highest = context;
  }
  QueueContext* chosen = keeps ? resident : highest;
  if (!keeps && oldest != highest && ++oldest->passed_over > kPassedOverMax) chosen = oldest;
  if (chosen == nullptr) return steal(engine, now_ns);
  chosen->passed_over = 0;
  std::erase(engine.run_queue_, chosen);
  return chosen;
}

/// An engine with nothing to do takes a waiting context of a virtual queue from a sibling.
QueueContext* Scheduler::steal(Engine& thief, std::uint64_t now_ns) {
  for (const auto& victim : engines_) {
    if (victim.get() == &thief || &victim->group_ != &thief.group_ || load(*victim) < 2) continue;
    for (QueueContext* context : victim->run_queue_) {
      const ExecQueue& queue = *context->queue;
      if (!may_move(queue, queue.logical_mask_) || queue.cls_ != thief.fact_.cls) continue;
      if (!(queue.logical_mask_ & 1u << thief.fact_.instance)) continue;
      if (!eligible(*context, thief.group_)) continue;
      switch_out(*context, now_ns);
      std::erase(victim->run_queue_, context);
      context->engine = &thief;
      return context;
    }
  }
  return nullptr;
}

// ---- residency and time --------------------------------------------------------------------------

void Scheduler::account_busy(Engine& engine, std::uint64_t now_ns) {
  if (engine.resident_ != nullptr) engine.busy_ns_.fetch_add(now_ns - engine.busy_mark_ns_, std::memory_order_relaxed);
  engine.busy_mark_ns_ = now_ns;
}

void Scheduler::switch_out(QueueContext& context, std::uint64_t now_ns) {
  if (context.engine == nullptr || context.engine->resident_ != &context) return;
  account_busy(*context.engine, now_ns);
  context.run_time_ns += now_ns - context.resident_since_ns;
  context.engine->resident_ = nullptr;
}

void Scheduler::make_resident(Engine& engine, QueueContext& context, std::uint64_t now_ns) {
  account_busy(engine, now_ns);
  if (engine.resident_ != &context) {
    if (engine.resident_ != nullptr) switch_out(*engine.resident_, now_ns);
    engine.resident_ = &context;
    context.resident_since_ns = now_ns;
    engine.slice_began_ns_ = now_ns;
  } else if (now_ns - engine.slice_began_ns_ >= timeslice_ns(*context.queue)) {
    engine.slice_began_ns_ = now_ns;
  }
}

std::uint64_t Scheduler::run_time(const QueueContext& context, std::uint64_t now_ns) const {
  const bool resident = context.engine != nullptr && context.engine->resident_ == &context;
  return context.run_time_ns + (resident ? now_ns - context.resident_since_ns : 0);
}

// ---- slices --------------------------------------------------------------------------------------

bool Scheduler::pick(Engine& engine, Engine::Pick& pick) {
  Guard hold(lock_);
  const std::uint64_t now = config_.clock.now_ns();
  QueueContext* context = choose(engine, now);
  engine.found_nothing_ = context == nullptr;
  if (context == nullptr) {
    if (engine.resident_ != nullptr) switch_out(*engine.resident_, now);
    return false;
  }
  ExecQueue& queue = *context->queue;
  SX_ASSERT(!queue.jobs_.empty() && !queue.reset());
  make_resident(engine, *context, now);
  context->state = QueueContext::State::kRunning;
  context->stop.store(false, std::memory_order_relaxed);
  engine.running_ = context;
  make_current(*context);
  queue.vm_->running_ += 1;
  if (queue.vm_->mode() == VmMode::kFault) engine.group_.fault_running += 1;

  Job& job = *queue.jobs_.front();
  if (!job.started) {
    job.started = true;
    job.run_time_at_start_ns = run_time(*queue.contexts_.front(), now);
  }
  if (job.gated_since_ns != 0) {
    config_.counters.add(Counter::hw_engine_group_wait_dma_queue_us, (now - job.gated_since_ns) / 1000);
    job.gated_since_ns = 0;
  }
  const bool threads = config_.policy == ExecPolicy::kThreads;
  const bool polling = context->mood == QueueContext::Mood::kPolling;
  pick.context = context;
  pick.job = queue.jobs_.front();
  pick.vm = queue.vm_;
  pick.limits = {.commands_max = threads ? kSliceCommandsThreads : kSliceCommandsManual,
                 .deadline_ns = now + (polling ? kPollSliceNs : kSliceNs),
                 .run_time_ns = run_time(*context, now),
                 .instructions_max = threads ? ~std::uint64_t{0} : kStepInstructionsManual};
  return true;
}

std::uint64_t Scheduler::note_begin(const Engine& engine, Engine::Pick& pick) {
  QueueContext& context = *pick.context;
  if (!context.begin) return context.began;
  const EngineFact& where = engine.fact();
  context.began = config_.counters.count(
      {.parent = pick.job->cause,
       .address = pick.job->batches[context.position].value(),
       .word = event_word(static_cast<std::uint64_t>(where.cls), where.instance | std::uint64_t{where.gt} << 8),
       .kind = EventKind::kJobBegin});
  return context.began;
}

SliceEnd Scheduler::run_slice(Engine& engine, Engine::Pick& pick) {
  SX_MARK("drv.exec.slice");
  QueueContext& context = *pick.context;
  if (context.begin) {
    context.hw->start_batch(pick.job->batches[context.position]);
    context.begin = false;
    context.batch_done = false;
  }
  if (!context.batch_done) {
    const SliceEnd end = engine.backend_->run(*context.hw, pick.vm, pick.limits, context.stop);
    if (end != SliceEnd::kDone) return end;
    context.batch_done = true;
    // Whoever sees the fence may unbind what the batches use: all of them must have ended.
    context.ended_last = pick.job->batches_left.fetch_sub(1) == 1;
  }
  if (!pick.job->user_fence || !context.ended_last) return SliceEnd::kDone;
  // Killed: never write. Paused: write when the VM's mappings are right again.
  if (context.stop.load(std::memory_order_acquire)) return SliceEnd::kBudget;
  const SyncUserFence& fence = *pick.job->user_fence;
  return engine.backend_->store64(pick.vm, GpuVa(fence.address), fence.value);
}

void Scheduler::finish_slice(Engine& engine, Engine::Pick& pick, SliceEnd end) {
  After after;
  {
    Guard hold(lock_);
    const std::uint64_t now = config_.clock.now_ns();
    QueueContext& context = *pick.context;
    ExecQueue& queue = *context.queue;
    account_busy(engine, now);
    engine.running_ = nullptr;
    context.state = QueueContext::State::kIdle;
    left_slice(engine, context, after);
    queue.run_time_shown_.store(run_time(*queue.contexts_.front(), now), std::memory_order_relaxed);
    end_turn(context, end, engine, after);
    if (queue.reset()) {
      switch_out(context, now);
      if (!running(queue)) cancel_jobs(queue, after);
    } else if (end == SliceEnd::kDone) {
      config_.counters.count({.word = context.began, .kind = EventKind::kJobEnd});
      switch_out(context, now);
      position_done(context, after);
    } else if (const auto cause = cause_of(end)) {
      switch_out(context, now);
      reset_locked(queue, *cause, after);
    } else {
      requeue(context, end, now, after);
      check_timeout(queue, now, after);
      check_orphan(context, end, now, after);
    }
    if (end != SliceEnd::kYield && end != SliceEnd::kPolling) {
      engine.backoff_ns_ = engine.rest_ns_ = 0;
      engine.yields_in_row_ = 0;
    }
  }
  pay(after);
}

void Scheduler::requeue(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) {
  Engine& here = *context.engine;
  ExecQueue& queue = *context.queue;
  context.state = QueueContext::State::kQueued;
  context.mood = end == SliceEnd::kPolling ? QueueContext::Mood::kPolling
                 : end == SliceEnd::kYield ? QueueContext::Mood::kYielded
                                           : QueueContext::Mood::kBusy;
  if (may_move(queue, queue.logical_mask_)) {
    Engine& there = *place(queue).front();
    if (load(there) < load(here)) {
      switch_out(context, now_ns);
      const auto mood = context.mood;
      enqueue(context, there, after);
      context.mood = mood;
      return;
    }
  }
  here.run_queue_.push_back(&context);
  back_off(here, end);
}

/// A resident spinner, or a round of nothing but unsatisfied semaphores: sleep before the next look.
void Scheduler::back_off(Engine& engine, SliceEnd end) {
  engine.rest_ns_ = 0;
  if (end == SliceEnd::kYield) {
    // What cannot run now, as the members of a group that another engine runs, is no part of the round.
    const auto round = std::count_if(engine.run_queue_.begin(), engine.run_queue_.end(), [&](const auto* context) {
      lock_.assert_held();
      return may_run(*context, engine.group_);
    });
    if (++engine.yields_in_row_ < static_cast<std::size_t>(round)) return;
    engine.yields_in_row_ = 0;
  } else if (end != SliceEnd::kPolling) {
    return;
  }
  engine.backoff_ns_ = std::clamp(engine.backoff_ns_ * 2, kPollSleepFirstNs, kPollSleepMaxNs);
  engine.rest_ns_ = engine.backoff_ns_;
}

void Scheduler::enqueue(QueueContext& context, Engine& engine, After& after) {
  context.state = QueueContext::State::kQueued;
  context.mood = QueueContext::Mood::kBusy;
  context.engine = &engine;
  engine.run_queue_.push_back(&context);
  wake(engine, after);
}

// ---- workers -------------------------------------------------------------------------------------

void Scheduler::wake(Engine& engine, After& after) {
  engine.woken_ = true;
  if (config_.policy == ExecPolicy::kManual) return;
  if (engine.worker_alive_) {
    after.wake.push_back(&engine);
  } else if (!stopping_) {
    engine.worker_alive_ = true;
    engine.worker_.promise();
    after.start.push_back(&engine);
  }
}

void Scheduler::wake_group(const EngineGroup& group, After& after) {
  for (const auto& engine : engines_)
    if (&engine->group_ == &group && !engine->run_queue_.empty()) wake(*engine, after);
}

Scheduler::Rest Scheduler::rest(Engine& engine, Ran ran) {
  Guard hold(lock_);
  const std::uint64_t sleep_ns = ran == Ran::kSlice ? engine.rest_ns_ : kIdleExitNs;
  bool woken = true;
  if (sleep_ns != 0 && !stopping_) {
    woken = engine.wake_.wait_for(lock_, sleep_ns, [&] {
      lock_.assert_held();
      return engine.woken_ || stopping_;
    });
  }
  // A woken polling engine looks again soon: what woke it is likely what it waits for.
  if (woken && engine.woken_) engine.backoff_ns_ = 0;
  engine.woken_ = false;
  const bool idle_for_long = ran == Ran::kNothing && !woken;
  if (stopping_ ? engine.run_queue_.empty() : idle_for_long) {
    engine.worker_alive_ = false;
    return Rest::kEnd;
  }
  return Rest::kGoOn;
}

void Scheduler::pay(After& after) {
  for (const auto& [job, error] : after.done) job->done->signal(error);
  for (Engine* engine : after.start) engine->worker_.start_promised([engine] { engine->work(); });
  for (Engine* engine : after.wake) engine->wake_.notify_one();
  if (after.notify_pausers) pausers_.notify_all();
  if (after.notify_waiters) config_.waiters.notify();
  if (after.done.empty()) return;
  // The next job starts only now, so that fences of a queue signal in order.
  After further;
  std::vector<ExecQueuePtr> released;  // after the lock
  {
    Guard hold(lock_);
    for (const auto& [job, error] : after.done) {
      start_front(*job->queue, further);
      released.push_back(std::move(job->queue));
    }
  }
  pay(further);
}

bool Scheduler::run_once() {
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    Engine& engine = *engines_[turn_++ % engines_.size()];
    if (engine.run_once()) return true;
  }
  return false;
}

void Scheduler::stop() {
  After after;
  {
    Guard hold(lock_);
    stopping_ = true;
    for (ExecQueue* queue : queues_) reset_locked(*queue, ResetCause::kKilled, after);
    for (const auto& engine : engines_) wake(*engine, after);
  }
  pay(after);
  for (const auto& engine : engines_) engine->worker_.join();
}

}  // namespace softxe
