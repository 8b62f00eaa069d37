// SIGSEGV and SIGBUS: the engine's fixup table first, then what the client installed.
#pragma once

namespace softxe::preload {

/// Puts our handler in front of whatever the client has. Once per process, when the session is made.
void take_memory_signals();

}  // namespace softxe::preload
