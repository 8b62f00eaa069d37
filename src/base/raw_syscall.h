// System calls without libc: no errno, no interposed symbol, no patched site.
//
// The runtime stands behind hooks on libc's own system-call sites. What it does itself must not come
// back through them, must not touch errno of a client thread, and must be callable on a stack of the
// arena and before libc is ready. Results follow the kernel: a negative errno in [-4095, -1], anything else is success.
#pragma once

#include <cstdint>
#include <type_traits>

#include <sys/syscall.h>

namespace softxe {

namespace detail {
inline long syscall6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return static_cast<long>(reinterpret_cast<std::uintptr_t>(value));
  } else if constexpr (std::is_null_pointer_v<T>) {
    return 0;
  } else {
    return static_cast<long>(value);
  }
}
}  // namespace detail

template <typename A = long, typename B = long, typename C = long, typename D = long, typename E = long,
          typename F = long>
long raw_syscall(long number, A a = 0, B b = 0, C c = 0, D d = 0, E e = 0, F f = 0) {
  using detail::word;
  return detail::syscall6(number, word(a), word(b), word(c), word(d), word(e), word(f));
}

/// The positive errno of a failed call, 0 of a successful one.
constexpr int errno_of(long result) { return result < 0 && result >= -4095 ? static_cast<int>(-result) : 0; }

}  // namespace softxe
