// WAIT_USER_FENCE: the loop of spec/uapi.md 12, and who wakes its sleepers.
//
// A sleeper is woken by engine interrupts and bind fences (UserFenceWaiters::notify). A plain CPU store
// wakes nobody, so the sleeper also looks again by itself: after 20 us, then at doubling intervals up to
// kPollMaxNs, which keeps the reaction below a millisecond. Client memory is read through the caller's
// reader with no lock held: the read may block on a migrated page.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "drv/exec/wait_context.h"
#include "drv/requests.h"

namespace softxe {

class ExecQueue;

/// One per device. Thread-safe.
class UserFenceWaiters {
 public:
  /// Wakes every sleeper to look again. Cheap when nobody sleeps. Callable under any lock below kLeaf.
  void notify();
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  /// Sleeps until a notify() after `seen` or until `until_ns` of the clock, whichever is first. False:
  /// simulator only, nothing is left that could run.
  bool sleep(WaitContext& context, std::uint64_t seen, std::uint64_t until_ns);

 private:
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint32_t> sleepers_{0};
  Monitor monitor_;
};

/// Reads the 8 bytes at the address: EFAULT when they cannot be read.
using UserWordReader = std::function<Result<std::uint64_t>(HostVa)>;

struct WaitUserFenceAnswer {
  Status status;                ///< EFAULT, EINTR, EIO, ETIME
  std::int64_t timeout_ns = 0;  ///< goes back to the client whatever the status
};

inline constexpr std::uint64_t kUserFencePollFirstNs = 20'000;
inline constexpr std::uint64_t kUserFencePollMaxNs = 500'000;
/// A deadline in the past still sleeps about one tick before it gives up.
inline constexpr std::uint64_t kUserFenceTickNs = 1'000'000;

/// `queue` only matters for EIO; none: no queue was named.
WaitUserFenceAnswer wait_user_fence(const WaitUserFenceRequest& request, const std::shared_ptr<ExecQueue>& queue,
                                    const UserWordReader& read, UserFenceWaiters& waiters, WaitContext& context);

}  // namespace softxe
