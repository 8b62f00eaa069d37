// EngineScope: this thread is in the engine, on behalf of a client call.
//
// While one is open, interposed symbols pass straight through (the engine uses libc too), the hooks of
// patched call sites stand aside, client signals are blocked, errno is kept, and the thread's stack and
// TLS stay out of VRAM. A call that sleeps for long asks pending_interruption() now and then and ends early.
#pragma once

#include <cstdint>

#include "host/live/live_host_mm.h"

namespace softxe::preload {

/// True when interposed symbols are to do their work: a run is active and this thread is a client's.
bool interposing();
/// True on engine threads and inside an EngineScope.
bool in_engine();
/// The calling thread belongs to the engine for good.
void adopt_engine_thread();

class EngineScope {
 public:
  EngineScope();
  ~EngineScope();
  EngineScope(const EngineScope&) = delete;
  EngineScope& operator=(const EngineScope&) = delete;

 private:
  live::LiveHostMm* mm_ = nullptr;  ///< whose section was entered; null when none was
  bool outermost_ = false;
  std::uint64_t mask_ = 0;
  int errno_ = 0;
};

/// What a signal that waits outside of the scope means for a system call that sleeps.
enum class Interruption : std::uint8_t {
  kNone,     ///< there is none, or nobody would notice it
  kRestart,  ///< its handler runs (SA_RESTART), or the process stops or dies; then the call goes on
  kReturn,   ///< its handler runs, then the call returns -EINTR
};
/// Inside an EngineScope of a client's thread.
Interruption pending_interruption();

/// Lighter, for hooks: only says that the thread is in the engine.
class EngineMark {
 public:
  EngineMark();
  ~EngineMark();
  EngineMark(const EngineMark&) = delete;
  EngineMark& operator=(const EngineMark&) = delete;
};

}  // namespace softxe::preload
