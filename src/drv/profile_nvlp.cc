// Nova Lake P: integrated, no VRAM, multi-queue groups, page reclaim lists (spec/multi-queue.md section 4).
//
// Not sold yet. Numbers without a remark were read in the kernel's descriptors; "guess" marks what nobody
// could read or measure (DEVIATIONS.md section 4).
#include "drv/profile_facts.h"

namespace softxe {
namespace {

constexpr GtFact kGts[] = {
    {.type = GtType::kMain,
     .tile = 0,
     .id = 0,
     .ip = {35, 10, 0},                 // the revision is a guess
     .reference_clock_hz = 19'200'000,  // guess
     .near_regions = 0x1,
     .far_regions = 0,
     .dss_geometry = 0xff,  // guess, and the next three
     .dss_compute = 0xff,
     .l3_banks = 0xff,
     .eus_per_dss = 0xff,
     .pat_of_tables = 0x3},
    {.type = GtType::kMedia,
     .tile = 0,
     .id = 1,
     .ip = {35, 0, 0},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x1,
     .far_regions = 0,
     .pat_of_tables = 0x2},
};

// One of two copy engines is kept for binds; one of four compute engines is shown (ccs_mode 1). How many media
// engines there are is a guess.
constexpr EngineFact kEngines[] = {
    {EngineClass::kRender, 0, 0},      {EngineClass::kCopy, 0, 0},         {EngineClass::kCompute, 0, 0},
    {EngineClass::kVideoDecode, 0, 1}, {EngineClass::kVideoEnhance, 0, 1},
};

constexpr std::array<PatEntry, 32> make_pat() {
  constexpr std::uint8_t kTransientApp = 2;
  constexpr std::uint8_t kUc = 3;
  std::array<PatEntry, 32> t = kXe2Pat;
  t[16] = xe2_pat_entry({0, 1, 0, 0, kUc, PatCoherency::kOneWay});
  t[18] = xe2_pat_entry({1, 0, 0, kTransientApp, kUc, PatCoherency::kNone});
  t[19] = xe2_pat_entry({1, 0, 0, kTransientApp, kUc, PatCoherency::kOneWay});
  return t;
}
constexpr std::array<PatEntry, 32> kPat = make_pat();

// All guesses: as many threads as units hand out ids, and the names that runtimes ask for.
constexpr std::uint32_t kSlices = 1;
constexpr HwConfigEntry kHwConfig[] = {
    {1, kSlices},           // slices
    {2, kSubSlices},        // dual sub-slices
    {3, kEusPerSubSlice},   // EUs of a dual sub-slice
    {15, kThreadsPerEu},    // threads of an EU
    {23, 1},                // render engines
    {24, 1},                // compute engines
    {65, 128},              // SLM of a dual sub-slice, KiB
    {70, kSubSlices},       // sub-slices
    {71, kEusPerSubSlice},  // EUs of a sub-slice
    {73, 128},              // SLM of a sub-slice, KiB
};

}  // namespace

constinit const DeviceProfile kProfileNvlp = {
    .name = "nvlp",
    .product = "Nova Lake P",
    .summary = "integrated, no VRAM, 48-bit addresses, multi-queue groups, page reclaim, Xe3p",
    .pci_device = 0xd750,
    .pci_revision = 0x00,                                                                         // guess
    .subsystem_device = 0x0000,                                                                   // guess
    .facts = bit(DeviceFact::kUsm) | bit(DeviceFact::kFlatCcs) | bit(DeviceFact::kSmemAtomics) |  // atomics: guess
             bit(DeviceFact::kSvm) | bit(DeviceFact::kOptimisedL2Flush) | bit(DeviceFact::kPageReclaim) |
             bit(DeviceFact::kEuSimd16) | bit(DeviceFact::kPrefetchFaults),
    .graphics_version = 35,
    .va_bits = 48,
    .page_table_levels = 5,
    .tiles = 1,
    .max_gts_per_tile = 2,
    .multi_lrc_classes = bit(EngineClass::kVideoDecode) | bit(EngineClass::kVideoEnhance),
    .multi_queue_classes = bit(EngineClass::kCopy) | bit(EngineClass::kCompute),
    .default_vram_bytes = 0,
    .gts = kGts,
    .engines = kEngines,
    .pat = kPat,
    .pat_entries = 32,
    .picks =
        {.uncached = 3, .write_through = 15, .write_back = 2, .uncached_compressed = 12, .write_back_compressed = 16},
    .hwconfig = kHwConfig,
    .guc_submission = {1, 26, 0},  // guess
    .huc = {9, 4, 13},             // guess
    .max_link_speed = "",
    .max_link_width = 0,
    .rp0_mhz = 2500,  // guesses
    .rpe_mhz = 800,
    .rpn_mhz = 400,
};

}  // namespace softxe
