// Sync entries of VM_BIND and EXEC (spec/uapi.md section 9, spec/vm.md 3.1 J).
#include "abi/decode_detail.h"
#include "base/step.h"

namespace softxe {

using namespace decode_detail;

namespace {

/// The checks before the handle lookup, shared by plain and timeline entries.
Status check_syncobj(const drm_xe_sync& s, SyncDirection direction, VmMode mode) {
  if (direction == SyncDirection::kSignal && mode != VmMode::kDmaFence)
    return fail(EOPNOTSUPP, "a long-running VM signals user fences only");
  if (s.addr >> 32 != 0) return fail(EINVAL, "upper half of the syncobj handle is not zero");
  return {};
}

Result<SyncEntry> decode_user_fence(const drm_xe_sync& s, SyncDirection direction, SyncUse use, UserMemory& memory) {
  if (use == SyncUse::kBindWithoutOps) return fail(EOPNOTSUPP, "user fence on a bind without operations");
  if (direction != SyncDirection::kSignal) return fail(EOPNOTSUPP, "a user fence cannot be waited for here");
  if (!is_aligned(s.addr, 8)) return fail(EINVAL, "user fence address is not 8-byte aligned");
  if (use == SyncUse::kBind) {
    std::uint64_t word = 0;
    SX_TRY_VOID(memory.read_object(HostVa(s.addr), word));
  }
  return SyncEntry(SyncUserFence{.address = s.addr, .value = s.timeline_value});
}

Result<SyncEntry> decode_entry(const drm_xe_sync& s, SyncUse use, VmMode mode, UserMemory& memory) {
  if (s.flags & ~DRM_XE_SYNC_FLAG_SIGNAL) return fail(EINVAL, "unknown sync flag");
  if (any_nonzero(s.reserved)) return fail(EINVAL, "reserved field is not zero");
  const auto direction = s.flags & DRM_XE_SYNC_FLAG_SIGNAL ? SyncDirection::kSignal : SyncDirection::kWait;
  switch (s.type) {
    case DRM_XE_SYNC_TYPE_SYNCOBJ:
      SX_TRY_VOID(check_syncobj(s, direction, mode));
      return SyncEntry(SyncPlain{SyncobjHandle{s.handle}, direction});
    case DRM_XE_SYNC_TYPE_TIMELINE_SYNCOBJ:
      SX_TRY_VOID(check_syncobj(s, direction, mode));
      if (s.timeline_value == 0) return fail(EINVAL, "timeline point is zero");
      return SyncEntry(SyncTimeline{SyncobjHandle{s.handle}, s.timeline_value, direction});
    case DRM_XE_SYNC_TYPE_USER_FENCE: return decode_user_fence(s, direction, use, memory);
    default: return fail(EINVAL, "unknown sync type");
  }
}

}  // namespace

Status decode_syncs(const SyncArray& syncs, SyncUse use, VmMode mode, UserMemory& memory, SyncSink& sink) {
  unsigned user_fences = 0;
  for (std::uint32_t i = 0; i < syncs.count; ++i) {
    drm_xe_sync raw{};
    SX_TRY_VOID(SX_STEP("abi.sync.parse"));
    SX_TRY_VOID(memory.read_object(syncs.at + i * sizeof raw, raw));
    SX_TRY(const SyncEntry entry, decode_entry(raw, use, mode, memory));
    SX_TRY_VOID(sink.add(entry));
    user_fences += std::holds_alternative<SyncUserFence>(entry);
  }
  if (user_fences > 1) return fail(EINVAL, "more than one user fence");
  return {};
}

}  // namespace softxe
