// Picking, slices, and what becomes of a context after one.
#include <algorithm>
#include <bit>
#include <optional>

#include "base/step.h"
#include "drv/exec/engine_state.h"
#include "drv/exec/queue_state.h"
#include "drv/exec/scheduler.h"

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

bool may_move(const QueueFacts& facts) { return facts.width == 1 && std::popcount(facts.logical_mask) > 1; }

}  // namespace

// ---- choosing ------------------------------------------------------------------------------------

/// Engines for the positions of a job that starts: the allowed places with the least to do.
std::vector<EngineState*> Scheduler::place(const QueueFacts& facts) const {
  std::vector<EngineState*> best;
  std::size_t best_load = 0;
  for (unsigned first = 0; first < 32; ++first) {
    if (!(facts.logical_mask & 1u << first)) continue;
    std::vector<EngineState*> engines;
    std::size_t sum = 0;
    for (unsigned i = 0; i < facts.width; ++i) {
      engines.push_back(&engine_at(facts, first + i));
      sum += engines.back()->load();
    }
    if (best.empty() || sum < best_load) {
      best = std::move(engines);
      best_load = sum;
    }
  }
  return best;
}

std::uint64_t Scheduler::timeslice_ns(const QueueFacts& facts) const {
  const std::uint32_t us = facts.properties.timeslice_us.value_or(
      limits_[static_cast<std::size_t>(facts.cls)].timeslice_us.load(std::memory_order_relaxed));
  return std::uint64_t{us} * 1000;
}

QueueContext* Scheduler::choose(EngineState& engine, std::uint64_t now_ns) {
  QueueContext* resident = engine.resident;
  const bool keeps =
      config_.policy == ExecPolicy::kThreads && resident != nullptr &&
      resident->state == QueueContext::State::kQueued && resident->mood != QueueContext::Mood::kYielded &&
      now_ns - engine.slice_began_ns < timeslice_ns(resident->queue.facts) && resident->eligible(engine.group);
  QueueContext* oldest = nullptr;
  QueueContext* highest = nullptr;
  for (QueueContext* context : engine.run_queue) {
    if (!context->eligible(engine.group)) continue;
    if (oldest == nullptr) oldest = highest = context;
    if (context->queue.facts.properties.priority > highest->queue.facts.properties.priority) highest = context;
  }
  QueueContext* chosen = keeps ? resident : highest;
  if (!keeps && oldest != highest && ++oldest->passed_over > kPassedOverMax) chosen = oldest;
  if (chosen == nullptr) return steal(engine, now_ns);
  chosen->passed_over = 0;
  std::erase(engine.run_queue, chosen);
  return chosen;
}

/// An engine with nothing to do takes a waiting context of a virtual queue from a sibling.
QueueContext* Scheduler::steal(EngineState& thief, std::uint64_t now_ns) {
  for (const auto& victim : engines_) {
    if (victim.get() == &thief || &victim->group != &thief.group || victim->load() < 2) continue;
    for (QueueContext* context : victim->run_queue) {
      const QueueState& queue = context->queue;
      if (!may_move(queue.facts) || queue.facts.cls != thief.fact.cls) continue;
      if (!(queue.facts.logical_mask & 1u << thief.fact.instance)) continue;
      if (!context->eligible(thief.group)) continue;
      context->switch_out(now_ns);
      std::erase(victim->run_queue, context);
      context->engine = &thief;
      return context;
    }
  }
  return nullptr;
}

// ---- slices --------------------------------------------------------------------------------------

Scheduler::Ran Scheduler::run_engine(EngineState& engine) {
  Pick pick;
  if (!this->pick(engine, pick)) {
    engine.backend->detach();
    return Ran::kNothing;
  }
  const EventScope runs(note_begin(engine, pick));
  const SliceEnd end = run_slice(engine, pick);
  finish_slice(engine, pick, end);
  return Ran::kSlice;
}

bool Scheduler::pick(EngineState& engine, Pick& pick) {
  Guard hold(lock());
  const std::uint64_t now = config_.clock.now_ns();
  QueueContext* context = choose(engine, now);
  engine.found_nothing = context == nullptr;
  if (context == nullptr) {
    if (engine.resident != nullptr) engine.resident->switch_out(now);
    return false;
  }
  QueueState& queue = context->queue;
  SX_ASSERT(!queue.jobs.empty() && !queue.reset());
  engine.make_resident(*context, now, timeslice_ns(queue.facts));
  context->state = QueueContext::State::kRunning;
  context->stop.store(false, std::memory_order_relaxed);
  engine.running = context;
  engine.at_rest = false;
  context->make_current();
  queue.vm->running += 1;
  if (queue.facts.vm->mode() == VmMode::kFault) engine.group.fault_running += 1;

  Job& job = *queue.jobs.front();
  if (!job.started) {
    job.started = true;
    job.run_time_at_start_ns = queue.contexts.front()->run_time(now);
  }
  if (job.gated_since_ns != 0) {
    config_.counters.add(Counter::hw_engine_group_wait_dma_queue_us, (now - job.gated_since_ns) / 1000);
    job.gated_since_ns = 0;
  }
  const bool threads = config_.policy == ExecPolicy::kThreads;
  const bool polling = context->mood == QueueContext::Mood::kPolling;
  pick.context = context;
  pick.job = queue.jobs.front();
  pick.vm = queue.facts.vm;
  pick.epoch = epoch_;
  pick.progress = context->hw->progress();
  pick.limits = {.commands_max = threads ? kSliceCommandsThreads : kSliceCommandsManual,
                 .deadline_ns = now + (polling ? kPollSliceNs : kSliceNs),
                 .run_time_ns = context->run_time(now),
                 .instructions_max = threads ? ~std::uint64_t{0} : kStepInstructionsManual};
  return true;
}

std::uint64_t Scheduler::note_begin(const EngineState& engine, Pick& pick) {
  QueueContext& context = *pick.context;
  if (context.stage != QueueContext::Stage::kToBegin) return context.began;
  const EngineFact& where = engine.fact;
  context.began = config_.counters.count(
      {.parent = pick.job->cause,
       .address = pick.job->batches[context.position].value(),
       .word = event_word(static_cast<std::uint64_t>(where.cls), where.instance | std::uint64_t{where.gt} << 8),
       .kind = EventKind::kJobBegin});
  return context.began;
}

SliceEnd Scheduler::run_slice(EngineState& engine, Pick& pick) {
  SX_MARK("drv.exec.slice");
  QueueContext& context = *pick.context;
  if (context.stage == QueueContext::Stage::kToBegin) {
    context.hw->start_batch(pick.job->batches[context.position]);
    context.stage = QueueContext::Stage::kBatch;
  }
  if (context.stage == QueueContext::Stage::kBatch) {
    const SliceEnd end = engine.backend->run(*context.hw, pick.vm, pick.limits, context.stop);
    if (end != SliceEnd::kDone) return end;
    context.stage = QueueContext::Stage::kUserFence;
    // Whoever sees the fence may unbind what the batches use: all of them must have ended.
    context.ended_last = pick.job->batches_left.fetch_sub(1) == 1;
  }
  if (!pick.job->user_fence || !context.ended_last) return SliceEnd::kDone;
  // Killed: never write. Paused: write when the VM's mappings are right again.
  if (context.stop.load(std::memory_order_acquire)) return SliceEnd::kBudget;
  const SyncUserFence& fence = *pick.job->user_fence;
  return engine.backend->store64(pick.vm, GpuVa(fence.address), fence.value);
}

void Scheduler::finish_slice(EngineState& engine, Pick& pick, SliceEnd end) {
  After after;
  {
    Guard hold(lock());
    const std::uint64_t now = config_.clock.now_ns();
    QueueContext& context = *pick.context;
    QueueState& queue = context.queue;
    paying_.fetch_add(1, std::memory_order_relaxed);
    note_progress(context, pick, end);
    engine.running = nullptr;
    context.state = QueueContext::State::kIdle;
    left_slice(engine, context, after);
    queue.shown.run_time_ns.store(queue.contexts.front()->run_time(now), std::memory_order_relaxed);
    end_turn(context, end, engine, after);
    if (queue.reset()) {
      context.switch_out(now);
      if (!queue.running()) cancel_jobs(queue, after);
    } else if (end == SliceEnd::kDone) {
      config_.counters.count({.word = context.began, .kind = EventKind::kJobEnd});
      context.switch_out(now);
      position_done(context, after);
    } else if (const auto cause = cause_of(end)) {
      context.switch_out(now);
      reset_locked(queue, *cause, after);
    } else {
      requeue(context, end, now, after);
      check_timeout(queue, now, after);
      check_orphan(context, end, now, after);
    }
    if (end != SliceEnd::kYield && end != SliceEnd::kPolling) {
      engine.look_at_once();
    }
  }
  pay(after);
  paying_.fetch_sub(1, std::memory_order_release);
  wake_settlers();
}

void Scheduler::requeue(QueueContext& context, SliceEnd end, std::uint64_t now_ns, After& after) {
  EngineState& here = *context.engine;
  QueueState& queue = context.queue;
  context.state = QueueContext::State::kQueued;
  context.mood = end == SliceEnd::kPolling ? QueueContext::Mood::kPolling
                 : end == SliceEnd::kYield ? QueueContext::Mood::kYielded
                                           : QueueContext::Mood::kBusy;
  if (may_move(queue.facts)) {
    EngineState& there = *place(queue.facts).front();
    if (there.load() < here.load()) {
      context.switch_out(now_ns);
      const auto mood = context.mood;
      enqueue(context, there, after);
      context.mood = mood;
      return;
    }
  }
  here.run_queue.push_back(&context);
  here.back_off(end);
}

void Scheduler::enqueue(QueueContext& context, EngineState& engine, After& after) {
  context.state = QueueContext::State::kQueued;
  context.mood = QueueContext::Mood::kBusy;
  context.engine = &engine;
  engine.run_queue.push_back(&context);
  wake(engine, after);
}

}  // namespace softxe
