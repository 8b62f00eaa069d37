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

}  // namespace softxe::live
