// FileImage: one open file as a fork child is to have it (decision 0013).
//
// Taken by DrmFile::image() in the parent, just before the fork and on the forking thread, table by table
// under each table's own lock; DrmFile::inherit() makes a file of it at the child's first use of a device.
// Between the two nobody touches it, so the child reads nothing that a thread of the parent may have been
// changing. What was made or destroyed by other threads after the image is as if it came after the fork.
#pragma once

#include <optional>
#include <vector>

#include "abi/drm_master.h"
#include "drv/exec/exec_queue.h"
#include "drv/exec/fork_syncs.h"
#include "drv/vm_image.h"

namespace softxe {

/// Keeps the parent's objects alive until the fork; in the child it is never destroyed.
struct FileImage {
  struct VmEntry {
    const Vm* vm;  ///< whose private objects are those of this VM
    ExecVmPtr exec;
    VmImage image;
  };
  /// A VRAM region of the parent's devices.
  struct Region {
    std::shared_ptr<Pagemap> pagemap;
    unsigned device;
    unsigned tile;
  };
  DrmMasters::Image auth;
  // By id: index id - 1.
  std::vector<std::optional<VmEntry>> vms;
  std::vector<std::shared_ptr<GemBo>> objects;
  std::vector<ExecQueuePtr> queues;
  std::vector<SyncobjPtr> syncobjs;  ///< copies, the child's
  std::vector<Region> regions;
};

}  // namespace softxe
