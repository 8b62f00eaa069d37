// One intercepted system call, as the hooks see it.
#pragma once

#include <array>

#include "base/raw_syscall.h"

namespace softxe::patch {

/// A hook may change it before it performs it.
struct SyscallArgs {
  long nr;
  std::array<unsigned long, 6> a;
};

using softxe::raw_syscall;  // the overload below would hide it

/// Performs the call past every hook.
inline long raw_syscall(const SyscallArgs& c) {
  return raw_syscall(c.nr, c.a[0], c.a[1], c.a[2], c.a[3], c.a[4], c.a[5]);
}

}  // namespace softxe::patch
