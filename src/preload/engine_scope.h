// EngineScope: this thread is in the engine, on behalf of a client call.
//
// While one is open, interposed symbols pass straight through (the engine uses libc too), the hooks of
// patched call sites stand aside, client signals and cancellation are held back, errno is kept, and the thread's stack
// and TLS stay out of VRAM. A call that sleeps for long asks pending_interruption() now and then and ends early.
//
// What may need more than a page of stack goes through run_in_engine(), which opens a scope and works on a stack of
// the engine's: the client's thread may have the smallest one there is.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include "host/live/live_host_mm.h"

namespace softxe::preload {

/// True when interposed symbols are to do their work: a run is active and this thread is a client's.
bool interposing();
/// True on engine threads and inside an EngineScope.
bool in_engine();
/// The calling thread belongs to the engine for good.
void adopt_engine_thread();

/// The half of a scope that is done on the client's stack: who this thread is, its signals, its cancellation.
/// The last thing that leaving does is to let signals in: a handler may use the device, or jump out for good.
class EngineEntry {
 public:
  EngineEntry();
  ~EngineEntry() noexcept(false);  // an asynchronous cancellation may unwind from here
  EngineEntry(const EngineEntry&) = delete;
  EngineEntry& operator=(const EngineEntry&) = delete;

  bool outermost() const { return outermost_; }

 private:
  bool outermost_ = false;
  int cancel_state_ = 0;
  int errno_ = 0;
  std::uint64_t mask_ = 0;
};

/// The other half: the client's stack and TLS are pinned, if there is a session.
class PinnedClient {
 public:
  explicit PinnedClient(const EngineEntry& entry);
  ~PinnedClient();
  PinnedClient(const PinnedClient&) = delete;
  PinnedClient& operator=(const PinnedClient&) = delete;

 private:
  bool entered_ = false;
};

class EngineScope {
 public:
  EngineScope() : pinned_(entry_) {}
  ~EngineScope() noexcept(false) = default;
  EngineScope(const EngineScope&) = delete;
  EngineScope& operator=(const EngineScope&) = delete;

 private:
  EngineEntry entry_;
  PinnedClient pinned_;
};

/// Runs `function(argument)` on a stack of the engine's, or where it is when the thread stands on one already.
/// Signals are blocked.
void on_engine_stack(void (*function)(void*), void* argument);

/// The same for what returns nothing.
template <typename F>
void on_engine_stack(F&& work) {
  on_engine_stack([](void* it) { (*static_cast<std::remove_reference_t<F>*>(it))(); }, &work);
}

/// What `work` returns, done in an EngineScope and on a stack of the engine's.
template <typename F>
std::invoke_result_t<F&> run_in_engine(F&& work) {
  using R = std::invoke_result_t<F&>;
  const EngineEntry entry;
  if constexpr (std::is_void_v<R>) {
    on_engine_stack([&] {
      const PinnedClient pinned(entry);
      work();
    });
  } else {
    std::optional<R> result;
    on_engine_stack([&] {
      const PinnedClient pinned(entry);
      result.emplace(work());
    });
    return std::move(*result);
  }
}

/// Around fork: no other thread is taking or giving a stack while the memory is copied.
void engine_stacks_before_fork();
void engine_stacks_after_fork();

/// What a signal that waits outside of the scope means for a system call that sleeps.
enum class Interruption : std::uint8_t {
  kNone,     ///< there is none, or nobody would notice it
  kRestart,  ///< its handler runs (SA_RESTART), or the process stops or dies; then the call goes on
  kReturn,   ///< its handler runs, then the call returns -EINTR
};
/// Inside an EngineScope of a client's thread.
Interruption pending_interruption();

/// Lighter, for hooks: only says that the thread is in the engine. Signals are blocked by whoever calls the hook.
class EngineMark {
 public:
  EngineMark();
  ~EngineMark();
  EngineMark(const EngineMark&) = delete;
  EngineMark& operator=(const EngineMark&) = delete;
};

}  // namespace softxe::preload
