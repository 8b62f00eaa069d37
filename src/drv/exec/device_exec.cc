#include "drv/exec/device_exec.h"

#include "base/step.h"

namespace softxe {

DeviceExec::DeviceExec(const Config& config)
    : config_(config),
      work_(std::make_shared<WorkQueue>(config.policy, config.starter)),
      scheduler_(std::make_shared<Scheduler>(SchedulerConfig{.profile = config.profile,
                                                             .clock = config.clock,
                                                             .counters = config.counters,
                                                             .waiters = waiters_,
                                                             .backends = config.backends,
                                                             .policy = config.policy,
                                                             .starter = config.starter,
                                                             .hung = config.hung})) {}

DeviceExec::~DeviceExec() { shut_down(); }

WaitContext DeviceExec::wait_context() {
  WaitContext wait{.clock = config_.clock, .step = {}, .interrupt = nullptr};
  if (config_.policy == ExecPolicy::kManual) wait.step = [this] { return run_once(); };
  return wait;
}

Status check_join(const ExecQueue& primary, const ExecQueueCreateRequest& request, const ExecVm& vm) {
  if (primary.role() != GroupRole::kPrimary) return fail(EINVAL, "that queue is no primary of a group");
  if (primary.vm().get() != &vm) return fail(EINVAL, "the primary belongs to another VM");
  const auto* place = std::get_if<EnginePlacement>(&request.placement);
  if (place == nullptr || place->cls != primary.engine_class() || request.gt != primary.gt() ||
      place->logical_mask != primary.logical_mask())
    return fail(EINVAL, "the primary runs on other engines");
  return {};
}

Result<ExecQueuePtr> DeviceExec::create_queue(const ExecQueueCreateRequest& request,
                                              const ExecQueueProperties& properties, ExecVmPtr vm,
                                              const ExecQueuePtr& primary) {
  if (vm->closed() || vm->banned()) return fail(ENOENT, "the VM is closed or banned");
  SX_TRY_VOID(SX_STEP("drv.exec.create_queue"));
  QueueFacts facts{.vm = std::move(vm), .width = request.width, .gt = request.gt, .properties = properties};
  const auto* place = std::get_if<EnginePlacement>(&request.placement);
  if (place == nullptr) {
    facts.cls = EngineClass::kVmBind;
    SX_TRY(facts.bind, create_bind_queue());
    return std::make_shared<ExecQueue>(std::move(facts));
  }
  facts.cls = place->cls;
  facts.logical_mask = place->logical_mask;
  if (properties.group_primary) {
    facts.role = GroupRole::kPrimary;
    facts.group = std::make_shared<QueueGroup>();
  } else if (primary != nullptr) {
    // To other contexts a group is one: what is said of the primary counts for it.
    facts.role = GroupRole::kSecondary;
    facts.group = primary->group();
    facts.properties.priority = primary->properties().priority;
    facts.properties.timeslice_us = primary->properties().timeslice_us;
  }
  auto queue = std::make_shared<ExecQueue>(std::move(facts));
  SX_TRY_VOID(SX_STEP("drv.exec.join_engines"));
  if (queue->vm()->mode() == VmMode::kPreemptFence) SX_TRY_VOID(SX_STEP("drv.exec.join_vm"));
  SX_TRY_VOID(scheduler_->attach(*queue));
  queue->count_in_vm();
  return queue;
}

void DeviceExec::discard_queue(const ExecQueuePtr& queue) {
  scheduler_->give_back_place(*queue);
  destroy_queue(queue);
}

ExecQueuePtr DeviceExec::inherit_queue(const ExecQueue& parents, ExecVmPtr vm, InheritedGroups& groups) {
  QueueFacts facts{.vm = std::move(vm),
                   .cls = parents.engine_class(),
                   .width = parents.width(),
                   .gt = parents.gt(),
                   .logical_mask = parents.logical_mask(),
                   .properties = parents.properties(),
                   .role = parents.role()};
  if (parents.is_bind_queue()) {
    facts.bind = make_bind_queue();
    return std::make_shared<ExecQueue>(std::move(facts));
  }
  if (parents.group() != nullptr) {
    QueueGroupPtr& group = groups[parents.group().get()];
    if (group == nullptr) {
      group = std::make_shared<QueueGroup>();
      group->ever.store(parents.group()->ever.load());
      group->gone.store(parents.group()->gone.load());
    }
    facts.group = group;
  }
  auto queue = std::make_shared<ExecQueue>(std::move(facts));
  queue->shown().group_priority.store(parents.group_priority());
  queue->count_in_vm();
  scheduler_->attach_inherited(*queue);
  if (parents.reset()) scheduler_->reset(*queue, Scheduler::ResetCause::kKilled);
  return queue;
}

Result<std::shared_ptr<BindQueue>> DeviceExec::create_bind_queue() {
  SX_TRY_VOID(SX_STEP("drv.exec.create_bind_queue"));
  return make_bind_queue();
}

std::shared_ptr<BindQueue> DeviceExec::make_bind_queue() { return std::make_shared<BindQueue>(work_); }

void DeviceExec::destroy_queue(const ExecQueuePtr& queue) {
  if (queue->is_bind_queue()) {
    queue->bind().kill();
    queue->shown().reset.store(true, std::memory_order_release);
    waiters_.notify();
    return;
  }
  queue->leave_vm();
  scheduler_->reset(*queue, Scheduler::ResetCause::kKilled);
}

Status DeviceExec::submit(const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs) {
  if (batches.empty()) {
    if (queue->vm()->mode() != VmMode::kDmaFence) return {};
    if (syncs.has_in_entries()) return fail(EOPNOTSUPP, "an in-fence needs a batch that waits for it");
    syncs.install(scheduler_->last_fence(*queue));
    return {};
  }
  SX_ASSERT(batches.size() == queue->width());
  if (queue->vm()->closed() || queue->vm()->banned()) return fail(ECANCELED, "the queue's VM is closed or banned");
  Submission job{.queue = queue, .batches = std::move(batches), .user_fence = syncs.user_fence()};
  // May be canonical; only the translated bits count.
  if (job.user_fence) job.user_fence->address &= (std::uint64_t{1} << config_.profile.va_bits) - 1;
  return scheduler_->submit(std::move(job), syncs);
}

void DeviceExec::vm_banned(const ExecVm& vm) {
  if (vm.mode() == VmMode::kPreemptFence) scheduler_->reset_vm(vm, Scheduler::ResetCause::kKilled);
}

DeviceExec::VmPause::VmPause(DeviceExec& exec, ExecVmPtr vm) : exec_(exec), vm_(std::move(vm)) {
  exec_.scheduler_->pause(*vm_);
}

DeviceExec::VmPause::~VmPause() { exec_.scheduler_->resume(*vm_); }

Scheduler::Settled DeviceExec::settle(const WaitContext& wait) {
  // Work may end jobs and jobs may leave work; both twice in a row at rest means that neither did.
  const Deadline deadline = Deadline::after(config_.clock, kSettleNs);
  for (int turn = 0; turn < 2; ++turn) {
    if (scheduler_->settle(wait, deadline) == Scheduler::Settled::kNo) return Scheduler::Settled::kNo;
    if (!work_->settle(wait, deadline)) return Scheduler::Settled::kNo;
  }
  return scheduler_->settle(wait, deadline);
}

bool DeviceExec::run_once() { return scheduler_->run_once() || work_->run_once(); }

void DeviceExec::shut_down() {
  scheduler_->stop();
  work_->stop();
}

}  // namespace softxe
