// Crescent Island: discrete, one tile, no render engine, multi-queue groups (spec/multi-queue.md section 4).
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
     .ip = {35, 11, 0},                 // the revision is a guess
     .reference_clock_hz = 19'200'000,  // guess
     .near_regions = 0x2,
     .far_regions = 0x1,
     .dss_geometry = 0,
     .dss_compute = 0xffffffff,  // guess: 32 of what four fuse registers can say
     .l3_banks = 0xffffffff,     // guess
     .eus_per_dss = 0xff,        // guess
     .pat_of_tables = 0x3},      // guess: as nvlp
    // That the media part is not fused off is a guess.
    {.type = GtType::kMedia,
     .tile = 0,
     .id = 1,
     .ip = {35, 3, 0},
     .reference_clock_hz = 19'200'000,
     .near_regions = 0x2,
     .far_regions = 0x1,
     .pat_of_tables = 0x2},
};

// Of eight copy engines the highest is kept for binds; of four compute engines one is shown (ccs_mode 1). How many
// media engines there are is a guess.
constexpr EngineFact kEngines[] = {
    {EngineClass::kCopy, 0, 0},        {EngineClass::kCopy, 1, 0},         {EngineClass::kCopy, 2, 0},
    {EngineClass::kCopy, 3, 0},        {EngineClass::kCopy, 4, 0},         {EngineClass::kCopy, 5, 0},
    {EngineClass::kCopy, 6, 0},        {EngineClass::kCompute, 0, 0},      {EngineClass::kVideoDecode, 0, 1},
    {EngineClass::kVideoDecode, 1, 1}, {EngineClass::kVideoEnhance, 0, 1}, {EngineClass::kVideoEnhance, 1, 1},
};

// Known: indices 2 (cached, two-way), 3 and 4 (uncached), 31. The others are guesses that agree with these.
constexpr auto kNo = PatCoherency::kNone;
constexpr auto k1Way = PatCoherency::kOneWay;
constexpr auto k2Way = PatCoherency::kTwoWay;
constexpr std::uint8_t kWb = 0;
constexpr std::uint8_t kUc = 3;
constexpr std::array<PatEntry, 32> make_pat() {
  std::array<PatEntry, 32> t{};
  t[0] = xe2_pat_entry({.coherency = kNo});
  t[1] = xe2_pat_entry({.coherency = k1Way});
  t[2] = xe2_pat_entry({.coherency = k2Way});
  t[3] = xe2_pat_entry({.l3_policy = kUc, .l4_policy = kUc, .coherency = kNo});
  t[4] = xe2_pat_entry({.l3_policy = kUc, .l4_policy = kUc, .coherency = k1Way});
  t[5] = xe2_pat_entry({.l3_policy = kUc, .l4_policy = kWb, .coherency = kNo});
  t[6] = xe2_pat_entry({.l3_policy = kUc, .l4_policy = kWb, .coherency = k1Way});
  t[7] = xe2_pat_entry({.l3_policy = kUc, .l4_policy = kWb, .coherency = k2Way});
  for (std::uint8_t cls = 1; cls <= 3; ++cls) {
    const std::size_t base = 16 + std::size_t{4} * cls;
    t[base + 0] = xe2_pat_entry({.l3_class = cls, .coherency = kNo});
    t[base + 2] = xe2_pat_entry({.l3_class = cls, .coherency = k1Way});
    t[base + 3] = xe2_pat_entry({.l3_class = cls, .coherency = k2Way});
  }
  return t;
}
constexpr std::array<PatEntry, 32> kPat = make_pat();

// All guesses: as many threads as units hand out ids, and the names that runtimes ask for.
constexpr std::uint32_t kSlices = 2;
constexpr HwConfigEntry kHwConfig[] = {
    {1, kSlices},           // slices
    {2, kSubSlices},        // dual sub-slices
    {3, kEusPerSubSlice},   // EUs of a dual sub-slice
    {15, kThreadsPerEu},    // threads of an EU
    {24, 1},                // compute engines
    {65, 128},              // SLM of a dual sub-slice, KiB
    {70, kSubSlices},       // sub-slices
    {71, kEusPerSubSlice},  // EUs of a sub-slice
    {73, 128},              // SLM of a sub-slice, KiB
};

}  // namespace

constinit const DeviceProfile kProfileCri = {
    .name = "cri",
    .product = "Crescent Island",
    .summary = "discrete, 16 GiB of VRAM, 57-bit addresses, no render engine, multi-queue groups, Xe3p",
    .pci_device = 0x674c,
    .pci_revision = 0x00,   // guess
    .pci_class = 0x038000,  // guess: not VGA
    .subsystem_device = 0x0000,
    .facts = bit(DeviceFact::kDiscrete) | bit(DeviceFact::kUsm) | bit(DeviceFact::kSmemAtomics) |  // atomics: guess
             bit(DeviceFact::kSvm) | bit(DeviceFact::kEuSimd16) | bit(DeviceFact::kPrefetchFaults),
    .graphics_version = 35,
    .va_bits = 57,
    .page_table_levels = 5,
    .tiles = 1,
    .max_gts_per_tile = 2,
    .multi_lrc_classes = bit(EngineClass::kVideoDecode) | bit(EngineClass::kVideoEnhance),
    .multi_queue_classes = bit(EngineClass::kCopy) | bit(EngineClass::kCompute),
    .default_vram_bytes = 16ull << 30,  // guess: the part has more
    .gts = kGts,
    .engines = kEngines,
    .pat = kPat,
    .pat_layout = PatLayout::kUncompressed,
    .pat_entries = 32,
    .picks = {.uncached = 3, .write_through = 3, .write_back = 2},  // no display: what would be written through is not
    .hwconfig = kHwConfig,
    .guc_submission = {1, 26, 0},  // guess
    .huc = {},
    .max_link_speed = "32.0 GT/s PCIe",  // guess
    .max_link_width = 16,
    .rp0_mhz = 2000,  // guesses
    .rpe_mhz = 1200,
    .rpn_mhz = 400,
};

}  // namespace softxe
