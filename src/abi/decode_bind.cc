// VM_BIND: rows A2-B25, G and I of spec/vm.md 3.1, in that order.
#include <climits>
#include <memory>
#include <new>

#include "abi/decode_detail.h"

namespace softxe {

using namespace decode_detail;

namespace {

using RawOp = drm_xe_vm_bind_op;

constexpr std::uint32_t kKnownFlags = 0xff;
constexpr std::uint32_t kInjectFlag = 1u << 31;
/// The ABI puts -1 into an unsigned field.
constexpr auto kConsult = static_cast<std::uint32_t>(DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC);

bool is_mirror(const RawOp& op) { return (op.flags & DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR) != 0; }
bool is_null(const RawOp& op) { return (op.flags & DRM_XE_VM_BIND_FLAG_NULL) != 0; }
bool is_decompress(const RawOp& op) { return (op.flags & DRM_XE_VM_BIND_FLAG_DECOMPRESS) != 0; }

/// B4-B12: what may stand together in one op.
Status check_shape(const RawOp& op, const PatEntry& pat, const DecodeLimits& limits) {
  if (op.op > DRM_XE_VM_BIND_OP_PREFETCH) return fail(EINVAL, "unknown bind operation");
  const std::uint32_t known = kKnownFlags | (limits.injection == ErrorInjection::kAllowed ? kInjectFlag : 0u);
  if (op.flags & ~known) return fail(EINVAL, "unknown bind flag");
  const bool no_object = is_null(op) || is_mirror(op);
  if (op.obj != 0 && no_object) return fail(EINVAL, "null and mirror mappings take no object");
  if (op.obj_offset != 0 && no_object) return fail(EINVAL, "null and mirror mappings take no offset");
  if (op.op != DRM_XE_VM_BIND_OP_MAP && (is_decompress(op) || no_object))
    return fail(EINVAL, "decompress, null and mirror go with MAP only");
  if (is_decompress(op) && compresses(pat)) return fail(EINVAL, "decompress with a compressing PAT entry");
  if (op.op == DRM_XE_VM_BIND_OP_MAP && op.obj == 0 && !no_object) return fail(EINVAL, "MAP needs an object");
  if (op.op == DRM_XE_VM_BIND_OP_UNMAP_ALL && (op.obj == 0 || op.addr != 0 || op.range != 0))
    return fail(EINVAL, "UNMAP_ALL needs an object and no range");
  if (op.op == DRM_XE_VM_BIND_OP_MAP_USERPTR && op.obj != 0) return fail(EINVAL, "MAP_USERPTR takes no object");
  return {};
}

/// B13-B17: what memory of the process demands of the PAT entry.
Status check_cpu_memory(const RawOp& op, const PatEntry& pat, const DecodeLimits& limits) {
  const bool userptr = op.op == DRM_XE_VM_BIND_OP_MAP_USERPTR;
  if (userptr && pat.coherency == PatCoherency::kNone) return fail(EINVAL, "userptr needs a coherent PAT entry");
  if (is_mirror(op) && pat.coherency == PatCoherency::kNone && !limits.profile->has(DeviceFact::kDiscrete))
    return fail(EINVAL, "a mirror mapping of an integrated device needs a coherent PAT entry");
  if ((userptr || is_mirror(op)) && l2_flush_refuses(op.pat_index, pat, limits))
    return fail(EINVAL, "PAT entry does not suit CPU memory on this device");
  if (userptr && compresses(pat)) return fail(EINVAL, "userptr with a compressing PAT entry");
  if (userptr && !limits.profile->has(DeviceFact::kSvm)) return fail(EINVAL, "userptr needs SVM support");
  return {};
}

/// B18-B24: prefetch region, UNMAP, autoreset, alignment.
Status check_rest(const RawOp& op, const DecodeLimits& limits) {
  const std::uint32_t region = op.prefetch_mem_region_instance;
  const bool prefetch = op.op == DRM_XE_VM_BIND_OP_PREFETCH;
  if (prefetch && op.obj != 0) return fail(EINVAL, "PREFETCH takes no object");
  if (region != 0 && !prefetch) return fail(EINVAL, "a prefetch region goes with PREFETCH only");
  if (region != kConsult && (region >= 32 || !(limits.profile->region_mask() & 1u << region)))
    return fail(EINVAL, "prefetch region does not exist");
  if (op.op == DRM_XE_VM_BIND_OP_UNMAP && op.obj != 0) return fail(EINVAL, "UNMAP takes no object");
  if ((op.flags & DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET) && (!is_mirror(op) || op.op != DRM_XE_VM_BIND_OP_MAP))
    return fail(EINVAL, "autoreset goes with a mirror MAP only");
  if (!is_aligned(op.obj_offset, kPageSize) || !is_aligned(op.addr, kPageSize) || !is_aligned(op.range, kPageSize))
    return fail(EINVAL, "offset, address or range is not page aligned");
  if (op.range == 0 && op.op != DRM_XE_VM_BIND_OP_UNMAP_ALL) return fail(EINVAL, "range is empty");
  return {};
}

Status check_op(const RawOp& op, const DecodeLimits& limits, VmMode mode) {
  if (is_mirror(op) && (mode != VmMode::kFault || !limits.profile->has(DeviceFact::kSvm)))
    return fail(EINVAL, "mirror mappings need a fault-mode VM");  // B1
  SX_TRY(const PatEntry* pat, pat_entry(op.pat_index, limits));   // B2, B3
  SX_TRY_VOID(check_shape(op, *pat, limits));
  SX_TRY_VOID(check_cpu_memory(op, *pat, limits));
  SX_TRY_VOID(check_rest(op, limits));
  const DeviceProfile& device = *limits.profile;
  if (is_decompress(op) &&
      (!device.has(DeviceFact::kFlatCcs) || device.graphics_version < 20 || !device.has(DeviceFact::kDiscrete)))
    return fail(EOPNOTSUPP, "no in-place decompression on this device");  // B25
  return {};
}

/// NULL with MIRROR is accepted and means mirror (spec/vm.md 11, Q5).
BindMap map_of(const RawOp& op) {
  BindMap map;
  map.decompress = is_decompress(op);
  if (is_mirror(op))
    map.backing = BindMirror{op.flags & DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET ? AutoReset::kOn : AutoReset::kOff};
  else if (op.op == DRM_XE_VM_BIND_OP_MAP_USERPTR)
    map.backing = BindUserptr{HostVa(op.userptr)};
  else if (is_null(op))
    map.backing = BindNull{};
  else
    map.backing = BindBo{GemHandle{op.obj}, op.obj_offset};
  return map;
}

BindOp typed_op(const RawOp& op) {
  BindOp typed;
  typed.range = {GpuVa(op.addr), op.range};
  typed.pat_index = op.pat_index;
  typed.read_only = (op.flags & DRM_XE_VM_BIND_FLAG_READONLY) != 0;
  typed.immediate = (op.flags & DRM_XE_VM_BIND_FLAG_IMMEDIATE) != 0;
  typed.dumpable = (op.flags & DRM_XE_VM_BIND_FLAG_DUMPABLE) != 0;
  typed.check_pxp = (op.flags & DRM_XE_VM_BIND_FLAG_CHECK_PXP) != 0;
  typed.inject_error = (op.flags & kInjectFlag) != 0;
  switch (op.op) {
    case DRM_XE_VM_BIND_OP_MAP:
    case DRM_XE_VM_BIND_OP_MAP_USERPTR: typed.what = map_of(op); break;
    case DRM_XE_VM_BIND_OP_UNMAP: typed.what = BindUnmap{}; break;
    case DRM_XE_VM_BIND_OP_UNMAP_ALL: typed.what = BindUnmapAll{GemHandle{op.obj}}; break;
    default: {
      BindPrefetch prefetch;
      if (op.prefetch_mem_region_instance != kConsult) prefetch.region = op.prefetch_mem_region_instance;
      typed.what = prefetch;
    }
  }
  return typed;
}

/// A6, A7. The whole array is copied first: an unreadable tail wins over a bad first op, and the
/// client cannot change an op between check and use.
Result<std::unique_ptr<RawOp[]>> read_ops(HostVa at, std::uint32_t count, UserMemory& memory) {
  if (count > INT_MAX / sizeof(RawOp)) return fail(ENOBUFS, "bind array is too large");
  std::unique_ptr<RawOp[]> raw(new (std::nothrow) RawOp[count]);
  if (!raw) return fail(ENOBUFS, "no memory for the bind array");
  SX_TRY_VOID(memory.read(at, std::as_writable_bytes(std::span(raw.get(), count))));
  return raw;
}

Result<std::vector<BindOp>> decode_ops(std::span<const RawOp> raw, const DecodeLimits& limits, VmMode mode) {
  for (const RawOp& op : raw) SX_TRY_VOID(check_op(op, limits, mode));
  std::vector<BindOp> ops;
  try {
    ops.reserve(raw.size());
  } catch (const std::bad_alloc&) {
    return fail(ENOBUFS, "no memory for the bind array");
  }
  for (const RawOp& op : raw) ops.push_back(typed_op(op));
  return ops;
}

}  // namespace

std::optional<GemHandle> BindOp::object() const {
  if (const auto* all = std::get_if<BindUnmapAll>(&what)) return all->handle;
  if (const auto* map = std::get_if<BindMap>(&what))
    if (const auto* bo = std::get_if<BindBo>(&map->backing)) return bo->handle;
  return std::nullopt;
}

VmId vm_bind_target(IoctlBytes bytes) { return VmId{load<drm_xe_vm_bind>(bytes).vm_id}; }

Result<VmBindRequest> decode_vm_bind(IoctlBytes bytes, const DecodeLimits& limits, VmMode mode, UserMemory& memory) {
  const auto b = load<drm_xe_vm_bind>(bytes);
  if (b.pad != 0 || b.pad2 != 0) return fail(EINVAL, "pad is not zero");
  if (any_nonzero(b.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (b.extensions != 0) return fail(EINVAL, "VM_BIND takes no extensions");
  if (b.num_syncs > kMaxSyncs) return fail(EINVAL, "too many sync entries");
  VmBindRequest request;
  if (b.exec_queue_id != 0) request.queue = QueueId{b.exec_queue_id};
  request.syncs = {HostVa(b.syncs), b.num_syncs};
  if (b.num_binds == 1) {
    SX_TRY(request.ops, decode_ops({&b.bind, 1}, limits, mode));
  } else if (b.num_binds > 1) {
    SX_TRY(auto raw, read_ops(HostVa(b.vector_of_binds), b.num_binds, memory));
    SX_TRY(request.ops, decode_ops({raw.get(), b.num_binds}, limits, mode));
  }
  return request;
}

Status check_bind_bounds(const BindOp& op, const DecodeLimits& limits) {
  if (std::holds_alternative<BindUnmapAll>(op.what)) return {};
  if (auto range = within_vm(op.range, limits); !range) return fail(range.error());
  return {};
}

Status check_bind_object(const BindOp& op, const BindObject& object, const DecodeLimits& limits) {
  SX_TRY(const PatEntry* pat, pat_entry(op.pat_index, limits));
  std::uint64_t offset = 0;
  if (const auto* map = std::get_if<BindMap>(&op.what))
    if (const auto* bo = std::get_if<BindBo>(&map->backing)) offset = bo->offset;
  if (object.no_compression && compresses(*pat))
    return fail(EINVAL, "object was created without compression, PAT entry compresses");
  const std::uint64_t size = op.range.size_bytes;
  if (size > object.size_bytes || offset > object.size_bytes - size) return fail(EINVAL, "range is outside the object");
  if (object.internally_64k && limits.profile->has(DeviceFact::kVram64k) &&
      (!is_aligned(offset, k64K) || !op.range.start.is_aligned(k64K) || !is_aligned(size, k64K)))
    return fail(EINVAL, "VRAM of this device is mapped in units of 64 KiB");
  if (pat->coherency == PatCoherency::kNone && object.caching == CpuCaching::kWriteBack)
    return fail(EINVAL, "non-coherent PAT entry over a write-back object");
  if (pat->coherency == PatCoherency::kNone && !object.caching)
    return fail(EINVAL, "non-coherent PAT entry over an imported object");
  if (object.imported && compresses(*pat)) return fail(EINVAL, "compressing PAT entry over an imported object");
  if (object.imported && l2_flush_refuses(op.pat_index, *pat, limits))
    return fail(EINVAL, "PAT entry does not suit an imported object on this device");
  return {};
}

}  // namespace softxe
