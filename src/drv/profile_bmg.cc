// Battlemage G21, Arc B580: discrete, one tile, main and media GT, 4 KiB VRAM pages.
#include "drv/profile_facts.h"

namespace softxe {
namespace {

constexpr GtFact kGts[] = {
    {.type = GtType::kMain,
     .tile = 0,
     .id = 0,
     .ip = {20, 1, 0},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x2,
     .far_regions = 0x1,
     .dss_geometry = 0xfffff,
     .dss_compute = 0xfffff,
     .l3_banks = 0x3ffff,  // 18 banks
     .eus_per_dss = 0xff},
    {.type = GtType::kMedia,
     .tile = 0,
     .id = 1,
     .ip = {13, 1, 1},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x2,
     .far_regions = 0x1},
};

constexpr EngineFact kEngines[] = {
    {EngineClass::kRender, 0, 0},       {EngineClass::kCopy, 0, 0},        {EngineClass::kCompute, 0, 0},
    {EngineClass::kVideoDecode, 0, 1},  {EngineClass::kVideoDecode, 1, 1}, {EngineClass::kVideoEnhance, 0, 1},
    {EngineClass::kVideoEnhance, 1, 1},
};

// The part has 5 slices of 4 sub-slices. Runtimes size private memory and scratch by this table, for as many threads as
// units hand out ids: 512. Without it they assume the same numbers (spec/compute-dispatch.md 12.3).
constexpr std::uint32_t kSlices = 2;

constexpr HwConfigEntry kHwConfig[] = {
    {1, kSlices},           // slices
    {2, kSubSlices},        // dual sub-slices
    {3, kEusPerSubSlice},   // EUs of a dual sub-slice
    {10, 6},                // memory channels
    {11, 4},                // memory type: GDDR6
    {15, kThreadsPerEu},    // threads of an EU
    {23, 1},                // render engines
    {24, 1},                // compute engines
    {62, 8},                // context save area, MiB
    {64, 1024},             // L3 bank, KiB
    {65, 128},              // SLM of a dual sub-slice, KiB
    {70, kSubSlices},       // sub-slices
    {71, kEusPerSubSlice},  // EUs of a sub-slice
    {73, 128},              // SLM of a sub-slice, KiB
};

}  // namespace

constinit const DeviceProfile kProfileBmg = {
    .name = "bmg",
    .product = "Arc B580",
    .summary = "discrete, 12 GiB of VRAM, 48-bit addresses, Xe2 (the default)",
    .pci_device = 0xe20b,
    .pci_revision = 0x00,
    .subsystem_device = 0x1100,
    .facts = bit(DeviceFact::kDiscrete) | bit(DeviceFact::kUsm) | bit(DeviceFact::kNeedsScratch) |
             bit(DeviceFact::kFlatCcs) | bit(DeviceFact::kSmemAtomics) | bit(DeviceFact::kSvm) |
             bit(DeviceFact::kEuSimd16),
    .graphics_version = 20,
    .va_bits = 48,
    .page_table_levels = 5,
    .tiles = 1,
    .max_gts_per_tile = 2,
    .multi_lrc_classes = bit(EngineClass::kVideoDecode) | bit(EngineClass::kVideoEnhance),
    .default_vram_bytes = 0x2fb800000,
    .gts = kGts,
    .engines = kEngines,
    .pat = kXe2Pat,
    .pat_entries = 28,
    .picks = {.uncached = 3, .write_through = 15, .write_back = 2, .uncached_compressed = 12},
    .hwconfig = kHwConfig,
    .guc_submission = {1, 26, 0},
    .huc = {8, 2, 10},
    .max_link_speed = "16.0 GT/s PCIe",
    .max_link_width = 8,
    .rp0_mhz = 2850,
    .rpe_mhz = 1700,
    .rpn_mhz = 400,
};

}  // namespace softxe
