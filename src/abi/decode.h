// Untrusted bytes -> typed requests (drv/requests.h): every check that depends only on the request and on
// facts of the device, in the documented order, each refusal with its errno and a reason.
//
// Where the specification looks up an object between two checks, decoding has stages, and the driver
// does its lookup between them:
//
//   GEM_CREATE         decode_gem_create -> [vm] -> check_gem_size -> [create] -> decode_gem_extensions
//   VM_BIND            vm_bind_target -> [vm] -> decode_vm_bind -> [queue] [flush, lock, closed?]
//                      -> within_vm per op -> [object] -> check_bind_object per op -> decode_syncs
//   EXEC_QUEUE_CREATE  decode_exec_queue_create -> [vm] -> decode_queue_extensions
//   EXEC               decode_exec -> [queue, not a bind queue] -> check_exec_width -> [banned? full?]
//                      -> decode_syncs -> read_batch_addresses
//   MADVISE            madvise_target -> [vm] -> decode_madvise -> [closed?, location] -> within_vm
//   *_PROPERTY         decode -> [object] -> check_*
//
// Sources: spec/uapi.md sections 5-15, spec/vm.md 2.2, 3.1, 5.1, 6. `bytes` is always the kernel-sized
// struct that run_ioctl() hands out (ioctl_table.h). reply_* store results in the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "abi/user_copy.h"
#include "base/result.h"
#include "drv/requests.h"

namespace softxe {

using IoctlBytes = std::span<const std::byte>;
using IoctlReply = std::span<std::byte>;

enum class ErrorInjection : std::uint8_t { kRefused, kAllowed };

/// What the checks need to know about the device.
struct DecodeLimits {
  const DeviceProfile* profile = nullptr;
  /// Bind flag bit 31; IGT asserts that it exists (spec/vm.md 3.9).
  ErrorInjection injection = ErrorInjection::kAllowed;
};

// ---- addresses -----------------------------------------------------------------------------------

/// Drops the bits above the VM's size; EXEC, MADVISE and commands take either form, VM_BIND does not.
GpuVa strip_canonical(std::uint64_t address, const DecodeLimits& limits);
/// The sign-extended form that fault records show.
std::uint64_t canonical(GpuVa address, const DecodeLimits& limits);
/// The only way from an UncheckedRange to a GpuRange. EINVAL when empty or not inside [0, 2^va_bits).
Result<GpuRange> within_vm(const UncheckedRange& range, const DecodeLimits& limits);

// ---- device, objects -----------------------------------------------------------------------------

Result<DeviceQueryRequest> decode_device_query(IoctlBytes bytes);
void reply_device_query(IoctlReply reply, std::uint32_t size_bytes);

Result<GemCreateRequest> decode_gem_create(IoctlBytes bytes, const DecodeLimits& limits);
/// Row 12, behind the lookup of the VM: the size rule of 64 KiB devices.
Status check_gem_size(const GemCreateRequest& request, const DecodeLimits& limits);
/// Row 14, behind the creation. Success means: no protected content asked for.
Status decode_gem_extensions(HostVa chain, const DecodeLimits& limits, UserMemory& memory);
void reply_gem_create(IoctlReply reply, GemHandle handle);

Result<GemMmapOffsetRequest> decode_gem_mmap_offset(IoctlBytes bytes, const DecodeLimits& limits);
void reply_gem_mmap_offset(IoctlReply reply, std::uint64_t offset);
inline constexpr std::uint64_t kPciBarrierOffset = 0x50000;

// ---- VMs -----------------------------------------------------------------------------------------

Result<VmCreateRequest> decode_vm_create(IoctlBytes bytes, const DecodeLimits& limits);
void reply_vm_create(IoctlReply reply, VmId vm);
Result<VmId> decode_vm_destroy(IoctlBytes bytes);

VmId vm_bind_target(IoctlBytes bytes);
/// Rows A2-A7 and B1-B25.
Result<VmBindRequest> decode_vm_bind(IoctlBytes bytes, const DecodeLimits& limits, VmMode mode, UserMemory& memory);
/// Row G for one op; UNMAP_ALL always passes.
Status check_bind_bounds(const BindOp& op, const DecodeLimits& limits);

/// What rows I1-I7 need to know about the object of an op.
struct BindObject {
  std::uint64_t size_bytes = 0;
  std::optional<CpuCaching> caching{};  ///< none: imported, caching unknown
  bool no_compression = false;
  bool imported = false;
  bool internally_64k = false;
};
Status check_bind_object(const BindOp& op, const BindObject& object, const DecodeLimits& limits);

VmId madvise_target(IoctlBytes bytes);
/// Rows 2-12.
Result<MadviseRequest> decode_madvise(IoctlBytes bytes, const DecodeLimits& limits, UserMemory& memory);

Result<MemRangeAttrsRequest> decode_mem_range_attrs(IoctlBytes bytes, const DecodeLimits& limits);
/// Writes the elements; EFAULT. Call with at most `capacity` of them.
Status write_mem_range_attrs(const MemRangeAttrsRequest& request, std::span<const MemRangeAttr> attrs,
                             UserMemory& memory);
void reply_mem_range_attrs(IoctlReply reply, std::uint32_t count);

Result<VmGetPropertyRequest> decode_vm_get_property(IoctlBytes bytes);
/// Behind the lookup of the VM: property and size rules, copy of the oldest records. The value is
/// what belongs in the size field.
Result<std::uint32_t> answer_vm_faults(const VmGetPropertyRequest& request, std::span<const VmFaultRecord> stored,
                                       const DecodeLimits& limits, UserMemory& memory);
void reply_vm_get_property(IoctlReply reply, std::uint32_t size_bytes);

// ---- sync entries --------------------------------------------------------------------------------

enum class SyncUse : std::uint8_t { kBind, kBindWithoutOps, kExec };
inline constexpr std::uint32_t kMaxSyncs = 1024;

/// Takes the entries in order; resolves handles (ENOENT, EINVAL) where the specification does.
class SyncSink {
 public:
  virtual ~SyncSink() = default;
  virtual Status add(const SyncEntry& entry) = 0;
};
Status decode_syncs(const SyncArray& syncs, SyncUse use, VmMode mode, UserMemory& memory, SyncSink& sink);

// ---- exec queues and jobs ------------------------------------------------------------------------

Result<ExecQueueCreateRequest> decode_exec_queue_create(IoctlBytes bytes, const DecodeLimits& limits,
                                                        UserMemory& memory);
void reply_exec_queue_create(IoctlReply reply, QueueId queue);

enum class Privilege : std::uint8_t { kNone, kSysNice };
struct TimesliceLimits {
  std::uint32_t min_us = 1;
  std::uint32_t max_us = 10'000'000;
};
/// What the extension chain of one new queue may ask for, and who resolves a group's primary.
class QueueExtensionContext {
 public:
  virtual ~QueueExtensionContext() = default;
  virtual Privilege privilege() const = 0;
  virtual TimesliceLimits timeslice_limits() const = 0;
  /// ENOENT: unknown. EINVAL: no primary, other VM, other engines. That a group is full shows only when the queue is
  /// made, behind all properties.
  virtual Status join_group(QueueId primary) = 0;
};
Result<ExecQueueProperties> decode_queue_extensions(const ExecQueueCreateRequest& request, const DecodeLimits& limits,
                                                    UserMemory& memory, QueueExtensionContext& context);

Result<QueueId> decode_exec_queue_destroy(IoctlBytes bytes);
Result<QueuePropertyRequest> decode_exec_queue_get_property(IoctlBytes bytes);
Status check_queue_get_property(const QueuePropertyRequest& request);
void reply_exec_queue_get_property(IoctlReply reply, std::uint64_t value);
Result<QueuePropertyRequest> decode_exec_queue_set_property(IoctlBytes bytes);
Result<QueuePriority> check_queue_set_property(const QueuePropertyRequest& request);

Result<ExecRequest> decode_exec(IoctlBytes bytes);
Status check_exec_width(const ExecRequest& request, std::uint16_t width);
/// One stripped address per batch; none when the request has no batch. EFAULT for a bad array.
Result<std::vector<GpuVa>> read_batch_addresses(const ExecRequest& request, const DecodeLimits& limits,
                                                UserMemory& memory);

Result<WaitUserFenceRequest> decode_wait_user_fence(IoctlBytes bytes);
bool user_fence_condition(const WaitUserFenceRequest& request, std::uint64_t word);
void reply_wait_user_fence(IoctlReply reply, std::int64_t timeout_ns);

/// Valid requests are still refused by the driver with ENODEV: there are no OA or EU-stall units.
Result<ObservationRequest> decode_observation(IoctlBytes bytes);

}  // namespace softxe
