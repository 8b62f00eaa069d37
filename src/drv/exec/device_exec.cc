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
                                                             .starter = config.starter})) {}

DeviceExec::~DeviceExec() { shut_down(); }

Result<ExecQueuePtr> DeviceExec::create_queue(const ExecQueueCreateRequest& request,
                                              const ExecQueueProperties& properties, ExecVmPtr vm) {
  if (vm->closed() || vm->banned()) return fail(ENOENT, "the VM is closed or banned");
  if (properties.group_primary || properties.group_of)
    return fail(ENODEV, "no engine of this device has multi-queue groups");
  SX_TRY_VOID(SX_STEP("drv.exec.create_queue"));
  ExecQueuePtr queue(new ExecQueue);
  queue->vm_ = std::move(vm);
  queue->gt_ = request.gt;
  queue->width_ = request.width;
  queue->properties_ = properties;
  if (const auto* place = std::get_if<EnginePlacement>(&request.placement)) {
    queue->cls_ = place->cls;
    queue->logical_mask_ = place->logical_mask;
    queue->vm_->queues_.fetch_add(1, std::memory_order_acq_rel);
    queue->counted_.store(true);
    scheduler_->attach(*queue);
  } else {
    queue->cls_ = EngineClass::kVmBind;
    queue->bind_ = make_bind_queue();
  }
  return queue;
}

ExecQueuePtr DeviceExec::inherit_queue(const ExecQueue& parents, ExecVmPtr vm) {
  ExecQueuePtr queue(new ExecQueue);
  queue->vm_ = std::move(vm);
  queue->gt_ = parents.gt_;
  queue->width_ = parents.width_;
  queue->properties_ = parents.properties_;
  queue->cls_ = parents.cls_;
  queue->logical_mask_ = parents.logical_mask_;
  if (parents.is_bind_queue()) {
    queue->bind_ = make_bind_queue();
    return queue;
  }
  queue->vm_->queues_.fetch_add(1, std::memory_order_acq_rel);
  queue->counted_.store(true);
  scheduler_->attach(*queue);
  if (parents.reset()) scheduler_->reset(*queue, Scheduler::ResetCause::kKilled);
  return queue;
}

std::shared_ptr<BindQueue> DeviceExec::make_bind_queue() { return std::make_shared<BindQueue>(work_); }

void DeviceExec::destroy_queue(const ExecQueuePtr& queue) {
  if (queue->is_bind_queue()) {
    queue->bind().kill();
    queue->reset_.store(true, std::memory_order_release);
    waiters_.notify();
    return;
  }
  if (queue->counted_.exchange(false)) queue->vm_->queues_.fetch_sub(1, std::memory_order_acq_rel);
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
  auto job = std::make_shared<Job>();
  job->queue = queue;
  job->batches = std::move(batches);
  job->user_fence = syncs.user_fence();
  // May be canonical; only the translated bits count.
  if (job->user_fence) job->user_fence->address &= (std::uint64_t{1} << config_.profile.va_bits) - 1;
  return scheduler_->submit(job, syncs);
}

void DeviceExec::vm_banned(const ExecVm& vm) {
  if (vm.mode() == VmMode::kPreemptFence) scheduler_->reset_vm(vm, Scheduler::ResetCause::kKilled);
}

DeviceExec::VmPause::VmPause(DeviceExec& exec, ExecVmPtr vm) : exec_(exec), vm_(std::move(vm)) {
  exec_.scheduler_->pause(*vm_);
}

DeviceExec::VmPause::~VmPause() { exec_.scheduler_->resume(*vm_); }

bool DeviceExec::run_once() { return scheduler_->run_once() || work_->run_once(); }

void DeviceExec::shut_down() {
  scheduler_->stop();
  work_->stop();
}

}  // namespace softxe
