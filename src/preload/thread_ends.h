// How the client's threads end, where Linux would need no help.
//
// Two things go wrong with a device open. The runtime's threads are threads of the process: libc, which ends the
// process with its last thread, never sees a last one. And what the kernel stores when a thread has ended (the word
// that pthread_join() waits for, the words of robust mutexes that it held) it stores without serving a fault: a store
// to a page in VRAM is lost, and whoever waits for it waits for ever.
//
// So the runtime counts the client's threads, and each of them, last of all, pins what the kernel will store to.
// What a raw clone() makes is not counted; libc does not count it either.
#pragma once

namespace softxe::preload {

/// In the constructor, on the first thread, behind note_fd_owner().
void watch_thread_ends();
/// Of note_fd_owner() (fd_owner.h): the calling thread is the only one.
void forget_other_threads();
/// syscall(SYS_exit): the calling thread is over, and with the last one the process. Does not return.
[[noreturn]] void end_thread(int status);

}  // namespace softxe::preload
