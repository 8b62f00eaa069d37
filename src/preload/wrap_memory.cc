// Memory calls of the client by their symbols. Where libc's call sites are patched these only pass on;
// on an unknown libc they are what the engine sees besides userfaultfd events (decision 0005).
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <span>

#include "base/call_stack.h"
#include "base/raw_syscall.h"
#include "host/live/lock_all.h"
#include "preload/engine_scope.h"
#include "preload/hooks.h"
#include "preload/interpose.h"
#include "preload/session.h"

namespace softxe::preload {
namespace {

enum class Route { kLibc, kHook, kKernel };

Route route() {
  if (in_engine()) return Route::kKernel;  // the engine may hold locks that a hook takes
  return live_mm() == nullptr || sites_are_patched() ? Route::kLibc : Route::kHook;
}

/// For Route::kHook and kKernel.
template <typename T, typename... A>
T direct(Route way, long number, A... arguments) {
  const std::array<long, 6> words{detail::word(arguments)...};
  long result = 0;
  if (way == Route::kHook) {
    result = run_in_engine([&] {
      const CallStack stack;
      return live_mm()->hook_syscall(number, words);
    });
  } else {
    result = raw_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  }
  if (errno_of(result) == 0) {
    if constexpr (std::is_pointer_v<T>)
      return reinterpret_cast<T>(result);
    else
      return static_cast<T>(result);
  }
  errno = errno_of(result);
  if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<T>(-1l);
  else
    return static_cast<T>(-1);
}

}  // namespace

SX_INTERPOSE(int, munmap, (void* at, std::size_t bytes)) {
  static constinit Real<int(void*, std::size_t)> real{"munmap"};
  const Route way = route();
  return way == Route::kLibc ? real(at, bytes) : direct<int>(way, SYS_munmap, at, bytes);
}
SX_INTERPOSE(int, mprotect, (void* at, std::size_t bytes, int prot)) {
  static constinit Real<int(void*, std::size_t, int)> real{"mprotect"};
  const Route way = route();
  return way == Route::kLibc ? real(at, bytes, prot) : direct<int>(way, SYS_mprotect, at, bytes, prot);
}
SX_INTERPOSE(int, madvise, (void* at, std::size_t bytes, int advice)) {
  static constinit Real<int(void*, std::size_t, int)> real{"madvise"};
  const Route way = route();
  return way == Route::kLibc ? real(at, bytes, advice) : direct<int>(way, SYS_madvise, at, bytes, advice);
}
SX_INTERPOSE(void*, mremap, (void* at, std::size_t old_bytes, std::size_t new_bytes, int flags, ...)) {
  static constinit Real<void*(void*, std::size_t, std::size_t, int, void*)> real{"mremap"};
  va_list list;
  va_start(list, flags);
  void* target = (flags & MREMAP_FIXED) != 0 || (flags & 4) != 0 ? va_arg(list, void*) : nullptr;
  va_end(list);
  const Route way = route();
  return way == Route::kLibc ? real(at, old_bytes, new_bytes, flags, target)
                             : direct<void*>(way, SYS_mremap, at, old_bytes, new_bytes, flags, target);
}
SX_INTERPOSE(int, mlock, (const void* at, std::size_t bytes)) {
  static constinit Real<int(const void*, std::size_t)> real{"mlock"};
  const Route way = route();
  return way == Route::kLibc ? real(at, bytes) : direct<int>(way, SYS_mlock, at, bytes);
}
SX_INTERPOSE(int, mlock2, (const void* at, std::size_t bytes, unsigned flags)) {
  static constinit Real<int(const void*, std::size_t, unsigned)> real{"mlock2"};
  const Route way = route();
  return way == Route::kLibc ? real(at, bytes, flags) : direct<int>(way, SYS_mlock2, at, bytes, flags);
}
SX_INTERPOSE(int, mlockall, (int flags)) {
  static constinit Real<int(int)> real{"mlockall"};
  const Route way = route();
  if (way == Route::kLibc && active() && live_mm() == nullptr) {  // the heap of the runtime is there without a device
    const long result = live::lock_client_memory(flags);
    if (errno_of(result) != 0) errno = errno_of(result);
    return errno_of(result) != 0 ? -1 : 0;
  }
  return way == Route::kLibc ? real(flags) : direct<int>(way, SYS_mlockall, flags);
}
// A page in VRAM is the process's: to Linux a device page is in memory.
SX_INTERPOSE(int, mincore, (void* at, std::size_t bytes, unsigned char* pages)) {
  static constinit Real<int(void*, std::size_t, unsigned char*)> real{"mincore"};
  const int result = real(at, bytes, pages);
  live::LiveHostMm* mm = live_mm();
  if (result != 0 || bytes == 0 || mm == nullptr || in_engine()) return result;
  constexpr std::uint64_t kPagesAtATime = 512;
  std::array<std::uint8_t, kPagesAtATime> home;
  const HostVa start(live::number_of(at));
  const HostVa end = start + align_up(bytes, kPageSize);
  for (HostVa here = start; here < end;) {
    const auto part = HostRange::of(here, std::min(kPagesAtATime * kPageSize, end - here));
    home.fill(0);
    if (run_in_engine([&] { return mm->mark_resident(part, std::span(home).first(part.pages())); }) != 0) {
      for (std::uint64_t i = 0; i < part.pages(); ++i) pages[(here - start) / kPageSize + i] |= home[i];
    }
    here = part.end();
  }
  return result;
}
SX_INTERPOSE(void*, shmat, (int id, const void* at, int flags)) {
  static constinit Real<void*(int, const void*, int)> real{"shmat"};
  const Route way = route();
  return way == Route::kLibc ? real(id, at, flags) : direct<void*>(way, SYS_shmat, id, at, flags);
}
SX_INTERPOSE(int, shmdt, (const void* at)) {
  static constinit Real<int(const void*)> real{"shmdt"};
  const Route way = route();
  return way == Route::kLibc ? real(at) : direct<int>(way, SYS_shmdt, at);
}

}  // namespace softxe::preload
