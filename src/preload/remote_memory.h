// Readers of a process's memory from outside: /proc/PID/mem and ptrace, of this process or of another one.
//
// For them the kernel waits for no userfaultfd: a page in VRAM is EIO, where Linux brings a device page home. A
// tracer or a reader that runs under softxe, too, has this library: it asks by process_vm_readv(), which does
// wait, for a byte of each page that was refused, and repeats the call. A target whose fault thread is stopped (all
// its threads are, under gdb) cannot answer: then the refusal stands (docs/DEVIATIONS.md).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace softxe::preload {

/// The process whose memory `fd` shows, 0: it is no /proc/PID/mem.
pid_t process_behind(int fd);

struct RemoteBytes {
  std::uint64_t start = 0;
  std::size_t bytes = 0;
};
/// Waits until the pages of `range` of process `pid` are in its memory, as far as there are any. False: nothing
/// can be done for it.
bool fetch_home(pid_t pid, RemoteBytes range);

/// After an operation on `range` through `fd` that ended with `first`: true when that was the memory of a process,
/// pages in VRAM stopped it, and they are home now. Keeps errno.
bool bring_home_behind(int fd, ssize_t first, RemoteBytes range);
/// What read() and write() are about.
RemoteBytes at_position(int fd, std::size_t bytes);

/// The result of an operation, done again where pages in VRAM stopped it. `from(done)` does what is left after `done`
/// bytes; results are libc's.
template <typename From>
ssize_t with_pages_home(int fd, ssize_t first, RemoteBytes range, From from) {
  if (!bring_home_behind(fd, first, range)) return first;
  if (first < 0) return from(std::size_t{0});
  const ssize_t more = from(static_cast<std::size_t>(first));
  return more > 0 ? first + more : first;
}

}  // namespace softxe::preload
