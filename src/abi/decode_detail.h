// Helpers shared by the decode_*.cc files.
#pragma once

#include <cstring>

#include "abi/decode.h"
#include "abi/uapi.h"

namespace softxe::decode_detail {

/// The struct in `bytes`. run_ioctl() guarantees the size.
template <typename T>
T load(IoctlBytes bytes) {
  SX_ASSERT(bytes.size() >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}
template <typename T>
void store(IoctlReply reply, const T& value) {
  SX_ASSERT(reply.size() >= sizeof(T));
  std::memcpy(reply.data(), &value, sizeof value);
}

template <typename Array>
bool any_nonzero(const Array& words) {
  for (const auto& word : words)
    if (word != 0) return true;
  return false;
}

/// Entry of the page attribute table; EINVAL for an index outside or a reserved entry.
inline Result<const PatEntry*> pat_entry(std::uint32_t index, const DecodeLimits& limits) {
  if (index >= limits.profile->pat_entries) return fail(EINVAL, "PAT index beyond the table");
  const PatEntry& entry = limits.profile->pat[index];
  if (entry.state == PatState::kReserved) return fail(EINVAL, "PAT entry is reserved");
  return &entry;
}

/// On devices with optimised L2 flush only entry 19 and two-way entries suit CPU memory (B15, I7).
inline bool l2_flush_refuses(std::uint32_t index, const PatEntry& entry, const DecodeLimits& limits) {
  return limits.profile->has(DeviceFact::kOptimisedL2Flush) && index != 19 && entry.coherency != PatCoherency::kTwoWay;
}

inline constexpr unsigned kMaxExtensions = 16;

/// Walks an extension chain (spec/uapi.md section 1); `each` gets every set-property link in order.
template <typename Each>
Status for_each_property(HostVa chain, UserMemory& memory, Each each) {
  std::uint64_t at = chain.value();
  for (unsigned link = 0; at != 0; ++link) {
    if (link >= kMaxExtensions) return fail(E2BIG, "extension chain is too long");
    drm_xe_user_extension base{};
    SX_TRY_VOID(memory.read_object(HostVa(at), base));
    if (base.pad != 0) return fail(EINVAL, "extension pad is not zero");
    if (base.name != 0) return fail(EINVAL, "unknown extension name");
    drm_xe_ext_set_property property{};
    SX_TRY_VOID(memory.read_object(HostVa(at), property));
    SX_TRY_VOID(each(property));
    at = base.next_extension;
  }
  return {};
}

}  // namespace softxe::decode_detail
