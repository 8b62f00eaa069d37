// The counters of a run, in a file that the runner and every process of the run map: one slot per
// process image (pid and exec generation) that opened a device. A process that dies in any way leaves
// its numbers behind (design decision 19).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/counters.h"

namespace softxe::preload {

inline constexpr std::uint32_t kSlotsMagic = 0x58535831;
inline constexpr std::uint32_t kSlotsMax = 8192;
inline constexpr unsigned kSlotDevices = 8;

/// Zero-filled memory is a free slot.
struct ProcessSlot {
  std::atomic<std::uint32_t> pid;
  std::uint32_t device_count;
  char profile[16];
  char exe[232];
  std::array<CounterWords, kSlotDevices> devices;
};

struct SlotFile {
  std::uint32_t magic;
  std::uint32_t version;
  std::atomic<std::uint32_t> used;  ///< may exceed kSlotsMax: then some processes found no slot
  std::uint32_t reserved;
  std::array<ProcessSlot, kSlotsMax> slots;
};

}  // namespace softxe::preload
