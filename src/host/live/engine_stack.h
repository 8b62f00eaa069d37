// Running engine code on a stack of the engine's.
//
// A client's thread may have the smallest stack that libc allows, or a fiber's, and in Linux an ioctl needs nothing of
// it. So what the engine does for a client's thread runs on a stack in engine memory; the client's holds one small
// frame meanwhile. Signals are blocked around it: a handler that jumped out would leave the stack in use for ever.
#pragma once

#include <cstdint>

namespace softxe::live {

/// Calls `function(argument)` with the stack pointer at `top` (16-byte aligned, the end of the stack) and comes back.
/// Nests: inside, switched_from() is the stack pointer of the outermost caller.
void call_on_stack(void* top, void (*function)(void*), void* argument);

/// Where the client's stack pointer stands while this thread is on a stack of the engine's; 0 when it is not.
std::uint64_t switched_from();

/// An upper bound of what lies below every thread's thread pointer: the TLS of all loaded modules.
std::uint64_t static_tls_bytes();

/// How large a stack must be that shall hold `frames` bytes besides what libc puts there: the TLS of everything that
/// the program is linked with, which is nearly a megabyte where a sanitizer keeps its state in it. `frames` covers an
/// ordinary TLS.
std::uint64_t thread_stack_bytes(std::uint64_t frames);

}  // namespace softxe::live
