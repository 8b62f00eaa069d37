// Whose descriptors, signal handlers and threads these are: does the calling thread use the tables that the runtime
// follows, and is it one of the threads that are counted?
//
// A vfork child, and whatever else shares the memory of the process, sees the engine's data as its own, but what it
// closes and duplicates are its own copies of the descriptors: the parent's device must not notice. The same goes
// for a thread that has unshared its table.
#pragma once

namespace softxe::preload {

/// False where a change of descriptors is none of the process's.
bool owns_fd_table();
/// False where a change of signal handlers is none of the process's: a vfork child has a table of its own.
bool owns_signal_handlers();
/// False in a process that only borrows the memory, whose threads are its own.
bool in_owner_process();
/// The calling thread has a table of descriptors of its own from here on.
void note_unshared_fds();
/// In the constructor, and in a fork child: this process is the owner.
void note_fd_owner();

}  // namespace softxe::preload
