// Migration: one move of a range to VRAM, with a journal of what has landed.
//
// Pages land first (in the frame, or in a staging slot in copy mode), and only when every page has landed does a
// record change; until then each can go back where it came from.
#pragma once

#include "host/live/live_memory.h"
#include "host/live/logical_mappings.h"

namespace softxe::live {

/// Made and run under the mm lock.
class Migration {
 public:
  Migration(LiveResources& res, LiveMemory& memory, HostRange range, DevmemAllocation& allocation)
      : res_(res),
        memory_(memory),
        mover_(memory.mover),
        residents_(memory.residents),
        range_(range),
        allocation_(allocation) {}
  Migration(const Migration&) = delete;
  Migration& operator=(const Migration&) = delete;

  /// EBUSY, EINVAL, ENOENT, ENOMEM or EFAULT: nothing has changed.
  Result<MigrateCounts> run(std::uint64_t residency_ns);
  /// After a refusal: breaking copy-on-write may help.
  bool met_shared_pages() const { return shared_pages_; }

 private:
  Status admit();
  Status settle_calls();
  Result<MigrateCounts> take_pages();
  int take_gap(HostRange gap);
  int take_hole(HostVa at, HostVa end);
  void undo();
  void undo_gap(HostRange gap);
  HostVa put_back(HostRange run);
  void drain_events();

  HostVa at() const { return range_.start() + done_bytes_; }
  std::uint64_t landing_of(HostVa va) const { return number_of(landing_) + (va - range_.start()); }
  std::uint64_t page_of(HostVa va) const { return (va - range_.start()) >> kPageShift; }
  bool is_given_up(HostVa va) const { return (given_up_[page_of(va) / 64] >> (page_of(va) % 64)) & 1; }
  void give_up(HostRange pages);

  LiveResources& res_;
  LiveMemory& memory_;
  PageMover& mover_;
  Residents& residents_;
  const HostRange range_;
  DevmemAllocation& allocation_;
  std::byte* landing_ = nullptr;
  // The journal.
  std::uint64_t done_bytes_ = 0;                                   ///< landed so far, from the start
  std::uint64_t given_up_[DevmemAllocation::kPagesMax / 64] = {};  ///< zero-filled, or discarded since: do not go back
  bool shared_pages_ = false;
  MigrateCounts counts_{};
};

}  // namespace softxe::live
