// SwTimeline: fences that the client itself signals, the kernel's sw_sync (debugfs sync/sw_sync). Test programs use it
// to hold back what a driver must wait for.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/lock.h"
#include "base/result.h"
#include "drv/exec/sync_file.h"

namespace softxe {

/// One open file of sw_sync, which owns it; its fences are shared. Thread-safe.
class SwTimeline {
 public:
  /// `name`: shown by SYNC_IOC_FILE_INFO; the kernel takes the name of the opening thread.
  explicit SwTimeline(const FenceName& name) : context_(new_fence_context()), name_(name) {}
  /// Signals what is still pending, with ENOENT.
  ~SwTimeline();
  SwTimeline(const SwTimeline&) = delete;
  SwTimeline& operator=(const SwTimeline&) = delete;

  /// A sync_file that signals when the timeline reaches `point`; signalled when it is there already. Points are 32-bit
  /// and wrap round. EMFILE, ENFILE.
  Result<std::shared_ptr<SyncFile>> create_fence(std::uint32_t point) SX_EXCLUDES(lock_);
  /// Moves on, and signals in the order of the points.
  void advance(std::uint32_t by) SX_EXCLUDES(lock_);

 private:
  struct Point {
    std::uint32_t at;
    FencePtr fence;
  };
  /// True when the timeline has come to `point`, in the arithmetic of a counter that wraps round.
  bool reached(std::uint32_t point) const SX_REQUIRES(lock_) { return static_cast<std::int32_t>(point - value_) <= 0; }
  /// At most INT32_MAX at once: beyond that a point would seem to lie behind.
  void advance_part(std::uint32_t by) SX_EXCLUDES(lock_);

  const std::uint64_t context_;
  const FenceName name_;
  LeafMutex lock_{"SwTimeline"};
  std::uint32_t value_ SX_GUARDED_BY(lock_) = 0;
  std::vector<Point> pending_ SX_GUARDED_BY(lock_);
};

}  // namespace softxe
