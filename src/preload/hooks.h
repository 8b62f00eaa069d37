// Where the client's memory calls and forks reach the engine: patched call sites, or, when this libc could
// not be patched, the interposed symbols (wrap_memory.cc) and pthread_atfork.
#pragma once

namespace softxe::preload {

/// In the constructor, while the process has one thread. The hooks sleep.
void install_hooks();
/// With the session: the hooks do their work from here on.
void wake_hooks();
/// True when libc's own call sites reach us, so that interposed memory calls need not.
bool sites_are_patched();

}  // namespace softxe::preload
