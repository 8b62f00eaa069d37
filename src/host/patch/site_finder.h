// Finds the system call sites worth patching in a library's code: a byte search for candidates, then
// decoding of the enclosing function to confirm each one or to say why it is refused.
//
//   form                bytes                                                     seen in
//   kMovSyscall         b8 imm32 | 0f 05                                           every wrapper
//   kMovOrSyscall       b8 09 00 00 00 | 41 83 ca 40 | 0f 05                       glibc 2.43 mmap
//   kLoadR9Syscall      4c 8b 4c 24 08 | 0f 05                                     syscall(3)
//
// The first five bytes of a site become `jmp rel32`; what they said, and the `or`, move into the
// stub. The bytes behind them, `0f 05` among them, stay: a call that the kernel restarts after a
// signal (rip back by 2, rax again the number) still finds its syscall instruction.
// Read next: stub.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "host/patch/calls.h"
#include "host/patch/elf_image.h"

namespace softxe::patch {

inline constexpr std::size_t kJumpBytes = 5;
inline constexpr std::size_t kMaxSites = 96;
enum class SiteForm : std::uint8_t { kMovSyscall, kMovOrSyscall, kLoadR9Syscall, kUnknown };

/// One place in the code that is, or looks like, a system call of interest.
struct Site {
  HostVa start{};  ///< the mov (or the load of r9)
  std::uint8_t length_bytes = 0;
  SiteForm form = SiteForm::kUnknown;
  int nr = 0;
  const char* refused = nullptr;  ///< reason, or nullptr when it may be patched
  HostRange range() const { return HostRange::of(start, length_bytes); }
};

/// Fixed-capacity list: the finder runs in a constructor and does not allocate.
struct SiteList {
  std::array<Site, kMaxSites> items{};
  std::size_t count = 0;
  bool overflowed = false;
  void add(const Site& site);
  std::span<const Site> span() const { return {items.data(), count}; }
};

/// Code at an address.
struct Code {
  HostVa start{};
  std::span<const std::uint8_t> bytes;
};

/// Appends every candidate in `code`, confirmed or with its reason. Byte pairs 0f 05 that are not a
/// syscall instruction are not candidates and are not listed.
void find_sites(const Code& code, const FunctionBounds& bounds, SiteList& sites);

/// Decodes a whole function and checks one candidate against it: instruction boundaries, nothing
/// jumps into it, no jump with an unknown target. ESRCH: there is no syscall instruction at this
/// place (a false byte pair); EINVAL and others: there is, and the site is refused.
Status confirm_site(const Code& code, HostRange function, const Site& site);

/// Slow: decodes every function of the library and refuses sites that any of them jumps into.
/// Returns the number of functions that could not be decoded to their end.
std::size_t refuse_branch_targets(const LoadedImage& image, SiteList& sites);

}  // namespace softxe::patch
