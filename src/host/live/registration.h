// Registration: which parts of the client's memory are registered with its userfaultfd.
//
// Blocks of 2 MiB are, clamped to their mapping, from the first migration on. A part under pages that are in VRAM must
// stay registered whatever happens: unregister_range() is for parts that have none, or whose memory is going.
#pragma once

#include "host/live/live_resources.h"
#include "host/live/mapping_budget.h"
#include "host/live/page_mover.h"
#include "host/live/residency.h"

namespace softxe::live {

/// Guarded by the mm lock of its owner.
class Registration {
 public:
  Registration(LiveResources& res, Arena& arena, PageMover& mover)
      : res_(res), arena_(arena), mover_(mover), chunks_(arena, res.granules) {
    budget_.init();
  }

  /// Registers the blocks of `range`, which lies in the mapping `vma`. ENOMEM; EBUSY: the kernel refuses.
  Status register_blocks(HostRange range, HostRange vma);
  /// False: a part stays registered, because this thread may not do that any more (a sandbox), or the kernel has no
  /// room for one mapping more.
  bool unregister_range(HostRange range);
  /// Gives parts without VRAM pages back to the kernel's own fault handler.
  void unregister_idle(HostRange range);
  /// Pages have left `range`: what has none is kept for the next migration, up to a number.
  void note_idle(HostRange range);
  void note_busy(HostRange range);

  bool covers(HostRange range) { return chunks_.covers(range); }
  /// The first registered part inside `range`, within one block.
  std::optional<HostRange> first_in(HostRange range) { return chunks_.first_in(range); }
  std::optional<HostRange> first() const { return chunks_.first(); }
  /// Whether the memory at `page` is still what was registered. When the kernel has no time to say: yes.
  bool is_registered(HostVa page);

  /// The memory is gone, and its registration with it.
  void forget(HostRange range);
  /// The memory has been moved with its registration.
  void follow(HostRange from, HostVa to);
  /// From now on borders between mappings count here, although the kernel does not say why they are there. False: the
  /// arena is used up; then nothing can be registered there either.
  bool note_real_borders(HostRange range);

 private:
  Result<HostRange> without_neighbours(HostRange block, HostRange range);
  Result<HostRange> widened(HostRange block, HostRange vma);
  int register_part(HostRange part);
  bool may_cut_out(HostRange part);
  bool has_vram_pages(HostRange block) const;

  LiveResources& res_;
  Arena& arena_;
  PageMover& mover_;
  ChunkSet chunks_;
  MappingBudget budget_;
};

}  // namespace softxe::live
