// Engine threads inside the client's process: stack in the engine's heap, client signals blocked.
#pragma once

#include "drv/gc_worker.h"

namespace softxe::preload {

/// Threads that no signal of the client reaches and whose stack cannot be in VRAM. Joined before a
/// replacement starts, so stacks are few and are used again.
ThreadStarter engine_thread_starter();

}  // namespace softxe::preload
