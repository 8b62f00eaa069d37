// The runtime's calls of libc reach libc, whatever the program puts in between.
//
// The loader binds our calls as it binds a client's: to the first definition there is. That may be a sanitizer's, which
// is not ready when our constructor runs, reports races on what our locks guard and takes the engine's threads for the
// client's; or the program's own write(). So the first constructor binds every function of libc's that this library
// imports to libc's own, but for those that are the program's by right: its allocator, and the making of threads, for
// which libc calls that allocator and of which a sanitizer must know.
// Calls that are made for a client go on to the next definition (interpose.h).
#pragma once

#include "preload/interpose.h"

namespace softxe::preload {

/// From the first constructor on: a run is active and libc is what it is known as.
bool libc_is_bound();

/// libc's own definition of a function; the next one behind ours where libc is not what it is known as.
void* own_libc_symbol(const char* name);

/// A function of libc's that this library interposes, called by the runtime for itself.
template <typename F>
using OwnLibc = LateBound<F, own_libc_symbol>;

}  // namespace softxe::preload
