// A GPU page fault as the engine reports it, and who answers (spec/svm.md 4.1, 4.2).
//
// Live: EngineMemory calls its FaultSink on the engine's thread and parks in the call.
// Simulator: the sink posts to a FaultQueue and lets the scheduler run the service (fault_queue.h).
#pragma once

#include <cstdint>

#include "base/address.h"

namespace softxe {

/// Values are those of the hardware message.
enum class AccessType : std::uint8_t { kRead = 0, kWrite = 1, kAtomic = 2 };
enum class FaultType : std::uint8_t { kNotPresent = 0, kWriteViolation = 1, kAtomicViolation = 2 };
enum class FaultOrigin : std::uint8_t { kDemand, kPrefetch };
/// What stopped the access.
enum class FaultCause : std::uint8_t {
  kEntry,   ///< no entry, or one without the right
  kMemory,  ///< the entry allows it, and the process's memory refused: protected, or beyond the end of its file
};

/// What an engine has tried since one of its accesses last got through. The service gives way by it: pages that one
/// access needs together must not push each other out for ever.
struct FaultAttempts {
  std::uint32_t answered = 0;  ///< faults that were answered with kRetry
  std::uint32_t refused = 0;   ///< accesses that memory refused, this one included
};

/// Which engine faulted; for the log, the saved record and statistics.
struct EngineId {
  std::uint8_t engine_class = 0;
  std::uint8_t instance = 0;
  std::uint8_t gt = 0;
  std::uint8_t tile = 0;
  friend bool operator==(const EngineId&, const EngineId&) = default;
};

struct PageFault {
  GpuVa page{};  ///< 4 KiB aligned, canonical bits stripped
  std::uint32_t asid = 0;
  AccessType access = AccessType::kRead;
  FaultType type = FaultType::kNotPresent;
  std::uint8_t level = 0;  ///< 0 PTE .. 4 PML5
  FaultOrigin origin = FaultOrigin::kDemand;
  FaultCause cause = FaultCause::kEntry;
  FaultAttempts attempts;
  EngineId engine;
};

/// The answer to the engine. Retry says nothing about a mapping: the engine repeats the access and may
/// fault again; how often is bounded by EngineMemory (decision 0016).
enum class FaultReply : std::uint8_t { kRetry, kFail };

/// Answers faults. Called outside any engine section, with no lock of rank >= kVm held; may block.
class FaultSink {
 public:
  virtual ~FaultSink() = default;
  virtual FaultReply page_fault(const PageFault& fault) = 0;
  /// The engine gives up on a page that never stayed (Mmu::kFaultRoundsMax rounds or 10 s): record, ban and dump.
  virtual void livelock(const PageFault& fault, std::uint64_t rounds) = 0;
};

}  // namespace softxe
