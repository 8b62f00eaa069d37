// What happened, why, and what it counts: one fixed record, its kinds and causes, and the one table that
// says which counters a record stands for.
//
// An event is made where the counters move, by the same call (CounterSet::count(), counters.h): the table
// for_each_count() adds to the counters and, read by a reader of the stream, gives the same sums. What no
// event carries is said by is_carried_by_events(). Every field is described in docs/TRACE.md.
// Read next: event_ring.h (where records go), event_check.h (what must hold between them).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace softxe {

/// X(enumerator, name in text, reason it may have no parent). kRoot: the client's own calls and accesses.
#define SX_EVENT_KINDS(X)                    \
  X(kStatement, "statement", kRoot)          \
  X(kIoctl, "ioctl", kRoot)                  \
  X(kIoctlFailed, "ioctl-failed", kCaused)   \
  X(kCall, "call", kRoot)                    \
  X(kCpuFault, "cpu-fault", kRoot)           \
  X(kGpuAccess, "gpu-access", kRoot)         \
  X(kTask, "task", kRoot)                    \
  X(kBind, "bind", kCaused)                  \
  X(kBindCheck, "bind-check", kCaused)       \
  X(kBindOp, "bind-op", kCaused)             \
  X(kAdvice, "advice", kCaused)              \
  X(kAdviceZap, "advice-zap", kCaused)       \
  X(kExec, "exec", kCaused)                  \
  X(kJobBegin, "job", kCaused)               \
  X(kJobEnd, "job-end", kCaused)             \
  X(kKernelBegin, "kernel", kCaused)         \
  X(kKernelEnd, "kernel-end", kCaused)       \
  X(kKernelFailed, "kernel-failed", kCaused) \
  X(kQueueMode, "queue-mode", kCaused)       \
  X(kBan, "ban", kCaused)                    \
  X(kFaultBegin, "fault", kCaused)           \
  X(kFaultLook, "fault-look", kCaused)       \
  X(kFaultOwned, "fault-owned", kCaused)     \
  X(kFaultRange, "fault-range", kCaused)     \
  X(kFaultValid, "fault-valid", kCaused)     \
  X(kFaultMove, "fault-move", kCaused)       \
  X(kFaultRetry, "fault-retry", kCaused)     \
  X(kFaultAgain, "fault-again", kCaused)     \
  X(kFaultEnd, "fault-end", kCaused)         \
  X(kMigrate, "migrate", kCaused)            \
  X(kHome, "home", kCaused)                  \
  X(kEvictRange, "evict-range", kCaused)     \
  X(kEvictBo, "evict-bo", kCaused)           \
  X(kUnmap, "unmap", kCaused)                \
  X(kInvalidate, "invalidate", kCaused)      \
  X(kZap, "zap", kCaused)                    \
  X(kTlb, "tlb", kCaused)                    \
  X(kRangeCreate, "range", kCaused)          \
  X(kRangeDie, "range-die", kCaused)         \
  X(kRangeCollect, "range-collect", kCaused) \
  X(kRangeRemove, "range-remove", kCaused)   \
  X(kUnmapped, "unmapped", kCaused)          \
  X(kPass, "pass", kCaused)                  \
  X(kReset, "reset", kCaused)                \
  X(kSplit, "vma-split", kCaused)            \
  X(kMerge, "vma-merge", kCaused)            \
  X(kVmKilled, "vm-killed", kCaused)

enum class EventKind : std::uint8_t {
  kNone,
#define SX_EVENT_ENUM_(name, text, origin) name,
  SX_EVENT_KINDS(SX_EVENT_ENUM_)
#undef SX_EVENT_ENUM_
      kEnd
};

/// Why, or which of several: what a kind means by its cause is in docs/TRACE.md.
#define SX_EVENT_CAUSES(X)        \
  X(kRead, "read")                \
  X(kWrite, "write")              \
  X(kAtomic, "atomic")            \
  X(kGpuFault, "gpu-fault")       \
  X(kPrefetch, "prefetch")        \
  X(kCpuTouch, "cpu-fault")       \
  X(kEviction, "eviction")        \
  X(kRangeEvict, "range-evict")   \
  X(kFork, "fork")                \
  X(kMapping, "mapping-change")   \
  X(kTeardown, "teardown")        \
  X(kWhole, "whole")              \
  X(kPartial, "partial")          \
  X(kProtect, "protect")          \
  X(kClear, "clear")              \
  X(kMigration, "migration")      \
  X(kRelease, "release")          \
  X(kPreferred, "preferred")      \
  X(kAtomicAccess, "atomic-mode") \
  X(kPat, "pat")                  \
  X(kPurgeable, "purgeable")      \
  X(kSuspend, "suspend")          \
  X(kSkip, "skip")                \
  X(kWait, "wait")                \
  X(kUnseen, "unseen")            \
  X(kClose, "close")              \
  X(kMirror, "mirror")            \
  X(kObject, "object")            \
  X(kUserptr, "userptr")          \
  X(kNullPages, "null")           \
  X(kUnbind, "unbind")            \
  X(kExit, "exit")

enum class EventCause : std::uint8_t {
  kNone,
#define SX_EVENT_ENUM_(name, text) name,
  SX_EVENT_CAUSES(SX_EVENT_ENUM_)
#undef SX_EVENT_ENUM_
      kEnd
};

/// Where pages are: 0 does not say, 1 system memory, 2 + n the VRAM of tile n.
enum class EventPlace : std::uint8_t { kNone = 0, kSystem = 1, kVram0 = 2 };
constexpr EventPlace vram_of_tile(unsigned tile) { return static_cast<EventPlace>(2 + tile); }

inline constexpr std::uint64_t kNoEvent = 0;

/// 64 bytes, the same in memory, in a ring and in a file (little endian).
struct Event {
  std::uint64_t seq = 0;      ///< from 1, without gaps, per process image; set by the stream
  std::uint64_t parent = 0;   ///< seq of the event that caused it; 0: set by the stream to the current cause
  std::uint64_t time_ns = 0;  ///< of the stream's clock; set by the stream
  std::uint64_t address = 0;
  std::uint64_t size = 0;
  std::uint64_t word = 0;    ///< belongs to the kind
  std::uint32_t thread = 0;  ///< the kernel's number of the thread; 0 in the simulated world; set by the stream
  std::uint32_t asid = 0;    ///< of the VM; 0: none
  std::uint16_t err = 0;
  EventKind kind = EventKind::kNone;
  EventCause cause = EventCause::kNone;
  EventPlace from = EventPlace::kNone;
  EventPlace to = EventPlace::kNone;
  std::uint8_t device = 0;
  std::uint8_t reserved = 0;
};
static_assert(sizeof(Event) == 64 && std::is_trivially_copyable_v<Event>);

/// A system call of the client; `word` is its number.
template <typename Range>
Event event_of_call(long number, const Range& range) {
  Event event;
  event.kind = EventKind::kCall;
  event.address = range.start().value();
  event.size = range.size();
  event.word = static_cast<std::uint64_t>(number);
  return event;
}

/// About an interval of any address space.
template <typename Range>
Event event_of(EventKind kind, const Range& range) {
  Event event;
  event.kind = kind;
  event.address = range.start().value();
  event.size = range.size();
  return event;
}

/// Two numbers in one word.
constexpr std::uint64_t event_word(std::uint64_t low, std::uint64_t high) { return (low & 0xffffffff) | high << 32; }
constexpr std::uint32_t word_low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t word_high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

enum class EventOrigin : std::uint8_t { kRoot, kCaused };

struct EventKindInfo {
  const char* name;
  EventOrigin origin;
};
inline constexpr std::array kEventKinds = {EventKindInfo{"none", EventOrigin::kCaused},
#define SX_EVENT_INFO_(name, text, origin) EventKindInfo{text, EventOrigin::origin},
                                           SX_EVENT_KINDS(SX_EVENT_INFO_)
#undef SX_EVENT_INFO_
};
inline constexpr std::array kEventCauseNames = {"",
#define SX_EVENT_NAME_(name, text) text,
                                                SX_EVENT_CAUSES(SX_EVENT_NAME_)
#undef SX_EVENT_NAME_
};

/// Numbers that a file may hold and this build does not know have the name "?".
constexpr const char* name_of(EventKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kEventKinds.size() ? kEventKinds[index].name : "?";
}
constexpr const char* name_of(EventCause cause) {
  const auto index = static_cast<std::size_t>(cause);
  return index < kEventCauseNames.size() ? kEventCauseNames[index] : "?";
}
/// Whatever the thread was about: the client's own doing, which nothing of ours caused.
constexpr bool is_always_root(EventKind kind) { return kind == EventKind::kCpuFault || kind == EventKind::kStatement; }
constexpr bool may_be_root(EventKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kEventKinds.size() && kEventKinds[index].origin == EventOrigin::kRoot;
}

}  // namespace softxe
