// Sizes of VRAM a device can have. Who makes a device from numbers of others asks here first: VramBuddy asserts them.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "drv/profile.h"

namespace softxe {

/// Blocks of 2 MiB are what migrates and what the largest page-table entries map.
inline constexpr std::uint64_t kVramBytesStep = 2ull << 20;
inline constexpr std::uint64_t kVramBytesMin = kVramBytesStep;
/// Eight devices of two tiles fit into the 47 bits of a process beside everything else.
inline constexpr std::uint64_t kVramBytesMax = 1ull << 40;

/// Of one tile. EINVAL.
inline Status check_vram_size(std::uint64_t bytes) {
  if (bytes >= kVramBytesMin && bytes <= kVramBytesMax && bytes % kVramBytesStep == 0) return {};
  return fail(EINVAL, "VRAM: 2 MiB to 1 TiB per tile, in steps of 2 MiB");
}

/// EINVAL when the sizes are not allowed or contradict each other. Of a device without VRAM they mean nothing.
inline Status check_config(const DeviceConfig& config) {
  if (config.profile->default_vram_bytes == 0) return {};
  SX_TRY_VOID(check_vram_size(config.vram_bytes));
  if (config.visible_bytes > config.vram_bytes) return fail(EINVAL, "CPU-visible VRAM: more than the VRAM there is");
  if (config.visible_bytes % kVramBytesStep == 0 && config.visible_bytes != 0) return {};
  return fail(EINVAL, "CPU-visible VRAM: 2 MiB or more, in steps of 2 MiB");
}

}  // namespace softxe
