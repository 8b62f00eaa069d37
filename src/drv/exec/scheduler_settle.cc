// settle(): what makes runs of one client thread repeatable: engines come to rest before the client goes on.
#include <algorithm>

#include "base/step.h"
#include "drv/exec/engine_state.h"
#include "drv/exec/queue_state.h"
#include "drv/exec/scheduler.h"

namespace softxe {

/// A slice that got nowhere says that its context waits for others; any other slice may be what they wait for.
void Scheduler::note_progress(QueueContext& context, const Pick& pick, SliceEnd end) {
  const bool yields = end == SliceEnd::kYield && context.hw->progress() == pick.progress;
  // The first slice that ends so may have done something before it came to its loop.
  const bool polls = end == SliceEnd::kPolling && context.mood == QueueContext::Mood::kPolling;
  if (yields || polls) {
    context.waited_in = pick.epoch;
  } else {
    epoch_ += 1;
  }
}

bool Scheduler::may_get_on(const EngineState& engine) const {
  const auto waits = [this](const QueueContext& context)
                         SX_REQUIRES(schedule) { return context.endless || context.waited_in == epoch_; };
  if (engine.running != nullptr && !waits(*engine.running)) return true;
  for (const QueueContext* context : engine.run_queue)
    if (context->eligible(engine.group) && !waits(*context)) return true;
  // Its worker lets go of the last VM after it has found nothing.
  return engine.load() == 0 && !engine.at_rest;
}

bool Scheduler::settled() const {
  return paying_.load(std::memory_order_acquire) == 0 &&
         std::ranges::none_of(engines_,
                              [this](const auto& engine) SX_REQUIRES(schedule) { return may_get_on(*engine); });
}

void Scheduler::wake_settlers() {
  if (settlers_.load(std::memory_order_seq_cst) == 0) return;
  Guard hold(lock());
  settled_.notify_all();
}

Scheduler::Settled Scheduler::settle(const WaitContext& wait, Deadline deadline) {
  SX_ASSERT(config_.policy == ExecPolicy::kThreads);
  Guard hold(lock());
  // What the client has stored since may be what somebody waits for: all look once more.
  if (!settled() ||
      std::ranges::any_of(engines_, [](const auto& engine) SX_REQUIRES(schedule) { return engine->load() != 0; })) {
    epoch_ += 1;
  }
  settlers_.fetch_add(1, std::memory_order_seq_cst);
  auto found = Settled::kYes;
  while (!settled()) {
    if (wait.interrupted()) {
      found = Settled::kNo;
      break;
    }
    if (deadline.passed(wait.clock)) {
      give_up_on_endless();
      break;
    }
    settled_.wait_for(lock(), Monitor::kInterruptPollNs, [this] {
      lock().assert_held();
      return settled();
    });
  }
  settlers_.fetch_sub(1, std::memory_order_seq_cst);
  return found;
}

/// They go on beside the client from here on, each until its job is over.
void Scheduler::give_up_on_endless() {
  for (const auto& engine : engines_) {
    if (engine->running != nullptr) engine->running->endless = true;
    for (QueueContext* context : engine->run_queue) context->endless = true;
  }
}

}  // namespace softxe
