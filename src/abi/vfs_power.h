// Files of runtime power management: the card's power folder, its configuration space, and the port above it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "abi/runtime_pm.h"
#include "drv/profile.h"

namespace softxe {

class TreeBuilder;

enum class PowerFile : std::uint8_t {
  kControl,
  kDelay,
  kStatus,
  kUsage,
  kActiveTime,
  kSuspendedTime,
  kD3coldAllowed,
  kD3coldThreshold,
  kCardState,  ///< D0, D3hot, D3cold
  kConfig,     ///< configuration space, whose power management registers follow the state
  kBridgeControl,
  kBridgeDelay,  ///< the port has none: EIO, as Linux
  kBridgeState,  ///< D0 or D3cold: the card loses its power with the port
};

/// Below the card's folder, or below the port's. None: another file.
std::optional<PowerFile> find_power_file(std::string_view below_card);
std::optional<PowerFile> find_bridge_power_file(std::string_view below_bridge);
void add_power(TreeBuilder& tree, const DeviceConfig& device);

/// `vram_used`: bytes, of the whole card. EIO: see kBridgeDelay.
Result<std::string> read_power(PowerFile file, RuntimePm& pm, const DeviceConfig& device, std::uint64_t vram_used);
/// EINVAL: malformed or out of range. EACCES: cannot be written.
Status write_power(PowerFile file, std::string_view text, RuntimePm& pm, const DeviceConfig& device);

}  // namespace softxe
