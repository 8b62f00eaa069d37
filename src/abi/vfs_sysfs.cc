// sysfs of one device: its PCI folder, DRM minors, GTs and engine classes (spec/clients.md section 2).
#include <fmt/format.h>

#include <cstring>

#include "abi/vfs.h"

namespace softxe {
namespace {

/// Of the card.
constexpr std::uint32_t bus_of(std::uint32_t device) { return 3 + device; }
constexpr std::uint64_t kMmioBytes = 16 << 20;

/// Where the two BARs would be; only shown, never mapped at these addresses.
struct Bars {
  std::uint64_t mmio_start, vram_start, vram_bytes;
};
Bars bars_of(const DeviceConfig& device) {
  const std::uint64_t base = 0x4000000000ull + (static_cast<std::uint64_t>(device.index) << 38);
  std::uint64_t vram = 256ull << 20;
  while (vram < device.visible_bytes * device.profile->tiles) vram *= 2;
  return {base, base + (1ull << 37), device.profile->has(DeviceFact::kDiscrete) ? vram : 256u << 20};
}

std::string resource_lines(const DeviceConfig& device) {
  const Bars bars = bars_of(device);
  auto line = [](std::uint64_t start, std::uint64_t bytes, std::uint64_t flags) {
    const std::uint64_t end = bytes == 0 ? 0 : start + bytes - 1;
    return fmt::format("0x{:016x} 0x{:016x} 0x{:016x}\n", start, end, flags);
  };
  std::string text =
      line(bars.mmio_start, kMmioBytes, 0x140204) + line(0, 0, 0) + line(bars.vram_start, bars.vram_bytes, 0x14220c);
  for (int unused = 3; unused < 13; ++unused) text += line(0, 0, 0);
  return text;
}

void add_pci(TreeBuilder& tree, const DeviceConfig& device) {
  const DeviceProfile& p = *device.profile;
  const std::string dir = pci_directory(device.index);
  const std::string slot = pci_slot(device.index);
  tree.file(dir + "/vendor", "0x8086\n");
  tree.file(dir + "/device", fmt::format("0x{:04x}\n", p.pci_device));
  tree.file(dir + "/subsystem_vendor", fmt::format("0x{:04x}\n", p.subsystem_vendor));
  tree.file(dir + "/subsystem_device", fmt::format("0x{:04x}\n", p.subsystem_device));
  tree.file(dir + "/revision", fmt::format("0x{:02x}\n", p.pci_revision));
  tree.file(dir + "/class", fmt::format("0x{:06x}\n", p.pci_class));
  tree.file(dir + "/uevent",
            fmt::format("DRIVER=xe\nPCI_CLASS={:X}\nPCI_ID=8086:{:04X}\nPCI_SUBSYS_ID={:04X}:{:04X}\n"
                        "PCI_SLOT_NAME={}\nMODALIAS=pci:v00008086d{:08X}sv{:08X}sd{:08X}bc{:02X}sc{:02X}"
                        "i{:02X}\n",
                        p.pci_class, p.pci_device, p.subsystem_vendor, p.subsystem_device, slot, p.pci_device,
                        p.subsystem_vendor, p.subsystem_device, p.pci_class >> 16, p.pci_class >> 8 & 0xff,
                        p.pci_class & 0xff),
            0644);
  tree.file(dir + "/resource", resource_lines(device));
  tree.sparse(dir + "/resource0", kMmioBytes);
  tree.file(dir + "/numa_node", "-1\n", 0644);
  tree.file(dir + "/irq", fmt::format("{}\n", 150 + device.index));
  tree.file(dir + "/enable", "1\n", 0644);
  tree.file(dir + "/boot_vga", "0\n");
  tree.file(dir + "/local_cpus", "1\n");
  tree.file(dir + "/local_cpulist", "0\n");
  add_power(tree, device);
  tree.link(dir + "/driver", "/sys/bus/pci/drivers/xe");
  tree.link(dir + "/subsystem", "/sys/bus/pci");
  tree.link("/sys/bus/pci/devices/" + slot, dir);
  tree.link("/sys/bus/pci/drivers/xe/" + slot, dir);
}

/// The port above the device: clients read the link speed there too.
void add_link_speed(TreeBuilder& tree, const std::string& dir, const DeviceProfile& p) {
  if (p.max_link_width == 0) return;
  for (const char* which : {"current", "max"}) {
    tree.file(fmt::format("{}/{}_link_speed", dir, which), fmt::format("{}\n", p.max_link_speed));
    tree.file(fmt::format("{}/{}_link_width", dir, which), fmt::format("{}\n", p.max_link_width));
  }
}

/// Header type 1: from the bus of the port to that of the card.
std::string bridge_config_space(const DeviceConfig& device) {
  std::string config(256, '\0');
  const auto put = [&](std::size_t at, std::uint64_t value, std::size_t bytes) {
    std::memcpy(config.data() + at, &value, bytes);
  };
  put(0x00, 0xa0bc'8086, 4);
  put(0x04, 0x0006, 2);  // memory space, bus master
  put(0x08, 0x060400u << 8, 4);
  put(0x0e, 1, 1);
  put(0x19, bus_of(device.index), 1);  // secondary; the primary bus is 0
  put(0x1a, bus_of(device.index), 1);  // subordinate
  return config;
}

void add_bridge(TreeBuilder& tree, const DeviceConfig& device) {
  const std::string dir = bridge_directory(device.index);
  const std::string slot = fmt::format("0000:00:1c.{}", device.index);
  tree.file(dir + "/vendor", "0x8086\n");
  tree.file(dir + "/device", "0xa0bc\n");
  tree.file(dir + "/class", "0x060400\n");
  tree.file(dir + "/config", bridge_config_space(device));
  tree.link("/sys/bus/pci/devices/" + slot, dir);
  tree.file(dir + "/uevent", fmt::format("DRIVER=pcieport\nPCI_CLASS=60400\nPCI_ID=8086:A0BC\n"
                                         "PCI_SLOT_NAME={}\n",
                                         slot));
  tree.link(dir + "/subsystem", "/sys/bus/pci");
  tree.file("/sys/devices/pci0000:00/uevent", "");
}

void add_minor(TreeBuilder& tree, const DeviceConfig& device, std::uint32_t minor) {
  const std::string name = (minor >= 128 ? "renderD" : "card") + std::to_string(minor);
  const std::string dir = pci_directory(device.index) + "/drm/" + name;
  tree.file(dir + "/dev", fmt::format("{}:{}\n", kDrmMajor, minor));
  tree.file(dir + "/uevent",
            fmt::format("MAJOR={}\nMINOR={}\nDEVNAME=dri/{}\nDEVTYPE=drm_minor\n", kDrmMajor, minor, name), 0644);
  tree.device_link(dir + "/device", pci_directory(device.index));
  tree.link(dir + "/subsystem", "/sys/class/drm");
  tree.link("/sys/class/drm/" + name, dir);
  tree.link(fmt::format("/sys/dev/char/{}:{}", kDrmMajor, minor), dir);
}

void add_engine_class(TreeBuilder& tree, const std::string& dir) {
  const EngineSettings defaults;
  struct Property {
    const char* name;
    const char* unit;
    const PropertyLimits& limits;
  };
  const Property properties[] = {{"job_timeout", "_ms", defaults.job_timeout_ms},
                                 {"timeslice_duration", "_us", defaults.timeslice_us},
                                 {"preempt_timeout", "_us", defaults.preempt_timeout_us}};
  for (const Property& p : properties) {
    tree.dynamic(fmt::format("{}/{}{}", dir, p.name, p.unit), 0644);
    tree.dynamic(fmt::format("{}/{}_min", dir, p.name), 0644);
    tree.dynamic(fmt::format("{}/{}_max", dir, p.name), 0644);
    tree.file(fmt::format("{}/.defaults/{}{}", dir, p.name, p.unit), fmt::format("{}\n", p.limits.value));
    tree.file(fmt::format("{}/.defaults/{}_min", dir, p.name), fmt::format("{}\n", p.limits.min));
    tree.file(fmt::format("{}/.defaults/{}_max", dir, p.name), fmt::format("{}\n", p.limits.max));
  }
}

void add_gt(TreeBuilder& tree, const DeviceConfig& device, const GtFact& gt) {
  const DeviceProfile& p = *device.profile;
  const std::string dir = fmt::format("{}/tile{}/gt{}", pci_directory(device.index), gt.tile, gt.id);
  const std::string freq = dir + "/freq0";
  for (const char* name : {"cur_freq", "act_freq"}) tree.dynamic(fmt::format("{}/{}", freq, name));
  for (const char* name : {"min_freq", "max_freq"}) tree.dynamic(fmt::format("{}/{}", freq, name), 0644);
  tree.file(freq + "/rp0_freq", fmt::format("{}\n", p.rp0_mhz));
  tree.file(freq + "/rpe_freq", fmt::format("{}\n", p.rpe_mhz));
  tree.file(freq + "/rpn_freq", fmt::format("{}\n", p.rpn_mhz));
  tree.file(freq + "/throttle/reasons", "none\n");
  tree.file(freq + "/throttle/status", "0\n");
  for (const char* reason : {"pl1", "pl2", "pl4", "thermal", "prochot", "ratl", "vr_thermalert", "vr_tdc"})
    tree.file(fmt::format("{}/throttle/reason_{}", freq, reason), "0\n");
  tree.file(dir + "/gtidle/name", fmt::format("gt{}-{}\n", gt.id, gt.type == GtType::kMain ? "rc" : "mc"));
  tree.dynamic(dir + "/gtidle/idle_status");
  tree.dynamic(dir + "/gtidle/idle_residency_ms");
  for (const EngineFact& engine : p.engines)
    if (engine.gt == gt.id && engine.instance == 0)
      add_engine_class(tree, fmt::format("{}/engines/{}", dir, engine_class_name(engine.cls)));
}

}  // namespace

std::string config_space(const DeviceConfig& device, PciPower power) {
  constexpr std::size_t kPowerManagement = 0xd0;  // its capability
  const DeviceProfile& p = *device.profile;
  const Bars bars = bars_of(device);
  std::string config(256, '\0');
  auto put = [&](std::size_t at, std::uint64_t value, std::size_t bytes) {
    std::memcpy(config.data() + at, &value, bytes);
  };
  put(0x00, 0x8086, 2);
  put(0x02, p.pci_device, 2);
  put(0x04, 0x0006, 2);  // memory space, bus master
  put(0x06, 0x0010, 2);  // a list of capabilities
  put(0x08, p.pci_revision | p.pci_class << 8, 4);
  put(0x10, bars.mmio_start | 0x4, 8);  // 64-bit
  put(0x18, bars.vram_start | 0xc, 8);  // 64-bit, prefetchable
  put(0x2c, p.subsystem_vendor, 2);
  put(0x2e, p.subsystem_device, 2);
  put(0x34, kPowerManagement, 1);
  put(kPowerManagement, 0x01, 2);        // the last of the list
  put(kPowerManagement + 2, 0x4803, 2);  // version 3, PME from D0 and D3hot
  put(kPowerManagement + 4, power == PciPower::kD0 ? 0 : 3, 2);
  return config;
}

std::string bridge_directory(std::uint32_t device) {
  return fmt::format("/sys/devices/pci0000:00/0000:00:1c.{}", device);
}
std::string pci_directory(std::uint32_t device) { return bridge_directory(device) + "/" + pci_slot(device); }

void add_sysfs(TreeBuilder& tree, const DeviceConfig& device) {
  add_bridge(tree, device);
  add_link_speed(tree, bridge_directory(device.index), *device.profile);
  add_pci(tree, device);
  add_link_speed(tree, pci_directory(device.index), *device.profile);
  add_minor(tree, device, device.index);
  add_minor(tree, device, device.index + 128);
  for (const GtFact& gt : device.profile->gts) add_gt(tree, device, gt);
}

}  // namespace softxe
