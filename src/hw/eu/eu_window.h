// EuWindow: the memory a message's addresses count in: global memory, a surface, or SLM.
#pragma once

#include <cstdint>
#include <limits>

#include "base/result.h"
#include "hw/eu/eu_lsc.h"
#include "hw/eu/eu_surface.h"

namespace softxe {

/// Addresses 0 to `bytes` - 1 of a message lie at `base`; beyond them loads read zero and stores are dropped.
struct EuWindow {
  static constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max();

  GpuVa base{};
  std::uint64_t bytes = kEndless;
  std::uint64_t address_mask = kEndless;  ///< what stays of address + offset

  bool holds(std::uint64_t address, std::uint32_t size) const { return address < bytes && size <= bytes - address; }
};

/// Reads binding table and surface state from the call's memory where the message has one.
tl::expected<EuWindow, EuNoSurface> eu_open_window(const EuSendCall& call, const EuAddressing& address);

}  // namespace softxe
