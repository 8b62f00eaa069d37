#include "drv/exec/implicit_fences.h"

#include <algorithm>

namespace softxe {

void ImplicitFences::add(FencePtr fence, Use use) {
  std::vector<Entry> kept, done;  // freed without the lock: a fence may own what has locks
  Guard hold(lock_);
  for (Entry& entry : entries_) (entry.fence->signalled() ? done : kept).push_back(std::move(entry));
  entries_.swap(kept);
  if (fence->signalled()) return;
  const auto same =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.fence == fence; });
  if (same == entries_.end()) {
    entries_.push_back({std::move(fence), use});
  } else if (use == Use::kWrite) {
    same->use = use;
  }
}

FencePtr ImplicitFences::before(Use use) const {
  std::vector<FencePtr> fences;
  {
    Guard hold(lock_);
    for (const Entry& entry : entries_) {
      const bool counts = use == Use::kWrite || entry.use == Use::kWrite;
      if (counts && !entry.fence->signalled()) fences.push_back(entry.fence);
    }
  }
  return all_of(fences);
}

std::size_t ImplicitFences::size() const {
  Guard hold(lock_);
  return entries_.size();
}

}  // namespace softxe
