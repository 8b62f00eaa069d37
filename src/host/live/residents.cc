#include "host/live/residents.h"

#include "base/log.h"
#include "base/step.h"

namespace softxe::live {

/// The kernel asks whether memory is registered, not with whom: a client can fill what is away, by a raw request.
void Residents::note_doubled(HostVa page) {
  if (res_.counters.doubled.fetch_add(1, std::memory_order_relaxed) != 0) return;
  log(LogLevel::kError, "page {:#x} is in memory and in VRAM: it was filled behind our back", page.value());
}

/// Moves the pages of `piece` out, from its start, as far as it can.
Residents::Left Residents::leave(const Piece& piece) {
  const std::uint64_t bytes = piece.range.size();
  const std::uint64_t va = piece.range.start().value();
  const std::uint64_t frame = number_of(piece.frame());
  std::uint64_t done = 0;
  std::uint64_t lost = 0;
  note_left(piece);
  while (done < bytes) {
    const RunEnd end = mover_.send_home({va + done, frame + done, bytes - done});
    done += end.moved_bytes;
    if (end.err == 0 || end.err == EINTR) break;
    // Fallback for mappings that MOVE refuses (read-only by a raw mprotect, locked): COPY fills them.
    const RunEnd copied = mover_.copy_run(res_.client, {va + done, frame + done, kPageSize});
    if (copied.err == EINTR) break;
    const bool doubled = copied.err == EEXIST;  // another userfaultfd filled the page: what is there counts
    if (doubled) note_doubled(HostVa(va + done));
    const bool gone = doubled || copied.err == ENOENT || copied.err == EINVAL || copied.err == ESRCH;
    if (copied.err != 0 && (!gone || res_.client.event_in_flight())) break;  // asked again later
    mover_.discard_frame(frame + done, kPageSize);
    if (gone) lost += kPageSize;  // unmapped by a raw call: nobody can ask for it
    if (!gone) res_.counters.pages_copied.fetch_add(1, std::memory_order_relaxed);
    done += kPageSize;
  }
  if (done < bytes) mover_.pages_of_frame(HostVa(frame))->set(HostRange::of(HostVa(frame + done), bytes - done));
  return {.done = done, .lost = lost};
}

/// One piece goes home. Notifiers have been told.
Residents::HomeEnd Residents::bring_home(Piece piece, MoveCause cause) {
  const std::uint64_t begin_ns = res_.clock.now_ns();
  if (!SX_STEP("live.home.move")) return HomeEnd::kStuck;
  const bool reserved = residency_.reserve();
  SX_ASSERT(reserved);
  const std::uint64_t bytes = piece.range.size();
  const std::uint64_t frame = number_of(piece.frame());
  const auto [done, lost] = leave(piece);
  if (done == 0) return HomeEnd::kStuck;
  // Small pages, or a huge page that came in pieces or was split on its way, left a table in the frame.
  if (bytes != k2M || !res_.pagemap.maybe_huge(piece.range.start())) {
    mover_.note_page_tables(HostRange::of(HostVa(frame), bytes));
  }
  DevmemAllocation& allocation = *piece.allocation;
  residency_.erase(HostRange::of(piece.range.start(), done));
  const std::uint64_t pages = (done - lost) >> kPageShift;
  res_.counters.pages_home.fetch_add(pages, std::memory_order_relaxed);
  res_.counters.pages_dropped.fetch_add(lost >> kPageShift, std::memory_order_relaxed);
  if (pages != 0) {
    const std::uint64_t took_ns = res_.clock.now_ns() - begin_ns;
    allocation.heap->moved_to_system(allocation,
                                     {.at = piece.range.start(), .pages = pages, .took_ns = took_ns, .cause = cause});
  }
  registration_.note_idle(piece.range);
  if (release_if_empty(allocation)) return HomeEnd::kEmptied;
  return done < bytes ? HomeEnd::kStuck : HomeEnd::kMorePages;
}

/// The frames of `piece` are given up: no engine can reach them any more.
void Residents::note_left(const Piece& piece) { mover_.pages_of_frame(piece.frames().start())->clear(piece.frames()); }

bool Residents::release_if_empty(DevmemAllocation& allocation) {
  if (allocation.host_private != nullptr) return false;
  SX_ASSERT(allocation.present_count() == 0);
  allocation.residency_deadline_ns = 0;
  allocation.heap->release(allocation);
  return true;
}

bool Residents::bring_allocation_home(DevmemAllocation& allocation, MoveCause cause) {
  while (auto piece = ResidencyMap::any_of(allocation)) {
    notifiers_.tell(piece->range, HostEvent::kMigrate);
    const HomeEnd end = bring_home(*piece, cause);
    if (end == HomeEnd::kEmptied) return true;
    if (end == HomeEnd::kStuck) return false;
  }
  return true;
}

bool Residents::bring_range_home(HostRange range, MoveCause cause) {
  HostVa at = range.start();
  bool all = true;
  while (at < range.end()) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    notifiers_.tell(piece->range, HostEvent::kMigrate);
    if (bring_home(*piece, cause) == HomeEnd::kStuck) all = false;
    at = piece->range.end();
  }
  return all && !residency_.first_in(range);
}

void Residents::drop(HostRange range) {
  while (auto piece = residency_.first_in(range)) {
    const bool reserved = residency_.reserve();
    SX_ASSERT(reserved);
    const HostRange frame = piece->frames();
    note_left(*piece);
    mover_.discard_frame(frame.start().value(), frame.size());
    if (frame.size() != k2M) mover_.note_page_tables(frame);  // a huge page is split now
    residency_.erase(piece->range);
    res_.counters.pages_dropped.fetch_add(piece->range.pages(), std::memory_order_relaxed);
    registration_.note_idle(piece->range);
    release_if_empty(*piece->allocation);
  }
}

std::uint64_t Residents::deadline_left_ns(HostRange range) {
  std::uint64_t deadline = 0;
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    deadline = std::max(deadline, piece->allocation->residency_deadline_ns);
    at = piece->range.end();
  }
  if (deadline == 0) return 0;
  const std::uint64_t now = res_.clock.now_ns();
  return deadline > now ? deadline - now : 0;
}

void Residents::take_over(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns) {
  while (const auto piece = residency_.first_in(range)) {
    DevmemAllocation& old = *piece->allocation;
    note_left(*piece);
    residency_.erase(piece->range);
    release_if_empty(old);
    residency_.reserve();
  }
  residency_.insert(range, allocation, 0);
  const HostVa frame(number_of(allocation.frame));
  mover_.pages_of_frame(frame)->set(HostRange::of(frame, range.size()));
  allocation.residency_deadline_ns = residency_ns == 0 ? 0 : res_.clock.now_ns() + residency_ns;
  res_.counters.pages_out.fetch_add(range.pages(), std::memory_order_relaxed);
  registration_.note_busy(range);
}

void Residents::follow(HostRange from, HostVa to) {
  while (const auto piece = residency_.first_in(from)) {
    const bool reserved = residency_.reserve();
    SX_ASSERT(reserved);
    residency_.rename(*piece, to + (piece->range.start() - from.start()));
  }
}

}  // namespace softxe::live
