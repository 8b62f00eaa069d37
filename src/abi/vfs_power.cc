#include "abi/vfs_power.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "abi/attribute_text.h"
#include "abi/vfs.h"

namespace softxe {
namespace {

struct Row {
  std::string_view name;
  PowerFile file;
  mode_t mode;
};
constexpr Row kCardFiles[] = {
    {"/power/control", PowerFile::kControl, 0644},
    {"/power/autosuspend_delay_ms", PowerFile::kDelay, 0644},
    {"/power/runtime_status", PowerFile::kStatus, 0444},
    {"/power/runtime_usage", PowerFile::kUsage, 0444},
    {"/power/runtime_active_time", PowerFile::kActiveTime, 0444},
    {"/power/runtime_suspended_time", PowerFile::kSuspendedTime, 0444},
    {"/d3cold_allowed", PowerFile::kD3coldAllowed, 0644},
    {"/vram_d3cold_threshold", PowerFile::kD3coldThreshold, 0644},
    {"/power_state", PowerFile::kCardState, 0444},
    {"/config", PowerFile::kConfig, 0644},
};
constexpr Row kBridgeFiles[] = {
    {"/power/control", PowerFile::kBridgeControl, 0644},
    {"/power/autosuspend_delay_ms", PowerFile::kBridgeDelay, 0644},
    {"/firmware_node/real_power_state", PowerFile::kBridgeState, 0444},
};

template <std::size_t kRows>
std::optional<PowerFile> find_in(const Row (&rows)[kRows], std::string_view name) {
  const auto* found = std::find_if(std::begin(rows), std::end(rows), [&](const Row& row) { return row.name == name; });
  if (found == std::end(rows)) return std::nullopt;
  return found->file;
}

/// A part of the processor has no port of its own that could be switched off.
bool has_d3cold(const DeviceConfig& device) { return device.profile->has(DeviceFact::kDiscrete); }

PciPower power_of(const RuntimePm::Now& now, const PowerSettings& settings, const DeviceConfig& device,
                  std::uint64_t vram_used) {
  if (now.state == PowerState::kActive) return PciPower::kD0;
  const bool cold = has_d3cold(device) && settings.d3cold_allowed && settings.bridge_control == PowerControl::kAuto &&
                    vram_used >> 20 < settings.d3cold_threshold_mib;
  return cold ? PciPower::kD3cold : PciPower::kD3hot;
}

const char* name_of(PciPower power) {
  switch (power) {
    case PciPower::kD0: return "D0";
    case PciPower::kD3hot: return "D3hot";
    case PciPower::kD3cold: break;
  }
  return "D3cold";
}
const char* name_of(PowerControl control) { return control == PowerControl::kOn ? "on" : "auto"; }

std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Result<PowerControl> parse_control(std::string_view text) {
  text = without_newline(text);
  if (text == "auto") return PowerControl::kAuto;
  if (text == "on") return PowerControl::kOn;
  return fail(EINVAL, "neither auto nor on");
}

}  // namespace

std::optional<PowerFile> find_power_file(std::string_view below_card) { return find_in(kCardFiles, below_card); }
std::optional<PowerFile> find_bridge_power_file(std::string_view below_bridge) {
  return find_in(kBridgeFiles, below_bridge);
}

void add_power(TreeBuilder& tree, const DeviceConfig& device) {
  const std::string card = pci_directory(device.index);
  for (const Row& row : kCardFiles)
    if (row.file != PowerFile::kD3coldThreshold || has_d3cold(device))
      tree.dynamic(card + std::string(row.name), row.mode);
  if (!has_d3cold(device)) return;
  for (const Row& row : kBridgeFiles) tree.dynamic(bridge_directory(device.index) + std::string(row.name), row.mode);
}

Result<std::string> read_power(PowerFile file, RuntimePm& pm, const DeviceConfig& device, std::uint64_t vram_used) {
  const PowerSettings settings = pm.settings();
  const RuntimePm::Now now = pm.now();
  const PciPower power = power_of(now, settings, device, vram_used);
  switch (file) {
    case PowerFile::kControl: return fmt::format("{}\n", name_of(settings.control));
    case PowerFile::kDelay: return fmt::format("{}\n", settings.delay_ms);
    case PowerFile::kStatus: return std::string(now.state == PowerState::kActive ? "active\n" : "suspended\n");
    case PowerFile::kUsage: return fmt::format("{}\n", now.usage);
    case PowerFile::kActiveTime: return fmt::format("{}\n", now.active_ms);
    case PowerFile::kSuspendedTime: return fmt::format("{}\n", now.suspended_ms);
    case PowerFile::kD3coldAllowed: return fmt::format("{}\n", settings.d3cold_allowed ? 1 : 0);
    case PowerFile::kD3coldThreshold: return fmt::format("{}\n", settings.d3cold_threshold_mib);
    case PowerFile::kCardState: return fmt::format("{}\n", name_of(power));
    case PowerFile::kConfig: return config_space(device, power);
    case PowerFile::kBridgeControl: return fmt::format("{}\n", name_of(settings.bridge_control));
    case PowerFile::kBridgeDelay: return fail(EIO, "the port has no autosuspend");
    case PowerFile::kBridgeState: return std::string(power == PciPower::kD3cold ? "D3cold\n" : "D0\n");
  }
  return fail(EINVAL, "no file of power management");
}

Status write_power(PowerFile file, std::string_view text, RuntimePm& pm, const DeviceConfig& device) {
  PowerSettings settings = pm.settings();
  switch (file) {
    case PowerFile::kControl: {
      SX_TRY(settings.control, parse_control(text));
      break;
    }
    case PowerFile::kBridgeControl: {
      SX_TRY(settings.bridge_control, parse_control(text));
      break;
    }
    case PowerFile::kDelay: {
      const auto ms = parse_signed(text);
      if (!ms || *ms > std::numeric_limits<std::int32_t>::max() || *ms < std::numeric_limits<std::int32_t>::min())
        return fail(EINVAL, "not a number of milliseconds");
      settings.delay_ms = static_cast<std::int32_t>(*ms);
      break;
    }
    case PowerFile::kD3coldAllowed: {
      const auto allowed = parse_number(text);
      if (!allowed) return fail(EINVAL, "not a number");
      settings.d3cold_allowed = *allowed != 0;
      break;
    }
    case PowerFile::kD3coldThreshold: {
      const auto mib = parse_number(text);
      const std::uint64_t all = device.vram_bytes * device.profile->tiles >> 20;
      if (!mib || *mib > all) return fail(EINVAL, "not a number of MiB up to all VRAM");
      settings.d3cold_threshold_mib = *mib;
      break;
    }
    case PowerFile::kBridgeDelay: return fail(EIO, "the port has no autosuspend");
    case PowerFile::kConfig: return fail(EPERM, "configuration space cannot be written here");
    default: return fail(EACCES, "file is read-only");
  }
  pm.set(settings);
  return {};
}

}  // namespace softxe
