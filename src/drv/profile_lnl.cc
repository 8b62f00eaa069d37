// Lunar Lake: integrated, no VRAM, otherwise of Battlemage's generation.
#include "drv/profile_facts.h"

namespace softxe {
namespace {

constexpr GtFact kGts[] = {
    {.type = GtType::kMain,
     .tile = 0,
     .id = 0,
     .ip = {20, 4, 4},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x1,
     .far_regions = 0,
     .dss_geometry = 0xff,
     .dss_compute = 0xff,
     .l3_banks = 0xff,
     .eus_per_dss = 0xff},
    {.type = GtType::kMedia,
     .tile = 0,
     .id = 1,
     .ip = {20, 0, 4},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x1,
     .far_regions = 0},
};

constexpr EngineFact kEngines[] = {
    {EngineClass::kRender, 0, 0},      {EngineClass::kCopy, 0, 0},         {EngineClass::kCompute, 0, 0},
    {EngineClass::kVideoDecode, 0, 1}, {EngineClass::kVideoEnhance, 0, 1},
};

}  // namespace

constinit const DeviceProfile kProfileLnl = {
    .name = "lnl",
    .product = "Arc 140V",
    .summary = "integrated, no VRAM, 48-bit addresses, Xe2",
    .pci_device = 0x64a0,
    .pci_revision = 0x04,
    .subsystem_device = 0x2212,
    .facts = bit(DeviceFact::kUsm) | bit(DeviceFact::kNeedsScratch) | bit(DeviceFact::kFlatCcs) |
             bit(DeviceFact::kSmemAtomics) | bit(DeviceFact::kSvm) | bit(DeviceFact::kEuSimd16),
    .graphics_version = 20,
    .va_bits = 48,
    .page_table_levels = 5,
    .tiles = 1,
    .max_gts_per_tile = 2,
    .multi_lrc_classes = bit(EngineClass::kVideoDecode) | bit(EngineClass::kVideoEnhance),
    .default_vram_bytes = 0,
    .gts = kGts,
    .engines = kEngines,
    .pat = kXe2Pat,
    .pat_entries = 32,
    .picks = {.uncached = 3, .write_through = 15, .write_back = 2, .uncached_compressed = 12},
    .guc_submission = {1, 26, 0},
    .huc = {9, 4, 13},
    .max_link_speed = "",
    .max_link_width = 0,
    .rp0_mhz = 2050,
    .rpe_mhz = 800,
    .rpn_mhz = 400,
};

}  // namespace softxe
