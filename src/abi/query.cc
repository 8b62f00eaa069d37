#include "abi/query.h"

#include <cstring>
#include <ctime>
#include <vector>

#include "abi/decode_detail.h"
#include "abi/uapi.h"

namespace softxe {
namespace {

using Table = std::vector<std::byte>;

template <typename T>
void append(Table& table, const T& object) {
  const std::size_t at = table.size();
  table.resize(at + sizeof object);
  std::memcpy(&table[at], &object, sizeof object);
}

/// The first 8 bytes of every counted table.
void append_count(Table& table, std::size_t count) {
  static_assert(sizeof(drm_xe_query_engines) == 8 && sizeof(drm_xe_query_mem_regions) == 8 &&
                sizeof(drm_xe_query_config) == 8 && sizeof(drm_xe_query_gt_list) == 8);
  append(table, static_cast<std::uint32_t>(count));
  append(table, std::uint32_t{0});
}

Table engines_table(const DeviceProfile& p) {
  Table table;
  append_count(table, p.engines.size());
  for (const EngineFact& fact : p.engines) {
    drm_xe_engine engine{};
    engine.instance.engine_class = static_cast<std::uint16_t>(fact.cls);
    engine.instance.engine_instance = fact.instance;
    engine.instance.gt_id = fact.gt;
    append(table, engine);
  }
  return table;
}

Table regions_table(const DeviceConfig& device, const QueryInputs& inputs) {
  const DeviceProfile& p = *device.profile;
  const std::uint16_t vram_regions = p.has(DeviceFact::kDiscrete) ? p.tiles : 0;
  Table table;
  append_count(table, 1u + vram_regions);
  drm_xe_mem_region system{};
  system.mem_class = DRM_XE_MEM_REGION_CLASS_SYSMEM;
  system.min_page_size = kPageSize;
  system.total_size = inputs.system_total_bytes();
  system.used = inputs.region_use(0).used_bytes;
  append(table, system);
  for (std::uint16_t r = 1; r <= vram_regions; ++r) {
    const RegionUse use = inputs.region_use(r);
    drm_xe_mem_region vram{};
    vram.mem_class = DRM_XE_MEM_REGION_CLASS_VRAM;
    vram.instance = r;
    vram.min_page_size = p.vram_page_bytes();
    vram.total_size = device.vram_bytes;
    vram.used = use.used_bytes;
    vram.cpu_visible_size = device.visible_bytes;
    vram.cpu_visible_used = use.visible_used_bytes;
    append(table, vram);
  }
  return table;
}

std::uint64_t config_flags(const DeviceProfile& p) {
  std::uint64_t flags = DRM_XE_QUERY_CONFIG_FLAG_HAS_LOW_LATENCY |
                        DRM_XE_QUERY_CONFIG_FLAG_HAS_DISABLE_STATE_CACHE_PERF_FIX |
                        DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT;
  if (p.has(DeviceFact::kDiscrete)) flags |= DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM;
  if (p.has(DeviceFact::kUsm) && p.has(DeviceFact::kSvm)) flags |= DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR;
  if (p.graphics_version >= 20) flags |= DRM_XE_QUERY_CONFIG_FLAG_HAS_NO_COMPRESSION_HINT;
  return flags;
}

Table config_table(const DeviceProfile& p, const QueryInputs& inputs) {
  std::uint64_t info[5] = {};
  info[DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID] = p.pci_device | static_cast<std::uint64_t>(p.pci_revision) << 16;
  info[DRM_XE_QUERY_CONFIG_FLAGS] = config_flags(p);
  info[DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT] = p.has(DeviceFact::kVram64k) ? k64K : kPageSize;
  info[DRM_XE_QUERY_CONFIG_VA_BITS] = p.va_bits;
  info[DRM_XE_QUERY_CONFIG_MAX_EXEC_QUEUE_PRIORITY] = inputs.privilege() == Privilege::kSysNice ? 2 : 1;
  Table table;
  append_count(table, std::size(info));
  for (std::uint64_t word : info) append(table, word);
  return table;
}

Table gt_table(const DeviceProfile& p) {
  Table table;
  append_count(table, p.gts.size());
  for (const GtFact& fact : p.gts) {
    drm_xe_gt gt{};
    gt.type = static_cast<std::uint16_t>(fact.type);
    gt.tile_id = fact.tile;
    gt.gt_id = fact.id;
    gt.reference_clock = fact.reference_clock_hz;
    gt.near_mem_regions = fact.near_regions;
    gt.far_mem_regions = fact.far_regions;
    gt.ip_ver_major = fact.ip.major;
    gt.ip_ver_minor = fact.ip.minor;
    gt.ip_ver_rev = fact.ip.revision;
    append(table, gt);
  }
  return table;
}

/// Header and mask of one topology item; masks are 8 or 16 bytes, little endian.
void append_mask(Table& table, std::uint16_t gt, std::uint16_t type, std::uint32_t bytes, std::uint64_t mask) {
  static_assert(sizeof(drm_xe_query_topology_mask) == 8);
  append(table, gt);
  append(table, type);
  append(table, bytes);
  append(table, mask);
  for (std::uint32_t filled = sizeof mask; filled < bytes; filled += sizeof mask) append(table, std::uint64_t{0});
}

Table topology_table(const DeviceProfile& p) {
  const std::uint16_t eu_type = p.has(DeviceFact::kEuSimd16) ? DRM_XE_TOPO_SIMD16_EU_PER_DSS : DRM_XE_TOPO_EU_PER_DSS;
  Table table;
  for (const GtFact& gt : p.gts) {
    append_mask(table, gt.id, DRM_XE_TOPO_DSS_GEOMETRY, 16, gt.dss_geometry);
    append_mask(table, gt.id, DRM_XE_TOPO_DSS_COMPUTE, 16, gt.dss_compute);
    if (gt.type == GtType::kMain || gt.ip.major < 30) append_mask(table, gt.id, DRM_XE_TOPO_L3_BANK, 8, gt.l3_banks);
    append_mask(table, gt.id, eu_type, 8, gt.eus_per_dss);
  }
  return table;
}

bool known_clock(std::int32_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW ||
         clock == CLOCK_BOOTTIME || clock == CLOCK_TAI;
}

Status answer_cycles(const DeviceProfile& p, HostVa data, const QueryInputs& inputs, UserMemory& memory) {
  drm_xe_query_engine_cycles q{};
  SX_TRY_VOID(memory.read_object(data, q));
  if (!known_clock(q.clockid)) return fail(EINVAL, "clock cannot be correlated");
  const EngineFact* engine = nullptr;
  for (const EngineFact& fact : p.engines)
    if (static_cast<std::uint16_t>(fact.cls) == q.eci.engine_class && fact.instance == q.eci.engine_instance &&
        fact.gt == static_cast<std::uint8_t>(q.eci.gt_id))
      engine = &fact;
  if (engine == nullptr) return fail(EINVAL, "no such engine");
  const CycleSample sample = inputs.sample_cycles(*engine, q.clockid);
  q.width = p.graphics_version >= 20 ? 64 : 36;
  q.engine_cycles = q.width == 64 ? sample.cycles : sample.cycles & ((1ull << 36) - 1);
  q.cpu_timestamp = sample.cpu_timestamp_ns;
  q.cpu_delta = sample.cpu_delta_ns;
  // Only the outputs go back: engine and clock stay as the client has them by now.
  constexpr std::size_t kFirstOutput = offsetof(drm_xe_query_engine_cycles, width);
  const auto bytes = std::as_bytes(std::span(&q, 1));
  return memory.write(data + kFirstOutput, bytes.subspan(kFirstOutput));
}

Status answer_firmware(const DeviceProfile& p, HostVa data, UserMemory& memory) {
  drm_xe_query_uc_fw_version q{};
  SX_TRY_VOID(memory.read_object(data, q));
  if (q.pad != 0 || q.pad2 != 0 || q.reserved != 0) return fail(EINVAL, "pad or reserved field is not zero");
  FirmwareVersion version;
  switch (q.uc_type) {
    case XE_QUERY_UC_TYPE_GUC_SUBMISSION: version = p.guc_submission; break;
    case XE_QUERY_UC_TYPE_HUC: version = p.huc; break;
    default: return fail(EINVAL, "unknown firmware type");
  }
  if (version.major == 0) return fail(ENODEV, "firmware is absent");
  q.branch_ver = 0;
  q.major_ver = version.major;
  q.minor_ver = version.minor;
  q.patch_ver = version.patch;
  return memory.write_object(data, q);
}

/// Key, length in dwords, value.
Table hwconfig_table(const DeviceProfile& p) {
  Table table;
  for (const HwConfigEntry& entry : p.hwconfig) {
    append(table, entry.key);
    append(table, std::uint32_t{1});
    append(table, entry.value);
  }
  return table;
}

/// The tables that are only written. There are no OA units.
Table make_table(const DeviceConfig& device, std::uint32_t query, const QueryInputs& inputs) {
  const DeviceProfile& p = *device.profile;
  switch (query) {
    case DRM_XE_DEVICE_QUERY_ENGINES: return engines_table(p);
    case DRM_XE_DEVICE_QUERY_MEM_REGIONS: return regions_table(device, inputs);
    case DRM_XE_DEVICE_QUERY_CONFIG: return config_table(p, inputs);
    case DRM_XE_DEVICE_QUERY_GT_LIST: return gt_table(p);
    case DRM_XE_DEVICE_QUERY_HWCONFIG: return hwconfig_table(p);
    case DRM_XE_DEVICE_QUERY_GT_TOPOLOGY: return topology_table(p);
    case DRM_XE_DEVICE_QUERY_OA_UNITS: return Table(sizeof(drm_xe_query_oa_units));
    default: return {};
  }
}

/// 0: the caller only asked. The other value: size is right, go on.
enum class SizeStep { kAnswered, kGoOn };
Result<SizeStep> size_protocol(const DeviceQueryRequest& request, std::size_t needed) {
  if (request.size_bytes == 0) return SizeStep::kAnswered;
  if (request.size_bytes != needed) return fail(EINVAL, "size differs from the size of the table");
  return SizeStep::kGoOn;
}

}  // namespace

Result<std::uint32_t> answer_device_query(const DeviceConfig& device, const DeviceQueryRequest& request,
                                          const QueryInputs& inputs, UserMemory& memory) {
  const DeviceProfile& p = *device.profile;
  if (request.query == DRM_XE_DEVICE_QUERY_EU_STALL) return fail(ENODEV, "no EU stall sampling on this device");

  Table table;
  std::size_t needed = 0;
  switch (request.query) {
    case DRM_XE_DEVICE_QUERY_ENGINE_CYCLES: needed = sizeof(drm_xe_query_engine_cycles); break;
    case DRM_XE_DEVICE_QUERY_UC_FW_VERSION: needed = sizeof(drm_xe_query_uc_fw_version); break;
    case DRM_XE_DEVICE_QUERY_PXP_STATUS: needed = sizeof(drm_xe_query_pxp_status); break;
    default: table = make_table(device, request.query, inputs); needed = table.size();
  }
  SX_TRY(const SizeStep step, size_protocol(request, needed));
  const auto size = static_cast<std::uint32_t>(needed);
  if (step == SizeStep::kAnswered) return size;

  switch (request.query) {
    case DRM_XE_DEVICE_QUERY_ENGINE_CYCLES: SX_TRY_VOID(answer_cycles(p, request.data, inputs, memory)); return size;
    case DRM_XE_DEVICE_QUERY_UC_FW_VERSION: SX_TRY_VOID(answer_firmware(p, request.data, memory)); return size;
    case DRM_XE_DEVICE_QUERY_PXP_STATUS: return fail(ENODEV, "no protected content (PXP)");
    default: break;
  }
  if (auto written = memory.write(request.data, table); !written) {
    if (request.query == DRM_XE_DEVICE_QUERY_MEM_REGIONS) return fail(ENOSPC, "memory regions: data is unwritable");
    return fail(written.error());
  }
  return size;
}

}  // namespace softxe
