// Device profiles: everything about a device that is a fixed fact, as data: constants, without locks.
//
// One file each: profile_bmg.cc (the default: Arc B580), profile_pvc.cc, profile_lnl.cc, profile_cri.cc,
// profile_nvlp.cc. Values come from spec/uapi.md section 4, spec/vm.md appendix A and, for the last two,
// spec/multi-queue.md section 4; what nobody could read or measure is marked as a guess there. What a user
// may choose per run (VRAM size, BAR size, number of devices) is a DeviceConfig. Read decode.h for who
// checks against these facts, query.h and vfs.h for who shows them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace softxe {

/// Numbers as in the ABI (DRM_XE_ENGINE_CLASS_*).
enum class EngineClass : std::uint16_t {
  kRender = 0,
  kCopy = 1,
  kVideoDecode = 2,
  kVideoEnhance = 3,
  kCompute = 4,
  kVmBind = 5,
};
inline constexpr unsigned kEngineClasses = 5;  ///< without kVmBind
/// "rcs", "bcs", "vcs", "vecs", "ccs".
const char* engine_class_name(EngineClass cls);

/// One user-visible engine. The instance is logical: 0, 1, 2.. per class and GT.
struct EngineFact {
  EngineClass cls;
  std::uint16_t instance;
  std::uint16_t gt;
};

enum class PatCoherency : std::uint8_t { kNone = 0, kOneWay = 2, kTwoWay = 3 };
enum class PatState : std::uint8_t { kReserved, kPlain, kCompressed };

/// How entries are written in registers and shown by debugfs: a memory type and a class of service; the six
/// fields of Xe2; the same without compression.
enum class PatLayout : std::uint8_t { kTypes, kXe2, kUncompressed };
/// L3 policies of the Xe2 register.
inline constexpr std::uint8_t kL3TransientDisplay = 1;

/// One entry of the page attribute table, by the fields of the Xe2 register (layout kTypes has only
/// `coherency`, `state` and `value`).
struct PatEntry {
  PatState state = PatState::kReserved;
  PatCoherency coherency = PatCoherency::kNone;
  std::uint8_t no_promote = 0;
  std::uint8_t l3_class = 0;
  std::uint8_t l3_policy = 0;
  std::uint8_t l4_policy = 0;
  std::uint32_t value = 0;  ///< register content
};
constexpr bool compresses(const PatEntry& e) { return e.state == PatState::kCompressed; }

/// Indices the driver itself uses; 0xff: none.
struct PatPicks {
  std::uint8_t uncached = 0;
  std::uint8_t write_through = 0;
  std::uint8_t write_back = 0;
  std::uint8_t uncached_compressed = 0xff;
  std::uint8_t write_back_compressed = 0xff;
};

enum class GtType : std::uint16_t { kMain = 0, kMedia = 1 };
struct IpVersion {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
  std::uint16_t revision = 0;
};

struct GtFact {
  GtType type = GtType::kMain;
  std::uint16_t tile = 0;
  std::uint16_t id = 0;
  IpVersion ip;  ///< what the query shows: zero without GMD_ID register
  std::uint32_t reference_clock_hz = 0;
  std::uint64_t near_regions = 0;
  std::uint64_t far_regions = 0;
  std::uint64_t dss_geometry = 0;
  std::uint64_t dss_compute = 0;
  std::uint64_t l3_banks = 0;
  std::uint32_t eus_per_dss = 0;
  std::uint32_t pat_of_tables = 0xc;  ///< register: how page tables themselves are read (PTA)
};

/// One entry of the HWCONFIG table: key by the names of the firmware's interface.
struct HwConfigEntry {
  std::uint32_t key = 0;
  std::uint32_t value = 0;
};

/// Facts that are yes or no.
enum class DeviceFact : std::uint32_t {
  kDiscrete = 1u << 0,
  kUsm = 1u << 1,           ///< recoverable page faults: fault-mode VMs
  kNeedsScratch = 1u << 2,  ///< SCRATCH and FAULT together are legal
  kVram64k = 1u << 3,       ///< VRAM must be mapped in 64 KiB units
  kFlatCcs = 1u << 4,
  kSmemAtomics = 1u << 5,  ///< device atomics on system memory
  kSvm = 1u << 6,          ///< CPU address mirror and userptr
  kOptimisedL2Flush = 1u << 7,
  kPageReclaim = 1u << 8,  ///< unbinds hand the hardware a list of the pages that go
  kPxp = 1u << 9,
  kEuSimd16 = 1u << 10,
  kPrefetchFaults = 1u << 11,  ///< loads without destination fault, and are dropped when they cannot be served
};

struct FirmwareVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
};

struct DeviceProfile {
  const char* name = nullptr;  ///< "bmg": the word of --profile
  const char* product = nullptr;
  const char* summary = nullptr;  ///< what it is good for, in half a line
  std::uint16_t pci_device = 0;
  std::uint8_t pci_revision = 0;
  std::uint32_t pci_class = 0x030000;
  std::uint16_t subsystem_vendor = 0x8086;
  std::uint16_t subsystem_device = 0;
  std::uint32_t facts = 0;             ///< DeviceFact bits
  std::uint16_t graphics_version = 0;  ///< major, also where the query hides it
  std::uint8_t va_bits = 0;
  std::uint8_t page_table_levels = 0;
  std::uint8_t tiles = 1;
  std::uint8_t max_gts_per_tile = 2;
  std::uint32_t multi_lrc_classes = 0;    ///< bit per EngineClass
  std::uint32_t multi_queue_classes = 0;  ///< the same: classes with multi-queue groups, on main GTs
  std::uint64_t default_vram_bytes = 0;   ///< per tile
  std::span<const GtFact> gts;
  std::span<const EngineFact> engines;
  std::span<const PatEntry> pat;  ///< the whole hardware table
  PatLayout pat_layout = PatLayout::kXe2;
  std::uint8_t pat_entries = 0;  ///< indices the ABI accepts
  PatPicks picks;
  std::span<const HwConfigEntry> hwconfig{};  ///< empty: the query has size 0, and runtimes use tables of their own
  FirmwareVersion guc_submission;
  FirmwareVersion huc;              ///< major 0: absent
  const char* max_link_speed = "";  ///< PCIe, as in sysfs
  std::uint8_t max_link_width = 0;
  std::uint16_t rp0_mhz = 0, rpe_mhz = 0, rpn_mhz = 0;

  bool has(DeviceFact fact) const { return (facts & static_cast<std::uint32_t>(fact)) != 0; }
  /// Bit 0 system memory, bit 1 + t the VRAM of tile t (discrete only).
  std::uint32_t region_mask() const { return has(DeviceFact::kDiscrete) ? (2u << tiles) - 1u : 1u; }
  /// Whether engines of the class on a GT of that type take multi-queue groups.
  bool has_groups(EngineClass cls, GtType type) const {
    return type == GtType::kMain && (multi_queue_classes >> static_cast<unsigned>(cls) & 1u) != 0;
  }
  std::uint32_t vram_page_bytes() const { return has(DeviceFact::kVram64k) ? 0x10000u : 0x1000u; }
};

extern const DeviceProfile kProfileBmg;
extern const DeviceProfile kProfilePvc;
extern const DeviceProfile kProfileLnl;
extern const DeviceProfile kProfileCri;
extern const DeviceProfile kProfileNvlp;

/// All profiles, the default first.
std::span<const DeviceProfile* const> all_profiles();
/// By name; EINVAL when unknown.
Result<const DeviceProfile*> find_profile(std::string_view name);

/// One device of a run: a profile and the user's choices. Also its place in the system.
struct DeviceConfig {
  const DeviceProfile* profile = nullptr;
  std::uint32_t index = 0;          ///< device number; card node N, render node 128 + N
  std::uint64_t vram_bytes = 0;     ///< per tile
  std::uint64_t visible_bytes = 0;  ///< CPU-visible part of it
};
/// The profile's own sizes, all of VRAM visible.
DeviceConfig default_config(const DeviceProfile& profile, std::uint32_t index);

/// One Xe2 entry; numbers in the order in which debugfs prints them.
struct Xe2PatFields {
  std::uint8_t no_promote = 0;
  std::uint8_t compressed = 0;
  std::uint8_t l3_class = 0;
  std::uint8_t l3_policy = 0;
  std::uint8_t l4_policy = 0;
  PatCoherency coherency = PatCoherency::kNone;
};
constexpr PatEntry xe2_pat_entry(const Xe2PatFields& f) {
  PatEntry e;
  e.state = f.compressed != 0 ? PatState::kCompressed : PatState::kPlain;
  e.coherency = f.coherency;
  e.no_promote = f.no_promote;
  e.l3_class = f.l3_class;
  e.l3_policy = f.l3_policy;
  e.l4_policy = f.l4_policy;
  e.value = std::uint32_t{f.no_promote} << 10 | std::uint32_t{f.compressed} << 9 | std::uint32_t{f.l3_class} << 6 |
            std::uint32_t{f.l3_policy} << 4 | std::uint32_t{f.l4_policy} << 2 | static_cast<std::uint32_t>(f.coherency);
  return e;
}

/// Xe2's table, shared by bmg and lnl (spec/uapi.md section 4); others begin with it.
constexpr std::array<PatEntry, 32> make_xe2_pat() {
  constexpr std::uint8_t kWb = 0;
  constexpr std::uint8_t kTransient = kL3TransientDisplay;
  constexpr std::uint8_t kWt = 1;
  constexpr std::uint8_t kUc = 3;
  constexpr auto kNo = PatCoherency::kNone;
  constexpr auto k1Way = PatCoherency::kOneWay;
  constexpr auto k2Way = PatCoherency::kTwoWay;
  constexpr Xe2PatFields kFirst[] = {
      {0, 0, 0, kWb, kUc, kNo},        {0, 0, 0, kWb, kUc, k1Way}, {0, 0, 0, kWb, kUc, k2Way},
      {0, 0, 0, kUc, kUc, kNo},        {0, 0, 0, kUc, kWb, k1Way}, {0, 0, 0, kUc, kUc, k1Way},
      {1, 0, 0, kTransient, kUc, kNo}, {0, 0, 0, kUc, kWb, k2Way}, {0, 0, 0, kUc, kWb, kNo},
      {0, 1, 0, kWb, kUc, kNo},        {0, 1, 0, kUc, kWb, kNo},   {1, 1, 0, kTransient, kUc, kNo},
      {0, 1, 0, kUc, kUc, kNo},        {0, 0, 0, kWb, kWb, kNo},   {0, 1, 0, kWb, kWb, kNo},
      {1, 1, 0, kTransient, kWt, kNo},
  };
  std::array<PatEntry, 32> t{};
  for (std::size_t i = 0; i < std::size(kFirst); ++i) t[i] = xe2_pat_entry(kFirst[i]);
  // 16..19 stay reserved. 20..31: cached entries once per further L3 class of service.
  for (std::uint8_t cls = 1; cls <= 3; ++cls) {
    const std::size_t base = 16 + std::size_t{4} * cls;
    t[base + 0] = xe2_pat_entry({0, 0, cls, kWb, kUc, kNo});
    t[base + 1] = xe2_pat_entry({0, 1, cls, kWb, kUc, kNo});
    t[base + 2] = xe2_pat_entry({0, 0, cls, kWb, kUc, k1Way});
    t[base + 3] = xe2_pat_entry({0, 0, cls, kWb, kUc, k2Way});
  }
  return t;
}
inline constexpr std::array<PatEntry, 32> kXe2Pat = make_xe2_pat();

}  // namespace softxe
