// ContextVm: the real ExecVm, a VmContext; and what its jobs and binds are to each other.
#pragma once

#include <memory>
#include <utility>

#include "drv/exec/exec_vm.h"
#include "drv/exec/pending_binds.h"
#include "svm/vm_context.h"

namespace softxe {

class DeviceExec;

/// Owns the VM's binds; shares the VM with late faults and an open file. Locks: none of its own.
class ContextVm final : public ExecVm {
 public:
  ContextVm(VmMode mode, std::shared_ptr<VmContext> context)
      : ExecVm(mode), binds(context), context_(std::move(context)) {}
  bool closed() const override { return context_->vm.closed(); }
  bool banned() const override { return context_->vm.banned(); }
  VmContext& context() const { return *context_; }

  PendingBinds binds;

 private:
  std::shared_ptr<VmContext> context_;
};

/// From here on evictions, userptr invalidations and MADVISE wait for the jobs of the VM, or stop them, on this device
/// (JobControl, svm/vm_context.h). Once, before the VM has mappings. `exec` outlives the VM's context.
void control_jobs(const std::shared_ptr<ContextVm>& vm, DeviceExec& exec);

}  // namespace softxe
