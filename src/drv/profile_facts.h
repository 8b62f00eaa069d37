// What the profiles' files are written with: masks of facts and classes, and the units that all of them have in common.
#pragma once

#include <cstdint>

#include "drv/profile.h"
#include "hw/eu/eu_thread_ids.h"

namespace softxe {

constexpr std::uint32_t bit(DeviceFact f) { return static_cast<std::uint32_t>(f); }
constexpr std::uint32_t bit(EngineClass c) { return 1u << static_cast<unsigned>(c); }

// Of a HWCONFIG table: as many threads as units hand out ids, whatever the part has.
inline constexpr std::uint32_t kSubSlices = 8;  ///< of all slices
inline constexpr std::uint32_t kEusPerSubSlice = 8;
inline constexpr std::uint32_t kThreadsPerEu = 8;
static_assert(kSubSlices * kEusPerSubSlice * kThreadsPerEu == kEuThreadIds);

}  // namespace softxe
