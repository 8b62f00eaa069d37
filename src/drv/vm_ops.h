// VM_BIND and the queries of a VM, after decoding and handle look-ups (spec/vm.md 3, 6).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "drv/device.h"
#include "drv/exec/wait_context.h"
#include "drv/requests.h"

namespace softxe {

/// One operation whose interval is inside the VM and whose object has been found and checked.
struct ResolvedBind {
  BindOp op;
  /// Not for UNMAP_ALL.
  std::optional<GpuRange> range;
  std::shared_ptr<GemBo> bo;
};

/// Whether the page tables really change, or the tree only is checked (the bind must wait for a fence).
enum class BindRun : std::uint8_t { kExecute, kDryRun };

/// All operations in order, or none. Takes the Vm lock for writing; the caller has flushed the collector.
/// ENOENT: VM closed or banned. EBUSY, EINVAL, ENOMEM, ENOSPC, EFAULT: spec/vm.md 3.1-3.5.
/// A dry run plans and checks everything, then puts the tree back.
/// `user_fence`: carried by the VMAs the bind makes; while it is unsignalled they cannot be unmapped.
Status vm_bind(Device& device, VmContext& context, std::span<const ResolvedBind> ops, BindRun run,
               std::shared_ptr<UserFence> user_fence = nullptr);

/// VMAs that intersect, whole. Runs a collector flush first, so that a finished munmap is seen
/// (spec/svm.md 3.6, REC).
std::vector<MemRangeAttr> query_mem_range_attrs(Device& device, VmContext& context, const UncheckedRange& range);

/// For a userptr of a VM without faults: keeps its memory until the VM's jobs are done, for as long as the
/// result lives. ENOMEM.
Result<std::shared_ptr<void>> watch_userptr(Device& device, VmContext& context, HostVa start, std::uint64_t bytes);

/// EXEC of a VM without faults: buffer objects that were evicted come back and their PTEs are restored
/// (spec/vm.md 2.8). ENOSPC, ENOMEM.
Status revalidate(VmContext& context);

/// The same for who cannot do without. An object that another request has pinned or is evicting just now is no
/// victim, so there may be no room for a moment; the kernel waits for the locks of such objects. Up to 100 tries,
/// a millisecond apart, then ENOSPC.
Status revalidate_with_patience(VmContext& context, WaitContext wait);

/// MADVISE's device and region as a pagemap: ENOENT when there is no such VRAM, ENOLINK when the VM is not of its
/// interconnect group, as are VMs without faults (spec/vm.md 5.1). `file_device` is the device behind the
/// descriptor, null when it is none of ours.
Result<PreferredLocation> resolve_preferred_location(const VmContext& context, Device* file_device,
                                                     const AdvisePreferredLocation& advice);

}  // namespace softxe
