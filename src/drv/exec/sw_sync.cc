#include "drv/exec/sw_sync.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace softxe {

SwTimeline::~SwTimeline() {
  std::vector<Point> left;
  {
    Guard hold(lock_);
    left.swap(pending_);
  }
  for (const Point& point : left) point.fence->signal(ENOENT);
}

Result<std::shared_ptr<SyncFile>> SwTimeline::create_fence(std::uint32_t point) {
  FencePtr fence = Fence::pending();
  SX_TRY(auto file,
         SyncFile::make({.fence = fence, .context = context_, .seqno = point, .driver = "sw_sync", .timeline = name_}));
  bool past = false;
  {
    Guard hold(lock_);
    past = reached(point);
    if (!past) pending_.push_back({point, fence});
  }
  if (past) fence->signal();
  return file;
}

void SwTimeline::advance(std::uint32_t by) {
  constexpr std::uint32_t kMost = INT32_MAX;
  for (; by > kMost; by -= kMost) advance_part(kMost);
  advance_part(by);
}

void SwTimeline::advance_part(std::uint32_t by) {
  std::vector<Point> done;
  {
    Guard hold(lock_);
    const std::uint32_t before = value_;
    value_ += by;
    const auto first = std::stable_partition(pending_.begin(), pending_.end(), [this](const Point& p) {
      lock_.assert_held();
      return !reached(p.at);
    });
    done.assign(first, pending_.end());
    pending_.erase(first, pending_.end());
    std::stable_sort(done.begin(), done.end(),
                     [before](const Point& a, const Point& b) { return a.at - before < b.at - before; });
  }
  for (const Point& point : done) point.fence->signal();
}

}  // namespace softxe
