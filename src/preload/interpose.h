// How a libc symbol is interposed, and how the real one is called.
//
//   SX_INTERPOSE(int, chdir, (const char* path)) {      exported as "chdir", whatever libc's header says
//     static constinit Real<int(const char*)> real{"chdir"};
//     if (!interposing()) return real(path);
//     ...
//   }
//   SX_INTERPOSE_ALIAS(chdir, chdir_other)
//
// Every interposed name also stands in exports.map; a test compares the two.
#pragma once

#include <atomic>
#include <cerrno>

#define SX_INTERPOSE(type, name, arguments)                                                             \
  extern "C" __attribute__((visibility("default"), used)) type sx_wrap_##name arguments __asm__(#name); \
  extern "C" type sx_wrap_##name arguments

// GCC compares the attributes of an alias with its target's; clang knows neither check nor attribute.
#if defined(__clang__)
#define SX_COPY_ATTRIBUTES(name)
#else
#define SX_COPY_ATTRIBUTES(name) __attribute__((copy(name)))
#endif

/// `other` is one more exported name of the interposed `name`, defined above in the same file.
#define SX_INTERPOSE_ALIAS(name, other)                                 \
  extern "C" __attribute__((visibility("default"), used, alias(#name))) \
  SX_COPY_ATTRIBUTES(sx_wrap_##name) __typeof__(sx_wrap_##name) sx_wrap_##other __asm__(#other);

namespace softxe::preload {

/// dlsym(RTLD_NEXT), on a stack of the engine's where there are any: the loader needs more than a client may have.
void* next_symbol(const char* name);

/// A function that `kLookUp` finds by its name at the first call, which needs the stack that the loader needs.
template <typename F, void* (*kLookUp)(const char*)>
class LateBound;
template <typename R, typename... A, void* (*kLookUp)(const char*)>
class LateBound<R(A...), kLookUp> {
 public:
  constexpr explicit LateBound(const char* name) : name_(name) {}
  R operator()(A... arguments) { return pointer()(arguments...); }

  using Pointer = R (*)(A...);
  Pointer pointer() {
    void* found = pointer_.load(std::memory_order_acquire);
    if (found == nullptr) {
      const int before = errno;
      found = kLookUp(name_);
      if (found == nullptr) __builtin_trap();  // this libc lacks what its header promised
      errno = before;
      pointer_.store(found, std::memory_order_release);
    }
    return reinterpret_cast<Pointer>(found);
  }

 private:
  const char* name_;
  std::atomic<void*> pointer_{nullptr};
};

/// The next definition of a symbol behind ours.
template <typename F>
using Real = LateBound<F, next_symbol>;

/// Kernel convention (negative errno) to libc convention.
template <typename T = int>
T libc_result(long result) {
  if (result < 0 && result >= -4095) {
    errno = static_cast<int>(-result);
    return static_cast<T>(-1);
  }
  return static_cast<T>(result);
}

}  // namespace softxe::preload
