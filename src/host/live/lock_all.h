// mlockall() for the client's memory: what the call would do in a process in which the runtime has none.
#pragma once

#include "host/live/proc_maps.h"

namespace softxe::live {

/// Takes the place of the system call; 0 or a negative errno. The kernel is asked mapping by mapping, and the
/// limit (RLIMIT_MEMLOCK) is held against the client's mappings alone. Populates: no lock may be held.
long lock_all(int flags, const ProcMaps& maps);
/// The same, where nobody has /proc/self/maps open.
long lock_client_memory(int flags);

}  // namespace softxe::live
