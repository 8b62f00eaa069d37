// Exec queues, EXEC and WAIT_USER_FENCE (spec/uapi.md sections 10-12).
#include <bit>

#include "abi/decode_detail.h"

namespace softxe {

using namespace decode_detail;

namespace {

using Instance = drm_xe_engine_class_instance;
using Instances = std::array<Instance, kMaxPlacements>;

/// Ids of GTs are looked up as 8 bits: 256 acts as 0 (spec/uapi.md section 20, trap 6).
std::uint8_t gt_number(const Instance& i) { return static_cast<std::uint8_t>(i.gt_id); }

bool gt_exists(const DeviceProfile& device, std::uint8_t gt) {
  for (const GtFact& fact : device.gts)
    if (fact.id == gt) return true;
  return false;
}

bool engine_exists(const DeviceProfile& device, const Instance& i) {
  for (const EngineFact& fact : device.engines)
    if (static_cast<std::uint16_t>(fact.cls) == i.engine_class && fact.instance == i.engine_instance &&
        fact.gt == gt_number(i))
      return true;
  return false;
}

/// Row 6: one class and GT, known engines, each position's engine set the previous one shifted by
/// one. The entry of placement j and position i stands at j * width + i.
Result<EnginePlacement> place_on_engines(const drm_xe_exec_queue_create& c, const Instances& entries,
                                         const DeviceProfile& device) {
  EnginePlacement placement;
  std::uint32_t previous = 0;
  for (unsigned i = 0; i < c.width; ++i) {
    std::uint32_t mask = 0;
    for (unsigned j = 0; j < c.num_placements; ++j) {
      const Instance& entry = entries[j * c.width + i];
      if (!engine_exists(device, entry)) return fail(EINVAL, "no such engine");
      if (entry.engine_class != entries[0].engine_class || gt_number(entry) != gt_number(entries[0]))
        return fail(EINVAL, "placements of different classes or GTs");
      mask |= 1u << entry.engine_instance;
    }
    if (i != 0 && mask != previous << 1) return fail(EINVAL, "parallel positions are not logically contiguous");
    if (i == 0) placement.logical_mask = mask;
    previous = mask;
  }
  placement.cls = static_cast<EngineClass>(entries[0].engine_class);
  return placement;
}

/// One extension link after the other; holds what was seen so far.
class QueueProperties {
 public:
  QueueProperties(const ExecQueueCreateRequest& request, const DecodeLimits& limits, UserMemory& memory,
                  QueueExtensionContext& context)
      : request_(request), device_(*limits.profile), memory_(memory), context_(context) {
    if (const auto* engine = std::get_if<EnginePlacement>(&request.placement)) cls_ = engine->cls;
  }

  Status apply(const drm_xe_ext_set_property& p) {
    if (p.pad != 0 || p.property > DRM_XE_EXEC_QUEUE_SET_DISABLE_STATE_CACHE_PERF_FIX)
      return fail(EINVAL, "unknown queue property");
    seen_ |= 1u << p.property;
    constexpr std::uint32_t kSecondaryMay =
        1u << DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_GROUP | 1u << DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY;
    if (result_.group_of && (seen_ & ~kSecondaryMay))
      return fail(EINVAL, "a secondary queue of a group takes no other property");
    switch (p.property) {
      case DRM_XE_EXEC_QUEUE_SET_PROPERTY_PRIORITY: return set_priority(p.value);
      case DRM_XE_EXEC_QUEUE_SET_PROPERTY_TIMESLICE: return set_timeslice(p.value);
      case DRM_XE_EXEC_QUEUE_SET_PROPERTY_PXP_TYPE: return set_pxp(p.value);
      case DRM_XE_EXEC_QUEUE_SET_HANG_REPLAY_STATE: return set_replay(p.ptr);
      case DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_GROUP: return set_group(p.value);
      case DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY: return set_group_priority(p.value);
      default: return set_state_cache();
    }
  }

  Result<ExecQueueProperties> finish() const {
    const bool grouped = result_.group_primary || result_.group_of;
    if ((seen_ & 1u << DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY) && !grouped)
      return fail(EINVAL, "multi-queue priority outside a group");
    return result_;
  }

 private:
  GtType gt_type() const {
    for (const GtFact& gt : device_.gts)
      if (gt.id == request_.gt) return gt.type;
    return GtType::kMain;
  }
  Status set_priority(std::uint64_t value) {
    if (value > 2) return fail(EINVAL, "unknown queue priority");
    if (value == 2 && context_.privilege() == Privilege::kNone) return fail(EPERM, "high priority needs CAP_SYS_NICE");
    result_.priority = static_cast<QueuePriority>(value);
    return {};
  }
  Status set_timeslice(std::uint64_t value) {
    const TimesliceLimits allowed = context_.timeslice_limits();
    if (value < allowed.min_us || value > allowed.max_us)
      return fail(EINVAL, "timeslice outside the limits of the class");
    result_.timeslice_us = static_cast<std::uint32_t>(value);
    return {};
  }
  Status set_pxp(std::uint64_t value) {
    if (value == DRM_XE_PXP_TYPE_NONE) return {};
    if (value != DRM_XE_PXP_TYPE_HWDRM) return fail(EINVAL, "unknown PXP type");
    if (!device_.has(DeviceFact::kPxp)) return fail(ENODEV, "no protected content (PXP)");
    return {};
  }
  /// The image itself is not used; its first page stands for "readable".
  Status set_replay(std::uint64_t pointer) {
    if (replay_seen_) return fail(EINVAL, "replay state given twice");
    replay_seen_ = true;
    std::array<std::byte, 4096> image;
    SX_TRY_VOID(memory_.read(HostVa(pointer), image));
    result_.replay_state = HostVa(pointer);
    return {};
  }
  Status set_group(std::uint64_t value) {
    // A bind queue counts as one of the copy engines.
    if (!device_.has_groups(cls_.value_or(EngineClass::kCopy), gt_type()))
      return fail(ENODEV, "engine class has no multi-queue groups");
    if (!cls_) return fail(EINVAL, "a bind queue cannot join a group");
    if (request_.width != 1 || result_.group_primary || result_.group_of)
      return fail(EINVAL, "a parallel queue, or one with a group, cannot join a group");
    if (value & DRM_XE_MULTI_GROUP_CREATE) {
      if (value != DRM_XE_MULTI_GROUP_CREATE) return fail(EINVAL, "unknown bits beside the create-group bit");
      result_.group_primary = true;
      return {};
    }
    if (value >> 32 != 0) return fail(EINVAL, "upper half of the primary's id is not zero");
    const QueueId primary{static_cast<std::uint32_t>(value)};
    SX_TRY_VOID(context_.join_group(primary));
    result_.group_of = primary;
    return {};
  }
  Status set_group_priority(std::uint64_t value) {
    if (value > 2) return fail(EINVAL, "unknown multi-queue priority");
    result_.group_priority = static_cast<QueuePriority>(value);
    return {};
  }
  Status set_state_cache() {
    if (cls_ != EngineClass::kRender) return fail(EOPNOTSUPP, "the state-cache switch exists on render queues only");
    result_.state_cache_fix_off = true;
    return {};
  }

  const ExecQueueCreateRequest& request_;
  const DeviceProfile& device_;
  UserMemory& memory_;
  QueueExtensionContext& context_;
  std::optional<EngineClass> cls_;  ///< none: bind queue
  std::uint32_t seen_ = 0;
  bool replay_seen_ = false;
  ExecQueueProperties result_;
};

}  // namespace

Result<ExecQueueCreateRequest> decode_exec_queue_create(IoctlBytes bytes, const DecodeLimits& limits,
                                                        UserMemory& memory) {
  const auto c = load<drm_xe_exec_queue_create>(bytes);
  const DeviceProfile& device = *limits.profile;
  if (c.flags & ~DRM_XE_EXEC_QUEUE_LOW_LATENCY_HINT) return fail(EINVAL, "unknown queue flag");
  if (any_nonzero(c.reserved)) return fail(EINVAL, "reserved field is not zero");
  const unsigned count = static_cast<unsigned>(c.width) * c.num_placements;
  if (count == 0 || count > kMaxPlacements) return fail(EINVAL, "width times placements must be 1 to 9");
  Instances entries{};
  SX_TRY_VOID(memory.read(HostVa(c.instances), std::as_writable_bytes(std::span(entries.data(), count))));
  if (!gt_exists(device, gt_number(entries[0]))) return fail(EINVAL, "no such GT");

  ExecQueueCreateRequest request;
  request.vm = VmId{c.vm_id};
  request.width = c.width;
  request.gt = gt_number(entries[0]);
  request.low_latency = (c.flags & DRM_XE_EXEC_QUEUE_LOW_LATENCY_HINT) != 0;
  request.extensions = HostVa(c.extensions);
  if (entries[0].engine_class == DRM_XE_ENGINE_CLASS_VM_BIND) {
    if (c.width != 1 || c.num_placements != 1 || entries[0].engine_instance != 0)
      return fail(EINVAL, "a bind queue has one placement with instance 0");
    request.placement = BindQueuePlacement{};
    return request;
  }
  SX_TRY(const EnginePlacement engine, place_on_engines(c, entries, device));
  if (c.width > 1 && !(device.multi_lrc_classes & 1u << static_cast<unsigned>(engine.cls)))
    return fail(EOPNOTSUPP, "engine class cannot run parallel queues");
  request.placement = engine;
  return request;
}

void reply_exec_queue_create(IoctlReply reply, QueueId queue) {
  auto c = load<drm_xe_exec_queue_create>(reply);
  c.exec_queue_id = static_cast<std::uint32_t>(queue);
  store(reply, c);
}

Result<ExecQueueProperties> decode_queue_extensions(const ExecQueueCreateRequest& request, const DecodeLimits& limits,
                                                    UserMemory& memory, QueueExtensionContext& context) {
  QueueProperties properties(request, limits, memory, context);
  SX_TRY_VOID(for_each_property(request.extensions, memory,
                                [&](const drm_xe_ext_set_property& p) { return properties.apply(p); }));
  return properties.finish();
}

Result<QueueId> decode_exec_queue_destroy(IoctlBytes bytes) {
  const auto d = load<drm_xe_exec_queue_destroy>(bytes);
  if (d.pad != 0 || any_nonzero(d.reserved)) return fail(EINVAL, "pad or reserved field is not zero");
  return QueueId{d.exec_queue_id};
}

Result<QueuePropertyRequest> decode_exec_queue_get_property(IoctlBytes bytes) {
  const auto g = load<drm_xe_exec_queue_get_property>(bytes);
  if (any_nonzero(g.reserved)) return fail(EINVAL, "reserved field is not zero");
  return QueuePropertyRequest{QueueId{g.exec_queue_id}, g.property, 0};
}

Status check_queue_get_property(const QueuePropertyRequest& request) {
  if (request.property != DRM_XE_EXEC_QUEUE_GET_PROPERTY_BAN) return fail(EINVAL, "unknown queue property");
  return {};
}

void reply_exec_queue_get_property(IoctlReply reply, std::uint64_t value) {
  auto g = load<drm_xe_exec_queue_get_property>(reply);
  g.value = value;
  store(reply, g);
}

Result<QueuePropertyRequest> decode_exec_queue_set_property(IoctlBytes bytes) {
  const auto s = load<drm_xe_exec_queue_set_property>(bytes);
  if (any_nonzero(s.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (s.property != DRM_XE_EXEC_QUEUE_SET_PROPERTY_MULTI_QUEUE_PRIORITY)
    return fail(EINVAL, "only the multi-queue priority can be changed");
  return QueuePropertyRequest{QueueId{s.exec_queue_id}, s.property, s.value};
}

Result<QueuePriority> check_queue_set_property(const QueuePropertyRequest& request) {
  if (request.value > 2) return fail(EINVAL, "unknown multi-queue priority");
  return static_cast<QueuePriority>(request.value);
}

Result<ExecRequest> decode_exec(IoctlBytes bytes) {
  const auto e = load<drm_xe_exec>(bytes);
  if (e.extensions != 0) return fail(EINVAL, "EXEC takes no extensions");
  if (any_nonzero(e.pad)) return fail(EINVAL, "pad is not zero");
  if (any_nonzero(e.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (e.num_syncs > kMaxSyncs) return fail(EINVAL, "too many sync entries");
  return ExecRequest{.queue = QueueId{e.exec_queue_id},
                     .syncs = {HostVa(e.syncs), e.num_syncs},
                     .address = e.address,
                     .num_batches = e.num_batch_buffer};
}

Status check_exec_width(const ExecRequest& request, std::uint16_t width) {
  if (request.num_batches != 0 && request.num_batches != width)
    return fail(EINVAL, "number of batches differs from the queue's width");
  return {};
}

Result<std::vector<GpuVa>> read_batch_addresses(const ExecRequest& request, const DecodeLimits& limits,
                                                UserMemory& memory) {
  std::vector<GpuVa> addresses;
  if (request.num_batches == 0) return addresses;
  if (request.num_batches == 1) {
    addresses.push_back(strip_canonical(request.address, limits));
    return addresses;
  }
  SX_ASSERT(request.num_batches <= kMaxPlacements);
  std::array<std::uint64_t, kMaxPlacements> raw{};
  SX_TRY_VOID(memory.read(HostVa(request.address), std::as_writable_bytes(std::span(raw.data(), request.num_batches))));
  for (unsigned i = 0; i < request.num_batches; ++i) addresses.push_back(strip_canonical(raw[i], limits));
  return addresses;
}

Result<WaitUserFenceRequest> decode_wait_user_fence(IoctlBytes bytes) {
  const auto w = load<drm_xe_wait_user_fence>(bytes);
  if (w.extensions != 0) return fail(EINVAL, "WAIT_USER_FENCE takes no extensions");
  if (w.pad != 0 || w.pad2 != 0) return fail(EINVAL, "pad is not zero");
  if (any_nonzero(w.reserved)) return fail(EINVAL, "reserved field is not zero");
  if (w.flags & ~DRM_XE_UFENCE_WAIT_FLAG_ABSTIME) return fail(EINVAL, "unknown wait flag");
  if (w.op > DRM_XE_UFENCE_WAIT_OP_LTE) return fail(EINVAL, "unknown comparison");
  if (!is_aligned(w.addr, 8)) return fail(EINVAL, "fence address is not 8-byte aligned");
  WaitUserFenceRequest request;
  request.address = HostVa(w.addr);
  request.op = static_cast<CompareOp>(w.op);
  request.value = w.value;
  request.mask = w.mask;
  request.timeout_ns = w.timeout;
  request.timeout_kind = w.flags & DRM_XE_UFENCE_WAIT_FLAG_ABSTIME ? TimeoutKind::kAbsolute : TimeoutKind::kRelative;
  if (w.exec_queue_id != 0) request.queue = QueueId{w.exec_queue_id};
  return request;
}

bool user_fence_condition(const WaitUserFenceRequest& request, std::uint64_t word) {
  const std::uint64_t left = word & request.mask;
  const std::uint64_t right = request.value & request.mask;
  switch (request.op) {
    case CompareOp::kEq: return left == right;
    case CompareOp::kNeq: return left != right;
    case CompareOp::kGt: return left > right;
    case CompareOp::kGte: return left >= right;
    case CompareOp::kLt: return left < right;
    case CompareOp::kLte: return left <= right;
  }
  return false;
}

void reply_wait_user_fence(IoctlReply reply, std::int64_t timeout_ns) {
  auto w = load<drm_xe_wait_user_fence>(reply);
  w.timeout = timeout_ns;
  store(reply, w);
}

}  // namespace softxe
