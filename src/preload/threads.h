// Engine threads inside the client's process: stack in the engine's heap, client signals blocked.
#pragma once

#include "drv/gc_worker.h"

namespace softxe::preload {

/// Threads that no signal of the client reaches and whose stack cannot be in VRAM. Joined before a
/// replacement starts, so stacks are few and are used again. The first call in a process also starts the thread
/// that makes them; while a session is being made only.
ThreadStarter engine_thread_starter();

}  // namespace softxe::preload
