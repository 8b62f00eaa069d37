// A thread with a table of descriptors of its own, in which nobody can close them.
//
// Descriptors belong to a table, and threads share one by default. A client that closes all there is by system calls of
// its own closes the runtime's, too, and with the last descriptor of a userfaultfd the kernel fills what is in VRAM
// with zeroes. In a table of its own a thread keeps them open.
#pragma once

#include <span>

namespace softxe::live {

/// From now on the calling thread has a table of its own, with `descriptors` (ascending, none of them -1) under the
/// numbers they had and nothing else, so that it holds no file of the client's. False: it shares the process's table as
/// before.
bool keep_own_descriptors(std::span<const int> descriptors);

}  // namespace softxe::live
