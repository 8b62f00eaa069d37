// VmImage: one VM as a fork child is to have it: what user space asked for, no entries, no ranges.
//
// Taken in the parent before the fork under the VM's lock, so that it is whole whatever other threads do;
// made into a VM of the child's own device at its first use of the file (docs/decisions/0013).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "drv/device.h"
#include "drv/requests.h"

namespace softxe {

struct VmaImage {
  GpuRange range;
  VmaKind kind;
  VmaFlags flags;
  MemAttr attr;
  std::shared_ptr<Bo> object;      ///< kBo: the parent's
  std::uint64_t offset_bytes = 0;  ///< into the object; the CPU address of a userptr
};

struct VmImage {
  VmCreateRequest request;
  bool banned = false;
  std::vector<VmaImage> vmas;  ///< address order
  std::vector<FaultRecord> faults;
};

/// The request that makes a VM of these modes.
VmCreateRequest request_for(const VmModes& modes);

/// Takes the VM's lock, after a pass of the collector.
VmImage take_vm_image(Device& device, VmContext& context);

/// What a VMA of the parent points to, as the child has it.
struct VmaTranslation {
  std::function<Result<std::shared_ptr<Bo>>(const std::shared_ptr<Bo>& parents)> object;
  std::function<std::shared_ptr<Pagemap>(const Pagemap& parents)> region;
};

/// Fills a new VM made for the image's request. On failure (ENOMEM, EMFILE) it is banned: a VM with holes
/// where the parent's has mappings would be worse.
Status restore_vm(Device& device, VmContext& context, const VmImage& image, const VmaTranslation& translate);

}  // namespace softxe
