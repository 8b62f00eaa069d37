// Kernels for the soak: 64 lanes that count in pages of their own, or store all over memory that may vanish.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "hw/eu/eu_launch.h"

namespace softxe::sim {

/// Borrows the engine. Code and tables stand in memory of the process like everything else, and move with it.
class SoakKernels {
 public:
  static constexpr std::uint64_t kRoomBytes = 64 * 1024;
  static constexpr unsigned kLanes = 64;
  using Places = std::array<std::uint64_t, kLanes>;

  /// `room` is kRoomBytes of the process's memory that nobody else uses.
  SoakKernels(EngineMemory& memory, const Clock& clock, std::uint64_t room, unsigned va_bits);

  struct Count {
    std::span<const std::uint64_t, kLanes> pages;  ///< one for each lane, no two alike
    std::uint64_t own_offset;                      ///< in a page: the word that only this engine writes
    std::uint32_t rounds;
  };
  /// `rounds` times: loads the own word, stores one more, and adds one to the page's first word atomically. `found` is
  /// what the last round loaded. EFAULT: a fault was refused.
  Status count(const Count& what, Places& found);

  /// `rounds` times: stores at each place, then loads from it. EFAULT at any time: what is there may be away.
  Status scatter(std::span<const std::uint64_t, kLanes> places, std::uint64_t value, std::uint32_t rounds);

 private:
  Status run(std::uint64_t code, std::uint64_t second, std::uint32_t rounds);

  EuLauncher launcher_;
  std::uint64_t room_;
  unsigned va_bits_;
};

}  // namespace softxe::sim
