// Loads, stores, atomics and copies of memory that may vanish: they return false instead of dying.
//
// The GPU model reaches system memory by its real address (docs/design: the CPU's MMU is the TLB), and
// ioctl handlers copy from user pointers. Either may meet an address that was unmapped a moment ago.
// Each routine is a few instructions of assembly with a known fixup address; the process's SIGSEGV /
// SIGBUS handler asks guarded_fixup() first and only then whatever the client installed.
// A page that is merely missing (in VRAM) blocks in the access and is served; it is not a failure.
#pragma once

#include <ucontext.h>
#include <cstddef>
#include <cstdint>

#include "base/address.h"

namespace softxe {

/// Copies forward like memcpy. False when either side faulted; then a prefix may have been copied.
[[nodiscard]] bool guarded_copy(void* to, const void* from, std::size_t bytes);
/// Fills with one byte value.
[[nodiscard]] bool guarded_fill(void* to, std::uint8_t value, std::size_t bytes);

/// Single-copy-atomic when naturally aligned, as ordinary mov instructions are.
[[nodiscard]] bool guarded_load32(const void* from, std::uint32_t& value);
[[nodiscard]] bool guarded_load64(const void* from, std::uint64_t& value);
[[nodiscard]] bool guarded_store32(void* to, std::uint32_t value);
[[nodiscard]] bool guarded_store64(void* to, std::uint64_t value);

/// Compare-exchange with full ordering. `expected` receives the value found. Success of the exchange
/// is `expected` unchanged; the return value only tells whether memory could be reached.
[[nodiscard]] bool guarded_cmpxchg32(void* at, std::uint32_t& expected, std::uint32_t desired);
[[nodiscard]] bool guarded_cmpxchg64(void* at, std::uint64_t& expected, std::uint64_t desired);

/// Elements at scattered addresses: element n at `at[n] + delta` (modulo 2^64), packed in the buffer.
struct GuardedLanes {
  const std::uint64_t* at;
  std::uint64_t delta;
  std::size_t count;  ///< at least 1
};
/// Elements of 1, 2, 4 or 8 bytes, in ascending order, each as one ordinary mov. Returns how many are left: 0, or
/// the number from the one on that could not be reached.
[[nodiscard]] std::size_t guarded_gather(const GuardedLanes& lanes, void* to, std::size_t element_bytes);
[[nodiscard]] std::size_t guarded_scatter(const GuardedLanes& lanes, const void* from, std::size_t element_bytes);

/// Memory of the runtime in which a page may be missing that belongs there (VRAM that the kernel has dropped).
class FrameSource {
 public:
  enum class Answer : std::uint8_t {
    kNotMine,
    kServed,  ///< the page is there now: repeat the access
    kEmpty,   ///< mine, and nothing is to be had there
  };
  virtual Answer ask(HostVa address) = 0;
  /// An access outside the routines above met a place where nothing is. When it was the runtime's own this
  /// does not return.
  virtual void refuse(HostVa address) = 0;

 protected:
  ~FrameSource() = default;
};
/// False: there are too many. All calls to a source are async-signal-safe; it must be removed before it goes.
[[nodiscard]] bool guarded_add_source(FrameSource& source);
void guarded_remove_source(FrameSource& source);

/// For signal handlers: when a source has the page, true. When the faulting instruction is one of the above, redirects
/// it to its fixup and returns true. Async-signal-safe.
bool guarded_fixup(ucontext_t* context);

/// Installs a SIGSEGV and SIGBUS handler that only knows the fixup table and otherwise restores the
/// default action. For tests and the embeddable library; the preload library chains its own.
void guarded_install_handler();

}  // namespace softxe
