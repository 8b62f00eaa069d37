// FaultService: one GPU page fault in, one answer out (spec/svm.md 4).
//
// Runs on whatever thread the fault queue's policy chose (live: the faulting engine's own thread, which
// has nothing else to do). Takes the Vm lock for writing for the whole service.
//
// The exits of a mirror fault, all in attempt() (4.5, 4.6 with the [REC] rules):
//   collector changed VMAs        look the VMA up again, any number of times: each consumed an entry
//   valid already                 success
//   memory refuses an access that its entry allows   forget the pages and collect anew; 64 times, then -EFAULT
//   the engine faults and faults  after 8 answers without an access in between: stay where it is, if optional
//   migration refused, optional   stay in system memory
//   migration refused, mandatory  3 tries, then its error
//   pages raced or mixed          again
//   same chunk uncollectable twice with no event in between -> next smaller chunk; at 4K: -EFAULT
//   collection busy / no memory   3 rounds, then its error
//   commit raced                  again
// Every loop is bounded by kRoundsMax: reaching it is a livelock, reported and failed with -EIO.
#pragma once

#include <atomic>
#include <cstdint>

#include "hw/fault.h"
#include "svm/vm_context.h"

namespace softxe {

class FaultService final : public FaultSink {
 public:
  struct Config {
    AsidTable& vms;
    /// Minimum residency after a mandatory migration, in ns (debugfs atomic_svm_timeslice_ms).
    const std::atomic<std::uint64_t>& atomic_timeslice_ns;
    CounterSet& counters;
  };
  explicit FaultService(const Config& config) : config_(config) {}

  /// Serves and counts; a failure is recorded in the VM (4.7) before the reply.
  FaultReply page_fault(const PageFault& fault) override;
  /// Recorded in the VM like any other fault that is not served.
  void livelock(const PageFault& fault, std::uint64_t rounds) override;
  /// What a livelock is, in a user's words.
  static constexpr const char* kLivelock =
      "the page was mapped again and again, and taken away each time before the access got through";

  /// The same; a failure keeps its reason, for those who have somebody to tell it to.
  Status serve_and_record(const PageFault& fault);

  /// Without the record: what a kernel developer would see as the return value.
  Status serve(const PageFault& fault);

 private:
  static constexpr std::uint64_t kRoundsMax = 10'000;
  /// Answers to one engine without an access in between after which an optional migration is left out: what the access
  /// needs at the same time does not fit into VRAM together, or others take the pages back at once.
  static constexpr std::uint32_t kGivesWayAfter = 8;
  /// Refusals by memory without an access in between. Each one had every page collected anew, with success; somebody
  /// who changes the protection to and fro does not hit that many times in a row.
  static constexpr std::uint32_t kRefusalsMax = 64;

  /// `context`: null when the fault's ASID is nobody's.
  Status serve_in(VmContext* context, const PageFault& fault);
  Status serve_known(VmContext& context, const PageFault& fault);
  static void record(VmContext& context, const PageFault& fault);
  // Both with the context's Vm lock held for writing.
  Status serve_mirror(VmContext& context, const PageFault& fault, Vma* vma) SX_REQUIRES(context.vm.lock);
  Status serve_owned(VmContext& context, const PageFault& fault, Vma& vma) SX_REQUIRES(context.vm.lock);

  Config config_;
};

/// Where a mirror VMA's pages should live for an access from `tile` (spec/svm.md 5.2); null = system.
Pagemap* resolve_preferred(const Vma& vma, const Svm& svm, unsigned tile);

}  // namespace softxe
