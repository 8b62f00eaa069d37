// The body shared by the fuzz target (decode_fuzz.cc) and the seeded smoke in decode_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "abi/decode.h"

namespace softxe {

/// Client memory that answers every readable address with bytes of the fuzz input; every 16th page
/// is a hole, and nothing is longer than 64 KiB.
class FuzzUserMemory final : public UserMemory {
 public:
  explicit FuzzUserMemory(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  Status read(HostVa from, std::span<std::byte> to) override {
    if (hole(from) || to.size() > k64K) return fail(EFAULT, "fuzz: hole");
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = bytes_.empty() ? std::byte{0} : static_cast<std::byte>(bytes_[(from.value() + i) % bytes_.size()]);
    return {};
  }
  Status write(HostVa to, std::span<const std::byte>) override {
    if (hole(to)) return fail(EFAULT, "fuzz: hole");
    return {};
  }

 private:
  static bool hole(HostVa at) { return (at.value() >> kPageShift) % 16 == 15; }
  std::span<const std::uint8_t> bytes_;
};

class FuzzQueueContext final : public QueueExtensionContext {
 public:
  Privilege privilege() const override { return Privilege::kNone; }
  TimesliceLimits timeslice_limits() const override { return {}; }
  Status join_group(QueueId) override { return {}; }
};

class FuzzSyncSink final : public SyncSink {
 public:
  Status add(const SyncEntry& entry) override {
    if (const auto* timeline = std::get_if<SyncTimeline>(&entry)) SX_ASSERT(timeline->point != 0);
    if (const auto* fence = std::get_if<SyncUserFence>(&entry)) SX_ASSERT(is_aligned(fence->address, 8));
    return {};
  }
};

inline void check_bind_promises(const VmBindRequest& request, const DecodeLimits& limits) {
  for (const BindOp& op : request.ops) {
    SX_ASSERT(op.range.start.is_aligned(kPageSize) && is_aligned(op.range.size_bytes, kPageSize));
    SX_ASSERT(op.pat_index < limits.profile->pat_entries);
    SX_ASSERT(limits.profile->pat[op.pat_index].state != PatState::kReserved);
    SX_ASSERT((op.range.size_bytes == 0) == std::holds_alternative<BindUnmapAll>(op.what));
    if (const auto* prefetch = std::get_if<BindPrefetch>(&op.what); prefetch && prefetch->region)
      SX_ASSERT(limits.profile->region_mask() >> *prefetch->region & 1u);
    if (check_bind_bounds(op, limits) && op.range.size_bytes != 0)
      SX_ASSERT(within_vm(op.range, limits)->end().value() <= 1ull << limits.profile->va_bits);
  }
}

/// Decodes the bytes as every request; returns how many were accepted.
inline unsigned decode_everything(std::span<const std::uint8_t> input) {
  if (input.empty()) return 0;
  const DeviceProfile& profile = *all_profiles()[input[0] % all_profiles().size()];
  const DecodeLimits limits{.profile = &profile};
  const auto mode = static_cast<VmMode>(input[0] / 4 % 3);
  std::array<std::byte, 256> fixed{};
  const auto rest = input.subspan(1);
  std::memcpy(fixed.data(), rest.data(), std::min(rest.size(), fixed.size()));
  const IoctlBytes bytes(fixed);
  FuzzUserMemory memory(rest);
  FuzzQueueContext context;
  FuzzSyncSink sink;
  unsigned accepted = 0;
  auto count = [&](const auto& result) {
    accepted += result.has_value();
    if (!result) SX_ASSERT(result.error().err > 0 && result.error().why[0] != '\0');
    return result.has_value();
  };

  count(decode_device_query(bytes));
  if (auto gem = decode_gem_create(bytes, limits); count(gem)) {
    SX_ASSERT(gem->size_bytes != 0 && is_aligned(gem->size_bytes, kPageSize));
    SX_ASSERT(gem->placement != 0 && (gem->placement & ~profile.region_mask()) == 0);
    count(decode_gem_extensions(gem->extensions, limits, memory));
  }
  count(decode_gem_mmap_offset(bytes, limits));
  count(decode_vm_create(bytes, limits));
  count(decode_vm_destroy(bytes));
  if (auto bind = decode_vm_bind(bytes, limits, mode, memory); count(bind)) {
    check_bind_promises(*bind, limits);
    count(decode_syncs(bind->syncs, SyncUse::kBind, mode, memory, sink));
  }
  if (auto advise = decode_madvise(bytes, limits, memory); count(advise)) count(within_vm(advise->range, limits));
  count(decode_mem_range_attrs(bytes, limits));
  if (auto property = decode_vm_get_property(bytes); count(property)) {
    const VmFaultRecord stored[3] = {};
    count(answer_vm_faults(*property, stored, limits, memory));
  }
  if (auto queue = decode_exec_queue_create(bytes, limits, memory); count(queue)) {
    SX_ASSERT(queue->width >= 1 && queue->width <= kMaxPlacements);
    count(decode_queue_extensions(*queue, limits, memory, context));
  }
  count(decode_exec_queue_destroy(bytes));
  count(decode_exec_queue_get_property(bytes));
  count(decode_exec_queue_set_property(bytes));
  if (auto exec = decode_exec(bytes); count(exec)) {
    count(decode_syncs(exec->syncs, SyncUse::kExec, mode, memory, sink));
    if (exec->num_batches <= kMaxPlacements) count(read_batch_addresses(*exec, limits, memory));
  }
  count(decode_wait_user_fence(bytes));
  count(decode_observation(bytes));
  return accepted;
}

}  // namespace softxe
