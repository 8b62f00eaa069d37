// What the analysis knows of a Scheduler's lock, and the handle by which a public object finds its state.
//
// The lock guards state of queues, VMs and engines, which the Scheduler owns (queue_state.h, engine_state.h). Those
// states are structs of their own, so the lock is no member beside the fields that it guards: all of them name
// `schedule` instead, and Scheduler::lock() returns that capability. One name serves for every Scheduler; no function
// touches the states of two.
#pragma once

#include <memory>

#include "base/thread_annotations.h"

namespace softxe {

class Scheduler;

/// Only a name for clang's analysis: there is no such object.
struct SX_CAPABILITY("mutex") ScheduleRole {};
extern const ScheduleRole schedule;

/// Held by the public object, an ExecQueue or an ExecVm; its end is the end of the state. Empty until the Scheduler
/// enters it. When the Scheduler goes first, it takes the state along, and the handle's end does nothing.
template <typename State>
class ScheduleHandle {
 public:
  ScheduleHandle() = default;
  ~ScheduleHandle();
  ScheduleHandle(const ScheduleHandle&) = delete;
  ScheduleHandle& operator=(const ScheduleHandle&) = delete;

  /// Once, by the Scheduler that owns `state`.
  void enter(std::weak_ptr<Scheduler> owner, State& state) SX_REQUIRES(schedule) {
    owner_ = std::move(owner);
    state_ = &state;
  }
  /// Null: with no Scheduler.
  State* state() const SX_REQUIRES(schedule) { return state_; }

 private:
  std::weak_ptr<Scheduler> owner_ SX_GUARDED_BY(schedule);
  State* state_ SX_GUARDED_BY(schedule) = nullptr;
};

}  // namespace softxe
