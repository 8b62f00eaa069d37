// malloc() and free() of what is linked into this library, which is the C++ runtime: from the engine's heap, as for
// operator new (engine_alloc.h). Exceptions and the buffer that it keeps for them would else lie in the client's heap,
// and the first call would come before a sanitizer is ready to answer it.
//
// The linker makes these of malloc and free (--wrap).
#include <cstddef>

#include "preload/engine_alloc.h"
#include "preload/own_libc.h"

extern "C" {
void* program_malloc(std::size_t bytes) __asm__("__real_malloc");
void program_free(void* memory) __asm__("__real_free");
void* wrapped_malloc(std::size_t bytes) __asm__("__wrap_malloc");
void wrapped_free(void* memory) __asm__("__wrap_free");

void* wrapped_malloc(std::size_t bytes) {
  using namespace softxe::preload;
  return libc_is_bound() ? engine_allocate(bytes, 16) : program_malloc(bytes);
}

/// Libc's own functions hand out memory of the program's allocator.
void wrapped_free(void* memory) {
  using namespace softxe;
  const HostVa at(reinterpret_cast<std::uint64_t>(memory));
  if (preload::libc_is_bound() && preload::engine_heap().contains(at)) {
    preload::engine_release(memory);
  } else {
    program_free(memory);
  }
}
}
