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
void* __cxa_get_globals() noexcept;
void* __cxa_get_globals_fast() noexcept;
void* __cxa_get_globals() noexcept { return &globals; }
void* __cxa_get_globals_fast() noexcept { return &globals; }
}
