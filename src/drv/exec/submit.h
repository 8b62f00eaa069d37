// EXEC between its checks and the scheduler: a job of a VM whose jobs cannot fault starts with all mappings in place,
// whatever is evicted meanwhile.
#pragma once

#include <vector>

#include "drv/exec/device_exec.h"

namespace softxe {

/// `queue` is no bind queue, of a ContextVm, and passed check_submit(). `wait`: how the caller waits for evictions.
/// As DeviceExec::submit(), and what revalidate() says (drv/vm_ops.h). ENOSPC: the VM's objects are pushed out again
/// and again. No lock may be held.
Status submit_in_place(DeviceExec& exec, const ExecQueuePtr& queue, std::vector<GpuVa> batches, const JobSyncs& syncs,
                       const WaitContext& wait);

}  // namespace softxe
