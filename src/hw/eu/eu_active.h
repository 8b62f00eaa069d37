// The channels of a message that take part, packed: lane n is the n-th of them. And groups of lanes that agree.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "hw/eu/eu_send.h"
#include "hw/eu/eu_thread.h"

namespace softxe {

struct EuActiveLanes {
  std::array<std::uint8_t, kEuChannelsMax> channel;
  unsigned count = 0;

  explicit EuActiveLanes(std::uint32_t channels) {
    for (std::uint32_t left = channels; left != 0; left &= left - 1) {
      channel[count++] = static_cast<std::uint8_t>(std::countr_zero(left));
    }
  }
};

using EuLaneRow = std::array<std::uint32_t, kEuChannelsMax>;

constexpr std::uint32_t eu_lanes_mask(unsigned count) { return count >= 32 ? ~0u : (1u << count) - 1; }

/// Calls `body(key, lanes)` for every distinct key with the lanes (as bits) that have it, until one is not done.
template <typename Body>
EuSendResult eu_each_group(const EuLaneRow& keys, unsigned count, const Body& body) {
  for (std::uint32_t left = eu_lanes_mask(count); left != 0;) {
    const std::uint32_t key = keys[static_cast<unsigned>(std::countr_zero(left))];
    std::uint32_t group = 0;
    for (unsigned n = 0; n < count; ++n) group |= static_cast<std::uint32_t>(keys[n] == key) << n;
    const EuSendResult result = body(key, group);
    if (result.kind != EuSendKind::kDone) return result;
    left &= ~group;
  }
  return {};
}

/// The lanes of a group, side by side.
template <typename T>
void eu_pack(std::uint32_t group, const T& from, T& to) {
  unsigned packed = 0;
  for (std::uint32_t left = group; left != 0; left &= left - 1) {
    to[packed++] = from[static_cast<unsigned>(std::countr_zero(left))];
  }
}
/// Back to where they were.
template <typename T>
void eu_unpack(std::uint32_t group, const T& from, T& to) {
  unsigned packed = 0;
  for (std::uint32_t left = group; left != 0; left &= left - 1) {
    to[static_cast<unsigned>(std::countr_zero(left))] = from[packed++];
  }
}

}  // namespace softxe
