#include "drv/exec/scheduler.h"

#include <algorithm>
#include <bit>

#include "base/step.h"
#include "drv/exec/engine_state.h"
#include "drv/exec/queue_state.h"

namespace softxe {

// ---- construction --------------------------------------------------------------------------------

Scheduler::Scheduler(const SchedulerConfig& config) : config_(config) {
  for (const EngineFact& fact : config_.profile.engines) {
    const GroupKind kind = group_of(fact.cls);
    auto group = std::find_if(groups_.begin(), groups_.end(),
                              [&](const auto& g) { return g->gt == fact.gt && g->kind == kind; });
    if (group == groups_.end()) {
      groups_.push_back(std::unique_ptr<EngineGroup>(new EngineGroup{.gt = fact.gt, .kind = kind}));
      group = groups_.end() - 1;
    }
    EngineId id{.engine_class = static_cast<std::uint8_t>(fact.cls),
                .instance = static_cast<std::uint8_t>(fact.instance),
                .gt = static_cast<std::uint8_t>(fact.gt)};
    for (const GtFact& gt : config_.profile.gts)
      if (gt.id == fact.gt) id.tile = static_cast<std::uint8_t>(gt.tile);
    engines_.push_back(
        std::make_unique<EngineState>(fact, id, **group, config_.backends.make_engine(id), config_.starter));
  }
}

Scheduler::~Scheduler() { stop(); }

// ---- queues and VMs ------------------------------------------------------------------------------

std::vector<std::unique_ptr<HwContext>> Scheduler::make_contexts(const QueueFacts& facts) {
  std::vector<std::unique_ptr<HwContext>> contexts;
  const unsigned first = static_cast<unsigned>(std::countr_zero(facts.logical_mask));
  for (unsigned i = 0; i < facts.width; ++i)
    contexts.push_back(config_.backends.make_context(engine_at(facts, first + i).id));
  return contexts;
}

Status Scheduler::attach(ExecQueue& queue) {
  std::list<QueueState> made;  // what is not entered goes after the lock
  made.emplace_back(queue, make_contexts(queue.facts()));
  Guard hold(lock());
  if (queue.group() != nullptr) SX_TRY_VOID(join(*queue.group()));
  enter(queue, made);
  return {};
}

void Scheduler::attach_inherited(ExecQueue& queue) {
  std::list<QueueState> made;
  made.emplace_back(queue, make_contexts(queue.facts()));
  Guard hold(lock());
  enter(queue, made);
}

void Scheduler::enter(ExecQueue& queue, std::list<QueueState>& made) {
  queues_.splice(queues_.end(), made);
  QueueState& state = queues_.back();
  state.at = std::prev(queues_.end());
  state.vm = &state_of(*queue.vm());
  queue.handle().enter(weak_from_this(), state);
  if (queue.vm()->mode() == VmMode::kFault) group_of_queue(queue.facts()).fault_queues.push_back(&state);
  QueueGroup* group = queue.group().get();
  if (group == nullptr) return;
  group->members.push_back(&state);
  if (state.is_high()) group->high += 1;
  if (group->gone.load(std::memory_order_relaxed)) state.shown.reset.store(true, std::memory_order_release);
}

void Scheduler::forget(QueueState& queue) {
  std::list<QueueState> gone;  // after the lock
  Guard hold(lock());
  if (queue.facts.vm->mode() == VmMode::kFault) std::erase(group_of_queue(queue.facts).fault_queues, &queue);
  if (QueueGroup* group = queue.facts.group.get()) {
    std::erase(group->members, &queue);
    if (queue.is_high()) group->high -= 1;
  }
  gone.splice(gone.end(), queues_, queue.at);
}

void Scheduler::forget(VmState& vm) {
  std::list<VmState> gone;  // after the lock
  Guard hold(lock());
  gone.splice(gone.end(), vms_, vm.at);
}

template <typename State>
ScheduleHandle<State>::~ScheduleHandle() {
  if (const auto owner = owner_.lock()) owner->forget(*state_);
}
template class ScheduleHandle<QueueState>;
template class ScheduleHandle<VmState>;

QueueState& Scheduler::state_of(const ExecQueue& queue) {
  QueueState* const state = queue.handle().state();
  SX_ASSERT(state != nullptr);  // bind queues have none, and are not asked about
  return *state;
}

VmState& Scheduler::state_of(ExecVm& vm) {
  if (VmState* const known = vm.handle.state()) return *known;
  VmState& state = vms_.emplace_back();
  state.at = std::prev(vms_.end());
  vm.handle.enter(weak_from_this(), state);
  return state;
}

EngineState& Scheduler::engine_at(const QueueFacts& facts, unsigned instance) const {
  const auto found = std::find_if(engines_.begin(), engines_.end(), [&](const auto& engine) {
    const EngineFact& fact = engine->fact;
    return fact.gt == facts.gt && fact.cls == facts.cls && fact.instance == instance;
  });
  SX_ASSERT(found != engines_.end());  // the decoder lets only existing engines through
  return **found;
}

EngineGroup& Scheduler::group_of_queue(const QueueFacts& facts) const {
  return engine_at(facts, static_cast<unsigned>(std::countr_zero(facts.logical_mask))).group;
}

// ---- workers -------------------------------------------------------------------------------------

void Scheduler::work(EngineState& engine) {
  while (rest(engine, run_engine(engine)) == Rest::kGoOn) {
  }
}

void Scheduler::wake(EngineState& engine, After& after) {
  engine.woken = true;
  if (config_.policy == ExecPolicy::kManual) return;
  if (engine.worker_alive) {
    after.wake.push_back(&engine);
  } else if (!stopping_) {
    engine.worker_alive = true;
    engine.worker.promise();
    after.start.push_back(&engine);
  }
}

void Scheduler::wake_group(const EngineGroup& group, After& after) {
  for (const auto& engine : engines_)
    if (&engine->group == &group && !engine->run_queue.empty()) wake(*engine, after);
}

Scheduler::Rest Scheduler::rest(EngineState& engine, Ran ran) {
  Guard hold(lock());
  if (ran == Ran::kNothing) {
    engine.at_rest = true;
    if (settlers_.load(std::memory_order_relaxed) != 0) settled_.notify_all();
  }
  const std::uint64_t sleep_ns = ran == Ran::kSlice ? engine.rest_ns : kIdleExitNs;
  bool woken = true;
  if (sleep_ns != 0 && !stopping_) {
    woken = engine.wake.wait_for(lock(), sleep_ns, [&] {
      lock().assert_held();
      return engine.woken || stopping_;
    });
  }
  // A woken polling engine looks again soon: what woke it is likely what it waits for.
  if (woken && engine.woken) engine.backoff_ns = 0;
  engine.woken = false;
  const bool idle_for_long = ran == Ran::kNothing && !woken;
  if (stopping_ ? engine.run_queue.empty() : idle_for_long) {
    engine.worker_alive = false;
    return Rest::kEnd;
  }
  return Rest::kGoOn;
}

void Scheduler::pay(After& after) {
  if (after.hung && config_.hung) config_.hung();
  for (const auto& [job, error] : after.done) job->done->signal(error);
  for (EngineState* engine : after.start) engine->worker.start_promised([this, engine] { work(*engine); });
  for (EngineState* engine : after.wake) engine->wake.notify_one();
  if (after.notify_pausers) pausers_.notify_all();
  if (after.notify_waiters) config_.waiters.notify();
  if (after.done.empty()) return;
  // The next job starts only now, so that fences of a queue signal in order.
  After further;
  std::vector<ExecQueuePtr> released;  // after the lock
  {
    Guard hold(lock());
    for (const auto& [job, error] : after.done) {
      start_front(state_of(*job->queue), further);
      released.push_back(std::move(job->queue));
    }
  }
  pay(further);
}

bool Scheduler::run_once() {
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    EngineState& engine = *engines_[turn_++ % engines_.size()];
    if (run_engine(engine) == Ran::kSlice) return true;
  }
  return false;
}

void Scheduler::stop() {
  After after;
  {
    Guard hold(lock());
    stopping_ = true;
    for (QueueState& queue : queues_) reset_locked(queue, ResetCause::kKilled, after);
    for (const auto& engine : engines_) wake(*engine, after);
  }
  pay(after);
  for (const auto& engine : engines_) engine->worker.join();
}

}  // namespace softxe
