// Ponte Vecchio, two tiles: 64 KiB VRAM pages, 57-bit addresses, no media GT, no device atomics on
// system memory. Follows the kernel's leftover descriptor (spec/uapi.md section 20, trap 1).
#include "drv/profile_facts.h"

namespace softxe {
namespace {

constexpr GtFact tile_gt(std::uint16_t tile, std::uint64_t near_regions, std::uint64_t far_regions) {
  GtFact gt;
  gt.tile = tile;
  gt.id = tile;
  gt.reference_clock_hz = 12'500'000;
  gt.near_regions = near_regions;
  gt.far_regions = far_regions;
  gt.dss_compute = ~0ull;
  gt.l3_banks = ~0ull;
  gt.eus_per_dss = 0xff;
  return gt;
}
constexpr GtFact kGts[] = {tile_gt(0, 0x2, 0x5), tile_gt(1, 0x4, 0x3)};

constexpr EngineFact kEngines[] = {
    {EngineClass::kCopy, 0, 0}, {EngineClass::kCopy, 1, 0}, {EngineClass::kCopy, 2, 0},
    {EngineClass::kCopy, 3, 0}, {EngineClass::kCopy, 4, 0}, {EngineClass::kCopy, 5, 0},
    {EngineClass::kCopy, 6, 0}, {EngineClass::kCopy, 7, 0}, {EngineClass::kCompute, 0, 0},
    {EngineClass::kCopy, 0, 1}, {EngineClass::kCopy, 1, 1}, {EngineClass::kCopy, 2, 1},
    {EngineClass::kCopy, 3, 1}, {EngineClass::kCopy, 4, 1}, {EngineClass::kCopy, 5, 1},
    {EngineClass::kCopy, 6, 1}, {EngineClass::kCopy, 7, 1}, {EngineClass::kCompute, 0, 1},
};

// The register holds a memory type (0 UC, 1 WC, 2 WT, 3 WB) and a class of service above it.
constexpr PatEntry pvc(PatCoherency coherency, unsigned service_class, unsigned memory_type) {
  PatEntry e;
  e.state = PatState::kPlain;
  e.coherency = coherency;
  e.value = service_class << 2 | memory_type;
  return e;
}
constexpr PatEntry kPat[] = {
    pvc(PatCoherency::kNone, 0, 0),   pvc(PatCoherency::kNone, 0, 1),   pvc(PatCoherency::kNone, 0, 2),
    pvc(PatCoherency::kOneWay, 0, 3), pvc(PatCoherency::kNone, 1, 2),   pvc(PatCoherency::kOneWay, 1, 3),
    pvc(PatCoherency::kNone, 2, 2),   pvc(PatCoherency::kOneWay, 2, 3),
};

}  // namespace

constinit const DeviceProfile kProfilePvc = {
    .name = "pvc",
    .product = "Data Center GPU Max 1550",
    .summary = "discrete, two tiles with 64 GiB of VRAM each, 64 KiB pages, 57-bit addresses",
    .pci_device = 0x0bd5,
    .pci_revision = 0x2f,
    .pci_class = 0x038000,
    .subsystem_device = 0x0000,
    .facts = bit(DeviceFact::kDiscrete) | bit(DeviceFact::kUsm) | bit(DeviceFact::kVram64k) | bit(DeviceFact::kSvm) |
             bit(DeviceFact::kEuSimd16),
    .graphics_version = 12,
    .va_bits = 57,
    .page_table_levels = 5,
    .tiles = 2,
    .max_gts_per_tile = 1,
    .multi_lrc_classes = bit(EngineClass::kVideoDecode) | bit(EngineClass::kVideoEnhance),
    .default_vram_bytes = 64ull << 30,
    .gts = kGts,
    .engines = kEngines,
    .pat = kPat,
    .pat_layout = PatLayout::kTypes,
    .pat_entries = 8,
    .picks = {.uncached = 0, .write_through = 2, .write_back = 3},
    .guc_submission = {1, 26, 0},
    .huc = {},
    .max_link_speed = "32.0 GT/s PCIe",
    .max_link_width = 16,
    .rp0_mhz = 1600,
    .rpe_mhz = 900,
    .rpn_mhz = 300,
};

}  // namespace softxe
