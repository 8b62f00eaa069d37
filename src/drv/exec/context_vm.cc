#include "drv/exec/context_vm.h"

#include "drv/exec/device_exec.h"
#include "drv/vm_ops.h"

namespace softxe {

namespace {

constexpr std::uint64_t kJobsTimeoutNs = 10'000'000'000;  // twice the job time-out
constexpr std::uint64_t kDrainSliceNs = 1'000'000;

// Restores what an eviction took from a VM with work; a VM without is left to its next EXEC. What cannot be
// restored ends the VM (spec/vm.md 2.7).
bool rebind(DeviceExec& exec, ContextVm& vm) {
  if (!exec.scheduler().busy(vm)) return false;
  const Status done = revalidate_with_patience(vm.context(), exec.wait_context());
  if (done || vm.closed() || vm.banned()) return done.has_value();
  vm.context().vm.kill("an evicted object cannot come back");
  exec.vm_banned(vm);
  return false;
}

// A VM runs this long before the next one's objects may push its own out (kernel: min_run_period).
void let_run(DeviceExec& exec) {
  constexpr std::uint64_t kMinRunNs = 5'000'000;
  WaitContext wait = exec.wait_context();
  if (wait.step) return;
  static_cast<void>(Fence::pending()->wait(wait, Deadline::after(wait.clock, kMinRunNs)));
}

/// Owned by the VmContext, which the ContextVm keeps alive.
class ContextJobs final : public JobControl {
 public:
  ContextJobs(std::weak_ptr<ContextVm> vm, DeviceExec& exec) : vm_(std::move(vm)), exec_(exec) {}

  void drain(const std::function<void()>& meanwhile) override {
    auto live = vm_.lock();
    if (!live) return;
    WaitContext wait = exec_.wait_context();
    const FencePtr all = live->jobs.all();
    const Deadline end = Deadline::after(wait.clock, kJobsTimeoutNs);
    if (wait.step) return static_cast<void>(all->wait(wait, end));
    while (!all->wait(wait, Deadline::after(wait.clock, kDrainSliceNs)) && !end.passed(wait.clock)) meanwhile();
  }

  std::shared_ptr<void> stop() override {
    drain([] {});
    auto live = vm_.lock();
    if (!live || live->mode() != VmMode::kPreemptFence) return nullptr;
    return std::make_shared<DeviceExec::VmPause>(exec_, live);
  }

  // One piece of work for all evictions until it begins; it holds the pause, theirs end with the zap.
  void rebind_later(std::shared_ptr<void> stopped) override {
    if (!stopped || posted_->exchange(true)) return;
    exec_.work().post([vm = vm_, &exec = exec_, posted = posted_, stopped = std::move(stopped)]() mutable {
      posted->store(false);
      auto live = vm.lock();
      const bool runs = live && rebind(exec, *live);
      stopped.reset();
      if (runs) let_run(exec);
    });
  }

 private:
  const std::weak_ptr<ContextVm> vm_;
  DeviceExec& exec_;
  const std::shared_ptr<std::atomic<bool>> posted_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

void control_jobs(const std::shared_ptr<ContextVm>& vm, DeviceExec& exec) {
  vm->context().jobs = std::make_unique<ContextJobs>(vm, exec);
}

}  // namespace softxe
