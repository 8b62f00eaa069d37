// The C++ runtime's per-thread exception state, in the static TLS block.
//
// The archive's own version asks the loader for its address (__tls_get_addr), which may allocate from the
// client's heap and would make ld-linux a dependency. The layout is the C++ ABI's.
#include <cstdint>

namespace {
struct ExceptionGlobals {
  void* caught;
  unsigned uncaught;
};
thread_local constinit ExceptionGlobals globals{};
}  // namespace

extern "C" {
void* exception_globals() noexcept asm("__cxa_get_globals");
void* exception_globals_fast() noexcept asm("__cxa_get_globals_fast");
void* exception_globals() noexcept { return &globals; }
void* exception_globals_fast() noexcept { return &globals; }
}
