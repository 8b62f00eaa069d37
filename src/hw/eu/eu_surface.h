// EuSurface: what messages reach through a RENDER_SURFACE_STATE (spec/compute-dispatch.md 8 and 9, spec/eu-images.md
// 3).
//
// States lie in memory that clients rewrite between walkers without any command. They are therefore read and decoded
// anew for every message; whoever keeps a decoded one must compare all 16 dwords. Read next: eu_window.h (buffers),
// eu_image.h (images).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "hw/eu/eu_lsc.h"

namespace softxe {

enum class EuSurfaceType : std::uint8_t {
  k1d = 0,
  k2d = 1,
  k3d = 2,
  kCube = 3,
  kBuffer = 4,
  kStructured = 5,
  kScratch = 6,
  kNull = 7,  ///< loads read zero, stores are dropped
};

/// The 16 dwords, and the fields that all users want.
struct EuSurfaceState {
  std::array<std::uint32_t, 16> words{};

  EuSurfaceType type() const { return static_cast<EuSurfaceType>(words[0] >> 29); }
  std::uint32_t format() const { return words[0] >> 18 & 0x1FF; }
  std::uint64_t base(std::uint64_t va_mask) const { return (std::uint64_t{words[9]} << 32 | words[8]) & va_mask; }
  std::uint32_t pitch_bytes() const { return (words[3] & 0x3FFFF) + 1; }
  /// Of buffers and scratch: the size is split over three fields.
  std::uint64_t entries() const {
    return std::uint64_t{(words[2] & 0x7F) | (words[2] >> 16 & 0x3FFF) << 7 | (words[3] >> 21 & 0x7FF) << 21} + 1;
  }
};

/// Why there is no surface; `reason` has static storage.
struct EuNoSurface {
  enum class Kind : std::uint8_t { kFault, kUnsupported, kIllegal } kind;
  const char* reason;
};
EuSendResult eu_no_surface(const EuNoSurface& none);

inline std::uint64_t eu_va_mask(const EuSendCall& call) {
  return (std::uint64_t{1} << call.env.group.bases().va_bits) - 1;
}
/// State that stands in memory, read as one piece.
Status eu_read_state(const EuSendCall& call, GpuVa va, std::span<std::uint32_t> dwords);

/// The state that an address of the spaces kBti, kSurface and kBindless names, by way of the binding table for the
/// first. Reads the call's memory: kFault when that is refused.
tl::expected<EuSurfaceState, EuNoSurface> eu_read_surface(const EuSendCall& call, const EuAddressing& address);

}  // namespace softxe
