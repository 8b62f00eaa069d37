// Pages to VRAM and back: the rules of spec/live-memory.md 7.2 and 7.3.
//
// A migration lands its pages first (in the frame, or in a staging slot in copy mode), and only when
// every page has landed does it change any record; until then undo() can put each page back.
#include <sys/mman.h>

#include <cstring>
#include <ctime>

#include "base/log.h"
#include "base/step.h"
#include "host/live/live_host_mm.h"
#include "host/live/raw_syscall.h"

namespace softxe::live {

/// A migration under construction.
struct LiveHostMm::Sketch {
  HostRange range;
  DevmemAllocation& allocation;
  std::byte* landing;
  std::uint64_t done_bytes = 0;  ///< landed so far, from the start
  std::uint64_t zero_filled[DevmemAllocation::kPagesMax / 64] = {};
  bool shared_pages = false;  ///< refused with EBUSY: breaking copy-on-write may help
  MigrateCounts counts{};

  HostVa at() const { return range.start() + done_bytes; }
  std::uint64_t landing_of(HostVa va) const { return number_of(landing) + (va - range.start()); }
  std::uint64_t page_of(HostVa va) const { return (va - range.start()) >> kPageShift; }
  bool is_zero_filled(HostVa va) const { return (zero_filled[page_of(va) / 64] >> (page_of(va) % 64)) & 1; }
};

// --- runs of pages ------------------------------------------------------------------------------

bool LiveHostMm::wait_turn(std::uint32_t& turns) {
  constexpr std::uint32_t kTurnsMax = 1'000'000;
  counters_.eagain.fetch_add(1, std::memory_order_relaxed);
  // EAGAIN of C: an event waits to be read, then its causer must run on (hazard 7).
  pump_for_reader();
  if (pump_.is_full()) return false;  // only dealing with the events can help
  // The causer needs a processor only, never a lock of ours. On a busy machine yielding alone does not give it
  // one for long; where it causes one event after the other, the moment to try is right behind the read.
  constexpr std::uint32_t kTurnsPerNap = 256;
  if (++turns % kTurnsPerNap == 0) {
    const timespec nap{.tv_sec = 0, .tv_nsec = 50'000};
    raw_syscall(SYS_nanosleep, &nap, nullptr);
  } else if (turns > 16) {
    raw_syscall(SYS_sched_yield);
  }
  return turns < kTurnsMax;
}

LiveHostMm::RunEnd LiveHostMm::move_run(const Uffd& uffd, UffdTransfer transfer) {
  std::uint64_t moved = 0;
  std::uint64_t step = transfer.bytes;
  std::uint32_t turns = 0;
  while (moved < transfer.bytes) {
    const std::uint64_t want = std::min(step, transfer.bytes - moved);
    auto move = [&] { return uffd.move({transfer.to + moved, transfer.from + moved, want}); };
    const UffdOutcome out =
        &uffd == &client_ ? pump_.undisturbed(HostRange::of(HostVa(transfer.to + moved), want), move) : move();
    moved += out.done_bytes;
    if (out.done_bytes != 0) turns = 0;
    if (out.err == 0) continue;
    if (out.err == EAGAIN) {
      if (out.done_bytes == 0 && !wait_turn(turns)) return {EBUSY, moved};
      continue;
    }
    if (out.err == EEXIST) {
      // Kernel 6.18 up to the fix of MOVE: the page may have moved although it says EEXIST (7.3).
      const bool at_source = pagemap_.occupied(HostVa(transfer.from + moved));
      const bool at_target = pagemap_.occupied(HostVa(transfer.to + moved));
      if (at_source || !at_target) return {EEXIST, moved};
      counters_.moved_eexist.fetch_add(1, std::memory_order_relaxed);
      moved += kPageSize;
      continue;
    }
    if (out.err == ENOENT && refill_dropped(HostRange::of(HostVa(transfer.from + moved), want))) continue;
    if (out.err == EINVAL && want > kPageSize) {  // maybe a border between mappings inside
      step = align_up(want / 2, kPageSize);
      continue;
    }
    return {out.err, moved};
  }
  return {0, moved};
}

LiveHostMm::RunEnd LiveHostMm::copy_run(const Uffd& uffd, UffdTransfer transfer) {
  std::uint64_t copied = 0;
  std::uint32_t turns = 0;
  refill_dropped(HostRange::of(HostVa(transfer.from), transfer.bytes));  // COPY would fault on a hole
  while (copied < transfer.bytes) {
    auto copy = [&] { return uffd.copy({transfer.to + copied, transfer.from + copied, transfer.bytes - copied}); };
    const UffdOutcome out =
        &uffd == &client_
            ? pump_.undisturbed(HostRange::of(HostVa(transfer.to + copied), transfer.bytes - copied), copy)
            : copy();
    copied += out.done_bytes;
    if (out.done_bytes != 0) turns = 0;
    if (out.err == 0) continue;
    // The kernel has dropped a page of the frame since we looked.
    if (out.err == EFAULT && refill_dropped(HostRange::of(HostVa(transfer.from + copied), transfer.bytes - copied))) {
      continue;
    }
    if (out.err != EAGAIN) return {out.err, copied};
    if (out.done_bytes == 0 && !wait_turn(turns)) return {EBUSY, copied};
  }
  return {0, copied};
}

/// Memory that the client freed lazily (MADV_FREE) keeps that mark on its way through VRAM: the kernel may
/// have dropped such pages of a frame since, and zeroes are their content now. False: none was missing, or
/// `frame` is no frame.
bool LiveHostMm::refill_dropped(HostRange frame) {
  std::uint64_t words[DevmemAllocation::kPagesMax];
  const std::span seen(words, frame.pages());
  if (pages_of_frame(frame.start()) == nullptr || !pagemap_.read(frame.start(), seen)) return false;
  bool any = false;
  for (std::uint64_t i = 0; i < seen.size(); ++i) {
    if (PageMap::is_occupied(seen[i])) continue;
    if (vram_.zero(HostRange::of(frame.start() + (i << kPageShift), kPageSize)).err != 0) return false;
    counters_.vanished.fetch_add(1, std::memory_order_relaxed);
    any = true;
  }
  return any;
}

void LiveHostMm::discard_frame(std::uint64_t frame, std::uint64_t bytes) {
  constexpr int kMadvDontneedLocked = 24;  // works also when the client has locked everything
  const long result = raw_syscall(SYS_madvise, frame, bytes, kMadvDontneedLocked);
  SX_ASSERT(errno_of(result) == 0);
}

// --- to VRAM ------------------------------------------------------------------------------------

Status LiveHostMm::admit_migration(HostRange range, const DevmemAllocation& allocation) {
  SX_TRY_VOID(SX_STEP("live.migrate.admit"));
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  if (ending_.load(std::memory_order_relaxed)) return fail(EBUSY, "the process is about to end");
  if (rung_ == Rung::kNone) return fail(EBUSY, "this machine cannot move pages (rung none)");
  if (!range.start().is_aligned(kPageSize) || range.size() != allocation.block.size()) {
    return fail(EINVAL, "range and allocation differ in size");
  }
  if (!GranuleMap::addressable(range)) return fail(ENOENT, "not a user address");
  SX_ASSERT(allocation.present_count() == 0 && allocation.frame != nullptr);
  if (!residency_.reserve()) return fail(ENOMEM, "the arena is used up");
  if (rung_ == Rung::kUserOnly && !is_named(range)) {
    return fail(EBUSY, "on rung user-only, only named ranges migrate");
  }
  // What is registered is anonymous private memory, and who replaces it waits until its event is read.
  // Borders that came since (a raw mprotect) are MOVE's to refuse.
  if (chunks_.covers(range)) return {};
  const auto blocks = HostRange::between(range.start().aligned_down(k2M), HostVa(align_up(range.end().value(), k2M)));
  SX_TRY(CpuVma vma, logical_vma(range.start(), blocks));
  if (!vma.range.contains(range)) return fail(EINVAL, "range spans mappings");
  switch (vma.kind) {
    case CpuVma::Kind::kAnonPrivate: break;
    case CpuVma::Kind::kHugetlb:
    case CpuVma::Kind::kDevice:
    case CpuVma::Kind::kSpecial: return fail(EINVAL, "special or hugetlb mapping");
    case CpuVma::Kind::kShmem:
    case CpuVma::Kind::kFile: return fail(EBUSY, "not anonymous private memory");
  }
  return register_blocks(range, vma.range);
}

/// Waits for calls on `range` that are under way without our lock: those the hooks' filter let pass, and those
/// no hook saw, which wait for their event to be read. What admission saw may be another mapping by then.
Status LiveHostMm::settle_calls(HostRange range) {
  constexpr std::uint32_t kTurnsMax = 4096;
  const std::uint64_t read_before = pump_.events_read();
  for (std::uint32_t turns = 0; passing_.any_in(range) || event_unread_since(read_before);) {
    if (turns >= kTurnsMax) return fail(EBUSY, "a system call on this memory does not end");
    if (!wait_turn(turns)) drain_events();
  }
  drain_events();
  if (!chunks_.covers(range)) return fail(EBUSY, "the mapping was replaced");
  return {};
}

bool LiveHostMm::stands_in(HostRange range, const DevmemHeap& heap) {
  if (disabled() || !GranuleMap::addressable(range)) return false;
  Locked lock(*this);
  const auto piece = residency_.first_in(range);
  return piece && piece->range == range && piece->allocation->heap == &heap &&
         HostVa(number_of(piece->frame())).is_aligned(range.size());
}

Result<MigrateCounts> LiveHostMm::migrate_to_device(HostRange range, DevmemAllocation& allocation,
                                                    std::uint64_t residency_ns) {
  bool shared_pages = false;
  auto result = try_migrate(range, allocation, residency_ns, shared_pages);
  if (result || !shared_pages) return result;
  // Shared since a fork: break copy-on-write, without the lock (the fault may need the reader).
  counters_.cow_breaks.fetch_add(1, std::memory_order_relaxed);
  raw_syscall(SYS_madvise, range.start().value(), range.size(), MADV_POPULATE_WRITE);
  return try_migrate(range, allocation, residency_ns, shared_pages);
}

Result<MigrateCounts> LiveHostMm::try_migrate(HostRange range, DevmemAllocation& allocation, std::uint64_t residency_ns,
                                              bool& shared_pages) {
  Locked lock(*this);
  // Looked at once more below, when no thread can pin without being seen.
  if (pins_.intersects(granules_, range)) return fail(EBUSY, "an engine thread stands on these pages");
  SX_TRY_VOID(admit_migration(range, allocation));
  SX_TRY_VOID(settle_calls(range));
  Sketch sketch{range, allocation, options_.dma == DmaMode::kCopy ? staging_.take_empty() : allocation.frame};
  pins_.begin_migration();
  Result<MigrateCounts> result = fail(EBUSY, "an engine thread stands on these pages");
  if (!pins_.intersects(granules_, range)) {
    notify(range, HostEvent::kMigrate);
    prepare_landing(sketch);
    result = take_pages(sketch);
    if (result) {
      commit(sketch, residency_ns);
    } else {
      undo(sketch);
    }
  }
  pins_.end_migration();
  if (options_.dma == DmaMode::kCopy && sketch.landing != allocation.frame) {
    staging_.give_empty(sketch.landing);
  }
  if (!result) note_idle(range);
  shared_pages = sketch.shared_pages;
  return result;
}

/// An empty page table left in the frame by small pages would make MOVE split a huge page. Where the kernel
/// can (6.14), zapping the empty block frees that table. What small pages leave behind now is noted when they
/// have left (bring_home) or were split (undo); a smaller range says so at once.
void LiveHostMm::prepare_landing(const Sketch& sketch) {
  const auto landing = HostRange::of(HostVa(number_of(sketch.landing)), sketch.range.size());
  if (landing.size() != k2M) return note_page_tables(landing);
  std::atomic<bool>& may_have_table = granules_.find(landing.start())->may_have_table;
  if (!may_have_table.load(std::memory_order_relaxed) || !pagemap_.maybe_huge(sketch.range.start())) return;
  discard_frame(landing.start().value(), k2M);
  may_have_table.store(false, std::memory_order_relaxed);
}

void LiveHostMm::note_page_tables(HostRange frame) {
  granules_.any(frame, [](Granule& g) { return g.may_have_table.store(true, std::memory_order_relaxed), false; });
}

/// Lands every page, or says why not; `sketch.done_bytes` tells how far it came.
Result<MigrateCounts> LiveHostMm::take_pages(Sketch& sketch) {
  while (sketch.at() < sketch.range.end()) {
    SX_TRY_VOID(SX_STEP("live.migrate.move"));
    const auto rest = HostRange::between(sketch.at(), sketch.range.end());
    const auto piece = residency_.first_in(rest);
    const HostVa gap_end = piece ? piece->range.start() : rest.end();
    int err = 0;
    if (gap_end > rest.start()) {
      err = take_gap(sketch, HostRange::between(rest.start(), gap_end));
    } else {
      if (piece->allocation->heap->owner() != sketch.allocation.heap->owner()) {
        return fail(EBUSY, "pages are in VRAM of another group");
      }
      const RunEnd end =
          move_run(vram_, {sketch.landing_of(piece->range.start()), number_of(piece->frame()), piece->range.size()});
      sketch.done_bytes += end.moved_bytes;
      sketch.counts.pages_moved += end.moved_bytes >> kPageShift;
      err = end.err;
    }
    if (err == ENOMEM) return fail(ENOMEM, "no memory for page tables");
    if (err != 0) return fail(EBUSY, "a page cannot be moved");
  }
  SX_TRY_VOID(land(sketch));
  return sketch.counts;
}

int LiveHostMm::take_gap(Sketch& sketch, HostRange gap) {
  while (sketch.at() < gap.end()) {
    const RunEnd end = move_run(vram_, {sketch.landing_of(sketch.at()), sketch.at().value(), gap.end() - sketch.at()});
    sketch.done_bytes += end.moved_bytes;
    sketch.counts.pages_moved += end.moved_bytes >> kPageShift;
    if (end.err == 0) return 0;
    if (end.err == EEXIST) {
      log(LogLevel::kError, "VRAM frame of {:#x} was not empty", sketch.at().value());
      SX_UNREACHABLE("a VRAM frame was not empty when it was taken");
    }
    if (end.err == EBUSY) sketch.shared_pages = true;
    if (end.err != ENOENT) return end.err;
    if (int err = take_hole(sketch, sketch.at(), gap.end())) return err;
  }
  return 0;
}

/// The page at `at` is a hole: zero-fills the frame for it and the holes that follow.
int LiveHostMm::take_hole(Sketch& sketch, HostVa at, HostVa end) {
  std::uint64_t words[DevmemAllocation::kPagesMax];
  const std::uint64_t pages = (end - at) >> kPageShift;
  if (!pagemap_.read(at, std::span(words, pages))) return EBUSY;
  std::uint64_t holes = 0;
  while (holes < pages && !PageMap::is_occupied(words[holes])) ++holes;
  if (holes == 0) return 0;  // filled in the kernel meanwhile (swap): look again
  // Under the lock nobody fills a hole of registered memory, but a raw munmap may have come between.
  const std::uint64_t bytes = holes << kPageShift;
  unsigned char resident[DevmemAllocation::kPagesMax];
  if (errno_of(raw_syscall(SYS_mincore, at.value(), bytes, resident)) != 0) return EBUSY;
  std::uint32_t turns = 0;
  for (std::uint64_t done = 0; done < bytes;) {
    const auto frame = HostRange::of(HostVa(sketch.landing_of(at) + done), bytes - done);
    const UffdOutcome out = vram_.zero(frame);
    done += out.done_bytes;
    if (out.err == EAGAIN && wait_turn(turns)) continue;
    if (out.err != 0) {
      discard_frame(sketch.landing_of(at), bytes);
      return out.err == ENOMEM ? ENOMEM : EBUSY;
    }
  }
  const std::uint64_t first = sketch.page_of(at);
  for (std::uint64_t p = first; p < first + holes; ++p) {
    sketch.zero_filled[p / 64] |= 1ull << (p % 64);
  }
  sketch.done_bytes += bytes;
  sketch.counts.pages_zero_filled += holes;
  return 0;
}

/// Copy mode: the bytes go from the landing slot to the frame. The pages left in the slot are the client's: the
/// kernel may still refer to them (a pipe that they were spliced into), so they go back to it and are never used for
/// anything else.
Status LiveHostMm::land(Sketch& sketch) {
  if (sketch.landing == sketch.allocation.frame) return {};
  const std::uint64_t bytes = sketch.range.size();
  const std::uint64_t frame = number_of(sketch.allocation.frame);
  note_page_tables(HostRange::of(HostVa(number_of(sketch.landing)), bytes));
  note_page_tables(HostRange::of(HostVa(frame), bytes));
  if (std::byte* full = staging_.take_full(bytes)) {
    const RunEnd end = move_run(vram_, {frame, number_of(full), bytes});
    SX_ASSERT(end.err == 0 || end.err == ENOMEM);
    if (end.err != 0) {
      discard_frame(frame, bytes);
      discard_frame(number_of(full), bytes);
    }
    staging_.give_empty(full);
    if (end.err != 0) return fail(ENOMEM, "no memory for page tables");
    std::memcpy(sketch.allocation.frame, sketch.landing, bytes);
  } else {
    const RunEnd end = copy_run(vram_, {frame, number_of(sketch.landing), bytes});
    if (end.err != 0) {
      discard_frame(frame, bytes);
      return fail(ENOMEM, "no memory for VRAM pages");
    }
  }
  discard_frame(number_of(sketch.landing), bytes);
  staging_.give_empty(sketch.landing);
  sketch.landing = sketch.allocation.frame;
  return {};
}

void LiveHostMm::commit(Sketch& sketch, std::uint64_t residency_ns) {
  while (auto piece = residency_.first_in(sketch.range)) {
    DevmemAllocation& old = *piece->allocation;
    note_left(*piece);
    residency_.erase(piece->range);
    release_if_empty(old);
    residency_.reserve();
  }
  residency_.insert(sketch.range, sketch.allocation, 0);
  const HostVa frame(number_of(sketch.allocation.frame));
  pages_of_frame(frame)->set(HostRange::of(frame, sketch.range.size()));
  sketch.allocation.residency_deadline_ns = residency_ns == 0 ? 0 : clock_.now_ns() + residency_ns;
  counters_.pages_out.fetch_add(sketch.range.pages(), std::memory_order_relaxed);
  for (std::uint64_t a = sketch.range.start().value(); a < sketch.range.end().value(); a = align_down(a, k2M) + k2M) {
    chunks_.mark_busy(HostRange::of(HostVa(a), kPageSize));
  }
}

/// Every landed page goes back where it came from.
void LiveHostMm::undo(Sketch& sketch) {
  note_page_tables(HostRange::of(HostVa(number_of(sketch.landing)), sketch.range.size()));
  const HostVa end = sketch.at();
  for (HostVa at = sketch.range.start(); at < end;) {
    const auto rest = HostRange::between(at, end);
    const auto piece = residency_.first_in(rest);
    const HostVa gap_end = piece ? piece->range.start() : end;
    if (gap_end > at) {
      undo_gap(sketch, HostRange::between(at, gap_end));
      at = gap_end;
      continue;
    }
    const RunEnd back =
        move_run(vram_, {number_of(piece->frame()), sketch.landing_of(piece->range.start()), piece->range.size()});
    SX_ASSERT(back.err == 0);
    at = piece->range.end();
  }
}

void LiveHostMm::undo_gap(Sketch& sketch, HostRange gap) {
  for (HostVa at = gap.start(); at < gap.end();) {
    HostVa stop = at;
    const bool zero = sketch.is_zero_filled(at);
    while (stop < gap.end() && sketch.is_zero_filled(stop) == zero) stop += kPageSize;
    const std::uint64_t landing = sketch.landing_of(at);
    if (zero) {
      discard_frame(landing, stop - at);
      if (client_) client_.wake(HostRange::between(at, stop));
      at = stop;
      continue;
    }
    RunEnd back = move_run(client_, {at.value(), landing, stop - at});
    if (back.err == EBUSY || back.err == EINTR) {  // events: deal with them, then go on
      drain_events_of(sketch);
      if (back.moved_bytes == 0) continue;  // what is to be done with these pages may have changed
    } else if (back.err != 0) {             // the mapping changed under us by a call that no hook saw
      const RunEnd copied = copy_run(client_, {at.value() + back.moved_bytes, landing + back.moved_bytes, kPageSize});
      discard_frame(landing + back.moved_bytes, kPageSize);
      if (copied.err != 0) counters_.pages_dropped.fetch_add(1, std::memory_order_relaxed);
      back.moved_bytes += kPageSize;
    }
    at += back.moved_bytes;
  }
}

/// The pages of a sketch are in no record that an event would change: who discarded them does not get them back.
void LiveHostMm::drain_events_of(Sketch& sketch) {
  UffdMessage message;
  while (pump_.pop_event(message)) {
    on_event(message, nullptr);
    const auto gone = message.range_gone();
    const auto part = gone ? gone->intersection(sketch.range) : std::nullopt;
    if (!part) continue;
    for (HostVa at = part->start(); at < part->end(); at += kPageSize) {
      const std::uint64_t p = sketch.page_of(at);
      sketch.zero_filled[p / 64] |= 1ull << (p % 64);
    }
  }
}

// --- home ---------------------------------------------------------------------------------------

LiveHostMm::RunEnd LiveHostMm::send_home(UffdTransfer transfer) {
  if (options_.dma == DmaMode::kCopy) return send_home_copied(transfer);
  return move_run(client_, transfer);
}

/// Copy mode: bytes go into pages of a full slot, or fresh ones, these go home, and the frame's pages fill the slot.
/// They have never been the client's.
LiveHostMm::RunEnd LiveHostMm::send_home_copied(UffdTransfer transfer) {
  std::byte* slot = staging_.take_full(transfer.bytes);
  RunEnd end{};
  if (slot == nullptr) {
    end = copy_run(client_, transfer);
    slot = staging_.take_empty();
  } else {
    std::memcpy(slot, reinterpret_cast<const void*>(transfer.from), transfer.bytes);
    end = move_run(client_, {transfer.to, number_of(slot), transfer.bytes});
    if (end.moved_bytes == 0 && staging_.give_full(slot, transfer.bytes)) return end;
  }
  const bool whole = end.moved_bytes == transfer.bytes;
  const bool filled = whole && move_run(vram_, {number_of(slot), transfer.from, transfer.bytes}).err == 0;
  if (filled && staging_.give_full(slot, transfer.bytes)) return end;
  if (end.moved_bytes != 0) discard_frame(transfer.from, end.moved_bytes);
  discard_frame(number_of(slot), transfer.bytes);
  staging_.give_empty(slot);
  return end;
}

/// One piece goes home. Notifiers have been told.
LiveHostMm::HomeEnd LiveHostMm::bring_home(Piece piece, MoveCause cause) {
  const std::uint64_t begin_ns = clock_.now_ns();
  if (!SX_STEP("live.home.move")) return HomeEnd::kStuck;
  const bool reserved = residency_.reserve();
  SX_ASSERT(reserved);
  const std::uint64_t bytes = piece.range.size();
  const std::uint64_t va = piece.range.start().value();
  const std::uint64_t frame = number_of(piece.frame());
  std::uint64_t done = 0;
  std::uint64_t lost = 0;
  note_left(piece);
  while (done < bytes) {
    const RunEnd end = send_home({va + done, frame + done, bytes - done});
    done += end.moved_bytes;
    if (end.err == 0 || end.err == EINTR) break;
    // Fallback for mappings that MOVE refuses (read-only by a raw mprotect, locked): COPY fills them.
    const RunEnd copied = copy_run(client_, {va + done, frame + done, kPageSize});
    if (copied.err == EEXIST) {
      log(LogLevel::kError, "page {:#x} is in memory and in VRAM", va + done);
      SX_UNREACHABLE("a page is in system memory and in VRAM");
    }
    if (copied.err == EINTR) break;
    const bool gone = copied.err == ENOENT || copied.err == EINVAL || copied.err == ESRCH;
    if (copied.err != 0 && (!gone || client_.event_in_flight())) break;  // asked again later
    discard_frame(frame + done, kPageSize);
    if (gone) lost += kPageSize;  // unmapped by a raw call: nobody can ask for it
    if (!gone) counters_.pages_copied.fetch_add(1, std::memory_order_relaxed);
    done += kPageSize;
  }
  if (done < bytes) pages_of_frame(HostVa(frame))->set(HostRange::of(HostVa(frame + done), bytes - done));
  if (done == 0) return HomeEnd::kStuck;
  // Small pages, or a huge page that came in pieces or was split on its way, left a table in the frame.
  if (bytes != k2M || !pagemap_.maybe_huge(piece.range.start())) {
    note_page_tables(HostRange::of(HostVa(frame), bytes));
  }
  DevmemAllocation& allocation = *piece.allocation;
  residency_.erase(HostRange::of(piece.range.start(), done));
  const std::uint64_t pages = (done - lost) >> kPageShift;
  counters_.pages_home.fetch_add(pages, std::memory_order_relaxed);
  counters_.pages_dropped.fetch_add(lost >> kPageShift, std::memory_order_relaxed);
  if (pages != 0) {
    const std::uint64_t took_ns = clock_.now_ns() - begin_ns;
    allocation.heap->moved_to_system(allocation, {.pages = pages, .took_ns = took_ns, .cause = cause});
  }
  note_idle(piece.range);
  if (release_if_empty(allocation)) return HomeEnd::kEmptied;
  return done < bytes ? HomeEnd::kStuck : HomeEnd::kMorePages;
}

bool LiveHostMm::bring_allocation_home(DevmemAllocation& allocation, MoveCause cause) {
  while (auto piece = ResidencyMap::any_of(allocation)) {
    notify(piece->range, HostEvent::kMigrate);
    const HomeEnd end = bring_home(*piece, cause);
    if (end == HomeEnd::kEmptied) return true;
    if (end == HomeEnd::kStuck) return false;
  }
  return true;
}

bool LiveHostMm::bring_range_home(HostRange range, MoveCause cause) {
  HostVa at = range.start();
  bool all = true;
  while (at < range.end()) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    notify(piece->range, HostEvent::kMigrate);
    if (bring_home(*piece, cause) == HomeEnd::kStuck) all = false;
    at = piece->range.end();
  }
  return all && !residency_.first_in(range);
}

/// The data of `range` is of no use to anybody any more.
void LiveHostMm::drop_pages(HostRange range) {
  while (auto piece = residency_.first_in(range)) {
    const bool reserved = residency_.reserve();
    SX_ASSERT(reserved);
    const HostRange frame = piece->frames();
    note_left(*piece);
    discard_frame(frame.start().value(), frame.size());
    if (frame.size() != k2M) note_page_tables(frame);  // a huge page is split now
    residency_.erase(piece->range);
    counters_.pages_dropped.fetch_add(piece->range.pages(), std::memory_order_relaxed);
    note_idle(piece->range);
    release_if_empty(*piece->allocation);
  }
}

/// The frames of `piece` are given up: no engine can reach them any more.
void LiveHostMm::note_left(const Piece& piece) { pages_of_frame(piece.frames().start())->clear(piece.frames()); }

bool LiveHostMm::release_if_empty(DevmemAllocation& allocation) {
  if (allocation.host_private != nullptr) return false;
  SX_ASSERT(allocation.present_count() == 0);
  allocation.residency_deadline_ns = 0;
  allocation.heap->release(allocation);
  return true;
}

std::uint64_t LiveHostMm::residency_left_ns(HostRange range) {
  std::uint64_t deadline = 0;
  for (HostVa at = range.start(); at < range.end();) {
    const auto piece = residency_.first_in(HostRange::between(at, range.end()));
    if (!piece) break;
    deadline = std::max(deadline, piece->allocation->residency_deadline_ns);
    at = piece->range.end();
  }
  if (deadline == 0) return 0;
  const std::uint64_t now = clock_.now_ns();
  return deadline > now ? deadline - now : 0;
}

Status LiveHostMm::evict(DevmemAllocation& allocation) {
  if (disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  Locked lock(*this);
  constexpr int kTriesMax = 100;
  for (int i = 0; i < kTriesMax; ++i) {
    if (bring_allocation_home(allocation, MoveCause::kEviction)) return {};
    drain_events();
    if (!ResidencyMap::any_of(allocation)) return {};
  }
  return fail(EBUSY, "some pages could not leave VRAM");
}

}  // namespace softxe::live
