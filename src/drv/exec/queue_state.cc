#include "drv/exec/queue_state.h"

#include <algorithm>

#include "drv/exec/engine_state.h"

namespace softxe {

namespace {

/// Goes before others; after a look in vain a high member is one of the others, too: it may wait for what they are to
/// do.
bool urgent(const QueueContext& context) SX_REQUIRES(schedule) { return context.queue.is_high() && !context.in_vain; }

}  // namespace

GroupKind group_of(EngineClass cls) {
  switch (cls) {
    case EngineClass::kCopy: return GroupKind::kCopy;
    case EngineClass::kRender:
    case EngineClass::kCompute: return GroupKind::kRenderCompute;
    default: return GroupKind::kVideo;
  }
}

QueueState::QueueState(ExecQueue& of, std::vector<std::unique_ptr<HwContext>> hardware)
    : facts(of.facts()), shown(of.shown()) {
  for (auto& hw : hardware) {
    const auto position = static_cast<unsigned>(contexts.size());
    contexts.push_back(std::make_unique<QueueContext>(*this, position, std::move(hw)));
  }
}

bool QueueState::running() const {
  for (const auto& context : contexts)
    if (context->state == QueueContext::State::kRunning) return true;
  return false;
}

void QueueState::stop_slices() {
  for (const auto& context : contexts)
    if (context->state == QueueContext::State::kRunning) context->stop.store(true, std::memory_order_release);
}

// ---- residency and time --------------------------------------------------------------------------

void QueueContext::switch_out(std::uint64_t now_ns) {
  if (engine == nullptr || engine->resident != this) return;
  run_time_ns += now_ns - resident_since_ns;
  engine->resident = nullptr;
}

void EngineState::make_resident(QueueContext& context, std::uint64_t now_ns, std::uint64_t timeslice_ns) {
  if (resident != &context) {
    if (resident != nullptr) resident->switch_out(now_ns);
    resident = &context;
    context.resident_since_ns = now_ns;
    slice_began_ns = now_ns;
  } else if (now_ns - slice_began_ns >= timeslice_ns) {
    slice_began_ns = now_ns;
  }
}

void EngineState::look_at_once() {
  backoff_ns = rest_ns = 0;
  yields_in_row = 0;
}

void EngineState::back_off(SliceEnd end) {
  rest_ns = 0;
  if (end == SliceEnd::kYield) {
    // What cannot run now, as the members of a group that another engine runs, is no part of the round.
    std::uint32_t round = 0;
    for (const QueueContext* context : run_queue) round += context->may_run(group) ? 1 : 0;
    if (++yields_in_row < round) return;
    yields_in_row = 0;
  } else if (end != SliceEnd::kPolling) {
    return;
  }
  backoff_ns = std::clamp(backoff_ns * 2, kPollSleepFirstNs, kPollSleepMaxNs);
  rest_ns = backoff_ns;
}

std::uint64_t QueueContext::run_time(std::uint64_t now_ns) const {
  const bool resident = engine != nullptr && engine->resident == this;
  return run_time_ns + (resident ? now_ns - resident_since_ns : 0);
}

// ---- turns ---------------------------------------------------------------------------------------

bool QueueContext::may_run(const EngineGroup& group) const {
  const QueueGroup* const members = queue.facts.group.get();
  if (members != nullptr && members->current != nullptr && members->current != this) return false;
  if (queue.vm->pauses != 0) return false;
  switch (queue.facts.vm->mode()) {
    case VmMode::kFault: return group.dma_jobs == 0;
    case VmMode::kDmaFence: return group.fault_running == 0;
    case VmMode::kPreemptFence: return true;
  }
  return true;
}

bool QueueContext::outranked() const {
  const QueueGroup* group = queue.facts.group.get();
  if (group == nullptr || group->high == 0 || group->current == this) return false;
  if (urgent(*this)) return false;
  for (const QueueState* member : group->members) {
    const QueueContext& other = *member->contexts.front();
    if (other.state == State::kQueued && urgent(other)) return true;
  }
  return false;
}

void QueueContext::make_current() {
  QueueGroup* group = queue.facts.group.get();
  if (group == nullptr || group->current == this) return;
  group->current = this;
  progress_before = hw->progress();
  // Its turn came again: everybody else has been looked at meanwhile.
  if (in_vain) look_at_all(*group);
}

void look_at_all(const QueueGroup& group) {
  for (const QueueState* member : group.members) member->contexts.front()->in_vain = false;
}

}  // namespace softxe
