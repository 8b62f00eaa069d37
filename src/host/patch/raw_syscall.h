// System calls that never pass through libc, so that they work while libc is being patched and do
// not come back into a hook. They return the kernel's raw result: -errno on failure.
#pragma once

#include <array>

namespace softxe::patch {

inline long raw_syscall(long nr, unsigned long a0 = 0, unsigned long a1 = 0, unsigned long a2 = 0, unsigned long a3 = 0,
                        unsigned long a4 = 0, unsigned long a5 = 0) {
  long result;
  register unsigned long r10 asm("r10") = a3;
  register unsigned long r8 asm("r8") = a4;
  register unsigned long r9 asm("r9") = a5;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
unsigned long raw_arg(T* pointer) {
  return reinterpret_cast<unsigned long>(pointer);
}

/// One intercepted call. A hook may change it before it performs it.
struct SyscallArgs {
  long nr;
  std::array<unsigned long, 6> a;
};

inline long raw_syscall(const SyscallArgs& c) {
  return raw_syscall(c.nr, c.a[0], c.a[1], c.a[2], c.a[3], c.a[4], c.a[5]);
}

inline bool raw_failed(long result) { return result < 0 && result >= -4095; }

}  // namespace softxe::patch
