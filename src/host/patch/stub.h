// The code a patched site jumps to, and the memory it stands in.
//
// One block per library, within +-2 GiB of its code, readable and executable from the start and
// written only through CodeWriter. Byte layout:
//
//   0    four 8-byte slots: addresses of the entries (entry.cc)
//   64   stub 0, then one every kStubBytes
//
// Every stub keeps the red zone of the function it serves, runs with the registers of the site and
// changes none but rax, rcx and r11, which a system call changes too. Calls that may make a child
// on another stack (fork form) run their syscall instruction with the stack pointer of the site and
// nothing of ours on the stack. Read next: entry.h.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/result.h"
#include "host/patch/site_finder.h"

namespace softxe::patch {

inline constexpr std::size_t kStubBytes = 192;
inline constexpr std::size_t kStubsOffset = 64;

enum class EntrySlot : std::uint8_t { kCall, kForkBefore, kForkAfter, kClassify, kCount };

constexpr std::size_t stub_block_bytes(std::size_t stubs) {
  return align_up(kStubsOffset + stubs * kStubBytes, kPageSize);
}
constexpr HostVa stub_address(HostVa block, std::size_t index) { return block + kStubsOffset + index * kStubBytes; }

using StubCode = std::array<std::uint8_t, kStubBytes>;

/// Writes the stub of `site` as it must stand at stub `index` of `block`. `site_bytes` are the
/// site's original bytes. ERANGE when the site is out of reach of a 32-bit jump.
Result<StubCode> make_stub(const Site& site, std::span<const std::uint8_t> site_bytes, HostVa block, std::size_t index);

/// Behind the call of EntrySlot::kCall in a stub: where the site goes on.
HostVa back_of_call(HostVa return_address);

/// The five bytes that replace the front of the site.
Result<std::array<std::uint8_t, kJumpBytes>> make_jump(HostVa from, HostVa to);

/// Maps `bytes` of executable memory from which the whole of `text` can be reached and back. Its
/// content is zero. Uses raw system calls.
Result<HostRange> map_near(HostRange text, std::size_t bytes);
/// The slow half of map_near: searches the gaps of /proc/self/maps.
Result<HostRange> map_in_gap(HostRange text, std::size_t bytes);

}  // namespace softxe::patch
