// ClientCall: a system call of the client on its memory, and the plan for it.
//
// What a call changes is not what its arguments say: lengths round up to huge pages, a segment lies in pieces,
// mremap() of no bytes maps a second time. The table in client_call.cc has one row per call: which memory it
// really changes, what the notifiers hear, and what becomes of pages in VRAM. ClientCalls carries plans out.
#pragma once

#include <sys/uio.h>

#include <array>
#include <optional>
#include <span>

#include "base/address.h"
#include "host/host_mm.h"
#include "host/live/proc_maps.h"

namespace softxe::live {

/// In the place of a call's number: it is made without the lock alone.
inline constexpr long kNoCall = -1;

/// One system call, made by make() and by nothing else. Results are the kernel's: a negative errno is an error.
struct ClientCall {
  long number = 0;
  std::array<long, 6> args{};
  /// process_madvise: the one range of it; args[1] and args[2] are set by make().
  struct iovec vector {};

  std::uint64_t word(std::size_t i) const { return static_cast<std::uint64_t>(args[i]); }
  long make() const;
  /// The same on another range, for calls that work mapping by mapping (madvise, process_madvise).
  ClientCall on(HostRange range) const;
  bool succeeded(long result) const;
};

/// What becomes of pages in VRAM.
enum class VramPages : std::uint8_t {
  kGo,        ///< they are given up when the kernel has done its part, and only then
  kComeHome,  ///< before the call. Those that cannot: the call is answered with ENOMEM and nothing has happened
};

/// A part of the address space that a call changes.
struct Affected {
  HostRange range = HostRange::of(HostVa(0), kPageSize);
  std::optional<HostEvent> event;  ///< what notifiers hear, before the call
  VramPages pages = VramPages::kGo;
};

/// How the kernel works through a call.
enum class Walk : std::uint8_t {
  kWhole,        ///< all or nothing, or a half that only the kernel knows: it is asked after a failure
  kUnmapOnly,    ///< as kWhole; nothing but seals (mseal) make it fail
  kEachMapping,  ///< mapping by mapping, until one refuses; holes are passed over and reported at the end
};

struct CallPlan {
  static constexpr std::size_t kPartsMax = 8;

  ClientCall call;                     ///< made under the mm lock
  std::optional<ClientCall> in_place;  ///< tried before anybody is told: changes no page. ENOMEM: go on
  std::optional<ClientCall> unlocked;  ///< made in the end, without the lock: it waits for pages
  Walk walk = Walk::kWhole;
  bool is_widest = false;  ///< parts may be too large; an exact plan costs a look at the mappings
  std::array<Affected, kPartsMax> parts{};
  std::size_t count = 0;

  /// Beyond kPartsMax the last part grows: rather too much is told than too little.
  void add(Affected part);
  /// Whether the notifiers have heard of `range`.
  bool tells(HostRange range, HostEvent kind) const;
  std::span<const Affected> affected() const { return {parts.data(), count}; }
};

/// Makes plans. Takes no lock; any thread.
class CallPlanner {
 public:
  enum class Detail : std::uint8_t { kWidest, kExact };

  /// `start_brk`: where the program's break begins; 0 when it is not known.
  CallPlanner(const ProcMaps& maps, std::uint64_t start_brk) : maps_(&maps), start_brk_(start_brk) {}

  /// Nothing: the call changes no memory of a process, or the kernel is certain to refuse it.
  std::optional<CallPlan> plan(const ClientCall& call, Detail detail) const;
  /// What the kernel is going to refuse, as far as can be known before anybody is told: its answer.
  std::optional<long> refusal(const CallPlan& plan) const;
  /// After refusal(): the kernel has no reason left to refuse. Only one mapping that is cut in the middle could run
  /// into vm.max_map_count, and what is registered has borders of its own that go away first.
  bool cannot_fail(const CallPlan& plan) const;

 private:
  struct Row;
  /// Adds the memory that a call changes; false when it changes none.
  using Reach = bool (CallPlanner::*)(const Row&, Detail, CallPlan&) const;
  struct Row {
    long number;
    Reach reach;
    std::optional<HostEvent> event;
    VramPages pages;
    Walk walk;
  };
  struct AdviceRow;
  struct HandlerRow;
  static const Row kRows[];
  static const AdviceRow kAdvice[];
  static const HandlerRow kHandlers[];

  bool named_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool protected_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool replaced_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool break_tail(const Row& row, Detail detail, CallPlan& plan) const;
  bool attached_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool detached_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool remapped_file_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool moved_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool advised_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool locked_pages(const Row& row, Detail detail, CallPlan& plan) const;
  bool handled_pages(const Row& row, Detail detail, CallPlan& plan) const;
  std::uint64_t bytes_attached(const ClientCall& shmat_call) const;

  const ProcMaps* maps_;
  std::uint64_t start_brk_;
};

/// The pages that [address, address + length) touches; nothing for what the kernel would refuse.
std::optional<HostRange> pages_of(std::uint64_t address, std::uint64_t length);

/// Where the program's break begins, by /proc/self/stat; 0 when the kernel does not say.
std::uint64_t start_of_break();

}  // namespace softxe::live
