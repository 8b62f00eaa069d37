// Residents: the client's pages that stand in VRAM, and their ways out of it.
//
// Home by a move (notifiers are told first), or given up when their memory went. Whoever takes the last page of an
// allocation gives it back to its heap. A page leaves the records only when it has arrived.
#pragma once

#include "host/live/notifier_set.h"
#include "host/live/registration.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner.
class Residents {
 public:
  Residents(LiveResources& res, Arena& arena, NotifierSet& notifiers, PageMover& mover, Registration& registration)
      : res_(res), notifiers_(notifiers), mover_(mover), registration_(registration), residency_(arena, res.granules) {}

  std::optional<Piece> first_in(HostRange range) { return residency_.first_in(range); }
  std::optional<Piece> first() const { return residency_.first(); }
  /// Makes take_over() unable to fail. False: the arena is used up.
  bool reserve() { return residency_.reserve(); }

  /// All pages of `range` stand in `allocation` from now on, from its first page on; what stood elsewhere has left.
  void take_over(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns);
  /// False: some stay. The events that are read come first (MissedCalls::drain()), then it may be tried again.
  bool bring_allocation_home(DevmemAllocation& allocation, MoveCause cause);
  bool bring_range_home(HostRange range, MoveCause cause);
  /// The data of `range` is of no use to anybody any more.
  void drop(HostRange range);
  /// The mapping of `from` is at `to` now.
  void follow(HostRange from, HostVa to);
  /// Time until the last residency deadline in `range`, 0 when none is in the future.
  std::uint64_t deadline_left_ns(HostRange range);

 private:
  enum class HomeEnd : std::uint8_t { kMorePages, kEmptied, kStuck };
  struct Left {
    std::uint64_t done = 0;  ///< bytes from the start that are in the frame no more
    std::uint64_t lost = 0;  ///< of them, whose memory was gone
  };

  HomeEnd bring_home(Piece piece, MoveCause cause);
  Left leave(const Piece& piece);
  void note_left(const Piece& piece);
  void note_doubled(HostVa page);
  bool release_if_empty(DevmemAllocation& allocation);

  LiveResources& res_;
  NotifierSet& notifiers_;
  PageMover& mover_;
  Registration& registration_;
  ResidencyMap residency_;
};

}  // namespace softxe::live
