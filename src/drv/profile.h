// Device profiles: everything about a device that is a fixed fact, as data.
//
// One file each: profile_bmg.cc (the default: Arc B580), profile_pvc.cc, profile_lnl.cc. Values come
// from spec/uapi.md section 4 and spec/vm.md appendix A. What a user may choose per run (VRAM size,
// BAR size, number of devices) is a DeviceConfig. Read decode.h for who checks against these facts,
// query.h and vfs.h for who shows them.
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

/// One entry of the page attribute table, by the fields of the Xe2 register (PVC uses only
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
  kMultiQueue = 1u << 8,
  kPxp = 1u << 9,
  kEuSimd16 = 1u << 10,
};

struct FirmwareVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;
};

struct DeviceProfile {
  const char* name = nullptr;  ///< "bmg": the word of --profile
  const char* product = nullptr;
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
  std::uint32_t multi_lrc_classes = 0;   ///< bit per EngineClass
  std::uint64_t default_vram_bytes = 0;  ///< per tile
  std::span<const GtFact> gts;
  std::span<const EngineFact> engines;
  std::span<const PatEntry> pat;  ///< the whole hardware table
  std::uint8_t pat_entries = 0;   ///< indices the ABI accepts
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
  std::uint32_t vram_page_bytes() const { return has(DeviceFact::kVram64k) ? 0x10000u : 0x1000u; }
};

extern const DeviceProfile kProfileBmg;
extern const DeviceProfile kProfilePvc;
extern const DeviceProfile kProfileLnl;

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

/// Xe2's table, shared by bmg and lnl (spec/uapi.md section 4).
extern const std::array<PatEntry, 32> kXe2Pat;

}  // namespace softxe
