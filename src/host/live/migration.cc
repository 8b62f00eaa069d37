#include "host/live/migration.h"

#include <sys/mman.h>

#include "base/log.h"
#include "base/raw_syscall.h"
#include "base/step.h"

namespace softxe::live {

Status Migration::admit() {
  SX_TRY_VOID(SX_STEP("live.migrate.admit"));
  if (res_.is_disabled()) return fail(EFAULT, "the address space belongs to the parent of a fork");
  if (res_.ending.load(std::memory_order_relaxed)) return fail(EBUSY, "the process is about to end");
  if (res_.rung == Rung::kNone) return fail(EBUSY, "this machine cannot move pages (rung none)");
  if (!range_.start().is_aligned(kPageSize) || range_.size() != allocation_.block.size()) {
    return fail(EINVAL, "range and allocation differ in size");
  }
  if (!GranuleMap::addressable(range_)) return fail(ENOENT, "not a user address");
  SX_ASSERT(allocation_.present_count() == 0 && allocation_.frame != nullptr);
  if (!residents_.reserve()) return fail(ENOMEM, "the arena is used up");
  if (res_.rung == Rung::kUserOnly && !memory_.named.contains(range_)) {
    return fail(EBUSY, "on rung user-only, only named ranges migrate");
  }
  // What is registered is anonymous private memory, and who replaces it waits until its event is read.
  // Borders that came since (a raw mprotect) are MOVE's to refuse.
  if (memory_.registration.covers(range_)) return {};
  const auto blocks = HostRange::between(range_.start().aligned_down(k2M), HostVa(align_up(range_.end().value(), k2M)));
  SX_TRY(CpuVma vma, LogicalMappings(res_).at(range_.start(), blocks));
  if (!vma.range.contains(range_)) return fail(EINVAL, "range spans mappings");
  switch (vma.kind) {
    case CpuVma::Kind::kAnonPrivate: break;
    case CpuVma::Kind::kHugetlb:
    case CpuVma::Kind::kDevice:
    case CpuVma::Kind::kSpecial: return fail(EINVAL, "special or hugetlb mapping");
    case CpuVma::Kind::kShmem:
    case CpuVma::Kind::kFile: return fail(EBUSY, "not anonymous private memory");
  }
  return memory_.registration.register_blocks(range_, vma.range);
}

/// Waits for calls on the range that are under way without our lock: those the hooks' filter let pass, and those
/// no hook saw, which wait for their event to be read. What admission saw may be another mapping by then.
Status Migration::settle_calls() {
  constexpr std::uint32_t kTurnsMax = 4096;
  const std::uint64_t read_before = res_.pump.events_read();
  for (std::uint32_t turns = 0; res_.passing.any_in(range_) || res_.pump.unread_since(res_.client, read_before);) {
    if (turns >= kTurnsMax) return fail(EBUSY, "a system call on this memory does not end");
    if (!mover_.wait_turn(turns)) memory_.missed.drain();
  }
  memory_.missed.drain();
  if (!memory_.registration.covers(range_)) return fail(EBUSY, "the mapping was replaced");
  return {};
}

Result<MigrateCounts> Migration::run(std::uint64_t residency_ns) {
  // Looked at once more below, when no thread can pin without being seen.
  if (res_.pins.intersects(res_.granules, range_)) return fail(EBUSY, "an engine thread stands on these pages");
  SX_TRY_VOID(admit());
  SX_TRY_VOID(settle_calls());
  landing_ = mover_.take_landing(allocation_.frame);
  res_.pins.begin_migration();
  Result<MigrateCounts> result = fail(EBUSY, "an engine thread stands on these pages");
  if (!res_.pins.intersects(res_.granules, range_)) {
    memory_.notifiers.tell(range_, HostEvent::kMigrate);
    mover_.prepare_landing(range_at(landing_, range_.size()), range_.start());
    result = take_pages();
    if (result) {
      residents_.take_over(range_, allocation_, residency_ns);
    } else {
      undo();
    }
  }
  res_.pins.end_migration();
  mover_.give_landing(landing_, allocation_.frame);
  if (!result) memory_.registration.note_idle(range_);
  return result;
}

/// Lands every page, or says why not; the journal tells how far it came.
Result<MigrateCounts> Migration::take_pages() {
  while (at() < range_.end()) {
    SX_TRY_VOID(SX_STEP("live.migrate.move"));
    const auto rest = HostRange::between(at(), range_.end());
    const auto piece = residents_.first_in(rest);
    const HostVa gap_end = piece ? piece->range.start() : rest.end();
    int err = 0;
    if (gap_end > rest.start()) {
      err = take_gap(HostRange::between(rest.start(), gap_end));
    } else {
      if (piece->allocation->heap->owner() != allocation_.heap->owner()) {
        return fail(EBUSY, "pages are in VRAM of another group");
      }
      const RunEnd end = mover_.move_run(
          res_.windows.uffd(), {landing_of(piece->range.start()), number_of(piece->frame()), piece->range.size()});
      done_bytes_ += end.moved_bytes;
      counts_.pages_moved += end.moved_bytes >> kPageShift;
      err = end.err;
    }
    if (err == ENOMEM) return fail(ENOMEM, "no memory for page tables");
    if (err != 0) return fail(EBUSY, "a page cannot be moved");
  }
  SX_TRY_VOID(mover_.land(landing_, allocation_.frame, range_.size()));
  return counts_;
}

int Migration::take_gap(HostRange gap) {
  while (at() < gap.end()) {
    const RunEnd end = mover_.move_run(res_.windows.uffd(), {landing_of(at()), at().value(), gap.end() - at()});
    done_bytes_ += end.moved_bytes;
    counts_.pages_moved += end.moved_bytes >> kPageShift;
    if (end.err == 0) return 0;
    if (end.err == EEXIST) {
      log(LogLevel::kError, "VRAM frame of {:#x} was not empty", at().value());
      SX_UNREACHABLE("a VRAM frame was not empty when it was taken");
    }
    if (end.err == EBUSY) shared_pages_ = true;
    if (end.err != ENOENT) return end.err;
    if (int err = take_hole(at(), gap.end())) return err;
  }
  return 0;
}

/// The page at `at` is a hole: zero-fills the frame for it and the holes that follow.
int Migration::take_hole(HostVa at, HostVa end) {
  std::uint64_t words[DevmemAllocation::kPagesMax];
  const std::uint64_t pages = (end - at) >> kPageShift;
  if (!res_.pagemap.read(at, std::span(words, pages))) return EBUSY;
  std::uint64_t holes = 0;
  while (holes < pages && !PageMap::is_occupied(words[holes])) ++holes;
  if (holes == 0) return 0;  // filled in the kernel meanwhile (swap): look again
  // Under the lock nobody fills a hole of registered memory, but a raw munmap may have come between.
  const std::uint64_t bytes = holes << kPageShift;
  unsigned char resident[DevmemAllocation::kPagesMax];
  if (errno_of(raw_syscall(SYS_mincore, at.value(), bytes, resident)) != 0) return EBUSY;
  std::uint32_t turns = 0;
  for (std::uint64_t done = 0; done < bytes;) {
    const UffdOutcome out = res_.windows.uffd().zero(HostRange::of(HostVa(landing_of(at) + done), bytes - done));
    done += out.done_bytes;
    if (out.err == EAGAIN && mover_.wait_turn(turns)) continue;
    if (out.err != 0) {
      mover_.discard_frame(landing_of(at), bytes);
      return out.err == ENOMEM ? ENOMEM : EBUSY;
    }
  }
  give_up(HostRange::of(at, bytes));
  done_bytes_ += bytes;
  counts_.pages_zero_filled += holes;
  return 0;
}

/// They are zeroes wherever they are looked for.
void Migration::give_up(HostRange pages) {
  for (HostVa at = pages.start(); at < pages.end(); at += kPageSize) {
    given_up_[page_of(at) / 64] |= 1ull << (page_of(at) % 64);
  }
}

// --- back ---------------------------------------------------------------------------------------

/// Every landed page goes back where it came from.
void Migration::undo() {
  mover_.note_page_tables(range_at(landing_, range_.size()));
  const HostVa end = at();
  for (HostVa at = range_.start(); at < end;) {
    const auto rest = HostRange::between(at, end);
    const auto piece = residents_.first_in(rest);
    const HostVa gap_end = piece ? piece->range.start() : end;
    if (gap_end > at) {
      undo_gap(HostRange::between(at, gap_end));
      at = gap_end;
      continue;
    }
    const RunEnd back = mover_.move_run(
        res_.windows.uffd(), {number_of(piece->frame()), landing_of(piece->range.start()), piece->range.size()});
    SX_ASSERT(back.err == 0);
    at = piece->range.end();
  }
}

void Migration::undo_gap(HostRange gap) {
  for (HostVa at = gap.start(); at < gap.end();) {
    HostVa stop = at;
    const bool given_up = is_given_up(at);
    while (stop < gap.end() && is_given_up(stop) == given_up) stop += kPageSize;
    const auto run = HostRange::between(at, stop);
    if (given_up) {
      mover_.discard_frame(landing_of(at), run.size());
      if (res_.client) res_.client.wake(run);
      at = stop;
    } else {
      at = put_back(run);
    }
  }
}

/// How far it came: where it stopped, the journal may have changed.
HostVa Migration::put_back(HostRange run) {
  const std::uint64_t landing = landing_of(run.start());
  RunEnd back = mover_.move_run(res_.client, {run.start().value(), landing, run.size()});
  if (back.err == EBUSY || back.err == EINTR) {
    drain_events();
  } else if (back.err != 0) {  // the mapping changed under us by a call that no hook saw
    const std::uint64_t at = back.moved_bytes;
    const RunEnd copied = mover_.copy_run(res_.client, {run.start().value() + at, landing + at, kPageSize});
    mover_.discard_frame(landing + at, kPageSize);
    if (copied.err != 0) res_.counters.pages_dropped.fetch_add(1, std::memory_order_relaxed);
    back.moved_bytes += kPageSize;
  }
  return run.start() + back.moved_bytes;
}

/// The pages of a journal are in no record that an event would change: who discarded them does not get them back.
void Migration::drain_events() {
  UffdMessage message;
  while (res_.pump.pop_event(message)) {
    memory_.missed.deal_with(message, nullptr);
    const auto gone = message.range_gone();
    if (const auto part = gone ? gone->intersection(range_) : std::nullopt) give_up(*part);
  }
}

}  // namespace softxe::live
