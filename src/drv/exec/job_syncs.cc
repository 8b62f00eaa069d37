#include "drv/exec/job_syncs.h"

namespace softxe {

Status JobSyncs::add(const SyncEntry& entry) {
  if (const auto* user = std::get_if<SyncUserFence>(&entry)) {
    user_fence_ = *user;
    return {};
  }
  SyncPoint at;
  SyncDirection direction = SyncDirection::kWait;
  if (const auto* plain = std::get_if<SyncPlain>(&entry)) {
    at = {plain->handle, 0};
    direction = plain->direction;
  } else {
    const auto& timeline = std::get<SyncTimeline>(entry);
    at = {timeline.handle, timeline.point};
    direction = timeline.direction;
  }
  SyncobjPtr object = table_.find(at.handle);
  if (object == nullptr) return fail(ENOENT, "no such syncobj in a sync entry");
  if (direction == SyncDirection::kSignal) {
    out_.push_back({std::move(object), at.point});
    return {};
  }
  FencePtr fence = object->find(at.point);
  if (fence == nullptr) return fail(EINVAL, "waiting for a fence that was never submitted");
  in_entries_ += 1;
  if (!fence->signalled()) in_.push_back(std::move(fence));
  return {};
}

void JobSyncs::install(const FencePtr& fence) const {
  for (const Out& out : out_) out.object->add_point(out.point, fence);
}

}  // namespace softxe
