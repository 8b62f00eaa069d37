// MissedCalls: calls that no hook saw, by the events of the client's userfaultfd.
//
// An event comes after the fact (discards: before it), and its causer goes on as soon as it is read. What has been
// read waits in the pump until somebody with the mm lock deals with it; pages that it speaks of do not move before.
#pragma once

#include "host/live/client_call.h"
#include "host/live/residents.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner.
class MissedCalls {
 public:
  MissedCalls(LiveResources& res, NotifierSet& notifiers, PageMover& mover, Registration& registration,
              Residents& residents)
      : res_(res), notifiers_(notifiers), mover_(mover), registration_(registration), residents_(residents) {}

  /// Deals with all events that have been read. `own`: the call that is being carried out, whose events are no news.
  void drain(const CallPlan* own = nullptr);
  void deal_with(const UffdMessage& message, const CallPlan* own);
  /// Inside deal_with(): what the event says about residency may not be recorded yet.
  bool is_dealing() const { return is_dealing_; }

  /// The mapping of `range` is gone, and with it what stood there.
  void forget(HostRange range);
  /// The same for the parts of `range` that are gone or have been replaced, by what the kernel says.
  void forget_unmapped(HostRange range);

 private:
  void on_remap(HostRange from, HostVa to);
  void on_fork(int fd);

  LiveResources& res_;
  NotifierSet& notifiers_;
  PageMover& mover_;
  Registration& registration_;
  Residents& residents_;
  bool is_dealing_ = false;
};

}  // namespace softxe::live
