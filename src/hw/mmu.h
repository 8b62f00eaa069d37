// The MMU of one engine: sections, TLB, translation, and the fault loop.
//
// An access is: begin() a section, translate(), use VRAM by plain loads and stores, end() it. A process
// page is used AFTER leave(), guarded, because it may block on a CPU fault whose service waits for this
// very section. When translation fails: leave(), serve_fault(), repeat. mmu_memory.h does all that;
// use Mmu directly only for tests and tools. Protocol: invalidation.h. Read next: mmu_memory.h.
#pragma once

#include <cstdint>
#include <tl/expected.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "hw/fault.h"
#include "hw/invalidation.h"
#include "hw/page_table.h"
#include "hw/tlb.h"
#include "hw/vram_map.h"

namespace softxe {

/// The address space an engine works in. Tables and maps outlive the binding.
struct MmuContext {
  std::uint32_t asid = 0;
  const PageTable* table = nullptr;  ///< null: nothing is bound, every access faults
  const VramMap* vram = nullptr;     ///< of the tile that owns the table; null without VRAM
};

/// Where the bytes at an address are.
struct MmuTarget {
  PteKind kind = PteKind::kNull;
  std::byte* host = nullptr;  ///< null for kNull and kScratch
  std::uint64_t bytes = 0;    ///< contiguous from the address asked for

  /// Engine memory: plain access, inside the section only.
  bool plain() const { return kind == PteKind::kVram || kind == PteKind::kEngine; }
  /// Process memory: guarded access, outside only.
  bool system() const { return kind == PteKind::kSystem; }
  bool nothing() const { return host == nullptr; }
};

/// Why a translation was refused.
struct MmuFault {
  FaultType type = FaultType::kNotPresent;
  std::uint8_t level = 0;
  FaultCause cause = FaultCause::kEntry;
};

/// One per engine, used by one thread at a time. Owns a slot of the domain while it lives.
class Mmu {
 public:
  /// Faults without an access in between until it is a livelock. A bound in time alone is none where the clock stands
  /// still between events (the simulator); a round may move 2 MiB twice.
  static constexpr std::uint32_t kFaultRoundsMax = 10'000;
  static constexpr std::uint64_t kFaultTimeMaxNs = 10'000'000'000ull;

  struct Config {
    InvalidationDomain& domain;
    FaultSink& faults;
    const Clock& clock;
    EngineId engine;
  };
  explicit Mmu(const Config& config);
  ~Mmu();
  Mmu(const Mmu&) = delete;
  Mmu& operator=(const Mmu&) = delete;

  /// Switches the address space. Not inside a section.
  void bind_vm(const MmuContext& context);
  void unbind_vm() { bind_vm(MmuContext{}); }
  const MmuContext& context() const { return context_; }
  EngineId engine() const { return config_.engine; }

  /// Makes sure of a section with room for `bytes` more; begins a new one when the old one is used up.
  void begin(std::uint64_t bytes) {
    budget_ -= cost_of(bytes);
    if (__builtin_expect(budget_ < 0, 0)) renew(bytes);
  }
  /// Ends the section, unless a burst keeps it open for the next access.
  void end() {
    if (burst_depth_ == 0) leave();
  }
  /// Ends the section in any case: before anything that may block.
  void leave() {
    if (!section_.inside()) return;
    section_.leave();
    budget_ = 0;
  }
  bool inside() const { return section_.inside(); }
  /// Whether somebody keeps sections open between accesses.
  bool bursting() const { return burst_depth_ != 0; }

  /// Inside a section: a cached page with these TlbRights, or null.
  const TlbEntry* cached(GpuVa va, std::uint32_t need) const { return tlb_.find(va, epoch_, need); }

  /// Inside a section. The target is valid until the section ends, and covers at most `want_bytes`.
  tl::expected<MmuTarget, MmuFault> translate(GpuVa va, std::uint64_t want_bytes, AccessType access);

  /// Outside any section: reports the fault and waits for the answer. Success means: try again. EFAULT:
  /// the fault cannot be served. ETIME: livelock, reported to the sink.
  Status serve_fault(GpuVa va, AccessType access, MmuFault fault, FaultOrigin origin = FaultOrigin::kDemand);
  /// An access got through: the fault bound starts anew.
  void progressed() { attempts_ = {}; }
  /// Since an access got through.
  const FaultAttempts& attempts() const { return attempts_; }

  std::uint64_t walks() const { return walks_; }
  std::uint64_t faults() const { return faults_; }

  /// Keeps sections open between the accesses of a scope. Within it the thread must not block, wait or
  /// take a lock except through this Mmu; sections stay bounded all the same.
  class Burst {
   public:
    explicit Burst(Mmu& mmu) : mmu_(mmu) { ++mmu_.burst_depth_; }
    ~Burst() {
      if (--mmu_.burst_depth_ == 0) mmu_.leave();
    }
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;

   private:
    Mmu& mmu_;
  };

 private:
  /// An access costs its bytes, and at least what makes 256 accesses use up a section.
  static constexpr std::int64_t cost_of(std::uint64_t bytes) {
    constexpr std::uint64_t kLeast = InvalidationDomain::kSectionBytesMax / InvalidationDomain::kSectionAccessesMax;
    return static_cast<std::int64_t>(bytes < kLeast ? kLeast : bytes);
  }
  void renew(std::uint64_t bytes);
  tl::expected<MmuTarget, MmuFault> resolve(const Translation& t, GpuVa va, std::uint64_t want_bytes);

  const Config config_;
  EngineSlot& slot_;
  EngineSection section_;
  MmuContext context_;
  Tlb tlb_;
  TlbEpoch epoch_;           ///< of the section
  std::int64_t budget_ = 0;  ///< bytes left of the section; 0 outside
  std::uint32_t burst_depth_ = 0;
  FaultAttempts attempts_;
  std::uint64_t first_fault_ns_ = 0;
  std::uint64_t walks_ = 0;
  std::uint64_t faults_ = 0;
};

}  // namespace softxe
