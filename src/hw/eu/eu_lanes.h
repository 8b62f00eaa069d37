// The addresses of a message's channels, and where their data stand in registers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "hw/eu/eu_lsc.h"
#include "hw/eu/eu_window.h"

namespace softxe {

/// Room for elements that are written before they are read: costs nothing to make.
template <typename T, std::size_t kCount>
class EuRoom {
 public:
  EuRoom() {}  // NOLINT(modernize-use-equals-default): a default one would clear the elements
  T& operator[](std::size_t n) { return items_[n]; }
  const T& operator[](std::size_t n) const { return items_[n]; }
  T* data() { return items_; }
  const T* data() const { return items_; }
  std::span<const T> first(std::size_t count) const { return {items_, count}; }

 private:
  union {
    T items_[kCount];
  };
};

/// Addresses within a window, of the channels that take part, in ascending order of channels.
struct EuLaneAddresses {
  EuRoom<std::uint64_t, kEuChannelsMax> address;
  EuRoom<std::uint8_t, kEuChannelsMax> channel;
  unsigned count = 0;
  bool dense = false;  ///< lane n is channel n
};

enum class EuAddressLayout : std::uint8_t { kEach, kStrided };

/// False when the registers of src0 are not all there.
bool eu_read_addresses(const EuSendCall& call, const EuAddressing& addressing, EuAddressLayout layout,
                       const EuWindow& window, EuLaneAddresses& lanes);

/// Element j of channel k stands at k * lane_step + j * element_step, in bytes from the first register.
struct EuDataShape {
  unsigned lane_step = 0;
  unsigned element_step = 0;
  unsigned bytes = 0;  ///< of all registers
  unsigned at(unsigned channel, unsigned element) const { return channel * lane_step + element * element_step; }
};

/// Calls `body` with a codec of the element's sizes: codec.load(reg, mem) and codec.store(mem, reg).
template <typename Memory, typename Register, unsigned kShift>
struct EuElementCodec {
  static constexpr unsigned kMemoryBytes = sizeof(Memory);
  static constexpr unsigned kRegisterBytes = sizeof(Register);
  static void load(std::byte* reg, const std::byte* mem) {
    Memory value;
    std::memcpy(&value, mem, sizeof value);
    const auto wide = static_cast<Register>(static_cast<Register>(value) << kShift);
    std::memcpy(reg, &wide, sizeof wide);
  }
  static void store(std::byte* mem, const std::byte* reg) {
    Register wide;
    std::memcpy(&wide, reg, sizeof wide);
    const auto value = static_cast<Memory>(wide >> kShift);
    std::memcpy(mem, &value, sizeof value);
  }
};

template <typename Body>
void eu_with_codec(const EuElement& element, const Body& body) {
  switch (element.register_bytes << 4 | element.memory_bytes) {
    case 0x11: return body(EuElementCodec<std::uint8_t, std::uint8_t, 0>{});
    case 0x22: return body(EuElementCodec<std::uint16_t, std::uint16_t, 0>{});
    case 0x88: return body(EuElementCodec<std::uint64_t, std::uint64_t, 0>{});
    case 0x41: return body(EuElementCodec<std::uint8_t, std::uint32_t, 0>{});
    case 0x42:
      if (element.high_half) return body(EuElementCodec<std::uint16_t, std::uint32_t, 16>{});
      return body(EuElementCodec<std::uint16_t, std::uint32_t, 0>{});
    default: return body(EuElementCodec<std::uint32_t, std::uint32_t, 0>{});
  }
}

}  // namespace softxe
