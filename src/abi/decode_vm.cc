// VM_CREATE, VM_DESTROY, MADVISE and the two queries of a VM (spec/vm.md 2.2, 5.1, 6).
#include "abi/decode_detail.h"

namespace softxe {

using namespace decode_detail;

namespace {

constexpr std::uint32_t kVmFlags = DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE | DRM_XE_VM_CREATE_FLAG_LR_MODE |
                                   DRM_XE_VM_CREATE_FLAG_FAULT_MODE | DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT;

Result<AdvisePreferredLocation> decode_location(const drm_xe_madvise& m) {
  const auto& location = m.preferred_mem_loc;
  const auto fd = static_cast<std::int32_t>(location.devmem_fd);
  if (fd < -1) return fail(EINVAL, "preferred location: bad file number");
  if (fd <= 0 && location.region_instance != 0) return fail(EINVAL, "preferred location: region without a device file");
  if (location.migration_policy > DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES) return fail(EINVAL, "unknown migration policy");
  if (location.reserved != 0) return fail(EINVAL, "reserved field is not zero");
  return AdvisePreferredLocation{.devmem_fd = fd,
                                 .policy = static_cast<MigrationPolicy>(location.migration_policy),
                                 .region_instance = location.region_instance};
}

Result<AdviseAtomic> decode_atomic(const drm_xe_madvise& m) {
  if (m.atomic.val > DRM_XE_ATOMIC_CPU) return fail(EINVAL, "unknown atomic access");
  if (m.atomic.pad != 0 || m.atomic.reserved != 0) return fail(EINVAL, "pad or reserved field is not zero");
  return AdviseAtomic{static_cast<AtomicAccess>(m.atomic.val)};
}

Result<AdvisePat> decode_pat(const drm_xe_madvise& m, const DecodeLimits& limits) {
  SX_TRY(const PatEntry* entry, pat_entry(m.pat_index.val, limits));
  static_cast<void>(entry);
  if (m.pat_index.pad != 0 || m.pat_index.reserved != 0) return fail(EINVAL, "pad or reserved field is not zero");
  return AdvisePat{static_cast<std::uint16_t>(m.pat_index.val)};
}

Result<AdvisePurgeable> decode_purgeable(const drm_xe_madvise& m) {
  if (m.purge_state_val.val > DRM_XE_VMA_PURGEABLE_STATE_DONTNEED) return fail(EINVAL, "unknown purgeable state");
  if (m.purge_state_val.pad != 0) return fail(EINVAL, "pad is not zero");
  return AdvisePurgeable{static_cast<PurgeState>(m.purge_state_val.val), HostVa(m.purge_state_val.retained_ptr)};
}

Status decode_advice(const drm_xe_madvise& m, const DecodeLimits& limits, MadviseRequest& out) {
  switch (m.type) {
    case DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC: {
      SX_TRY(out.advice, decode_location(m));
      return {};
    }
    case DRM_XE_MEM_RANGE_ATTR_ATOMIC: {
      SX_TRY(out.advice, decode_atomic(m));
      return {};
    }
    case DRM_XE_MEM_RANGE_ATTR_PAT: {
      SX_TRY(out.advice, decode_pat(m, limits));
      return {};
    }
    case DRM_XE_VMA_ATTR_PURGEABLE_STATE: {
      SX_TRY(out.advice, decode_purgeable(m));
      return {};
    }
    default: return fail(EINVAL, "unknown attribute");
  }
}

}  // namespace

Result<VmCreateRequest> decode_vm_create(IoctlBytes bytes, const DecodeLimits& limits) {
  const auto c = load<drm_xe_vm_create>(bytes);
  const DeviceProfile& device = *limits.profile;
  VmCreateRequest request;
  request.scratch = (c.flags & DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE) != 0;
  request.long_running = (c.flags & DRM_XE_VM_CREATE_FLAG_LR_MODE) != 0;
  request.fault_mode = (c.flags & DRM_XE_VM_CREATE_FLAG_FAULT_MODE) != 0;
  request.no_overcommit = (c.flags & DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT) != 0;
  if (c.extensions != 0) return fail(EINVAL, "VM_CREATE takes no extensions");
  if (request.fault_mode && !device.has(DeviceFact::kUsm)) return fail(EINVAL, "device has no recoverable page faults");
  if (any_nonzero(c.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (c.flags & ~kVmFlags) return fail(EINVAL, "unknown VM_CREATE flag");
  if (request.scratch && request.fault_mode && !device.has(DeviceFact::kNeedsScratch))
    return fail(EINVAL, "scratch and fault mode exclude each other on this device");
  if (request.fault_mode && !request.long_running) return fail(EINVAL, "fault mode needs the long-running flag");
  if (request.no_overcommit && !request.fault_mode) return fail(EINVAL, "no-overcommit needs fault mode");
  return request;
}

void reply_vm_create(IoctlReply reply, VmId vm) {
  auto c = load<drm_xe_vm_create>(reply);
  c.vm_id = static_cast<std::uint32_t>(vm);
  store(reply, c);
}

Result<VmId> decode_vm_destroy(IoctlBytes bytes) {
  const auto d = load<drm_xe_vm_destroy>(bytes);
  if (d.pad != 0 || any_nonzero(d.reserved)) return fail(EINVAL, "pad or reserved field is not zero");
  return VmId{d.vm_id};
}

VmId madvise_target(IoctlBytes bytes) { return VmId{load<drm_xe_madvise>(bytes).vm_id}; }

Result<MadviseRequest> decode_madvise(IoctlBytes bytes, const DecodeLimits& limits, UserMemory& memory) {
  const auto m = load<drm_xe_madvise>(bytes);
  if (!is_aligned(m.start, kPageSize)) return fail(EINVAL, "start is not page aligned");
  if (!is_aligned(m.range, kPageSize)) return fail(EINVAL, "range is not page aligned");
  if (m.range < kPageSize) return fail(EINVAL, "range is empty");
  MadviseRequest request;
  request.range = {strip_canonical(m.start, limits), m.range};
  SX_TRY_VOID(decode_advice(m, limits, request));
  if (any_nonzero(m.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (const auto* purge = std::get_if<AdvisePurgeable>(&request.advice);
      purge != nullptr && purge->retained != HostVa(0)) {
    std::uint32_t retained = 0;
    SX_TRY_VOID(memory.read_object(purge->retained, retained));
    if (retained != 0) return fail(EINVAL, "the retained word must be zero before the call");
  }
  return request;
}

Result<MemRangeAttrsRequest> decode_mem_range_attrs(IoctlBytes bytes, const DecodeLimits&) {
  const auto q = load<drm_xe_vm_query_mem_range_attr>(bytes);
  if (q.num_mem_ranges == 0 && (q.vector_of_mem_attr != 0 || q.sizeof_mem_range_attr != 0))
    return fail(EINVAL, "counting call with an array or an element size");
  if (q.num_mem_ranges != 0 && (q.vector_of_mem_attr == 0 || q.sizeof_mem_range_attr != sizeof(drm_xe_mem_range_attr)))
    return fail(EINVAL, "reading call without an array or with a foreign element size");
  return MemRangeAttrsRequest{.vm = VmId{q.vm_id},
                              .range = {GpuVa(q.start), q.range},
                              .capacity = q.num_mem_ranges,
                              .out = HostVa(q.vector_of_mem_attr)};
}

Status write_mem_range_attrs(const MemRangeAttrsRequest& request, std::span<const MemRangeAttr> attrs,
                             UserMemory& memory) {
  SX_ASSERT(attrs.size() <= request.capacity);
  HostVa at = request.out;
  for (const MemRangeAttr& attr : attrs) {
    drm_xe_mem_range_attr element{};
    element.start = attr.start;
    element.end = attr.end;
    element.preferred_mem_loc.devmem_fd = static_cast<std::uint32_t>(attr.devmem_fd);
    element.preferred_mem_loc.migration_policy = static_cast<std::uint32_t>(attr.policy);
    element.atomic.val = static_cast<std::uint32_t>(attr.atomic);
    element.pat_index.val = attr.pat_index;
    SX_TRY_VOID(memory.write_object(at, element));
    at += sizeof element;
  }
  return {};
}

void reply_mem_range_attrs(IoctlReply reply, std::uint32_t count) {
  auto q = load<drm_xe_vm_query_mem_range_attr>(reply);
  q.num_mem_ranges = count;
  q.sizeof_mem_range_attr = sizeof(drm_xe_mem_range_attr);
  store(reply, q);
}

Result<VmGetPropertyRequest> decode_vm_get_property(IoctlBytes bytes) {
  const auto g = load<drm_xe_vm_get_property>(bytes);
  if (any_nonzero(g.reserved) || g.extensions != 0 || g.pad != 0)
    return fail(EINVAL, "reserved, extensions or pad is not zero");
  return VmGetPropertyRequest{.vm = VmId{g.vm_id}, .property = g.property, .size_bytes = g.size, .out = HostVa(g.data)};
}

Result<std::uint32_t> answer_vm_faults(const VmGetPropertyRequest& request, std::span<const VmFaultRecord> stored,
                                       const DecodeLimits& limits, UserMemory& memory) {
  if (request.property != DRM_XE_VM_GET_PROPERTY_FAULTS) return fail(EINVAL, "unknown VM property");
  const auto all_bytes = static_cast<std::uint32_t>(stored.size() * sizeof(xe_vm_fault));
  if (request.size_bytes == 0) return all_bytes;
  if (request.size_bytes > all_bytes || request.size_bytes % sizeof(xe_vm_fault) != 0)
    return fail(EINVAL, "size is not a number of stored fault records");
  HostVa at = request.out;
  for (const VmFaultRecord& record : stored.first(request.size_bytes / sizeof(xe_vm_fault))) {
    xe_vm_fault fault{};
    fault.address = canonical(record.page, limits);
    fault.address_precision = kPageSize;
    fault.access_type = static_cast<std::uint8_t>(record.access);
    fault.fault_type = static_cast<std::uint8_t>(record.type);
    fault.fault_level = record.level;
    SX_TRY_VOID(memory.write_object(at, fault));
    at += sizeof fault;
  }
  return request.size_bytes;
}

void reply_vm_get_property(IoctlReply reply, std::uint32_t size_bytes) {
  auto g = load<drm_xe_vm_get_property>(reply);
  g.size = size_bytes;
  store(reply, g);
}

}  // namespace softxe
