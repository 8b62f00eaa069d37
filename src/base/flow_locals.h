// FlowLocals: what belongs to one flow of control and not to whoever runs it.
//
// A flow is a thread, or, where orders are searched (turns.h), a fiber: the scheduler of fibers changes these words
// with the fiber, as it does with ranks of locks (lock.h) and the cause of events (event_ring.h). Whoever needs another
// word that lives across a point of a search adds it here.
#pragma once

namespace softxe {

struct FlowLocals {
  void* fence_calls = nullptr;  ///< drv/exec/fence.cc: calls to be made in the outermost signal()
  bool in_step_action = false;  ///< a scenario's `at STEP do` runs
};

namespace detail {
inline constinit thread_local FlowLocals flow_locals{};
}  // namespace detail

inline FlowLocals& flow_locals() { return detail::flow_locals; }

}  // namespace softxe
