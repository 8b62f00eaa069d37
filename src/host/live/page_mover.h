// PageMover: runs of pages by userfaultfd, between the client's memory and device windows (spec/live-memory.md 7.3).
//
// Moves whole runs or says how far it came. Knows nothing of who owns a page: records are kept by Residents and, for
// pages on their way out, by Migration. In copy mode pages land in a staging slot and their bytes are copied.
#pragma once

#include "host/devmem.h"
#include "host/live/live_resources.h"

namespace softxe::live {

/// How a run ended: a positive errno, and what was done from its start. EINTR: an event that has been read concerns
/// these pages and comes first.
struct RunEnd {
  int err = 0;
  std::uint64_t moved_bytes = 0;
};

/// Guarded by the mm lock of its owner.
class PageMover {
 public:
  explicit PageMover(LiveResources& res) : res_(res) {}

  /// Copy mode needs a window for its slots.
  void init_staging(std::byte* slots) { staging_.init(slots); }

  /// MOVE: out with the windows' userfaultfd, home with the client's.
  RunEnd move_run(const Uffd& uffd, UffdTransfer transfer);
  /// COPY, which also fills what MOVE refuses; the source keeps its pages.
  RunEnd copy_run(const Uffd& uffd, UffdTransfer transfer);
  /// From a frame to the client, as the mode has it; the frame is empty then.
  RunEnd send_home(UffdTransfer transfer);
  /// Waits for events to be read and their causers to go on. False: not in reasonable time, or dealing with them is
  /// what it takes. `turns` counts the calls in a row.
  bool wait_turn(std::uint32_t& turns);

  void discard_frame(std::uint64_t frame, std::uint64_t bytes);
  FramePages* pages_of_frame(HostVa frame) { return res_.windows.pages_of(frame); }
  void note_page_tables(HostRange frame);

  /// Where the pages of a migration to `frame` land; to be given back by land() or give_landing().
  std::byte* take_landing(std::byte* frame);
  /// `source`: where the first page comes from.
  void prepare_landing(HostRange landing, HostVa source);
  /// Every page of `range_bytes` has landed: now they stand in `frame`. ENOMEM: they are still in the landing.
  Status land(std::byte* landing, std::byte* frame, std::uint64_t bytes);
  void give_landing(std::byte* landing, std::byte* frame);

 private:
  RunEnd send_home_copied(UffdTransfer transfer);
  bool refill_dropped(HostRange frame);

  LiveResources& res_;
  Staging staging_;
};

}  // namespace softxe::live
