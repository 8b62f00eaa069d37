// Opening a client path: shadow files, device nodes, files made at open (spec/clients.md 1.3).
#pragma once

#include <sys/types.h>

#include "preload/fd_table.h"
#include "preload/paths.h"

namespace softxe::preload {

/// Opens a suspect path as openat() would. Inside an EngineScope. A descriptor or a negative errno.
int open_suspect(const KernelPath& path, int flags, mode_t mode);
/// Gives a fresh descriptor of a shadow file its meaning: device, or text made now. The same descriptor,
/// or a negative errno (then it is closed).
int give_meaning(int fd, int flags);
/// A descriptor with the text of fdinfo for one of the client's device files; negative errno: not ours.
int open_fdinfo(int target, int flags);
/// /proc/meminfo with the pretended huge pages; negative errno: the real one will do.
int open_meminfo(int flags);
/// How many huge pages the client has been told there are.
std::uint64_t pretended_huge_pages();
/// open() flags of an fopen() mode; -1: malformed.
int flags_of_mode(const char* mode);
/// Hands a client's write to the file made at open. The bytes taken, or a negative errno.
/// The client goes back to the start of an attribute: what it reads next is its text now, as sysfs and debugfs have it.
void renew_dynamic_text(int fd, const FdObject& object);
long write_dynamic_text(const FdObject& object, std::string_view text);

}  // namespace softxe::preload
