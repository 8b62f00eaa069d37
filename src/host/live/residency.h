// Who holds which page: the two interval sets of the live backend.
//
//   ResidencyMap  VA -> (allocation, first page): a page is covered by a segment exactly when it is in VRAM
//   ChunkSet      the parts of the address space that are registered with the client's userfaultfd
//
// Both are ordered intrusive trees whose nodes come from the arena: O(log n), no malloc, usable on the
// fault thread. Guarded by the mm lock of their owner, LiveHostMm.
#pragma once

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <optional>

#include "base/address.h"
#include "host/devmem.h"
#include "host/live/arena.h"
#include "host/live/granules.h"

namespace softxe::live {

/// Consecutive pages of the process that stand in consecutive pages of one allocation.
struct Segment : boost::intrusive::set_base_hook<> {
  Segment(HostRange r, DevmemAllocation& a, std::uint32_t first) : range(r), allocation(&a), first_page(first) {}
  std::byte* frame() const { return allocation->frame + (std::uint64_t{first_page} << kPageShift); }

  HostRange range;
  DevmemAllocation* allocation;
  std::uint32_t first_page;
  Segment* next_of_allocation = nullptr;  ///< list through DevmemAllocation::host_private
};

/// A part of a segment, by value.
struct Piece {
  HostRange range;
  DevmemAllocation* allocation;
  std::uint32_t first_page;
  std::byte* frame() const { return allocation->frame + (std::uint64_t{first_page} << kPageShift); }
  HostRange frames() const { return HostRange::of(HostVa(reinterpret_cast<std::uint64_t>(frame())), range.size()); }
};

/// Orders any node with a `range` member by its end, so that lower_bound finds the first that may
/// cover an address.
struct EndsAfter {
  template <typename Node>
  bool operator()(HostVa va, const Node& node) const {
    return va < node.range.end();
  }
};
struct ByStart {
  template <typename Node>
  bool operator()(const Node& a, const Node& b) const {
    return a.range.start() < b.range.start();
  }
};

/// Invariant: segments do not overlap; page p of a segment has its bit set in `present`, and
/// Granule::vram_pages counts it.
class ResidencyMap {
 public:
  ResidencyMap(Arena& arena, GranuleMap& granules) : arena_(arena), granules_(granules) {}

  /// Makes the next insert() and two cuts unable to fail. False: the arena is used up.
  bool reserve() { return pool_.reserve(arena_, 4); }
  /// All pages of `range` are now pages [first_page ...) of the allocation. Nothing may cover them.
  void insert(HostRange range, DevmemAllocation& allocation, std::uint32_t first_page);
  /// Takes the pages of `range` that are in VRAM out of the map and clears their present bits.
  /// `range` must lie in one segment; splitting it may need one node (reserve() first).
  void erase(HostRange range);
  /// Moves a piece to another address (mremap seen by event). Present bits stay.
  void rename(Piece piece, HostVa to);

  /// The first piece at or above range.start() inside `range`.
  std::optional<Piece> first_in(HostRange range);
  /// One piece of the allocation, any.
  static std::optional<Piece> any_of(const DevmemAllocation& allocation);
  std::optional<Piece> first() const;
  bool empty() const { return set_.empty(); }

 private:
  void link(Segment& segment);
  void unlink(Segment& segment);

  boost::intrusive::set<Segment, boost::intrusive::compare<ByStart>> set_;
  Pool<Segment> pool_;
  Arena& arena_;
  GranuleMap& granules_;
};

/// A registered part of one mapping, inside one 2 MiB block.
struct Chunk : boost::intrusive::set_base_hook<>,
               boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  explicit Chunk(HostRange r) : range(r) {}
  HostRange range;
  bool idle() const { return list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>::is_linked(); }
};

/// Invariant: chunks do not overlap, none crosses a 2 MiB boundary, each is counted in its granule.
class ChunkSet {
 public:
  ChunkSet(Arena& arena, GranuleMap& granules) : arena_(arena), granules_(granules) {}

  /// Makes insert() and erase() of one range unable to fail. False: the arena is used up.
  bool reserve(HostRange range) { return pool_.reserve(arena_, 4) && granules_.prepare(arena_, range); }
  /// The same for insert() of each 2 MiB block of `range`.
  bool reserve_blocks(HostRange range) {
    return pool_.reserve(arena_, 4 + range.size() / k2M) && granules_.prepare(arena_, range);
  }
  /// `range` (in one 2 MiB block) is registered; swallows what was there.
  void insert(HostRange range);
  /// `range` is not registered any more; chunks that stick out are cut.
  void erase(HostRange range);
  /// The first registered piece inside `range`.
  std::optional<HostRange> first_in(HostRange range);
  bool covers(HostRange range);
  std::optional<HostRange> first() const;
  /// The last chunk that begins below `va`.
  std::optional<HostRange> last_before(HostVa va) const;
  /// How many stretches of adjoining chunks there are.
  std::size_t parts() const { return parts_; }
  /// Whether both what precedes and what follows `range` is registered.
  bool surrounds(HostRange range) { return ends_at(range.start()) && starts_at(range.end()); }
  bool touches(HostRange range) { return ends_at(range.start()) || starts_at(range.end()); }

  /// Chunks without pages in VRAM, oldest first: candidates for unregistration.
  void mark_idle(HostRange range);
  void mark_busy(HostRange range);
  /// The oldest idle chunk when there are more than `keep`.
  std::optional<HostRange> oldest_idle_above(std::size_t keep);

 private:
  Chunk* find(HostRange range);
  void remove(Chunk& chunk);
  void add(HostRange range);
  bool starts_at(HostVa va);
  bool ends_at(HostVa va) { return va.value() != 0 && find(HostRange::of(va - 1, 1)) != nullptr; }

  boost::intrusive::set<Chunk, boost::intrusive::compare<ByStart>> set_;
  boost::intrusive::list<Chunk,
                         boost::intrusive::base_hook<boost::intrusive::list_base_hook<
                             boost::intrusive::link_mode<boost::intrusive::auto_unlink>>>,
                         boost::intrusive::constant_time_size<false>>
      idle_;
  std::size_t idle_count_ = 0;
  std::size_t parts_ = 0;
  Pool<Chunk> pool_;
  Arena& arena_;
  GranuleMap& granules_;
};

}  // namespace softxe::live
