// ClientCalls: carries out the client's calls on its memory, by plan (client_call.h).
//
// A filter without a lock lets calls on memory that softxe does not know run past. Otherwise, under the lock: what
// must come home comes home, or the call is answered with ENOMEM; notifiers are told; the call is made; records
// follow what the kernel did. Pages that go are given up only after the call. Until then their memory stays
// registered, so that whoever touches them meanwhile waits and finds what the call has left: all of it, when it
// failed. The userfaultfd event that such a call raises is read by the reader and is no news (settle()).
#pragma once

#include <array>

#include "host/live/client_call.h"
#include "host/live/live_host_mm.h"

namespace softxe::live {

/// Any thread of the client, inside a hook. Every call makes the system call itself, unless it must not be made, and
/// returns what the kernel returned (a negative errno is an error).
class ClientCalls {
 public:
  explicit ClientCalls(LiveHostMm& mm) : mm_(mm), res_(mm.res_) {}
  /// By number; other numbers are passed through.
  long make(long number, const std::array<long, 6>& args);

 private:
  class Passing;  // a call that runs past us

  long map(const ClientCall& call);
  long set_break(const ClientCall& call);
  long lock_pages(const ClientCall& call);
  long lock_everything(int flags);
  long advise_vector(const ClientCall& call);
  long handle_faults(const ClientCall& call);

  long planned(const ClientCall& call);
  std::optional<long> run_past(const CallPlan& plan);
  void notify_late(const CallPlan& plan, long result);
  Result<long> carry_out(const CallPlanner& planner, const CallPlan& plan);
  long make_whole(const ClientCall& call) const;
  Status prepare_home(const CallPlan& plan) SX_REQUIRES(mm_.mm_lock_);
  bool leave_unregistered(const CallPlanner& planner, const CallPlan& plan) SX_REQUIRES(mm_.mm_lock_);
  long call_each_mapping(const CallPlan& plan) SX_REQUIRES(mm_.mm_lock_);
  void settle(const CallPlan& plan, long result) SX_REQUIRES(mm_.mm_lock_);
  void register_again(HostRange range) SX_REQUIRES(mm_.mm_lock_);
  void note_real_borders(HostRange range);

  LiveHostMm& mm_;
  LiveResources& res_;
};

}  // namespace softxe::live
