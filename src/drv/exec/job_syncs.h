// JobSyncs: the sync entries of one EXEC or VM_BIND, resolved (spec/uapi.md 9).
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "drv/exec/syncobj_table.h"
#include "drv/requests.h"

namespace softxe {

/// Built entry by entry while the ioctl is decoded (it is the decoder's sink), then handed to the job or
/// bind. Owned by one thread. What depends on the request alone and on the VM's mode was checked before.
class JobSyncs {
 public:
  explicit JobSyncs(const SyncobjTable& table) : table_(table) {}

  /// ENOENT: unknown handle. EINVAL: a wait for a syncobj with no fence, or for a missing point.
  Status add(const SyncEntry& entry);

  /// In-entries were given, signalled ones included ("any in-fence makes it fail").
  bool has_in_entries() const { return in_entries_ != 0; }
  /// What has to be waited for; signalled fences are left out.
  std::span<const FencePtr> in_fences() const { return in_; }
  bool has_out_syncobjs() const { return !out_.empty(); }
  const std::optional<SyncUserFence>& user_fence() const { return user_fence_; }

  /// Puts `fence` into every out syncobj and timeline point, in the order of the entries.
  void install(const FencePtr& fence) const;

 private:
  struct Out {
    SyncobjPtr object;
    std::uint64_t point = 0;
  };
  const SyncobjTable& table_;
  std::uint32_t in_entries_ = 0;
  std::vector<FencePtr> in_;
  std::vector<Out> out_;
  std::optional<SyncUserFence> user_fence_;
};

}  // namespace softxe
