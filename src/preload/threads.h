// Engine threads inside the client's process: stack in the engine's heap, client signals blocked.
#pragma once

#include "base/result.h"
#include "drv/gc_worker.h"

namespace softxe::preload {

/// Threads that no signal of the client reaches and whose stack cannot be in VRAM. The first call in a process also
/// starts the thread that makes them; while a session is being made only. There are threads for `lasting` pieces of
/// work that never end, and two more: where no others can be made later, work waits for one of these. EAGAIN when there
/// cannot be that many now.
Result<ThreadStarter> engine_thread_starter(unsigned lasting);

}  // namespace softxe::preload
