// Device, object and observation requests, and the address rules. VM requests: decode_vm.cc and
// decode_bind.cc; queues, jobs and sync entries: decode_queue.cc and decode_sync.cc.
#include "abi/decode.h"

#include "abi/decode_detail.h"

namespace softxe {

using namespace decode_detail;

GpuVa strip_canonical(std::uint64_t address, const DecodeLimits& limits) {
  return GpuVa(address & ((1ull << limits.profile->va_bits) - 1));
}

std::uint64_t canonical(GpuVa address, const DecodeLimits& limits) {
  const unsigned unused = 64u - limits.profile->va_bits;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(address.value() << unused) >> unused);
}

Result<GpuRange> within_vm(const UncheckedRange& range, const DecodeLimits& limits) {
  const std::uint64_t vm_size = 1ull << limits.profile->va_bits;
  if (range.size_bytes > vm_size || range.start.value() > vm_size - range.size_bytes)
    return fail(EINVAL, "range is outside the VM");
  return GpuRange::make(range.start, range.size_bytes);
}

Result<DeviceQueryRequest> decode_device_query(IoctlBytes bytes) {
  const auto q = load<drm_xe_device_query>(bytes);
  if (q.extensions != 0) return fail(EINVAL, "DEVICE_QUERY takes no extensions");
  if (any_nonzero(q.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (q.query > DRM_XE_DEVICE_QUERY_EU_STALL) return fail(EINVAL, "unknown query");
  return DeviceQueryRequest{.query = q.query, .size_bytes = q.size, .data = HostVa(q.data)};
}

void reply_device_query(IoctlReply reply, std::uint32_t size_bytes) {
  auto q = load<drm_xe_device_query>(reply);
  q.size = size_bytes;
  store(reply, q);
}

namespace {

constexpr std::uint32_t kGemFlags = DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING | DRM_XE_GEM_CREATE_FLAG_SCANOUT |
                                    DRM_XE_GEM_CREATE_FLAG_NEEDS_VISIBLE_VRAM | DRM_XE_GEM_CREATE_FLAG_NO_COMPRESSION;

/// Rows 1-6 of spec/uapi.md section 5.
Status check_gem_form(const drm_xe_gem_create& g, const DecodeLimits& limits) {
  if (any_nonzero(g.pad) || any_nonzero(g.reserved)) return fail(EINVAL, "pad or reserved field is not zero");
  if (g.placement == 0) return fail(EINVAL, "placement is empty");
  if (g.placement & ~limits.profile->region_mask()) return fail(EINVAL, "placement names a region the device lacks");
  if (g.flags & ~kGemFlags) return fail(EINVAL, "unknown GEM_CREATE flag");
  if (g.handle != 0) return fail(EINVAL, "handle must be zero on input");
  if (g.size == 0) return fail(EINVAL, "object size is zero");
  if (!is_aligned(g.size, kPageSize)) return fail(EINVAL, "object size is not page aligned");
  if ((g.flags & DRM_XE_GEM_CREATE_FLAG_NO_COMPRESSION) && limits.profile->graphics_version < 20)
    return fail(EOPNOTSUPP, "the no-compression flag needs graphics version 20");
  return {};
}

/// Rows 7-10: flags and caching against the placement.
Status check_gem_caching(const drm_xe_gem_create& g) {
  const bool vram = (g.placement & ~1u) != 0;
  if ((g.flags & DRM_XE_GEM_CREATE_FLAG_NEEDS_VISIBLE_VRAM) && !vram)
    return fail(EINVAL, "visible VRAM asked for without a VRAM placement");
  if (g.cpu_caching != DRM_XE_GEM_CPU_CACHING_WB && g.cpu_caching != DRM_XE_GEM_CPU_CACHING_WC)
    return fail(EINVAL, "cpu_caching must be write-back or write-combine");
  if (vram && g.cpu_caching != DRM_XE_GEM_CPU_CACHING_WC)
    return fail(EINVAL, "an object that may be in VRAM must be write-combine");
  if ((g.flags & DRM_XE_GEM_CREATE_FLAG_SCANOUT) && g.cpu_caching == DRM_XE_GEM_CPU_CACHING_WB)
    return fail(EINVAL, "a scanout object cannot be write-back");
  return {};
}

}  // namespace

Result<GemCreateRequest> decode_gem_create(IoctlBytes bytes, const DecodeLimits& limits) {
  const auto g = load<drm_xe_gem_create>(bytes);
  SX_TRY_VOID(check_gem_form(g, limits));
  SX_TRY_VOID(check_gem_caching(g));
  GemCreateRequest request;
  request.size_bytes = g.size;
  request.placement = g.placement;
  request.defer_backing = (g.flags & DRM_XE_GEM_CREATE_FLAG_DEFER_BACKING) != 0;
  request.scanout = (g.flags & DRM_XE_GEM_CREATE_FLAG_SCANOUT) != 0;
  request.needs_visible_vram = (g.flags & DRM_XE_GEM_CREATE_FLAG_NEEDS_VISIBLE_VRAM) != 0;
  request.no_compression = (g.flags & DRM_XE_GEM_CREATE_FLAG_NO_COMPRESSION) != 0;
  if (g.vm_id != 0) request.private_to = VmId{g.vm_id};
  request.caching = static_cast<CpuCaching>(g.cpu_caching);
  request.extensions = HostVa(g.extensions);
  return request;
}

Status check_gem_size(const GemCreateRequest& request, const DecodeLimits& limits) {
  if (request.vram_allowed() && !is_aligned(request.size_bytes, limits.profile->vram_page_bytes()))
    return fail(EINVAL, "VRAM of this device is managed in units of 64 KiB");
  return {};
}

Status decode_gem_extensions(HostVa chain, const DecodeLimits& limits, UserMemory& memory) {
  return for_each_property(chain, memory, [&](const drm_xe_ext_set_property& p) -> Status {
    if (p.property != DRM_XE_GEM_CREATE_SET_PROPERTY_PXP_TYPE || p.pad != 0)
      return fail(EINVAL, "unknown object property");
    if (p.value == DRM_XE_PXP_TYPE_NONE) return {};
    if (p.value != DRM_XE_PXP_TYPE_HWDRM) return fail(EINVAL, "unknown PXP type");
    if (!limits.profile->has(DeviceFact::kPxp)) return fail(ENODEV, "no protected content (PXP)");
    return {};
  });
}

void reply_gem_create(IoctlReply reply, GemHandle handle) {
  auto g = load<drm_xe_gem_create>(reply);
  g.handle = static_cast<std::uint32_t>(handle);
  store(reply, g);
}

Result<GemMmapOffsetRequest> decode_gem_mmap_offset(IoctlBytes bytes, const DecodeLimits& limits) {
  const auto m = load<drm_xe_gem_mmap_offset>(bytes);
  if (m.extensions != 0) return fail(EINVAL, "GEM_MMAP_OFFSET takes no extensions");
  if (any_nonzero(m.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (m.flags & ~DRM_XE_MMAP_OFFSET_FLAG_PCI_BARRIER) return fail(EINVAL, "unknown flag");
  if (!(m.flags & DRM_XE_MMAP_OFFSET_FLAG_PCI_BARRIER)) return GemMmapOffsetRequest(GemHandle{m.handle});
  if (!limits.profile->has(DeviceFact::kDiscrete))
    return fail(EINVAL, "the PCI barrier page exists on discrete devices only");
  if (m.handle != 0) return fail(EINVAL, "the PCI barrier page takes no handle");
  return GemMmapOffsetRequest(MmapPciBarrier{});
}

void reply_gem_mmap_offset(IoctlReply reply, std::uint64_t offset) {
  auto m = load<drm_xe_gem_mmap_offset>(reply);
  m.offset = offset;
  store(reply, m);
}

Result<ObservationRequest> decode_observation(IoctlBytes bytes) {
  const auto o = load<drm_xe_observation_param>(bytes);
  if (o.extensions != 0) return fail(EINVAL, "OBSERVATION takes no extensions");
  if (o.observation_type > DRM_XE_OBSERVATION_TYPE_EU_STALL) return fail(EINVAL, "unknown observation type");
  const auto type = static_cast<ObservationType>(o.observation_type);
  const std::uint64_t last_op =
      type == ObservationType::kOa ? DRM_XE_OBSERVATION_OP_REMOVE_CONFIG : DRM_XE_OBSERVATION_OP_STREAM_OPEN;
  if (o.observation_op > last_op) return fail(EINVAL, "unknown observation operation");
  return ObservationRequest{.type = type, .op = static_cast<ObservationOp>(o.observation_op)};
}

}  // namespace softxe
