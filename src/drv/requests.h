// Typed requests: what decode.h makes of untrusted bytes and what the driver's operations take.
//
// No ABI struct is visible here (only abi/ includes uapi.h). A value of one of these types has passed
// every check that depends on the request and on device facts alone. What is still open has a type
// that says so: an UncheckedRange becomes a GpuRange only through within_vm(), an id is a number that
// the driver must look up.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/address.h"
#include "drv/profile.h"
#include "vm/mem_attr.h"

namespace softxe {

// Numbers of one open file; 0 is never a valid id of any of them.
enum class VmId : std::uint32_t {};
enum class QueueId : std::uint32_t {};
enum class GemHandle : std::uint32_t {};
enum class SyncobjHandle : std::uint32_t {};

/// Start and size as the client gave them: may be empty, may wrap, may leave the VM.
struct UncheckedRange {
  GpuVa start{};
  std::uint64_t size_bytes = 0;
};

struct DeviceQueryRequest {
  std::uint32_t query = 0;  ///< below 11
  std::uint32_t size_bytes = 0;
  HostVa data;
};

enum class CpuCaching : std::uint8_t { kWriteBack = 1, kWriteCombine = 2 };
struct GemCreateRequest {
  std::uint64_t size_bytes = 0;  ///< page aligned, not 0
  std::uint32_t placement = 0;   ///< mask over region instances, all existing, not 0
  bool defer_backing = false;
  bool scanout = false;
  bool needs_visible_vram = false;
  bool no_compression = false;
  std::optional<VmId> private_to;
  CpuCaching caching = CpuCaching::kWriteBack;
  HostVa extensions;  ///< 0: none; see decode_gem_extensions()

  bool vram_allowed() const { return (placement & ~1u) != 0; }
};

struct MmapPciBarrier {};
using GemMmapOffsetRequest = std::variant<GemHandle, MmapPciBarrier>;

/// Follows from the flags of VM_CREATE (spec/vm.md 2.1).
enum class VmMode : std::uint8_t { kDmaFence, kPreemptFence, kFault };
struct VmCreateRequest {
  bool scratch = false;
  bool long_running = false;
  bool fault_mode = false;
  bool no_overcommit = false;

  VmMode mode() const {
    if (!long_running) return VmMode::kDmaFence;
    return fault_mode ? VmMode::kFault : VmMode::kPreemptFence;
  }
};

// ---- VM_BIND -------------------------------------------------------------------------------------

struct BindBo {
  GemHandle handle{};
  std::uint64_t offset = 0;
};
struct BindUserptr {
  HostVa address;
};
struct BindNull {};
enum class AutoReset : std::uint8_t { kOff, kOn };
struct BindMirror {
  AutoReset autoreset = AutoReset::kOff;
};
struct BindMap {
  std::variant<BindBo, BindUserptr, BindNull, BindMirror> backing;
  bool decompress = false;
};
struct BindUnmap {};
struct BindUnmapAll {
  GemHandle handle{};
};
/// No region: consult the VMA's preferred location.
struct BindPrefetch {
  std::optional<std::uint32_t> region;
};

struct BindOp {
  UncheckedRange range;  ///< page aligned; empty only for BindUnmapAll
  std::uint16_t pat_index = 0;
  bool read_only = false;
  bool immediate = false;
  bool dumpable = false;
  bool check_pxp = false;
  bool inject_error = false;  ///< flag bit 31 (spec/vm.md 3.9)
  std::variant<BindMap, BindUnmap, BindUnmapAll, BindPrefetch> what;

  /// The object named by the op, if any.
  std::optional<GemHandle> object() const;
};

/// A place in client memory with so many sync entries; see decode_syncs().
struct SyncArray {
  HostVa at;
  std::uint32_t count = 0;
};

struct VmBindRequest {
  std::optional<QueueId> queue;  ///< none: the VM's own bind queue
  std::vector<BindOp> ops;       ///< empty: only order and fences
  SyncArray syncs;
};

// ---- sync entries --------------------------------------------------------------------------------

enum class SyncDirection : std::uint8_t { kWait, kSignal };
struct SyncPlain {
  SyncobjHandle handle{};
  SyncDirection direction = SyncDirection::kWait;
};
struct SyncTimeline {
  SyncobjHandle handle{};
  std::uint64_t point = 0;  ///< never 0
  SyncDirection direction = SyncDirection::kWait;
};
/// Always out. The address is a CPU pointer in VM_BIND and a GPU address in EXEC.
struct SyncUserFence {
  std::uint64_t address = 0;  ///< 8-byte aligned
  std::uint64_t value = 0;
};
using SyncEntry = std::variant<SyncPlain, SyncTimeline, SyncUserFence>;

// ---- exec queues and EXEC ------------------------------------------------------------------------

inline constexpr unsigned kMaxPlacements = 9;

struct BindQueuePlacement {};
struct EnginePlacement {
  EngineClass cls = EngineClass::kRender;
  std::uint32_t logical_mask = 0;  ///< engines the first batch may run on; batch i: shifted left by i
};
struct ExecQueueCreateRequest {
  VmId vm{};
  std::uint16_t width = 1;
  std::uint16_t gt = 0;
  bool low_latency = false;
  std::variant<EnginePlacement, BindQueuePlacement> placement;
  HostVa extensions;
};

enum class QueuePriority : std::uint8_t { kLow = 0, kNormal = 1, kHigh = 2 };
struct ExecQueueProperties {
  QueuePriority priority = QueuePriority::kNormal;
  std::optional<std::uint32_t> timeslice_us;
  bool state_cache_fix_off = false;
  bool group_primary = false;
  std::optional<QueueId> group_of;  ///< secondary of that primary
  QueuePriority group_priority = QueuePriority::kNormal;
  HostVa replay_state;  ///< 0: none
};

struct QueuePropertyRequest {
  QueueId queue{};
  std::uint32_t property = 0;
  std::uint64_t value = 0;
};

struct ExecRequest {
  QueueId queue{};
  SyncArray syncs;
  std::uint64_t address = 0;      ///< a batch, or a CPU pointer to `width` of them
  std::uint16_t num_batches = 0;  ///< 0 or the queue's width, see check_exec_width()
};

enum class CompareOp : std::uint8_t { kEq, kNeq, kGt, kGte, kLt, kLte };
enum class TimeoutKind : std::uint8_t { kRelative, kAbsolute };
struct WaitUserFenceRequest {
  HostVa address;
  CompareOp op = CompareOp::kEq;
  std::uint64_t value = 0;
  std::uint64_t mask = 0;
  std::int64_t timeout_ns = 0;  ///< negative: for ever
  TimeoutKind timeout_kind = TimeoutKind::kRelative;
  std::optional<QueueId> queue;
};

enum class ObservationType : std::uint8_t { kOa, kEuStall };
enum class ObservationOp : std::uint8_t { kStreamOpen, kAddConfig, kRemoveConfig };
struct ObservationRequest {
  ObservationType type = ObservationType::kOa;
  ObservationOp op = ObservationOp::kStreamOpen;
};

// ---- MADVISE and queries of a VM -----------------------------------------------------------------

enum class PurgeState : std::uint8_t { kWillNeed, kDontNeed };

struct AdvisePreferredLocation {
  std::int32_t devmem_fd = 0;  ///< 0 default device, -1 system memory, above 0 a file
  MigrationPolicy policy = MigrationPolicy::kAllPages;
  std::uint16_t region_instance = 0;
};
struct AdviseAtomic {
  AtomicAccess access = AtomicAccess::kUndefined;
};
struct AdvisePat {
  std::uint16_t pat_index = 0;
};
struct AdvisePurgeable {
  PurgeState state = PurgeState::kWillNeed;
  HostVa retained;  ///< 0: none. A readable u32 that was 0
};
struct MadviseRequest {
  UncheckedRange range;  ///< page aligned, not empty, start un-canonicalised
  std::variant<AdvisePreferredLocation, AdviseAtomic, AdvisePat, AdvisePurgeable> advice;
};

struct MemRangeAttrsRequest {
  VmId vm{};
  UncheckedRange range;        ///< nothing checked
  std::uint32_t capacity = 0;  ///< 0: only count
  HostVa out;
};
/// One element of the answer: the whole VMA.
struct MemRangeAttr {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::int32_t devmem_fd = 0;
  MigrationPolicy policy = MigrationPolicy::kAllPages;
  AtomicAccess atomic = AtomicAccess::kUndefined;
  std::uint32_t pat_index = 0;
};

struct VmGetPropertyRequest {
  VmId vm{};
  std::uint32_t property = 0;
  std::uint32_t size_bytes = 0;
  HostVa out;
};
enum class FaultAccess : std::uint8_t { kRead, kWrite, kAtomic };
enum class VmFaultType : std::uint8_t { kNotPresent, kWriteAccess, kAtomicAccess };
struct VmFaultRecord {
  GpuVa page;
  FaultAccess access = FaultAccess::kRead;
  VmFaultType type = VmFaultType::kNotPresent;
  std::uint8_t level = 0;
};

}  // namespace softxe
